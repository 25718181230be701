"""``struct fw_info``: what a firmware says of itself to NSIB, the immutable bootloader (b0; b0n on the network core).

Source: ``fw_info_bare.h`` of the nRF Connect SDK, as built for an nRF53. Addresses are where the firmware is linked to
run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

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
    """``struct fw_info``: ``size`` bytes of firmware from ``address``, not counting what seals them.

    ``boot_address`` is where the vector table is, None: at ``address``. ``total_size`` are the bytes of the structure
    with the interfaces behind it, ``offset`` is where it was found.
    """

    size: int
    version: int
    address: int
    valid: int = VALID
    boot_address: int | None = None
    total_size: int = _INFO.size
    offset: int = field(default=0, compare=False)

    @classmethod
    def find(cls, firmware: bytes) -> FirmwareInfo | None:
        """The info inside the firmware, at one of the places where it may be."""
        for offset in INFO_OFFSETS:
            if firmware[offset : offset + 12] == INFO_MAGIC and offset + _INFO.size <= len(firmware):
                _, total, size, version, address, boot, valid, _, _ = _INFO.unpack_from(firmware, offset)
                return cls(size, version, address, valid, None if boot == address else boot, total, offset)
        return None

    def to_bytes(self) -> bytes:
        """The 60 bytes, without interfaces."""
        boot = self.address if self.boot_address is None else self.boot_address
        return _INFO.pack(INFO_MAGIC, self.total_size, self.size, self.version, self.address, boot, self.valid, 0, 0)

    def is_found_behind(self, header_size: int) -> bool:
        """True if b0 finds it behind MCUboot's header: b0 counts from the start of the slot, where the header lies."""
        return self.offset + header_size in INFO_OFFSETS

    def outside(self, firmware: bytes) -> str | None:
        """What NSIB misses within the ``size`` bytes that a seal covers, in its words; None if all is there.

        ``firmware`` is what this was found in.
        """
        if not self.offset + self.total_size <= self.size:
            return "Firmware info is not within signed region."
        start = 0 if self.boot_address is None else self.boot_address - self.address
        if not 0 <= start < self.size:
            return "Boot address is not within signed region."
        reset = int.from_bytes(firmware[start + 4 : start + 8], "little")
        if not self.address <= reset < self.address + self.size:
            return "Reset handler is not within signed region."
        return None


def foreign_chip(firmware: bytes) -> int | None:
    """The chip series (91 of an nRF91) of firmware info that is not an nRF53's; None where there is none."""
    for offset in INFO_OFFSETS:
        magic = firmware[offset : offset + 12]
        if magic[:8] == _ANY_CHIP and len(magic) == 12 and magic[9] != INFO_MAGIC[9]:
            return magic[9]
    return None
