"""What the running application sees in a pair of slots; it verifies nothing.

Source: Zephyr, ``img_mgmt.c``: which images are listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from smpdfu.errors import FormatError
from smpdfu.image.format import TLV_INFO_MAGIC, Flag, TlvType, Version
from smpdfu.image.tlv import TLV_INFO_SIZE, read_area
from smpdfu.virtual.boot.slot import Slot
from smpdfu.virtual.chip.storage import ERASED

_TLVS_READ = 0x2000
"""Bytes of the unprotected TLV area that are read; real ones have a few hundred."""
_SHA256_SIZE = 32


@dataclass(frozen=True, slots=True)
class Content:
    """An image that the application recognises."""

    version: Version
    hash: bytes
    bootable: bool


def content_of(slot: Slot) -> Content | None:
    """The image in ``slot``; None where a real server lists none: no header, or no one SHA-256 behind the payload."""
    start = slot.image_start
    header = slot.header(start)
    if header is None:
        return None
    end = start + header.hdr_size + header.img_size + header.protect_tlv_size
    room = slot.area.size_bytes - end
    if room <= 0:
        return None
    said = (slot.word(end) or 0) >> 16
    found = _hash_in(slot.area.read(end, min(max(said, TLV_INFO_SIZE), _TLVS_READ, room)))
    return None if found is None else Content(header.version, found, not header.flags & Flag.NON_BOOTABLE)


@lru_cache
def _hash_in(tlv_area: bytes) -> bytes | None:
    """The one SHA-256 in an area of unprotected TLVs."""
    try:
        tlvs = read_area(tlv_area, 0, TLV_INFO_MAGIC, "little")
    except FormatError:
        return None
    hashes = [tlv.data for tlv in tlvs if tlv.type == TlvType.SHA256 and len(tlv.data) == _SHA256_SIZE]
    return hashes[0] if len(hashes) == 1 else None


def is_blank(slot: Slot) -> bool:
    """True if every byte is erased."""
    return all(piece.count(ERASED) == len(piece) for piece in set(slot.area.pieces(0, slot.area.size_bytes)))
