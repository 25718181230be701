"""Devices whose application is replaced while it does not run, and what ``smpdfu update`` does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.client import Client
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.replacing.reach import Reach
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.do.update import Event, StepBegun, Update, Wish
from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.package import Package
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.virtual.boot.bootloader import DEFAULT_OPTIONS, BootKeys, BootOptions
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS, NRF5340DK_STAGED, Layout
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.application import Kept
from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from tests.dfu.dfu_device import FAST, KilledError, MortalJournal
from tests.pipes import PassingPipe
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

USUAL = Wish()
BY_RECOVERY = Wish(recovery=True)
DEADLINES = Deadlines(boot_s=30.0, poll_s=0.05, again_s=0.5, settle_s=3.0)
LOADING = LAYOUTS["nrf5340dk-firmware-loader"]


def device_of(
    make: Maker,
    layout: Layout,
    *,
    options: BootOptions = DEFAULT_OPTIONS,
    build: RecoveryBuild | None = None,
    serves_images: bool = True,
    number: str = "0123456789abcdef",
) -> VirtualNrf5340:
    """It runs version 1.0.0 on both cores, and stays in recovery while it has nothing to start."""
    keys = BootKeys((make.key.public,), options=options)
    resources = Resources(reset_delay_s=0.0, serves_images=serves_images)
    made = VirtualNrf5340(layout, keys, resources=resources, kept=Kept(device_id=bytes.fromhex(number)))
    made.recovers = True
    made.recovery_build = build or RecoveryBuild(params=False)
    made.load_app(make.data(version="1.0.0", mark=1))
    if layout.mode is BootMode.FIRMWARE_LOADER:
        made.load_app(make.data(version="7.0.0", address=layout.secondary.start + 0x200, mark=7))
    made.load_net(make.data(Core.NET, version="1.0.0", mark=1))
    made.reset()
    return made


def with_loader(make: Maker, **how: Any) -> VirtualNrf5340:
    return device_of(make, LOADING, **how)


def with_one_slot(make: Maker, **how: Any) -> VirtualNrf5340:
    return device_of(make, NRF5340DK_STAGED.in_mode(BootMode.SINGLE_SLOT), **how)


def swapping(make: Maker, **how: Any) -> VirtualNrf5340:
    return device_of(make, NRF5340DK_STAGED.in_mode(BootMode.MOVE), **how)


def client(device: VirtualNrf5340, pipe: Pipe | None = None) -> Client:
    return Client(pipe or device.connect(), ConsoleFraming(), timeout_s=0.5, patience=FAST)


class PartOf(PassingPipe):
    """A wire that only part of the device's firmware is on: nobody hears what is written while ``heard`` is False."""

    def __init__(self, device: VirtualNrf5340, heard: Callable[[VirtualNrf5340], bool]) -> None:
        super().__init__(device.connect())
        self._device, self._heard = device, heard

    async def _write(self, data: bytes) -> None:
        if self._heard(self._device):
            await super()._write(data)


def of_application(device: VirtualNrf5340) -> Client:
    """A wire to the application alone."""
    return client(device, PartOf(device, lambda one: one.recovery is None and not one.is_loader(one.running)))


def of_the_other(device: VirtualNrf5340) -> Client:
    """A wire to the firmware loader, or to the bootloader in recovery, alone."""
    return client(device, PartOf(device, lambda one: one.recovery is not None or one.is_loader(one.running)))


async def carry_out(
    reach: Reach, package: Package, journal: Journal, wish: Wish = USUAL, deadlines: Deadlines = DEADLINES, **how: Any
) -> tuple[Installed, list[Event]]:
    events: list[Event] = []
    async with reach:
        job = Update(reach, package, journal, wish=wish, deadlines=deadlines, **how)
        return await job.run(await job.look(), events.append), events


def run(
    device: VirtualNrf5340, package: Package, path: Path, wish: Wish = USUAL, *, reach: Reach | None = None, **how: Any
) -> tuple[Installed, list[str]]:
    """What an update ended with, and the names of its steps."""
    with Journal(path) as journal:
        done, events = simulate(carry_out(reach or Reach(client(device)), package, journal, wish, **how))
    return done, [event.step.name for event in events if isinstance(event, StepBegun)]


def killed_at(device: VirtualNrf5340, package: Package, path: Path, life: int, *, written: bool, **how: Any) -> bool:
    """Run an update whose tool dies at entry number ``life`` of its journal; False if it ended before."""
    with MortalJournal(path) as journal:
        journal.life, journal.written = life, written
        try:
            simulate(carry_out(Reach(client(device)), package, journal, **how))
        except KilledError:
            return True
    return False


@contextmanager
def cut(device: VirtualNrf5340, after: int) -> Iterator[None]:
    """The power goes after so many operations of any flash."""
    device.chip.power.cut_after = after
    try:
        yield
    finally:
        device.chip.power.cut_after = None
        device.reset()


def version(device: VirtualNrf5340) -> str | None:
    return None if device.running is None else str(device.running.header.version)
