"""The Bluetooth addresses of one device: its application's and its bootloader's.

Without bonds the bootloader adds 1 to the last octet of the address and does not carry; with bonds it keeps the
address. Source: nRF5 SDK 17, ``gap_address_change`` in ``nrf_dfu_ble.c``.
"""

from __future__ import annotations

import re
from zlib import crc32

_OCTETS = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}")


def is_shown(address: str) -> bool:
    """Return whether ``address`` has six octets. macOS shows a UUID instead."""
    return _OCTETS.fullmatch(address.upper()) is not None


def is_static(address: str) -> bool:
    """Return whether ``address`` has the two leading ones of a static random address, the usual kind on these chips.

    The bootloader derives its own from that. What an application with another kind becomes is not known.
    """
    return is_shown(address) and int(address[:2], 16) >= 0b1100_0000


def with_last_octet(address: str, difference: int) -> str:
    """Return ``address`` with ``difference`` added to its last octet, without a carry."""
    return f"{address[:-2]}{(int(address[-2:], 16) + difference) % 256:02X}"


def bootloaders_of(application: str) -> frozenset[str]:
    """Return the addresses that the bootloader without bonds may have, if the application has ``application``.

    Its makers may have left the address alone. Empty where addresses are not shown.
    """
    return frozenset({application, with_last_octet(application, 1)}) if is_shown(application) else frozenset()


def applications_of(bootloader: str) -> frozenset[str]:
    """Return the addresses that the application may have, if the bootloader has ``bootloader``.

    Only a static random address can be judged: neighbours of a public one belong to other devices.
    """
    return frozenset({with_last_octet(bootloader, -1)}) if is_static(bootloader) else frozenset()


def name_for(application: str) -> str:
    """Return the name under which the bootloader of this application shall advertise, the same each time."""
    return f"Dfu{crc32(application.upper().encode()) % 100_000:05}"
