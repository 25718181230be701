"""Values that somebody gives instead of those of the build: each change is a warning with both values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, cast

from smpdfu.dfu.bootloader_modes import SWAP_MODES
from smpdfu.dfu.build_folder.build import Build, BuildWarning, Fact, UpdateImage
from smpdfu.dfu.build_folder.formats.partitions import Partition
from smpdfu.dfu.package.images import Core, Role
from smpdfu.image.format import Version
from smpdfu.image.trailer import SwapMode


@dataclass(frozen=True, slots=True)
class BuildOverrides:
    """What to take instead of the build's value; None for the build's. Addresses and sizes in bytes.

    ``version``, ``security_counter``, ``header_size`` and the names with ``app_`` are for the application, those with
    ``net_`` for the network core, ``mcuboot_version`` for MCUboot's own image.
    """

    version: Version | None = None
    net_version: Version | None = None
    security_counter: int | Literal["auto"] | None = None
    app_address: int | None = None
    app_slot_size: int | None = None
    net_address: int | None = None
    net_slot_size: int | None = None
    header_size: int | None = None
    swap_mode: SwapMode | None = None
    board: str | None = None
    mcuboot_version: Version | None = None


_MODES = {swap_mode: mode for mode, swap_mode in SWAP_MODES.items()}


def overridden(build: Build, given: BuildOverrides) -> Build:
    """The build with the values that are given, and a warning for each that was another."""
    if all(getattr(given, one.name) is None for one in fields(given)):
        return build
    changes = _Changes(given)
    updates = tuple(changes.apply(one) for one in build.updates)
    mcuboot = tuple(changes.apply_to_mcuboot(one) for one in build.mcuboot_updates)
    loader = build.bootloader
    if given.swap_mode is not None:
        before = "unknown" if loader.swap_mode is None else str(loader.swap_mode)
        origin = "" if loader.mode is None else loader.mode.origin
        changes.note("the bootloader's mode", before, str(given.swap_mode), origin)
        loader = replace(loader, mode=Fact(_MODES[given.swap_mode]))
    warnings = (*build.warnings, *changes.warnings)
    return replace(build, bootloader=loader, updates=updates, mcuboot_updates=mcuboot, warnings=warnings)


class _Changes:
    """The given values, and the warnings that they lead to."""

    def __init__(self, given: BuildOverrides) -> None:
        self.given = given
        self.warnings: list[BuildWarning] = []

    def apply(self, update: UpdateImage) -> UpdateImage:
        """The image with the values that are given for it."""
        given, net = self.given, update.role is Role.NET
        version = given.net_version if net else given.version
        update = self._changed(update, "version", version, "version", str)
        if given.board is not None:
            update = self._changed(update, "board", f"{given.board}/cpu{update.role.core}", "board", str)
        if not net:
            update = self._changed(update, "header_size", given.header_size, "header", hex)
            update = self._changed(update, "security_counter", self._counter(update), "security counter", str)
        return self._placed(update)

    def _counter(self, update: UpdateImage) -> int | None:
        counter = self.given.security_counter
        return update.version.value.auto_counter if counter == "auto" else counter

    def apply_to_mcuboot(self, update: UpdateImage) -> UpdateImage:
        """MCUboot's own image with the values that are given for it. Its security counter is the application's."""
        update = self._changed(update, "version", self.given.mcuboot_version, "version", str)
        update = self._changed(update, "security_counter", self._counter(update), "security counter", str)
        if self.given.board is None:
            return update
        return self._changed(update, "board", f"{self.given.board}/cpu{update.role.core}", "board", str)

    def _placed(self, update: UpdateImage) -> UpdateImage:
        """The slot of an image, if it is given: of the application's first variant, and of the network core."""
        given = self.given
        if update.role is Role.EXTERNAL or update.slot_number not in (None, 0):
            return update
        net = update.role.core is Core.NET
        address, size = (given.net_address, given.net_slot_size) if net else (given.app_address, given.app_slot_size)
        if address is None and size is None:
            return update
        before = update.slot.value
        slot = Partition(before.address if address is None else address, size or before.size, "", "")
        old, new = (f"0x{one.size:x} bytes from 0x{one.address:x} on" for one in (before, slot))
        self.note(f"the slot of {update.name}", old, new, update.slot.origin)
        moved = update.load_address.value + slot.address - before.address
        limit = update.limit if net or size is None else Fact(slot)
        return replace(update, slot=Fact(slot), limit=limit, load_address=Fact(moved))

    def _changed(
        self, update: UpdateImage, name: str, value: object, what: str, words: Callable[..., str]
    ) -> UpdateImage:
        before: Fact[object] | None = getattr(update, name)
        if value is None or (before is not None and before.value == value):
            return update
        old = "none" if before is None else words(before.value)
        self.note(f"the {what} of {update.name}", old, words(value), "" if before is None else before.origin)
        return replace(update, **cast("dict[str, Any]", {name: Fact(value)}))

    def note(self, what: str, before: str, after: str, origin: str) -> None:
        """Add a warning, if the two differ."""
        if before != after:
            place = f" ({origin})" if origin else ""
            self.warnings.append(
                BuildWarning("overridden", f"{what} is {after} as given, and {before} in the build{place}")
            )
