"""Virtual devices of the modes in which a bootloader swaps nothing, and of several image pairs; packages for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.update import Event, StepBegun, Wish
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Dependency, Version
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.boot.result import Ending
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS, NRF5340DK_STAGED, Layout
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.groups.image import ConfirmsOthers
from tests.dfu.conftest import Maker, firmware
from tests.dfu.dfu_device import SHORT, run_update, slots, update
from tests.simulated import simulate

HEADER = 0x200
RAM_ADDRESS = 0x2001_0000
SPLIT, SPLIT_NO_NET = "nrf5340dk-xip-split", "nrf5340dk-xip-split-no-net"
NO_NET_OVERWRITES = replace(LAYOUTS[SPLIT_NO_NET], name="split-no-net-overwrite", mode=BootMode.OVERWRITE_ONLY)
OTHER_MODES = (BootMode.MOVE, BootMode.OVERWRITE_ONLY)
DEVICES: Mapping[str, Layout] = {
    **{
        str(mode): NRF5340DK_STAGED.in_mode(mode)
        for mode in (BootMode.DIRECT_XIP, BootMode.DIRECT_XIP_REVERT, BootMode.RAM_LOAD)
    },
    "split": LAYOUTS[SPLIT],
    "split-no-net": LAYOUTS[SPLIT_NO_NET],
    "split-no-net-overwrite": NO_NET_OVERWRITES,
    **{f"other-{mode}": replace(NO_NET_OVERWRITES, mode=mode, external_half=None) for mode in OTHER_MODES},
}
"""All of them by a short name; ``other-``: image 1 is one of a project's own."""
CAN_REVERT = ("direct-xip-revert", "split-no-net", "other-swap-move")


