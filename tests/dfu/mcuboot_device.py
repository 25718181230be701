"""A virtual device with b0 below MCUboot, in memory, for updates of MCUboot itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.do.events import Event, StepDone
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.update import Wish
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.package import Package
from smpdfu.image.keys.keys import generate
from smpdfu.loaders.releases import LATEST, Release
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import DEFAULT_OPTIONS, BootKeys
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import NRF5340DK_B0
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.application import Kept
from smpdfu.virtual.server.groups.os import OsGroup
from smpdfu.virtual.store.b0 import install_b0
from tests.dfu.dfu_device import run_update, version
from tests.dfu.mcuboot_images import mcuboot_image

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

APP_CODE = 0x2_0200
NUMBER = "0011223344556677"
STRANGER = generate("ecdsa-p256")
"""A key that neither b0 nor MCUboot knows."""
AS_USUAL = Wish()


@dataclass
class B0Device:
    """It runs 1.0.0 on both cores, and MCUboot of firmware version 1 from slot ``runs``.

    ``tells``: it answers ``active_b0_slot``. ``number``: that of its chip.
    """

    make: Maker
    folder: Path
    mode: BootMode = BootMode.MOVE
    runs: int = 0
    release: Release = LATEST
    tells: bool = True
    number: str | None = None
    counter_slots: int = 240
    device: VirtualNrf5340 = field(init=False)
    steps: list[str] = field(default_factory=list)
    proof: Proof | None = None

    def __post_init__(self) -> None:
        options = replace(DEFAULT_OPTIONS, loader=Loader(self.release))
        keys = BootKeys((self.make.key.public,), self.make.encryption, options=options)
        resources = Resources(reset_delay_s=0.0)
        kept = Kept(device_id=None if self.number is None else bytes.fromhex(self.number))
        self.device = VirtualNrf5340(NRF5340DK_B0.in_mode(self.mode), keys, resources=resources, kept=kept)
        if not self.tells:  # firmware without NCS's hook of bootloader info
            system = next(group for group in self.device.application.groups if isinstance(group, OsGroup))
            object.__setattr__(system, "mcuboot_slots", None)
        first = mcuboot_image(self.make, self.runs, 1)
        install_b0(self.device, (self.make.key.public,), first.data, None, self.counter_slots)
        self.device.load_app(self.app("1.0.0").data)
        self.device.load_net(self.make.data(Core.NET, version="1.0.0", mark=1))
        self.device.reset()
        assert self.mcuboot == (self.runs, 1)

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def app(self, number: str) -> PackageImage:
        data = self.make.data(version=number, mark=int(number[0]), address=APP_CODE)
        return PackageImage.from_bytes(data, "app_update.bin", {"load_address": APP_CODE})

    @property
    def mcuboot(self) -> tuple[int, int] | None:
        """The slot and the firmware version of the MCUboot that b0 started; None if it started none."""
        if self.device.mcuboot is None or self.device.b0 is None:
            return None
        info = self.device.b0.check(self.device.mcuboot, self.device.b0.storage.read()).info
        assert info is not None
        return self.device.mcuboot, info.version

    @property
    def version(self) -> str | None:
        return version(self.device)

    @property
    def end(self) -> str | None:
        return read_record(self.journal).end

    def update(self, package: Package, wish: Wish = AS_USUAL, **how: Any) -> list[str]:
        """The names of the steps that were done; ``proof`` is that of MCUboot."""
        events: list[Event] = run_update(self.device, package, self.journal, wish=wish, **how)
        done = [event for event in events if isinstance(event, StepDone)]
        self.proof = next((event.proof for event in done if event.step.name == "check mcuboot"), None)
        return [event.step.name for event in done]

    def variants(self, number: int = 2, **how: Any) -> Package:
        """The package of a build: a file for each slot."""
        return Package(tuple(mcuboot_image(self.make, slot, number, **how) for slot in (0, 1)))
