"""The name that an application gave its bootloader to advertise: it lies in the page of the settings.

Source: nRF5 SDK 17, ``nrf_dfu_adv_name_t`` and ``nrf_dfu_settings_adv_name_write``.
"""

from __future__ import annotations

import struct
import zlib

from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.settings import Settings

_NAME = struct.Struct("<20sI")
_CRC = struct.Struct("<I")
_SIZE = _CRC.size + _NAME.size


def stored_name(settings: Settings) -> str | None:
    """Return the name; None if there is none."""
    (crc,) = _CRC.unpack_from(settings.peer_data)
    body = settings.peer_data[_CRC.size : _SIZE]
    name, length = _NAME.unpack(body)
    if crc != zlib.crc32(body) or length > len(name):
        return None
    return bytes(name[:length]).decode(errors="replace")


def store_name(chip: Nrf52Chip, name: str) -> bool:
    """Store ``name``, up to 20 bytes; False if there is one already, as flash is written once. Raises ``PowerCut``."""
    chip.load_settings()
    if stored_name(chip.settings) is not None:
        return False
    encoded = name.encode()
    body = _NAME.pack(encoded, len(encoded))
    _replace(chip, _CRC.pack(zlib.crc32(body)) + body)
    return True


def erase_name(chip: Nrf52Chip) -> None:
    """Forget the name, as the bootloader does before it starts the application. Raises ``PowerCut``."""
    if stored_name(chip.settings) is not None:
        _replace(chip, b"\xff" * _SIZE)


def _replace(chip: Nrf52Chip, data: bytes) -> None:
    chip.settings.peer_data = data + chip.settings.peer_data[_SIZE:]
    chip.save_settings()
