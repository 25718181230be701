"""The mode that MCUboot is built in: all of MCUboot's modes, by the names that options and stored devices have.

Source: ``enum mcuboot_mode`` (boot_status.h) of MCUboot.
"""

from __future__ import annotations

from enum import StrEnum

from smpdfu.image.trailer import SwapMode


class BootMode(StrEnum):
    """How MCUboot finds the image that it starts. The first four install updates and start the primary slot.

    The direct XIP modes start an image in the slot where it lies, RAM_LOAD copies it to RAM first: of both slots the
    higher version. SINGLE_SLOT and SINGLE_SLOT_RAM_LOAD have one slot, FIRMWARE_LOADER one slot and an application
    beside it that updates it.
    """

    SCRATCH = "swap-scratch"
    MOVE = "swap-move"
    OFFSET = "swap-offset"
    OVERWRITE_ONLY = "overwrite-only"
    DIRECT_XIP = "direct-xip"
    DIRECT_XIP_REVERT = "direct-xip-revert"
    RAM_LOAD = "ram-load"
    SINGLE_SLOT = "single-slot"
    SINGLE_SLOT_RAM_LOAD = "single-slot-ram-load"
    FIRMWARE_LOADER = "firmware-loader"

    @classmethod
    def of_number(cls, number: int) -> BootMode:
        """The mode with MCUboot's number. ValueError for a number that no mode has."""
        found = next((mode for mode, own in _NUMBERS.items() if own == number), None)
        if found is None:
            raise ValueError(f"no mode of MCUboot has the number {number}")
        return found

    @property
    def number(self) -> int:
        """MCUboot's own number of the mode, which SMP tells, too."""
        return _NUMBERS[self]

    @property
    def swap_mode(self) -> SwapMode | None:
        """How it installs updates; None for a mode that brings nothing from one slot into the other."""
        return _SWAP_MODES.get(self)

    @property
    def trailer_mode(self) -> SwapMode | None:
        """Whose trailer its slots have, for ``SlotGeometry``; see there for None.

        Direct XIP and RAM load keep as much of a slot free as overwriting does (``bootutil_max_image_size``).
        """
        return _SWAP_MODES.get(self, SwapMode.OVERWRITE_ONLY if self.has_equal_slots else None)

    @property
    def has_equal_slots(self) -> bool:
        """True if it starts an image from either slot (MCUboot's ARE_SLOTS_EQUIVALENT)."""
        return self in (BootMode.DIRECT_XIP, BootMode.DIRECT_XIP_REVERT, BootMode.RAM_LOAD)

    @property
    def has_one_slot(self) -> bool:
        """True if there is no secondary slot."""
        return self in (BootMode.SINGLE_SLOT, BootMode.SINGLE_SLOT_RAM_LOAD)


_SWAP_MODES = {BootMode(mode.value): mode for mode in SwapMode}
# Plain numbers: shell completion reads the layouts and must not load SMP for that.
_NUMBERS = {
    BootMode.SINGLE_SLOT: 0,
    BootMode.SCRATCH: 1,
    BootMode.OVERWRITE_ONLY: 2,
    BootMode.MOVE: 3,
    BootMode.DIRECT_XIP: 4,
    BootMode.DIRECT_XIP_REVERT: 5,
    BootMode.RAM_LOAD: 6,
    BootMode.FIRMWARE_LOADER: 7,
    BootMode.SINGLE_SLOT_RAM_LOAD: 8,
    BootMode.OFFSET: 9,
}
