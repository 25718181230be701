"""Firmware that a debugger writes into flash, as the flash command of the SDK does."""

from __future__ import annotations

from contextlib import suppress

from smpdfu.errors import FormatError
from smpdfu.image.format import Image
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.flash import Area

_IN_PLACE = (BootMode.DIRECT_XIP, BootMode.DIRECT_XIP_REVERT, BootMode.FIRMWARE_LOADER)


def flash_image(chip: Chip, slots: Slots, mode: BootMode, image: bytes) -> None:
    """Write a signed image into the slot that it runs from, which is erased first. Raises ``TooLargeError``.

    That is the primary slot, or with direct XIP and beside a firmware loader the one that it is linked for. Where the
    bootloader starts only what is marked, it is marked as in the SDK's ``signed.confirmed.hex``.
    """
    slot = _home_of(image, slots) if mode in _IN_PLACE else slots.primary
    chip.load(slot.area, image)
    if mode is BootMode.DIRECT_XIP_REVERT and slot.trailer().magic == "unset":
        slot.write_magic()
        slot.write_image_ok()


def flash_network(chip: Chip, area: Area, firmware: bytes) -> None:
    """Write firmware for the network core into the flash of its application, which is erased first.

    Of an MCUboot image, that is the payload. Raises ``TooLargeError``.
    """
    with suppress(FormatError):  # a network core's own build has no MCUboot header
        firmware = Image.from_bytes(firmware).payload
    chip.load(area, firmware)


def _home_of(image: bytes, slots: Slots) -> Slot:
    try:
        vector = Image.from_bytes(image).reset_vector
    except FormatError:
        return slots.primary
    return next((slot for slot in slots.places if vector in slot.area.region), slots.primary)
