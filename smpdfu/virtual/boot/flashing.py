"""Firmware that a debugger writes into flash, as the flash command of the SDK does."""

from __future__ import annotations

from contextlib import suppress

from smpdfu.errors import FormatError
from smpdfu.image.format import Image
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.provision import Provision
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.flash import Area
from smpdfu.virtual.chip.regions import NsibLayout
from smpdfu.virtual.chip.storage import ERASED

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


def flash_mcuboot(chip: Chip, nsib: NsibLayout, mcuboot: bytes) -> int:
    """Write MCUboot into the slot of NSIB that it is linked for, which is erased first; the slot's number.

    It is sealed for b0, with MCUboot's own header before it or without. Raises ``FormatError`` if it is linked for
    neither slot, and ``TooLargeError``.
    """
    gap = b""
    try:
        firmware = Image.from_bytes(mcuboot).payload
    except FormatError:
        firmware = mcuboot
    info = FirmwareInfo.find(firmware)
    number = next((one for one, slot in enumerate(nsib.slots) if info is not None and info.address in slot), None)
    if info is None or number is None:
        raise FormatError("the file is no MCUboot for S0 or S1: its firmware info names neither of these slots")
    slot = nsib.slots[number]
    if firmware is mcuboot:
        gap = bytes([ERASED]) * (info.address - slot.start)
    chip.load(chip.bus.area(slot), gap + mcuboot)
    return number


def provision_b0(chip: Chip, nsib: NsibLayout, data: Provision) -> None:
    """Write the data of b0 where it reads them, as the production line does."""
    chip.program(data.place.begin(nsib.provision.start), data.to_bytes())


def _home_of(image: bytes, slots: Slots) -> Slot:
    try:
        vector = Image.from_bytes(image).reset_vector
    except FormatError:
        return slots.primary
    return next((slot for slot in slots.places if vector in slot.area.region), slots.primary)
