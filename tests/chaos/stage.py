"""A virtual device, a package for it, and what must be true of them whatever went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from smpdfu.cli.main import exit_code
from smpdfu.client import Client
from smpdfu.dfu.health import Health, echoes
from smpdfu.dfu.journal import Journal
from smpdfu.dfu.package import Core, Package, new_package
from smpdfu.dfu.run import Update
from smpdfu.dfu.state import Scheme
from smpdfu.errors import SmpdfuError
from smpdfu.image.format import Version
from smpdfu.link.memory import NO_FAULTS, Faults
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.virtual.bootloader import BootKeys
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.layout import LAYOUTS, NRF5340DK_STAGED
from smpdfu.virtual.pool import Resources
from tests.dfu.conftest import CODE, Maker
from tests.dfu.dfu_device import FAST, SHORT
from tests.virtual.clockwork import ClockworkLoop

LAYOUT = {Scheme.STAGED: "nrf5340dk-staged", Scheme.SIMULTANEOUS: "nrf5340dk-simultaneous"}
OTHER_LAYOUT = {Scheme.STAGED: "nrf5340dk-staged-overwrite", Scheme.SIMULTANEOUS: "nrf5340dk-matter-bridge"}
"""The same schemes on devices that were built in another way."""
OLD, NEW = "1.0.0", "2.0.0"
ENOUGH_CALLS = 4
"""A call may only find that a trial is over, and the next one begins it again."""


@cache
def _images(make: Maker, scheme: Scheme, address: int, size: int) -> tuple[tuple[bytes, bytes], Package]:
    """Both cores' images of OLD, and the package of NEW."""
    old = make.data(version=OLD, mark=1, address=address, size=size), make.data(Core.NET, version=OLD, mark=1)
    app = make.image(version=NEW, address=address, size=size, encrypted=True)
    # Two marks are two requests: so that a network image whose application is not marked yet is not installed.
    needs = {"needs": (0, Version.from_text(NEW))} if scheme is Scheme.SIMULTANEOUS else {}
    net = make.image(Core.NET, version=NEW, size=size, **needs)
    return old, new_package([(app, address), (net, CODE[Core.NET])])


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Loop(ClockworkLoop):
    """Waits for nothing, threads neither: what they would do is done at once."""

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call it here and now."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


@dataclass
class Stage:
    """One device and one package; ``scheme`` is the device's."""

    make: Maker
    scheme: Scheme
    folder: Path
    package: Package
    device: VirtualNrf5340
    time_s: float = 1000.0

    @classmethod
    def new(cls, make: Maker, scheme: Scheme, folder: Path, *, size: int = 6000, other: bool = False) -> Stage:
        """A device that runs OLD on both cores, and a package of NEW for both."""
        layout = LAYOUTS[(OTHER_LAYOUT if other else LAYOUT)[scheme]]
        device = VirtualNrf5340(
            layout,
            BootKeys((make.key.public,), make.encryption),
            resources=Resources(reset_delay_s=0.0),
        )
        olds, package = _images(make, scheme, layout.primary.start + 0x200, size)
        device.load_app(olds[0])
        device.load_net(olds[1])
        device.reset()
        return cls(make, scheme, folder, package, device)

    def sealed_wrongly(self, offset: int) -> Package:
        """The package with a network image that MCUboot takes and b0n does not."""
        app = self.package.images[0]
        assert app.load_address is not None
        net = self.make.image(Core.NET, version=NEW, size=6000, needs=(0, Version.from_text(NEW)), breaks=offset)
        return new_package([(app, app.load_address), (net, CODE[Core.NET])])

    @property
    def journal(self) -> Path:
        """Where the tool remembers this device."""
        return self.folder / "journal.jsonl"

    def call(self, *, faults: Faults = NO_FAULTS, health: Health = echoes, journal: Journal | None = None) -> int:
        """``smpdfu update``: its exit code."""
        try:
            if journal is not None:
                self._run(self._update(journal, faults, health))
            else:
                with Journal(self.journal) as opened:
                    self._run(self._update(opened, faults, health))
        except SmpdfuError as error:
            return exit_code(error)
        return 0

    def _run(self, work: Coroutine[None, None, None]) -> None:
        """In no time, by a clock that goes on from call to call, as the device's does."""
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, Loop)
            loop.jumping.now = self.time_s
            try:
                runner.run(work)
            finally:
                self.time_s = loop.time()

    async def _update(self, journal: Journal, faults: Faults, health: Health) -> None:
        pipe = self.device.connect(faults)
        async with Client(pipe, ConsoleFraming(), timeout_s=0.15, attempts=2, patience=FAST) as client:
            update = Update(client, self.package, journal, deadlines=SHORT, health=health)
            async with aclosing(update.run(await update.look())) as events:
                async for _ in events:
                    pass

    # --- what must be true ------------------------------------------------------------------------------------------

    def power_cycle(self) -> None:
        """Switch it off and on; whatever was to be cut has been."""
        self.device.chip.power.cut_after = None
        self.device.reset()

    def runs(self) -> tuple[str | None, str | None]:
        """The versions of both cores; None for one that does not run, or runs neither OLD nor NEW."""
        app = None if self.device.running is None else str(self.device.running.header.version)
        return app if app in (OLD, NEW) else None, self._net()

    def _net(self) -> str | None:
        if not self.device.net_core.running:
            return None
        old = self.make.image(Core.NET, version=OLD, mark=1).image.payload
        new = self.package.image(Core.NET)
        assert new is not None
        for version, payload in ((OLD, old), (NEW, new.image.payload)):
            if self.device.net.read(NRF5340DK_STAGED.net.app.start, len(payload)) == payload:
                return version
        return None

    def fits(self) -> bool:
        """Do both cores run, and fit together? The network core is never ahead of its application."""
        return self.runs() in ((OLD, OLD), (NEW, OLD), (NEW, NEW))

    def finish(self) -> list[int]:
        """Call until it is done: the exit codes. AssertionError where it is not done in a few calls."""
        codes: list[int] = []
        while not codes or codes[-1] != 0:
            assert len(codes) < ENOUGH_CALLS, f"not done after exit codes {codes}; it runs {self.runs()}"
            codes.append(self.call())
        assert self.runs() == (NEW, NEW), f"exit code 0 and it runs {self.runs()}"
        return codes


def new_maker() -> Maker:
    """Keys of its own."""
    from smpdfu.image.keys import generate

    return Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))
