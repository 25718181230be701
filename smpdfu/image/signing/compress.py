"""Compressed images: LZMA2 as MCUboot's decompressing bootloader (Nordic's fork) takes it, in and out.

The payload is a header of two bytes (the dictionary's size, then lc, lp and pb as LZMA writes them) and a raw LZMA2
stream; with the ARM Thumb filter, branches are written as absolute addresses before. Protected TLVs tell the size, the
hash and the signature of the image as it was before. The bootloader rebuilds that image: the header without what speaks
of compression, **erased flash** up to the header's size, the firmware, the protected TLVs without those of compression.

Reading is bounded: no more than the image says it has, in pieces, with a dictionary no larger than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from smpdfu.errors import FormatError, ImageError
from smpdfu.image.format import COMPRESSED_FLAGS, HEADER_SIZE, Flag, Header, Image, Tlv, TlvType
from smpdfu.image.hashes import digest
from smpdfu.image.tlv import TLV_PROT_INFO_MAGIC, area_bytes, protected_size_bytes

# imgtool's --compression: the flags of the header.
COMPRESSIONS = {
    "lzma2": Flag.COMPRESSED_LZMA2,
    "lzma2armthumb": Flag.COMPRESSED_LZMA2 | Flag.COMPRESSED_ARM_THUMB,
}
COMPRESSION_TLVS = (
    TlvType.DECOMP_SIZE,
    TlvType.DECOMP_SHA,
    TlvType.DECOMP_SIGNATURE,
    TlvType.COMP_DEC_SIZE,
)
LARGEST_FIRMWARE = 0x0400_0000  # 64 MiB: more than any flash that MCUboot runs from; where no slot gives a limit
ERASED = 0xFF

STREAM_HEADER_SIZE = 2
_PIECE = 0x10000
_SMALLEST_DICTIONARY = 4096  # liblzma's
_LARGEST_DICTIONARY = 0x0040_0000  # 4 MiB; Nordic's bootloader has 128 KiB of RAM for it
_LARGEST_LC_PLUS_LP = 4  # LZMA2's


@dataclass(frozen=True, slots=True)
class Lzma:
    """Parameters of the encoder, under the names of Nordic's imgtool; ``ImageError`` where LZMA2 has no such."""

    dictsize: int = 131072
    pb: int = 2
    lc: int = 3
    lp: int = 1
    preset: int = 9

    def __post_init__(self) -> None:
        if not _SMALLEST_DICTIONARY <= self.dictsize <= _LARGEST_DICTIONARY:
            raise ImageError(f"LZMA's dictionary has {self.dictsize} bytes: it must be 4096 to {_LARGEST_DICTIONARY}")
        for name, largest in (("pb", 4), ("lc", 4), ("lp", 4), ("preset", 9)):
            if not 0 <= getattr(self, name) <= largest:
                raise ImageError(f"LZMA's {name} is {getattr(self, name)}: it must be 0 to {largest}")
        if self.lc + self.lp > _LARGEST_LC_PLUS_LP:
            raise ImageError(f"LZMA's lc and lp are {self.lc} and {self.lp}: together they must be at most 4")

    def header(self) -> bytes:
        """The two bytes before the stream."""
        size = next(code for code in range(41) if self.dictsize <= _dictionary_size(code))
        return bytes((size, (self.pb * 5 + self.lp) * 9 + self.lc))


