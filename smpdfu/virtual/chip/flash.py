"""NOR flash, as the chip has it: a page is erased to 0xff, a word is programmed by clearing bits.

Addresses are absolute. The flash counts its operations (one per page erased, one per call of ``program``), adds up how
long they take on the chip, and can lose its power at any of them, in the middle of the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from smpdfu.virtual.chip.layout import Region
from smpdfu.virtual.chip.storage import ERASED, SparseStorage, Storage, blank


class FlashError(Exception):
    """The flash was asked for what it cannot do. ``address`` is where."""

    def __init__(self, message: str, address: int) -> None:
        super().__init__(f"{message} (at 0x{address:08x})")
        self.address = address


class PowerCut(Exception):  # noqa: N818 - an event of the world and nobody's error
    """The power went away during a flash operation; ``operation`` is its number, counted from 0."""

    def __init__(self, operation: int) -> None:
        super().__init__(f"power lost during flash operation {operation}")
        self.operation = operation


class Tear(StrEnum):
    """What the operation that the power cut interrupted has done: nothing, or half of it."""

    CLEAN = "clean"
    LOWER = "lower"
    UPPER = "upper"


@dataclass
class Power:
    """The supply of one or more flashes. ``operations`` counts what they did together.

    ``cut_after`` is how many more operations go well: the one behind them is torn, raises ``PowerCut`` and disarms the
    cut. A torn ``program`` has written the first half of its words, whichever half an erase would have done.
    """

    operations: int = 0
    cut_after: int | None = None
    tear: Tear = Tear.LOWER

    def lasts_for(self, operations: int) -> bool:
        """Count so many operations if the power does not go during any of them; else count none, and False."""
        if self.cut_after is not None:
            if self.cut_after < operations:
                return False
            self.cut_after -= operations
        self.operations += operations
        return True

    def fails(self) -> bool:
        """Count an operation; True for the one during which the power goes."""
        self.operations += 1
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        if self.cut_after >= 0:
            return False
        self.cut_after = None
        return True


@dataclass(frozen=True, slots=True)
class Times:
    """How long the operations take: ``erase_s`` a page, ``program_s`` a write unit."""

    erase_s: float = 0.0
    program_s: float = 0.0


INSTANT = Times()
# nRF5340 Product Specification, NVMC, electrical specification: tERASEPAGE, tWRITE.
NVMC = Times(erase_s=0.0875, program_s=43e-6)
# The MX25R64 of the nRF5340 DK, what it says of itself (JESD216 basic parameters, words 10 and 11): typical times of a
# sector of 4 KiB and of a page of 256 bytes, here a word of it.
QSPI_NOR = Times(erase_s=0.048, program_s=0.000896 / 64)


class Flash:
    """``size_bytes`` of flash from the absolute address ``base``.

    ``operations`` and ``erase_counts`` (by page address) only grow. ``busy_s`` is how long the chip would have worked.
    Flashes of one device share their ``power``.
    """

    def __init__(
        self,
        base: int,
        size_bytes: int,
        *,
        page_size: int = 4096,
        write_size: int = 4,
        storage: Storage | None = None,
    ) -> None:
        """New flash is erased; ``storage`` is taken as it is. ``ValueError`` when the sizes do not fit together."""
        if page_size % (2 * write_size) or size_bytes % page_size or base % page_size or size_bytes <= 0:
            raise ValueError("flash is made of whole pages, and a page of an even number of words")
        if storage is not None and len(storage) != size_bytes:
            raise ValueError(f"the storage has {len(storage)} bytes, the flash {size_bytes}")
        self.base, self.size_bytes = base, size_bytes
        self.page_size, self.write_size = page_size, write_size
        self.times = INSTANT
        self.power = Power()
        self.operations = 0
        self.busy_s = 0.0
        self.erase_counts: Counter[int] = Counter()
        self._blank = blank(page_size)
        self._storage: Storage = SparseStorage(size_bytes, page_size) if storage is None else storage

    @property
    def end(self) -> int:
        """The first address behind the flash."""
        return self.base + self.size_bytes

    def __contains__(self, region: object) -> bool:
        return isinstance(region, Region) and self.base <= region.start and region.end <= self.end

    def area(self, region: Region) -> Area:
        """The part of the flash that ``region`` names; ``ValueError`` if it leaves the flash."""
        if region not in self:
            raise ValueError(f"region {region.name} leaves the flash 0x{self.base:08x} to 0x{self.end:08x}")
        return Area(self, region)

    def take_busy(self) -> float:
        """How many seconds the chip would have worked since this was last asked."""
        busy_s, self.busy_s = self.busy_s, 0.0
        return busy_s

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes; raises ``FlashError`` outside the flash."""
        start = self._offset(address, size)
        return bytes(self._storage[start : start + size])

    def pieces(self, address: int, size: int) -> tuple[bytes, ...]:
        """What ``read`` returns, in pieces that are quick to compare where they are the same objects."""
        start = self._offset(address, size)
        if isinstance(self._storage, SparseStorage):
            return self._storage.pieces(slice(start, start + size))
        return (bytes(self._storage[start : start + size]),)

    def program(self, address: int, data: bytes) -> None:
        """Clear bits so that ``data`` is there; one operation.

        Raises ``FlashError`` when the place or the size is not made of whole words, or when a bit would have to be set,
        which only an erase can do; and ``PowerCut``.
        """
        start = self._offset(address, len(data))
        if address % self.write_size or len(data) % self.write_size:
            raise FlashError(f"only whole words of {self.write_size} bytes can be programmed", address)
        end = start + len(data)
        old = self._storage[start:end]
        if not _is_erased(old) and _sets_bits(old, data):
            raise FlashError("only an erase can set bits", address)
        words = len(data) // self.write_size
        if self._fails(words * self.times.program_s):
            words = 0 if self.power.tear is Tear.CLEAN else words // 2
            end = start + words * self.write_size
            self._storage[start:end] = data[: end - start]
            raise PowerCut(self.power.operations - 1)
        self._storage[start:end] = data

    def program_pieces(self, address: int, data: bytes, piece_bytes: int) -> None:
        """Call ``program`` for each ``piece_bytes`` of ``data``: one operation each. Raises as ``program``.

        ``piece_bytes`` are whole words. Erased flash on a supply that lasts takes all pieces at once: nothing can be
        seen of what is in between.
        """
        size, start = len(data), address - self.base
        steps = range(0, size, piece_bytes)
        is_whole = address % self.write_size == 0 == size % self.write_size
        can_be = is_whole and start >= 0 and start + size <= self.size_bytes
        if not (can_be and _is_erased(self._storage[start : start + size]) and self.power.lasts_for(len(steps))):
            for done in steps:
                self.program(address + done, data[done : done + piece_bytes])
            return
        self.operations += len(steps)
        for done in steps:
            self.busy_s += min(piece_bytes, size - done) // self.write_size * self.times.program_s
        self._storage[start : start + size] = data

    def erase(self, address: int, size: int) -> None:
        """Set whole pages to 0xff; one operation each. Raises ``FlashError`` for parts of pages, and ``PowerCut``."""
        start = self._offset(address, size)
        if address % self.page_size or size % self.page_size:
            raise FlashError(f"only whole pages of {self.page_size} bytes can be erased", address)
        for page in range(start, start + size, self.page_size):
            self._erase_page(page)

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Address and contents of every page that is not blank, in ascending order."""
        if isinstance(self._storage, SparseStorage):
            yield from ((self.base + number * self.page_size, page) for number, page in self._storage)
            return
        for start in range(0, self.size_bytes, self.page_size):
            page = bytes(self._storage[start : start + self.page_size])
            if not _is_erased(page):
                yield self.base + start, page

    def load(self, pages: Mapping[int, bytes]) -> None:
        """Make the contents those of ``pages`` and blank elsewhere, as a programmer does: no operation, no wear."""
        if isinstance(self._storage, SparseStorage):
            self._storage.replace({(address - self.base) // self.page_size: page for address, page in pages.items()})
            return
        blank = bytes([ERASED]) * self.page_size
        for start in range(0, self.size_bytes, self.page_size):
            self._storage[start : start + self.page_size] = pages.get(self.base + start, blank)

    def _erase_page(self, page: int) -> None:
        self.erase_counts[self.base + page] += 1
        half = self.page_size // 2
        first, last = page, page + self.page_size
        cut = self._fails(self.times.erase_s)
        if cut:
            bounds = {Tear.CLEAN: (page, page), Tear.LOWER: (page, page + half), Tear.UPPER: (page + half, last)}
            first, last = bounds[self.power.tear]
        self._storage[first:last] = self._blank[: last - first]
        if cut:
            raise PowerCut(self.power.operations - 1)

    def _offset(self, address: int, size: int) -> int:
        if size < 0:
            raise ValueError(f"size is {size}: it must be at least 0")
        if not (self.base <= address and address + size <= self.base + self.size_bytes):
            raise FlashError(f"{size} bytes lie outside the flash 0x{self.base:08x} to 0x{self.end:08x}", address)
        return address - self.base

    def _fails(self, seconds: float) -> bool:
        self.operations += 1
        self.busy_s += seconds
        return self.power.fails()


class Bus(Protocol):
    """What a core reads and writes by absolute address: one flash, or several side by side."""

    def area(self, region: Region) -> Area: ...

    def read(self, address: int, size: int) -> bytes: ...


class Memory:
    """Several flashes side by side: what a core has on its bus."""

    def __init__(self, flashes: Sequence[Flash]) -> None:
        self.flashes = tuple(flashes)

    def area(self, region: Region) -> Area:
        """The part of the flash that ``region`` names; ``ValueError`` if there is none."""
        for flash in self.flashes:
            if region in flash:
                return Area(flash, region)
        raise ValueError(f"there is no flash where region {region.name} is")

    @property
    def busy_s(self) -> float:
        """How long they have worked together."""
        return sum(flash.busy_s for flash in self.flashes)

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes of one flash; raises ``FlashError`` where there is none."""
        for flash in self.flashes:
            if flash.base <= address < flash.end:
                return flash.read(address, size)
        raise FlashError("there is no flash", address)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a flash, seen by offsets from its start (a ``flash_area`` of Zephyr and MCUboot)."""

    flash: Flash
    region: Region

    @property
    def size_bytes(self) -> int:
        """Size of the area."""
        return self.region.size_bytes

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``; raises ``FlashError``, also beyond the area."""
        return self.flash.read(self._address(offset, size), size)

    def pieces(self, offset: int, size: int) -> tuple[bytes, ...]:
        """As ``Flash.pieces``."""
        return self.flash.pieces(self._address(offset, size), size)

    def read_all(self) -> bytes:
        """The whole area."""
        return self.read(0, self.size_bytes)

    def program(self, offset: int, data: bytes) -> None:
        """As ``Flash.program``."""
        self.flash.program(self._address(offset, len(data)), data)

    def program_pieces(self, offset: int, data: bytes, piece_bytes: int) -> None:
        """As ``Flash.program_pieces``; nothing is written if the data leave the area."""
        self.flash.program_pieces(self._address(offset, len(data)), data, piece_bytes)

    def erase(self, offset: int, size: int) -> None:
        """As ``Flash.erase``."""
        self.flash.erase(self._address(offset, size), size)

    def erase_all(self) -> None:
        """Erase the whole area."""
        self.erase(0, self.size_bytes)

    def _address(self, offset: int, size: int) -> int:
        region = self.region
        address = region.start + offset
        if offset < 0 or offset + size > region.size_bytes:
            raise FlashError(f"{size} bytes at offset {offset} leave {region.name}", address)
        return address


_BLANK = blank(4096)


def _is_erased(data: bytes | bytearray) -> bool:
    return _BLANK.startswith(data) if len(data) <= len(_BLANK) else data.count(ERASED) == len(data)


def _sets_bits(old: bytes | bytearray, new: bytes) -> bool:
    return bool(int.from_bytes(new, "little") & ~int.from_bytes(old, "little"))
