"""``struct fw_info``: what a firmware says of itself to NSIB, the immutable bootloader (b0; b0n on the network core).

Source: ``fw_info_bare.h`` of the nRF Connect SDK, as built for an nRF53. Addresses are where the firmware is linked to
run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Third word of the magic: version of the structure (2), chip (53), cryptography (none), a byte each.
INFO_MAGIC = struct.pack("<III", 0x281EE6DE, 0x8FCEBB4C, 2 | 53 << 8)
VALID = 0x9102FFFF
INFO_OFFSETS = (0x0, 0x200, 0x400, 0x800, 0x1000)  # from the start of the firmware
READ_BYTES = 2046
"""How much of an image MCUboot searches for firmware info, to compare versions (CONFIG_PCD_VERSION_PAGE_BUF_SIZE)."""

# magic, total size, size, version, address, boot address, valid, four reserved words, two counts of interfaces
_INFO = struct.Struct("<12sIIIIII16xII")
INFO_BYTES = _INFO.size
"""The size of the structure without interfaces."""
VALID_OFFSET = 32  # of the word that says valid
assert INFO_BYTES == 60

_ANY_CHIP = INFO_MAGIC[:8]  # the third word has the chip in its second byte


@dataclass(frozen=True, slots=True)
class FirmwareInfo:
    """``struct fw_info``: ``size`` bytes of firmware from ``address``, not counting what seals them."""

    size: int
    version: int
    address: int
    valid: int = VALID

    @classmethod
    def find(cls, firmware: bytes) -> FirmwareInfo | None:
        """The info inside the firmware, at one of the places where it may be."""
        for offset in INFO_OFFSETS:
            if firmware[offset : offset + 12] == INFO_MAGIC and offset + _INFO.size <= len(firmware):
                _, _, size, version, address, _, valid, _, _ = _INFO.unpack_from(firmware, offset)
                return cls(size, version, address, valid)
        return None

    def to_bytes(self) -> bytes:
        """The 60 bytes, without interfaces."""
        return _INFO.pack(INFO_MAGIC, _INFO.size, self.size, self.version, self.address, self.address, self.valid, 0, 0)


def foreign_chip(firmware: bytes) -> int | None:
    """The chip series (91 of an nRF91) of firmware info that is not an nRF53's; None where there is none."""
    for offset in INFO_OFFSETS:
        magic = firmware[offset : offset + 12]
        if magic[:8] == _ANY_CHIP and len(magic) == 12 and magic[9] != INFO_MAGIC[9]:
            return magic[9]
    return None
