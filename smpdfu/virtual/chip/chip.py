"""The memories of one nRF5340 board, on one supply: flash of both cores, UICR, external flash, RAM used as flash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smpdfu.errors import TooLargeError
from smpdfu.virtual.chip.flash import INSTANT, NVMC, QSPI_NOR, Area, Flash, FlashError, Memory, Power, Times
from smpdfu.virtual.chip.layout import UICR, Layout, Region


@dataclass(frozen=True, slots=True)
class Part:
    """A memory as the layout has it; ``kept`` tells that it outlives the power."""

    name: str
    region: Region
    page_size: int
    times: Times
    kept: bool = True


def parts(layout: Layout) -> Iterator[Part]:
    """The memories of a board with this layout."""
    page = layout.sector_size
    yield Part("app", layout.flash, page, NVMC)
    yield Part("net", layout.net.flash, layout.net.page_size, NVMC)
    if layout.otp is not None:
        yield Part("uicr", UICR, page, NVMC)
    if layout.external is not None:
        yield Part("external", layout.external, page, QSPI_NOR)
    if layout.ram is not None:
        yield Part("ram", layout.ram, page, INSTANT, kept=False)


def kept_parts(layout: Layout) -> tuple[Part, ...]:
    """Those of them that keep what they hold without power."""
    return tuple(part for part in parts(layout) if part.kept)


class Chip:
    """The memories by name, with one supply. Those that are not ``given`` are new and blank."""

    def __init__(self, layout: Layout, given: Mapping[str, Flash] | None = None) -> None:
        self.power = Power()
        self.flashes = dict[str, Flash]()
        self._lost = [part.name for part in parts(layout) if not part.kept]
        for part in parts(layout):
            flash = (given or {}).get(part.name)
            if flash is None:
                flash = Flash(part.region.start, part.region.size_bytes, page_size=part.page_size)
            flash.times = part.times
            flash.power = self.power
            self.flashes[part.name] = flash
        self.app, self.net = self.flashes["app"], self.flashes["net"]
        self.bus = Memory([flash for name, flash in self.flashes.items() if name != "net"])

    @property
    def busy_s(self) -> float:
        """How long all memories have worked."""
        return sum(flash.busy_s for flash in self.flashes.values())

    def take_busy(self) -> float:
        """How long all memories have worked since this was last asked."""
        return sum(flash.take_busy() for flash in self.flashes.values())

    def flash_at(self, address: int) -> Flash:
        """The memory that has this address; raises ``FlashError`` where there is none."""
        for flash in self.flashes.values():
            if flash.base <= address < flash.end:
                return flash
        raise FlashError("there is no flash", address)

    def program(self, address: int, data: bytes) -> None:
        """Write ``data`` as a debugger does: pages keep what they hold around it. Raises ``FlashError`` outside."""
        flash = self.flash_at(address)
        start = address // flash.page_size * flash.page_size
        end = -(-(address + len(data)) // flash.page_size) * flash.page_size
        pages = bytearray(flash.read(start, end - start))
        pages[address - start : address - start + len(data)] = data
        flash.erase(start, end - start)
        flash.program(start, bytes(pages))

    def load(self, area: Area, data: bytes) -> None:
        """Write ``data`` at the start of ``area``, which is erased first; raises ``TooLargeError``."""
        name = area.region.name
        room = area.size_bytes
        if len(data) > room:
            raise TooLargeError(f"{len(data)} bytes do not fit {name}, which has {room}", len(data), room)
        area.erase_all()
        self.program(area.region.start, data)

    def forget(self) -> None:
        """The power is gone, or RAM is used for something else: what is not flash is blank."""
        for name in self._lost:
            self.flashes[name].load({})
