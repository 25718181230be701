"""SoftDevices that a bootloader takes for real ones."""

from __future__ import annotations

from smpdfu.image.secure_dfu.flash import MBR_END, PAGE_SIZE
from smpdfu.image.secure_dfu.softdevices import SOFTDEVICE_INFO_AT, SoftDeviceInfo


def make_softdevice(info: SoftDeviceInfo, seed: bytes = b"SoftDevice ") -> bytes:
    """Bytes that a bootloader takes for this SoftDevice, from behind the MBR to its end. They are no program."""
    body = bytearray(seed * (PAGE_SIZE // 4))
    size = info.end - MBR_END
    body = (body * (size // len(body) + 1))[:size]
    structure = info.to_bytes()
    body[SOFTDEVICE_INFO_AT : SOFTDEVICE_INFO_AT + len(structure)] = structure
    return bytes(body)
