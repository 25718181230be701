"""What the running application sees in a pair of slots; it verifies nothing.

Source: Zephyr, ``img_mgmt.c``: which images are listed.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.errors import FormatError
from smpdfu.image.format import TLV_INFO_MAGIC, Flag, TlvType, Version
from smpdfu.image.tlv import read_area
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
    try:
        tlvs = read_area(slot.area.read(end, min(_TLVS_READ, room)), 0, TLV_INFO_MAGIC, "little")
    except FormatError:
        return None
    hashes = [tlv.data for tlv in tlvs if tlv.type == TlvType.SHA256 and len(tlv.data) == _SHA256_SIZE]
    if len(hashes) != 1:
        return None
    return Content(header.version, hashes[0], not header.flags & Flag.NON_BOOTABLE)


def is_blank(slot: Slot) -> bool:
    """True if every byte is erased."""
    return slot.area.read_all().count(ERASED) == slot.area.size_bytes
