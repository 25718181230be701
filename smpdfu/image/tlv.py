"""TLV records and the two areas of them that follow an image's payload.

Source: MCUboot's ``boot/bootutil/include/bootutil/image.h`` and ``tlv.c``. An area is a 16-bit magic, its 16-bit total
size with these four bytes, and the records: 16-bit type, 16-bit length, data; nothing is aligned.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from smpdfu.errors import FormatError

Endian = Literal["little", "big"]

TLV_INFO_MAGIC = 0x6907
TLV_PROT_INFO_MAGIC = 0x6908
TLV_INFO_SIZE = 4
TLV_HEADER_SIZE = 4

_PAIR = {"little": struct.Struct("<HH"), "big": struct.Struct(">HH")}
assert _PAIR["little"].size == TLV_INFO_SIZE == TLV_HEADER_SIZE


class TlvType(IntEnum):
    """Types that MCUboot (and, for MANIFEST, Nordic's fork) defines."""

    KEYHASH = 0x01
    PUBKEY = 0x02
    SHA256 = 0x10
    SHA384 = 0x11
    SHA512 = 0x12
    RSA2048_PSS = 0x20
    ECDSA_SIG = 0x22
    RSA3072_PSS = 0x23
    ED25519 = 0x24
    SIG_PURE = 0x25
    ENC_RSA2048 = 0x30
    ENC_KW = 0x31
    ENC_EC256 = 0x32
    ENC_X25519 = 0x33
    ENC_X25519_SHA512 = 0x34
    DEPENDENCY = 0x40
    SEC_CNT = 0x50
    BOOT_RECORD = 0x60
    DECOMP_SIZE = 0x70
    DECOMP_SHA = 0x71
    DECOMP_SIGNATURE = 0x72
    COMP_DEC_SIZE = 0x73
    UUID_VID = 0x74
    UUID_CID = 0x75
    MANIFEST = 0x76


# Types for vendors: MCUboot takes any that it does not define itself, from here on.
TLV_VENDOR_MIN = 0x00A0
TLV_VENDOR_MAX = 0xFFFE

HASH_TYPES = (TlvType.SHA256, TlvType.SHA384, TlvType.SHA512)
SIGNATURE_TYPES = (TlvType.ECDSA_SIG, TlvType.ED25519, TlvType.RSA2048_PSS, TlvType.RSA3072_PSS)
ENCRYPTION_KEY_TYPES = (
    TlvType.ENC_RSA2048,
    TlvType.ENC_KW,
    TlvType.ENC_EC256,
    TlvType.ENC_X25519,
    TlvType.ENC_X25519_SHA512,
)
# What a TLV with a wrapped content key has besides the key itself: see the rows of ``signing/encrypt.py``.
_WRAPPING_BYTES = {
    TlvType.ENC_KW: 8,
    TlvType.ENC_EC256: 65 + 32,
    TlvType.ENC_X25519: 32 + 32,
    TlvType.ENC_X25519_SHA512: 32 + 64,
}
_RSA2048_BYTES = 256
_KNOWN_TYPES = frozenset(int(kind) for kind in TlvType)


def tlv_name(kind: int) -> str:
    """``"SHA256"``, or ``"0x00a0"`` for a type that MCUboot does not define."""
    return TlvType(kind).name if kind in _KNOWN_TYPES else f"0x{kind:04x}"


def wrapped_key_size(kind: int, key_size: int) -> int:
    """Bytes of a TLV with a content key of ``key_size`` bytes; RSA hides the key in its own."""
    if kind == TlvType.ENC_RSA2048:
        return _RSA2048_BYTES
    return _WRAPPING_BYTES[TlvType(kind)] + key_size


@dataclass(frozen=True, slots=True)
class Tlv:
    """One type-length-value record. Unknown types are kept as they are."""

    type: int
    data: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.type <= 0xFFFF:
            raise ValueError(f"TLV type {self.type:#x} is out of range: it must be 0 to 0xffff")
        if len(self.data) > 0xFFFF:
            raise ValueError(f"TLV {tlv_name(self.type)} has {len(self.data)} bytes; at most 65535 fit")

    @property
    def name(self) -> str:
        """The name of the type."""
        return tlv_name(self.type)

    @property
    def size_bytes(self) -> int:
        """Bytes on flash."""
        return TLV_HEADER_SIZE + len(self.data)


def protected_size_bytes(tlvs: tuple[Tlv, ...]) -> int:
    """``protect_tlv_size`` for these TLVs: 0 for none, else their bytes and the 4 of the area's info."""
    return TLV_INFO_SIZE + sum(tlv.size_bytes for tlv in tlvs) if tlvs else 0


def area_bytes(magic: int, tlvs: tuple[Tlv, ...], endian: Endian) -> bytes:
    """An area: its info and its records."""
    pair = _PAIR[endian]
    total = TLV_INFO_SIZE + sum(tlv.size_bytes for tlv in tlvs)
    records = (pair.pack(_encode_type(tlv.type, endian), len(tlv.data)) + tlv.data for tlv in tlvs)
    return b"".join((pair.pack(magic, total), *records))


def is_distinct(kind: int, endian: Endian) -> bool:
    """False for a vendor's type that reads back as one of MCUboot's in this byte order (0x1000 in big-endian)."""
    return _decode_type(_encode_type(kind, endian), endian) == kind


def _encode_type(kind: int, endian: Endian) -> int:
    """imgtool writes its own types as one byte and a zero byte, in either byte order, and vendors' as a 16-bit word."""
    return kind << 8 if endian == "big" and kind in _KNOWN_TYPES else kind


def _decode_type(word: int, endian: Endian) -> int:
    return word >> 8 if endian == "big" and not word & 0xFF and word >> 8 in _KNOWN_TYPES else word


def peek_magic(data: bytes, offset: int, endian: Endian) -> int | None:
    """The magic of the area at ``offset``; None when the data end before it."""
    return _PAIR[endian].unpack_from(data, offset)[0] if offset + TLV_INFO_SIZE <= len(data) else None


def read_area(data: bytes, offset: int, magic: int, endian: Endian, size: int | None = None) -> tuple[Tlv, ...]:
    """The TLVs of the area at ``offset``; ``size`` is what the header says about it, None where it says nothing.

    Raises ``FormatError``.
    """
    name = "protected" if magic == TLV_PROT_INFO_MAGIC else "unprotected"
    if offset + TLV_INFO_SIZE > len(data):
        raise FormatError(f"the image is cut off before its {name} TLV area", len(data))
    found, total = _PAIR[endian].unpack_from(data, offset)
    if found != magic:
        raise FormatError(f"the {name} TLV area starts with 0x{found:04x} and not with 0x{magic:04x}", offset)
    if size is not None and total != size:
        raise FormatError(f"the {name} TLV area says {total} bytes, the header {size}", offset + 2)
    if total < TLV_INFO_SIZE:
        raise FormatError(f"the {name} TLV area says that it has {total} bytes; it has at least 4", offset + 2)
    if offset + total > len(data):
        raise FormatError(f"the image is cut off inside its {name} TLV area", len(data))
    return tuple(_read_tlvs(data, offset + TLV_INFO_SIZE, offset + total, endian))


def _read_tlvs(data: bytes, offset: int, end: int, endian: Endian) -> Iterator[Tlv]:
    while offset < end:
        if offset + TLV_HEADER_SIZE > end:
            raise FormatError("a TLV is cut off by the end of its area", offset)
        word, length = _PAIR[endian].unpack_from(data, offset)
        start = offset + TLV_HEADER_SIZE
        kind = _decode_type(word, endian)
        if _encode_type(kind, endian) != word:
            raise FormatError(f"TLV type {tlv_name(kind)} does not have the byte order of a big-endian image", offset)
        if start + length > end:
            raise FormatError(f"TLV {tlv_name(kind)} has {length} bytes and goes beyond the end of its area", offset)
        yield Tlv(kind, bytes(data[start : start + length]))
        offset = start + length
