"""A device in MCUboot's firmware loader mode, with small slots, and whoever talks to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smpdfu.errors import DeviceError
from smpdfu.image.format import Version
from smpdfu.smp.groups.image import ImageSlot, ImageUpload, StateRead, StateReply
from smpdfu.smp.groups.os import BOOT_MODE_BOOTLOADER, Reset
from smpdfu.smp.message import Empty, Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.boot.build import DEFAULT_OPTIONS, BootKeys, BootOptions
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import Layout, Region, SlotPair
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import HEADER, SECTOR, SIGNING, Bench, small_layout
else:
    from virtual_bench import HEADER, SECTOR, SIGNING, Bench, small_layout

OLD, NEW, LOADERS = Version(1), Version(2), Version(7)
APPLICATION, LOADER = 0, 1
SLOT_SECTORS = 6
AT_ONCE = Resources(reset_delay_s=0)
CHUNK = 700


def small_loading() -> Layout:
    """A slot for the application, and a smaller one behind it for the loader."""
    base = small_layout(sectors=SLOT_SECTORS)
    primary = Region("primary", SECTOR, SLOT_SECTORS * SECTOR)
    loader = Region("secondary", primary.end, 4 * SECTOR)
    return replace(base, name="small-loading", images=(SlotPair(primary, loader),), mode=BootMode.FIRMWARE_LOADER)


class Board:
    """A device with both applications, or others in their slots; ``bench`` has its flash."""

    def __init__(self, options: BootOptions = DEFAULT_OPTIONS, resources: Resources = AT_ONCE) -> None:
        self.bench = Bench(small_loading(), BootKeys((SIGNING.public,), options=options))
        layout, keys = self.bench.layout, self.bench.keys
        self.device = VirtualNrf5340(layout, keys, flashes=self.bench.chip.flashes, resources=resources, name="board")
        self.device.load_app(self.application(OLD))
        self.device.load_app(self.loader())
        self.device.load_net(self.bench.net_image(1))

    def application(self, version: Version, size: int = 9000) -> bytes:
        """An application image, linked for its slot."""
        return self.bench.app_image(version.major, size, version=version)

    def loader(self) -> bytes:
        """The firmware loader, linked for its slot."""
        return self.bench.linked_image(self.bench.layout.secondary.start + HEADER, version=LOADERS)

    @property
    def runs(self) -> tuple[int, int] | Ending | None:
        """The slot that runs and its version; else how the boot ended."""
        running = self.device.running
        return self.device.ending if running is None else (running.slot, running.header.version.major)

    def ask(self, request: Request[Any]) -> Response | DeviceError:
        (answer,) = self.device.answers(request.to_bytes(5))
        return read_outcome(request, answer[8:])

    def refusal(self, request: Request[Any]) -> int | None:
        outcome = self.ask(request)
        return outcome.rc if isinstance(outcome, DeviceError) else None

    def start_loader(self) -> None:
        """As a host does: a reset with boot mode 1."""
        assert self.ask(Reset(boot_mode=BOOT_MODE_BOOTLOADER)) == Empty()
        self.device.finish_reset()

    def listed(self) -> list[tuple[int, str, bool, bool, bool]]:
        """Slot, version, active, pending, confirmed."""
        reply = self.ask(StateRead())
        assert isinstance(reply, StateReply)
        return [line_of(one) for one in reply.images]


def line_of(one: ImageSlot) -> tuple[int, str, bool, bool, bool]:
    assert one.image in (None, 0)
    return one.slot, one.version or "", bool(one.active), bool(one.pending), bool(one.confirmed)


def upload(board: Board, image: bytes) -> Iterator[int]:
    """Send an image, and yield what the device took; the end without power."""
    for off in range(0, len(image), CHUNK):
        piece = image[off : off + CHUNK]
        request = ImageUpload(off=off, len=len(image) if off == 0 else None, data=piece)
        if not board.device.answers(request.to_bytes(5)):
            return
        yield off + len(piece)