def _dictionary_size(code: int) -> int:
    """What the first byte of the header stands for (7-zip's LZMA2 properties)."""
    return 0xFFFF_FFFF if code == 40 else (2 | code & 1) << (code // 2 + 11)


def _filters(flags: Flag, **lzma2: int) -> list[dict[str, Any]]:
    import lzma  # here: few images are compressed

    thumb: list[dict[str, Any]] = [{"id": lzma.FILTER_ARMTHUMB}] if flags & Flag.COMPRESSED_ARM_THUMB else []
    return [*thumb, {"id": lzma.FILTER_LZMA2, **lzma2}]


def compress(data: bytes, flags: Flag, how: Lzma) -> bytes:
    """The payload of a compressed image: the header of the stream, and the stream."""
    import lzma  # here: few images are compressed

    chain = _filters(flags, preset=how.preset, dict_size=how.dictsize, pb=how.pb, lc=how.lc, lp=how.lp)
    return how.header() + lzma.compress(data, format=lzma.FORMAT_RAW, filters=chain)


def expand(payload: bytes, flags: Flag, size_bytes: int) -> Iterator[bytes]:
    """The firmware in a compressed payload, in pieces; ``size_bytes`` is what it must have.

    Raises ``FormatError`` for a payload that is no such stream, or has another size.
    """
    import lzma  # here: few images are compressed

    if flags & Flag.COMPRESSED_LZMA1 or not flags & Flag.COMPRESSED_LZMA2:
        raise FormatError("the image is not compressed with LZMA2, the only compression that bootloaders know", 16)
    if len(payload) <= STREAM_HEADER_SIZE or payload[0] > 40:
        raise FormatError("the payload is not an LZMA2 stream: its first byte is not a dictionary size", 0)
    if _dictionary_size(payload[0]) > _LARGEST_DICTIONARY:
        raise FormatError(f"the LZMA2 stream needs a dictionary of {_dictionary_size(payload[0])} bytes", 0)
    dictionary = max(_SMALLEST_DICTIONARY, min(_dictionary_size(payload[0]), size_bytes))
    machine = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(flags, dict_size=dictionary))
    rest = payload[STREAM_HEADER_SIZE:]
    given = 0
    while not machine.eof:
        try:
            piece = machine.decompress(rest, _PIECE)
        except lzma.LZMAError:
            raise FormatError("the payload is not an LZMA2 stream, or it was damaged before signing", given) from None
        rest = b""
        given += len(piece)
        if given > size_bytes:
            raise FormatError(f"the image decompresses to more than the {size_bytes} bytes that it gives", given)
        if not piece and not machine.eof:
            raise FormatError("the LZMA2 stream in the payload is cut off", given)
        yield piece
    if given != size_bytes:
        raise FormatError(f"the image decompresses to {given} bytes and gives {size_bytes}", given)
    if machine.unused_data.strip(b"\0") or len(machine.unused_data) > 15:  # encryption fills up to 16
        raise FormatError("the payload has more data after the LZMA2 stream", given)


def original_header(image: Image, size_bytes: int) -> tuple[Header, tuple[Tlv, ...]]:
    """The header and the protected TLVs that the bootloader gives the image when it has decompressed it."""
    kept = tuple(tlv for tlv in image.protected if tlv.type not in COMPRESSION_TLVS)
    flags = image.header.flags & ~(COMPRESSED_FLAGS | Flag.COMPRESSED_ARM_THUMB)
    size = protected_size_bytes(kept)
    return replace(image.header, img_size=size_bytes, flags=flags, protect_tlv_size=size), kept


def original_parts(image: Image, size_bytes: int) -> Iterator[bytes]:
    """What the hash before compression covers, in pieces: of an image whose payload is decrypted.

    Raises ``FormatError`` as ``expand`` does.
    """
    header, kept = original_header(image, size_bytes)
    yield header.to_bytes(image.endian)
    yield bytes([ERASED]) * (header.hdr_size - HEADER_SIZE)
    yield from expand(image.payload, image.header.flags, size_bytes)
    if kept:
        yield area_bytes(TLV_PROT_INFO_MAGIC, kept, image.endian)


def original_hash(image: Image, kind: TlvType, limit: int = LARGEST_FIRMWARE) -> bytes:
    """The hash of an image as it was before compression; its payload is decrypted, and the hash is that of SHA TLVs.

    Raises ``FormatError`` when nothing good comes out, or more than ``limit`` bytes.
    """
    found = next((tlv.data for tlv in image.protected if tlv.type == TlvType.DECOMP_SIZE), None)
    if found is None:
        raise FormatError("the image is compressed and does not give its decompressed size (DECOMP_SIZE)")
    size = int.from_bytes(found, image.endian)
    header, _ = original_header(image, size)
    needed = header.hdr_size + size + header.protect_tlv_size
    if needed > limit:
        raise FormatError(f"the decompressed image needs {needed} bytes, and only {limit} are available")
    return digest(kind, original_parts(image, size))
