"""What a device says about itself: read once, then only looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from smpdfu.dfu.bootloader_modes import NO_MARKS, RUNS_IN_BOTH_SLOTS, SWAP_MODES
from smpdfu.dfu.decide.b0 import NO_B0_STATE, B0State
from smpdfu.dfu.decide.evidence import NO_EVIDENCE, Evidence, Source
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.record import MCUBOOT
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import FormatError
from smpdfu.image.format import Dependency, TlvType, Version
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys
from smpdfu.image.trailer import SwapMode
from smpdfu.loaders.console import BootLog
from smpdfu.loaders.rules import Build, Loader, usual_build
from smpdfu.smp.groups.image import ImageSlot, SlotInfoImage
from smpdfu.smp.groups.os import BootloaderMode

PRIMARY, SECONDARY = 0, 1
NO_BOOT_LOG = BootLog()

# Whether those that bring no image into the primary slot go back to the image in the other one.
_CAN_REVERT = {
    BootloaderMode.DIRECT_XIP: False,
    BootloaderMode.DIRECT_XIP_WITH_REVERT: True,
    BootloaderMode.RAM_LOAD: False,
    BootloaderMode.SINGLE_APP: False,
    BootloaderMode.SINGLE_APP_RAM_LOAD: False,
    BootloaderMode.FIRMWARE_LOADER: False,
}


class Scheme(StrEnum):
    """How the two cores of an nRF5340 are updated.

    STAGED: one image pair; the network core's image passes through the application core's secondary slot.
    SIMULTANEOUS: two images, one reset.
    """

    STAGED = "staged"
    SIMULTANEOUS = "simultaneous"


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the application image that an earlier update brought; SMP does not tell it. None: not known.

    ``key`` is the hash of the key that signed it (KEYHASH), ``counter`` its security counter, ``app`` the image's hash,
    ``needs`` its dependencies. ``mcuboot`` is the slot and the firmware version of the MCUboot that b0 started.
    """

    key: bytes | None = None
    counter: int | None = None
    app: bytes | None = None
    needs: tuple[Dependency, ...] | None = None
    mcuboot: tuple[int, int] | None = None

    @classmethod
    def of(cls, package: Package) -> Past:
        """What there is to know about a package."""
        app, mcuboot = package.image(Role.APP), package.of_role(Role.MCUBOOT)
        info = mcuboot[0].firmware_info if len(mcuboot) == 1 else None
        slot = mcuboot[0].slot if info is not None else None
        started = None if info is None or slot is None else (slot, info.version)
        if app is None:
            return cls(mcuboot=started)
        return cls(app.image.tlv(TlvType.KEYHASH), app.image.security_counter, app.hash, dependencies_of(app), started)

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Past:
        """As a journal has it; what is no such thing there is not known."""
        counter = entry.get("counter")
        return cls(
            _bytes(entry.get("key")),
            counter if type(counter) is int else None,
            _bytes(entry.get("app")),
            _dependencies(entry.get("needs")),
            _slot_and_version(entry.get(MCUBOOT)),
        )

    def to_entry(self) -> dict[str, Any]:
        """For a journal."""
        key = None if self.key is None else self.key.hex()
        app = None if self.app is None else self.app.hex()
        needs = None if self.needs is None else [[one.image, str(one.version)] for one in self.needs]
        mcuboot = None if self.mcuboot is None else list(self.mcuboot)
        entry = {"key": key, "counter": self.counter, "app": app, "needs": needs, MCUBOOT: mcuboot}
        return {name: value for name, value in entry.items() if value is not None}


def _bytes(value: object) -> bytes | None:
    return bytes.fromhex(value) if isinstance(value, str) and re.fullmatch(r"([0-9a-f]{2})+", value) else None


def _slot_and_version(value: object) -> tuple[int, int] | None:
    if not (isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value)):
        return None
    return (value[0], value[1]) if value[0] in (PRIMARY, SECONDARY) else None


def _dependencies(value: object) -> tuple[Dependency, ...] | None:
    if not isinstance(value, list):
        return None
    try:
        return tuple(Dependency(number, Version.from_text(version)) for number, version in value)
    except (TypeError, ValueError):
        return None


