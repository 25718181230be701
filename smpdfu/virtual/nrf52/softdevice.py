"""What a SoftDevice says of itself: its info structure, 0x2000 bytes behind its start.

Source: nRF5 SDK 17, ``nrf_sdm.h``, and ``nrf_bootloader_info.h``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from smpdfu.virtual.nrf52.layout import MBR_SIZE, PAGE_SIZE

INFO_OFFSET = 0x2000
MAGIC = 0x51B1_E5DB
MAGIC_OFFSET = INFO_OFFSET + 4
_INFO = struct.Struct("<B3xIIHxxII")
"""Size of the structure, magic, size with the MBR, firmware id, id (140 for S140), version."""
INFO_SIZE = _INFO.size


@dataclass(frozen=True, slots=True)
class SoftDevice:
    """``end``: the first address behind it. ``family``: 140 for S140. ``version``: 7002000 for 7.2.0."""

    end: int
    firmware_id: int
    family: int
    version: int

    @classmethod
    def from_info(cls, data: bytes) -> Self | None:
        """Read an info structure; None if there is none."""
        _, magic, end, firmware_id, family, version = _INFO.unpack_from(data.ljust(_INFO.size, b"\xff"))
        return cls(end, firmware_id, family, version) if magic == MAGIC else None

    @property
    def major(self) -> int:
        """The major version: a SoftDevice of another one has another interface."""
        return self.version // 1_000_000

    def make(self, seed: bytes = b"") -> bytes:
        """Bytes that a bootloader takes for this SoftDevice, from behind the MBR to ``end``. They are no program."""
        body = bytearray((seed or b"SoftDevice ") * (PAGE_SIZE // 4))
        size = self.end - MBR_SIZE
        body = (body * (size // len(body) + 1))[:size]
        info = _INFO.pack(_INFO.size, MAGIC, self.end, self.firmware_id, self.family, self.version)
        body[INFO_OFFSET : INFO_OFFSET + len(info)] = info
        return bytes(body)
