"""A virtual device in memory, and what ``smpdfu update`` does with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.client import Client
from smpdfu.client import Patience as ClientPatience
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.do.update import Event, Update, Wish
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.trailer import SwapMode
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing, GattFraming
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import Reset
from smpdfu.smp.message import split_message
from smpdfu.virtual.boot.bootloader import DEFAULT_OPTIONS, BootKeys, BootOptions
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.application import Kept
from tests.pipes import PassingPipe
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

FAST = ClientPatience(reconnect_s=0.05, reset_grace_s=0.02, quiet_s=0.0, ping_s=0.05, pause_s=0.01)
PATIENT = Deadlines(boot_s=30.0, poll_s=0.01, again_s=0.05)
"""For devices that come back: no computer is too busy for them."""
SHORT = Deadlines(boot_s=0.3, poll_s=0.01, again_s=0.05)
"""For devices that never come back."""
UNASKED = Wish(force=True)
"""What preflight finds has tests of its own; here it is seen what happens all the same."""
SWAPS, OVERWRITES = SwapMode.MOVE, SwapMode.OVERWRITE_ONLY


def new_device(
    make: Maker,
    mode: SwapMode = SWAPS,
    *,
    net_keys: tuple[Verifier, ...] = (),
    kind: type[VirtualNrf5340] = VirtualNrf5340,
    options: BootOptions = DEFAULT_OPTIONS,
    number: str | None = None,
) -> VirtualNrf5340:
    """It runs version 1.0.0 on both cores and trusts the test's keys; ``net_keys`` are those of b0n.

    ``number``: what it tells of its chip.
    """
    keys = BootKeys((make.key.public,), make.encryption, net_verifiers=net_keys, options=options)
    made = kind(
        NRF5340DK_STAGED.in_mode(BootMode(mode)),
        keys,
        resources=Resources(reset_delay_s=0.0),
        kept=Kept(device_id=None if number is None else bytes.fromhex(number)),
    )
    made.load_app(make.data(version="1.0.0", mark=1))
    made.load_net(make.data(Core.NET, version="1.0.0", mark=1))
    made.reset()
    return made


@asynccontextmanager
async def client_of(
    device: VirtualNrf5340, faults: Faults = NO_FAULTS, pipe: Pipe | None = None, *, console: bool = True
) -> AsyncIterator[Client]:
    wire, framing = wire_of(device, faults, console=console)
    async with Client(pipe or wire, framing, timeout_s=0.5, patience=FAST) as client:
        yield client


def wire_of(device: VirtualNrf5340, faults: Faults = NO_FAULTS, *, console: bool = True) -> tuple[Pipe, Framing]:
    """``console`` False: a wire that carries SMP alone, as Bluetooth and UDP do."""
    if console:
        return device.connect(faults), ConsoleFraming()
    return served_pipe(lambda end: device.serve(end, GattFraming()), faults, name="mute"), GattFraming(answers=True)


async def update(
    device: VirtualNrf5340,
    package: Package,
    journal: Journal,
    faults: Faults = NO_FAULTS,
    *,
    wish: Wish = UNASKED,
    deadlines: Deadlines = PATIENT,
    console: bool = True,
    **how: Any,
) -> list[Event]:
    """What ``smpdfu update`` does, without its words."""
    async with client_of(device, faults, console=console) as client:
        job = Update(client, package, journal, wish=wish, deadlines=deadlines, **how)
        events: list[Event] = []
        await job.run(await job.look(), events.append)
        return events


def run_update(device: VirtualNrf5340, package: Package, path: Path, **how: Any) -> list[Event]:
    with Journal(path) as journal:
        return simulate(update(device, package, journal, **how))


def version(device: VirtualNrf5340) -> str | None:
    return None if device.running is None else str(device.running.header.version)


def net_holds(device: VirtualNrf5340, image: PackageImage) -> bool:
    payload = image.image.payload
    return device.net.read(NRF5340DK_STAGED.net.app.start, len(payload)) == payload


def slots(device: VirtualNrf5340) -> tuple[ImageSlot, ...]:
    async def ask() -> tuple[ImageSlot, ...]:
        async with client_of(device) as client:
            return (await read_state(client)).slots

    return simulate(ask())


class LosingPipe(PassingPipe):
    """Loses the first ``resets`` requests to reset on their way to the device, and the first ``answers`` to them."""

    def __init__(self, inner: Pipe, resets: int = 0, answers: int = 0) -> None:
        super().__init__(inner)
        self.resets, self.answers = resets, answers

    async def _read(self) -> bytes:
        data = await super()._read()
        if self.answers and any(is_reset(message) for message in ConsoleFraming().feed(data)):
            self.answers -= 1
            return await super()._read()
        return data

    async def _write(self, data: bytes) -> None:
        if self.resets and any(is_reset(message) for message in ConsoleFraming().feed(data)):
            self.resets -= 1
            return
        await super()._write(data)


def is_reset(message: bytes) -> bool:
    header, _ = split_message(message)
    return (header.group, header.command) == (Reset.group, Reset.command)


class KilledError(BaseException):
    """The process is gone: nothing else is done, and nothing is cleaned up in the device."""


class MortalJournal(Journal):
    """The tool dies at entry number ``life``, before or after that entry is on the disk."""

    life, written = 0, True

    def _append(self, entry: dict[str, Any]) -> None:
        self.life -= 1
        if self.life >= 0 or self.written:
            super()._append(entry)
        if self.life < 0:
            raise KilledError