@dataclass
class Stage:
    """A device that runs 1.0.0 of everything, and a folder for its journal.

    ``tied``: the external half of a split application needs the application's new version, so that it waits for it.
    """

    make: Maker
    name: str
    folder: Path
    confirms: ConfirmsOthers = ConfirmsOthers.ANY
    tied: bool = True
    device: VirtualNrf5340 = field(init=False)

    def __post_init__(self) -> None:
        self.layout = DEVICES[self.name]
        keys = BootKeys((self.make.key.public,))
        resources = Resources(reset_delay_s=0.0, confirms_others=self.confirms)
        self.device = VirtualNrf5340(self.layout, keys, resources=resources)
        for image in self.images("1.0.0"):
            if image.role is Role.NET:
                self.device.load_net(image.data)
            elif image.slot in (None, 0):
                self.device.load_app(image.data, image.image_index)
        self.device.reset()
        assert self.version == "1.0.0"

    # --- images -----------------------------------------------------------------------------------------------------

    def images(self, version: str, **how: Any) -> tuple[PackageImage, ...]:
        """What a build of ``version`` has: variants, or halves, or one image; and the network core's."""
        if self.layout.mode in (BootMode.DIRECT_XIP, BootMode.DIRECT_XIP_REVERT):
            return tuple(self.app(version, slot, **how) for slot in (0, 1))
        found = [self.app(version, **how)]
        if self.layout.network_image is not None:
            # With an unmet dependency of its own, Nordic's loaders would not look at that of the external half.
            found.append(self.make.image(Role.NET, version=version, mark=ord(version[0])))
        if self.layout.external_half is not None:
            found.append(self.half(version))
        if self.name.startswith("other-"):
            found.append(self.other(version))
        return tuple(found)

    def package(self, version: str = "2.0.0", **how: Any) -> Package:
        """All images of a build."""
        return Package(self.images(version, **how))

    def app(self, version: str, slot: int | None = None, **how: Any) -> PackageImage:
        """The application, or its variant for ``slot``, or its half in internal flash."""
        start = self.layout.images[0].places[slot or 0].start
        spec = replace(self._spec(version), rom_fixed=start)
        code = start + HEADER
        entry: dict[str, Any] = {"load_address": code, "image_index": "0"}
        file = "app.internal.bin" if self.layout.external_half is not None else "app.bin"
        if slot is not None:
            entry["slot"], file = str(slot), f"app{slot}.bin"
        if self.layout.mode is BootMode.RAM_LOAD:
            spec, code = replace(spec, rom_fixed=0, load_addr=RAM_ADDRESS), RAM_ADDRESS + HEADER
        return self._made(firmware(code, 3000, ord(version[0]) + (slot or 0)), spec, file, entry, **how)

    def half(self, version: str, **how: Any) -> PackageImage:
        """The half in external flash, which has no vectors."""
        number = self.layout.external_half
        assert number is not None
        entry = {"load_address": self.layout.images[number].primary.start + HEADER, "image_index": str(number)}
        needs = (Dependency(0, Version.from_text(version)),) if self.tied and version != "1.0.0" else ()
        spec = replace(self._spec(version), dependencies=needs)
        return self._made(b"\x70\x47" * 1500, spec, "app.external.bin", entry, **how)

    def other(self, version: str, **how: Any) -> PackageImage:
        """What the application needs in image pair 1, such as patches for another chip."""
        # Loaders that overwrite two images look for a vector in either.
        code = firmware(self.layout.images[1].primary.start + HEADER, 3000, ord(version[0]))
        image = self._made(code, self._spec(version), "other.bin", {"image_index": "1"}, **how)
        return replace(image, role=Role.OTHER)

    def _spec(self, version: str) -> ImageSpec:
        return ImageSpec(Version.from_text(version), header_size=HEADER, slot_size=0, pad_header=True)

    def _made(self, code: bytes, spec: ImageSpec, file: str, entry: Mapping[str, Any], **how: Any) -> PackageImage:
        data = build(spec, code, how.get("key", self.make.key)).to_bytes()
        return PackageImage.from_bytes(data, file, entry)

    # --- calls ------------------------------------------------------------------------------------------------------

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def update(self, package: Package, policy: Policy = Policy.TEST_AND_CONFIRM, **how: Any) -> list[str]:
        """``smpdfu update``: the names of its steps."""
        events = run_update(self.device, package, self.journal, wish=Wish(policy, **how.pop("wish", {})), **how)
        return [event.step.name for event in events if isinstance(event, StepBegun)]

    def try_update(self, package: Package, journal: Journal, **how: Any) -> list[Event]:
        """The same with a journal of the caller, for devices that may stay away."""
        return simulate(update(self.device, package, journal, deadlines=SHORT, **how))

    # --- what became of it ------------------------------------------------------------------------------------------

    @property
    def version(self) -> str | None:
        """The version of the application that runs; None if nothing does."""
        return None if self.device.running is None else str(self.device.running.header.version)

    @property
    def listed(self) -> list[str]:
        """``0.1 2.0.0 active confirmed``: image, slot, version, flags."""
        flags = ("active", "confirmed", "pending", "permanent")
        return [
            " ".join((f"{one.image or 0}.{one.slot}", one.version, *(flag for flag in flags if getattr(one, flag))))
            for one in slots(self.device)
        ]

    @property
    def net_version(self) -> str:
        """Of the network core, by its code."""
        images = [image for version in ("1.0.0", "2.0.0", "3.0.0") for image in self.images(version)]
        start, nets = self.layout.net.app.start, [image for image in images if image.role is Role.NET]
        found = (
            image for image in nets if self.device.net.read(start, len(image.image.payload)) == image.image.payload
        )
        return next((str(image.image.header.version) for image in found), "?")

    @property
    def half_version(self) -> str | None:
        """Of the half in external flash; None where there is none."""
        number = self.layout.external_half
        header = None if number is None else self.device.images[number].primary.header()
        return None if header is None else str(header.version)

    @property
    def other_version(self) -> str | None:
        """Of what lies in image pair 1."""
        header = self.device.images[1].primary.header()
        return None if header is None else str(header.version)

    def runs(self, version: str) -> bool:
        """True if everything is of this version and stays so over a reset."""
        for _ in range(2):
            all_of_it = [self.version]
            all_of_it += [self.half_version] if self.layout.external_half is not None else []
            all_of_it += [self.other_version] if self.name.startswith("other-") else []
            all_of_it += [self.net_version] if self.layout.network_image is not None else []
            if set(all_of_it) != {version} or self.device.ending is not Ending.RUNS:
                return False
            self.device.reset()
        return True
