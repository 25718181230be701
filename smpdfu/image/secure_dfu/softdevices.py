"""SoftDevices of the nRF5 SDK: their firmware IDs, as ``sd_req`` has them, and where the application behind one begins.

Source of the IDs: nrfutil 6.1.7, ``pkg generate``. Source of the ends: release notes of the SoftDevices and the linker
scripts of nRF5 SDK 12 to 17. An end that is not known for sure is None.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MBR_END = 0x1000
"""The master boot record has the first page; without a SoftDevice, the application begins behind it."""

_INFO_AT = 0x2000  # behind the MBR: the information structure of a SoftDevice
_MAGIC = 0x51B1E5DB
_INFO = struct.Struct("<B3xIIH2xII")
"""Size of the structure, magic number, size of MBR and SoftDevice, firmware ID, SoftDevice ID, version."""


@dataclass(frozen=True, slots=True)
class SoftDevice:
    """A release: its firmware ID, its name such as ``S140 7.2.0``, and the address of the application behind it."""

    fwid: int
    name: str
    end: int | None


def _rows(family: str, end: int | None, **ids: int) -> tuple[SoftDevice, ...]:
    return tuple(SoftDevice(fwid, f"{family} {version[1:].replace('_', '.')}", end) for version, fwid in ids.items())


_ALL = (
    *_rows("S112", None, v6_0_0=0xA7, v6_1_0=0xB0, v6_1_1=0xB8),
    *_rows("S112", 0x19000, v7_0_0=0xC4, v7_0_1=0xCD, v7_2_0=0x103, v7_3_0=0x126),
    *_rows("S113", 0x1C000, v7_0_0=0xC3, v7_0_1=0xCC, v7_2_0=0x102, v7_3_0=0x125),
    *_rows("S122", None, v8_0_0=0xEA, v8_1_1=0x112),
    *_rows("S130", None, v1_0_0=0x67, v2_0_0=0x80, v2_0_1=0x87),
    *_rows("S132", 0x1C000, v2_0_0=0x81, v2_0_1=0x88),
    *_rows("S132", 0x1F000, v3_0_0=0x8C, v3_1_0=0x91),
    *_rows("S132", 0x1F000, v4_0_0=0x95, v4_0_2=0x98, v4_0_3=0x99, v4_0_4=0x9E, v4_0_5=0x9F),
    *_rows("S132", 0x23000, v5_0_0=0x9D, v5_1_0=0xA5),
    *_rows("S132", 0x26000, v6_0_0=0xA8, v6_1_0=0xAF, v6_1_1=0xB7),
    *_rows("S132", 0x26000, v7_0_0=0xC2, v7_0_1=0xCB, v7_2_0=0x101, v7_3_0=0x124),
    *_rows("S140", 0x26000, v6_0_0=0xA9, v6_1_0=0xAE, v6_1_1=0xB6),
    *_rows("S140", 0x27000, v7_0_0=0xC1, v7_0_1=0xCA, v7_2_0=0x100, v7_3_0=0x123),
    *_rows("S212", None, v6_1_1=0xBC),
    *_rows("S332", None, v6_1_1=0xBA),
    *_rows("S340", 0x31000, v6_1_1=0xB9),
)
SOFTDEVICES = {one.fwid: one for one in _ALL}
"""By firmware ID."""


def softdevice_words(fwid: int) -> str:
    """A firmware ID for people, such as ``0x100 (S140 7.2.0)``."""
    if fwid == 0:
        return "0x00 (no SoftDevice)"
    if fwid == 0xFFFE:
        return "0xFFFE (any SoftDevice, in debug mode)"
    known = SOFTDEVICES.get(fwid)
    return f"0x{fwid:02X} ({known.name if known else 'not known'})"


@dataclass(frozen=True, slots=True)
class SoftDeviceInfo:
    """What a SoftDevice says about itself. ``size`` is in bytes, from address 0, so it is the application's address."""

    size: int
    fwid: int
    version: int

    @classmethod
    def find(cls, data: bytes) -> SoftDeviceInfo | None:
        """Read it out of a SoftDevice without the MBR; None if these bytes are none."""
        if len(data) < _INFO_AT + _INFO.size:
            return None
        length, magic, size, fwid, _, version = _INFO.unpack_from(data, _INFO_AT)
        if magic != _MAGIC:
            return None
        return cls(size, fwid, version if length >= _INFO.size else 0)

    @property
    def version_words(self) -> str:
        """``7.2.0``; empty for a SoftDevice that does not say it."""
        parts = self.version // 1_000_000, self.version // 1000 % 1000, self.version % 1000
        return ".".join(map(str, parts)) if self.version else ""