def dependencies_of(image: PackageImage) -> tuple[Dependency, ...] | None:
    """What an image needs of others; None where it is not well-formed, which is judged elsewhere."""
    try:
        return image.image.dependencies
    except FormatError:
        return None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The answers of one device. What it did not tell is None or empty.

    ``slots`` is its list of images, ``sizes`` its slot info, ``mode`` the bootloader's mode, ``board`` its hardware
    platform in Zephyr's words (``nrf5340dk/nrf5340/cpuapp``); ``recovery``: the bootloader itself answers. The rest are
    no answers: ``given`` is what a person said, ``past`` what earlier updates left in the journal, ``evidence`` what is
    known of the bootloader's release, ``net`` the network application's part of flash where that is known
    (``net_is_given``: by a person, else by the journal), ``boot`` what the console said in the last boot, ``proof``
    what is known of the network core's last image, ``hardware`` the number of the chip where that was asked for.
    ``companions`` are the numbers of image pairs that the package says are the application's (``rules.COMPANIONS``),
    ``external`` the one among them of its half in external flash, ``unconfirmable`` those that the firmware does not
    let SMP confirm, where that was asked for. ``lists_images`` False: its firmware has no list of images.
    ``by_recovery``: a person, or an update that is under way, wants MCUboot's serial recovery; ``over_serial``: it can
    be reached there, ``renamed``: the device is known by the Bluetooth name of its application alone. ``silent``:
    nothing answers where its application should. ``b0``: of MCUboot's own two slots, where the package has a MCUboot.
    ``nsib``: the keys that a person says b0 and b0n trust.
    """

    slots: tuple[ImageSlot, ...]
    sizes: tuple[SlotInfoImage, ...] = ()
    mode: BootloaderMode | None = None
    no_downgrade: bool = False
    board: str | None = None
    recovery: bool = False
    given: Scheme | None = None
    past: Past = Past()
    evidence: Evidence = NO_EVIDENCE
    net: range | None = None
    net_is_given: bool = False
    boot: BootLog = NO_BOOT_LOG
    proof: Proof | None = None
    hardware: str | None = None
    companions: frozenset[int] = frozenset()
    external: int | None = None
    unconfirmable: frozenset[int] = frozenset()
    lists_images: bool = True
    by_recovery: bool = False
    over_serial: bool = True
    renamed: bool = False
    silent: bool = False
    b0: B0State = NO_B0_STATE
    nsib: NsibKeys = NO_NSIB_KEYS

    @property
    def in_loader(self) -> bool:
        """True if the firmware loader answers: beside it there is one slot, the application's, which does not run."""
        has_one = self.mode is BootloaderMode.FIRMWARE_LOADER and not self.recovery and not self.silent
        return has_one and self.lists_images and not self._runs_application

    @property
    def _runs_application(self) -> bool:
        return self.running is not None and self.running.slot == PRIMARY

    @property
    def sure(self) -> DeviceState:
        """This state less what only the journal says of the bootloader: it may be about another board."""
        net = self.net if self.net_is_given else None
        return replace(self, evidence=self.evidence.without(Source.JOURNAL), net=net)

    def slot(self, slot: int, image: int = 0) -> ImageSlot | None:
        """What lies in this slot of this image; None if the device lists nothing there."""
        return next((found for found in self.slots if found.image == image and found.slot == slot), None)

    def place(self, image: int = 0) -> int:
        """The slot from which image ``image`` runs or is used: the active one, else slot 0.

        Zephyr lists the slots of other images than the application's as active only since 3.7. In direct XIP they all
        run from the slots of one number (nRF Connect SDK, ``img_mgmt_active_slot`` with QSPI XIP).
        """
        active = next((slot.slot for slot in self.slots if slot.image == image and slot.active), None)
        if active is None and image and self.mode in RUNS_IN_BOTH_SLOTS:
            return self.place()
        return PRIMARY if active is None else active

    def in_use(self, image: int) -> ImageSlot | None:
        """What runs or is used of image ``image``; None if the device lists nothing there."""
        return self.running if image == 0 else self.slot(self.place(image), image)

    def size_bytes(self, slot: int, image: int = 0) -> int | None:
        """The size of a slot; None if the device does not tell."""
        slots = (one for info in self.sizes if info.image == image for one in info.slots)
        return next((one.size for one in slots if one.slot == slot), None)

    def max_image_size_bytes(self, image: int = 0) -> int | None:
        """The largest upload that the device takes for this image; None if it does not tell."""
        return next((info.max_image_size for info in self.sizes if info.image == image), None)

    @property
    def running(self) -> ImageSlot | None:
        """The application image that runs; None if the device does not say which one does."""
        return next((slot for slot in self.slots if slot.image == 0 and slot.active), None)

    @property
    def running_needs(self) -> tuple[Dependency, ...] | None:
        """The dependencies of the application that runs; None unless the last update brought it."""
        known = self.running is not None and self.running.hash is not None and self.running.hash == self.past.app
        return self.past.needs if known else None

    @property
    def other(self) -> ImageSlot | None:
        """The image in the slot that does not run, where an upload goes."""
        return self.waiting(0)

    def waiting(self, image: int) -> ImageSlot | None:
        """What lies where an upload for this image goes: the slot that does not run."""
        if image == 0:
            return next((slot for slot in self.slots if slot.image == 0 and not slot.active), None)
        return self.slot(1 - self.place(image), image)

    @property
    def told_scheme(self) -> Scheme | None:
        """Told by the images that the device lists or has slots for.

        None if it cannot be known: a device that does not list its slots shows no image pair of the network core until
        something was uploaded there, for the primary slot of that pair is RAM.
        """
        app = self.companions | {0}
        if {*(slot.image for slot in self.slots), *(info.image for info in self.sizes)} - app:
            return Scheme.SIMULTANEOUS
        return Scheme.STAGED if self.sizes else None

    @property
    def scheme(self) -> Scheme:
        """As it was given, or as the device tells; staged where neither is known."""
        return self.given or self.told_scheme or Scheme.STAGED

    @property
    def can_revert(self) -> bool | None:
        """True if an unconfirmed application image is rolled back; None if the device does not tell."""
        mode = self.swap_mode
        if mode is None:
            return None if self.mode is None else _CAN_REVERT.get(self.mode)
        return mode is not SwapMode.OVERWRITE_ONLY

    @property
    def takes_marks(self) -> bool:
        """False if the bootloader is known to start the highest version, whatever is marked."""
        return self.mode not in NO_MARKS

    @property
    def on_trial(self) -> bool:
        """True if an application runs that is not confirmed. Without marks there are no trials, whatever is listed.

        (Zephyr before 3.7 lists nothing as confirmed in direct XIP: ``img_mgmt_state_flags``.)
        """
        return self.running is not None and not self.running.confirmed and self.takes_marks

    @property
    def overwrites(self) -> bool:
        """True if the bootloader is known to overwrite; the simultaneous scheme is made for those."""
        if self.mode is None:
            return self.scheme is Scheme.SIMULTANEOUS
        return self.swap_mode is SwapMode.OVERWRITE_ONLY

    @property
    def trailer_mode(self) -> SwapMode | None:
        """Whose trailer its slots have; None if the device does not tell, or they have none.

        Direct XIP and RAM load keep as much of a slot free as overwriting does (MCUboot, ``bootutil_max_image_size``).
        """
        alike = self.mode in RUNS_IN_BOTH_SLOTS | NO_MARKS
        return SwapMode.OVERWRITE_ONLY if alike else self.swap_mode

    @property
    def swap_mode(self) -> SwapMode | None:
        """How images get into the primary slot; None if the device does not tell, or they do not."""
        return None if self.mode is None else SWAP_MODES.get(self.mode)

    @property
    def builds(self) -> tuple[Build, ...]:
        """The bootloaders that the device may have, built as the SDK builds them."""
        return _usual_builds(
            self.evidence.loaders,
            self.swap_mode,
            staged=self.scheme is Scheme.STAGED and not self.companions,
            prevents_downgrade=self.no_downgrade,
            xip_split=self.external is not None,
        )


