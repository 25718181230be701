"""A virtual device, a package for it, and what must be true of them whatever went wrong."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from smpdfu.cli.app.ending import exit_code
from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import Scheme
from smpdfu.dfu.do.health import Health, echoes
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.do.update import AS_USUAL, Update, Wish
from smpdfu.dfu.package.images import Core, Role
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.errors import PlanError, RevertedError, SmpdfuError
from smpdfu.image.format import Version
from smpdfu.image.nrf5340 import NET
from smpdfu.link.memory import NO_FAULTS, Faults
from smpdfu.loaders.releases import Generation
from smpdfu.virtual.boot.bootloader import DEFAULT_OPTIONS, BootKeys, BootOptions
from smpdfu.virtual.chip.layout import LAYOUTS, NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from tests.dfu.conftest import CODE, Maker
from tests.dfu.dfu_device import FAST, SHORT, wire_of
from tests.simulated import now, simulate

LAYOUT = {Scheme.STAGED: "nrf5340dk-staged", Scheme.SIMULTANEOUS: "nrf5340dk-simultaneous"}
OTHER_LAYOUT = {Scheme.STAGED: "nrf5340dk-staged-overwrite", Scheme.SIMULTANEOUS: "nrf5340dk-matter-bridge"}
"""The same schemes on devices that were built in another way."""
OLD, NEW = "1.0.0", "2.0.0"
ENOUGH_CALLS = 4
"""A call may only find that a trial is over, and the next one begins it again."""


@cache
def _images(
    make: Maker, scheme: Scheme, address: int, size: int, *, encrypted: bool
) -> tuple[tuple[bytes, bytes], Package]:
    """Both cores' images of OLD, and the package of NEW."""
    old = make.data(version=OLD, mark=1, address=address, size=size), make.data(Core.NET, version=OLD, mark=1)
    app = make.image(version=NEW, address=address, size=size, encrypted=encrypted)
    # Two marks are two requests: so that a network image whose application is not marked yet is not installed.
    needs = {"needs": (0, Version.from_text(NEW))} if scheme is Scheme.SIMULTANEOUS else {}
    net = make.image(Role.NET, version=NEW, size=size, **needs)
    return old, new_package([(app, address), (net, CODE[Core.NET])])


T = TypeVar("T")


@dataclass
class Words:
    """What the tool said and the flash bears out or not: one sentence for each word that was false."""

    checked: int = 0
    false: list[str] = field(default_factory=list)

    def check(self, said: str, *, true: bool, seen: object) -> None:
        """One more word."""
        self.checked += 1
        if not true:
            self.false.append(f"{said}; the flash: {seen}")


WORDS = Words()
"""Of all cases of a run."""


@dataclass
class Stage:
    """One device and one package; ``scheme`` is the device's. ``console``: the wire carries the bootloader's lines."""

    make: Maker
    scheme: Scheme
    folder: Path
    package: Package
    device: VirtualNrf5340
    time_s: float = 1000.0
    console: bool = True
    wish: Wish = AS_USUAL

    @classmethod
    def new(
        cls,
        make: Maker,
        scheme: Scheme,
        folder: Path,
        *,
        size: int = 6000,
        other: bool = False,
        options: BootOptions = DEFAULT_OPTIONS,
        console: bool = True,
    ) -> Stage:
        """A device that runs OLD on both cores, and a package of NEW for both."""
        layout = LAYOUTS[(OTHER_LAYOUT if other else LAYOUT)[scheme]]
        device = VirtualNrf5340(
            layout,
            BootKeys((make.key.public,), make.encryption, options=options),
            resources=Resources(reset_delay_s=0.0),
        )
        # Staged loaders before NCS 2.8 take an encrypted application for a network image.
        encrypted = scheme is Scheme.SIMULTANEOUS or options.loader.release.generation is not Generation.G1
        olds, package = _images(make, scheme, layout.primary.start + 0x200, size, encrypted=encrypted)
        device.load_app(olds[0])
        device.load_net(olds[1])
        device.reset()
        return cls(make, scheme, folder, package, device, console=console)

    def sealed_wrongly(self, offset: int) -> Package:
        """The package with a network image that MCUboot takes and b0n does not."""
        app = self.package.images[0]
        assert app.load_address is not None
        net = self.make.image(Role.NET, version=NEW, size=6000, needs=(0, Version.from_text(NEW)), breaks=offset)
        return new_package([(app, app.load_address), (net, CODE[Core.NET])])

    @property
    def journal(self) -> Path:
        """Where the tool remembers this device."""
        return self.folder / "journal.jsonl"

    def call(self, *, faults: Faults = NO_FAULTS, health: Health = echoes, journal: Journal | None = None) -> int:
        """``smpdfu update``: its exit code. Every word of it is compared with the flash."""
        before = self._flash()
        try:
            if journal is not None:
                result = self._run(self._update(journal, faults, health))
            else:
                with Journal(self.journal) as opened:
                    result = self._run(self._update(opened, faults, health))
        except SmpdfuError as error:
            self._check_error(error, before)
            return exit_code(error)
        self._check_result(result)
        return 0

    def _flash(self) -> bytes:
        chip = self.device.app.read(0, self.device.app.size_bytes), self.device.net.read(NET.start, NET.size_bytes)
        return b"".join(chip)

    def _check_result(self, result: Installed) -> None:
        seen = self.runs()
        WORDS.check("done: the new application runs", true=seen[0] == NEW, seen=seen)
        if result.proven:
            WORDS.check(f"proven ({result.proof and result.proof.reason})", true=seen[1] == NEW, seen=seen)

    def _check_error(self, error: SmpdfuError, before: bytes) -> None:
        seen = self.runs()
        if isinstance(error, PlanError):
            WORDS.check(f"nothing was written ({error})", true=self._flash() == before, seen=seen)
        elif isinstance(error, RevertedError) and "keeps its firmware" in str(error):
            WORDS.check(str(error), true=seen[1] != NEW, seen=seen)
        elif isinstance(error, RevertedError):
            WORDS.check(str(error), true=seen[0] != NEW, seen=seen)

    def _run(self, work: Coroutine[None, None, T]) -> T:
        """In no time, by a clock that goes on from call to call, as the device's does."""

        async def timed() -> T:
            try:
                return await work
            finally:
                self.time_s = now()

        return simulate(timed(), start_s=self.time_s)

    async def _update(self, journal: Journal, faults: Faults, health: Health) -> Installed:
        pipe, framing = wire_of(self.device, faults, console=self.console)
        async with Client(pipe, framing, timeout_s=0.15, attempts=2, patience=FAST) as client:
            update = Update(client, self.package, journal, wish=self.wish, deadlines=SHORT, health=health)
            return await update.run(await update.look())

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
        old = self.make.image(Role.NET, version=OLD, mark=1).image.payload
        new = self.package.image(Role.NET)
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
    from smpdfu.image.keys.keys import generate

    return Maker(generate("ecdsa-p256"), generate("ecdsa-p256"))
