"""SoftDevices of the nRF5 SDK: their firmware IDs, as ``sd_req`` has them, and where the application behind one begins.

Source of the IDs: nrfutil 6.1.7, ``pkg generate``. Source of the ends: release notes of the SoftDevices and the linker
scripts of nRF5 SDK 12 to 17. An end that is not known for sure is None.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SOFTDEVICE_INFO_AT = 0x2000
"""Where the information structure is, from the first byte behind the MBR."""
SOFTDEVICE_INFO_SIZE, SOFTDEVICE_MAGIC_AT = 24, SOFTDEVICE_INFO_AT + 4
_MAGIC = 0x51B1E5DB
_INFO = struct.Struct("<B3xIIH2xII")
"""Size of the structure, magic number, size of MBR and SoftDevice, firmware ID, SoftDevice ID, version."""
assert _INFO.size == SOFTDEVICE_INFO_SIZE


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
    """What a SoftDevice says about itself. ``end`` is the first address behind it: the application's.

    ``family`` is 140 for S140, ``version`` 7002000 for 7.2.0. Both are 0 in a structure that is too short for them.
    Source: nRF5 SDK 17, ``nrf_sdm.h``, ``nrf_bootloader_info.h``.
    """

    end: int
    fwid: int
    family: int
    version: int

    @classmethod
    def find(cls, data: bytes) -> SoftDeviceInfo | None:
        """Read it out of a SoftDevice without the MBR; None if these bytes are none."""
        return cls.from_bytes(data[SOFTDEVICE_INFO_AT : SOFTDEVICE_INFO_AT + SOFTDEVICE_INFO_SIZE])

    @classmethod
    def from_bytes(cls, data: bytes) -> SoftDeviceInfo | None:
        """Read the structure; None if these bytes are none."""
        if len(data) < SOFTDEVICE_INFO_SIZE:
            return None
        length, magic, end, fwid, family, version = _INFO.unpack_from(data)
        if magic != _MAGIC:
            return None
        return cls(end, fwid, family, version) if length >= SOFTDEVICE_INFO_SIZE else cls(end, fwid, 0, 0)

    def to_bytes(self) -> bytes:
        """The structure. Raises ``struct.error`` for a number that is too large for its field."""
        return _INFO.pack(SOFTDEVICE_INFO_SIZE, _MAGIC, self.end, self.fwid, self.family, self.version)

    @property
    def major(self) -> int:
        """The major version: a SoftDevice of another one has another interface."""
        return self.version // 1_000_000

    @property
    def version_words(self) -> str:
        """``7.2.0``; empty for a SoftDevice that does not say it."""
        parts = self.major, self.version // 1000 % 1000, self.version % 1000
        return ".".join(map(str, parts)) if self.version else ""