@lru_cache
def _usual_builds(
    loaders: frozenset[Loader], mode: SwapMode | None, *, staged: bool, prevents_downgrade: bool, xip_split: bool
) -> tuple[Build, ...]:
    """The builds of these loaders that swap or overwrite so; any way if ``mode`` is None. A fleet has few of them."""
    return tuple(
        usual_build(
            loader,
            overwrites=overwrites,
            by_offset=by_offset,
            staged=staged,
            prevents_downgrade=prevents_downgrade,
            xip_split=xip_split,
        )
        for loader in sorted(loaders, key=lambda one: (one.release.version, one.partitions))
        for overwrites in ((True, False) if mode is None else (mode is SwapMode.OVERWRITE_ONLY,))
        for by_offset in _offsets(mode, overwrites=overwrites, offered=loader.release.by_offset)
    )


def _offsets(mode: SwapMode | None, *, overwrites: bool, offered: bool) -> tuple[bool, ...]:
    if overwrites:
        return (False,)
    if mode is None:
        return (False, True) if offered else (False,)
    return (mode is SwapMode.OFFSET,)


def mode_of(number: int | None) -> BootloaderMode | None:
    """The bootloader's mode from the number that a device tells; UNKNOWN for one that we do not know."""
    try:
        return None if number is None else BootloaderMode(number)
    except ValueError:
        return BootloaderMode.UNKNOWN


def version_of(slot: ImageSlot) -> Version | None:
    """The version in a slot; None if the device told something that is none."""
    try:
        return Version.from_text(slot.version)
    except (ValueError, FormatError):
        return None
