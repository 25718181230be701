"""Flash of the nRF52 chips with the bootloader of the nRF5 SDK, and what is where in it.

From 0: the master boot record (MBR), the SoftDevice if there is one, the application, free pages (the second bank),
pages that the application keeps, the bootloader, the MBR's parameters, the bootloader's settings. Source: product
specifications; nRF5 SDK 17, "Memory layout" of the bootloader; ``nrf_bootloader_info.h``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from smpdfu.image.secure_dfu.flash import MBR_END
from smpdfu.image.secure_dfu.softdevices import SOFTDEVICES

if TYPE_CHECKING:
    from smpdfu.image.hexfile import Segment

MBR_BOOTLOADER_ADDRESS = 0x0FF8
"""A word in the MBR: where the bootloader begins. The MBR looks here first."""
UICR_START, UICR_END = 0x10001000, 0x10002000
UICR_BOOTLOADER_ADDRESS = 0x10001014
"""A word in UICR: where the bootloader begins, if the MBR does not say it."""
SETTINGS_BYTES = 0x5C
"""The part of the bootloader's settings that its CRC, the first word, is about."""


def softdevice_ends() -> dict[int, tuple[int, ...]]:
    """Where applications behind a SoftDevice begin: address and the firmware IDs of the SoftDevices with that end."""
    found: dict[int, tuple[int, ...]] = {}
    for one in SOFTDEVICES.values():
        if one.end is not None:
            found[one.end] = (*found.get(one.end, ()), one.fwid)
    return found


LOWEST_SOFTDEVICE_END = min(softdevice_ends())
APPLICATION_STARTS = (MBR_END, *sorted(softdevice_ends()))


def word_at(segments: Iterable[Segment], address: int) -> int | None:
    """The word at an address; None where there is nothing, or erased flash."""
    for one in segments:
        if one.address <= address and address + 4 <= one.end:
            at = address - one.address
            value = int.from_bytes(one.data[at : at + 4], "little")
            return None if value == 0xFFFFFFFF else value
    return None
