"""The MCUboot image: header, TLVs, the whole image; bytes in, bytes out.

Source: MCUboot's design document ("Image format") and ``boot/bootutil/include/bootutil/image.h``. On flash::

    [header, hdr_size bytes][payload, img_size bytes][protected TLV area][unprotected TLV area]

Every class here is whole at birth and refuses to exist in a shape that has no bytes (``ValueError``). Reading raises
``FormatError`` with the offset where reading failed, and nothing else. This module does no cryptography.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntFlag

from smpdfu.errors import FormatError
from smpdfu.image.tlv import (
    ENCRYPTION_KEY_TYPES,
    HASH_TYPES,
    SIGNATURE_TYPES,
    TLV_HEADER_SIZE,
    TLV_INFO_MAGIC,
    TLV_INFO_SIZE,
    TLV_PROT_INFO_MAGIC,
    TLV_VENDOR_MAX,
    TLV_VENDOR_MIN,
    Endian,
    Tlv,
    TlvType,
    area_bytes,
    is_distinct,
    peek_magic,
    protected_size_bytes,
    read_area,
    tlv_name,
)

__all__ = [
    "COMPRESSED_FLAGS",
    "ENCRYPTED_FLAGS",
    "ENCRYPTION_KEY_TYPES",
    "HASH_TYPES",
    "HEADER_SIZE",
    "IMAGE_MAGIC",
    "SIGNATURE_TYPES",
    "TLV_HEADER_SIZE",
    "TLV_INFO_MAGIC",
    "TLV_INFO_SIZE",
    "TLV_PROT_INFO_MAGIC",
    "TLV_VENDOR_MAX",
    "TLV_VENDOR_MIN",
    "Dependency",
    "Endian",
    "Flag",
    "Header",
    "Image",
    "Tlv",
    "TlvType",
    "Version",
    "tlv_name",
]

IMAGE_MAGIC = 0x96F3B83D
HEADER_SIZE = 32

# struct image_header: magic, load_addr, hdr_size, protect_tlv_size, img_size, flags, version, reserved.
_HEADER = {"little": struct.Struct("<IIHHIIBBHII"), "big": struct.Struct(">IIHHIIBBHII")}
_VERSION = {"little": struct.Struct("<BBHI"), "big": struct.Struct(">BBHI")}
_WORD = {"little": struct.Struct("<I"), "big": struct.Struct(">I")}
assert _HEADER["little"].size == HEADER_SIZE
assert _VERSION["little"].size == 8

_VERSION_TEXT = re.compile(r"(0|[1-9]\d*)(?:\.(0|[1-9]\d*)(?:\.(0|[1-9]\d*)(?:[+.](0|[1-9]\d*))?)?)?", re.ASCII)
_VERSION_LIMITS = (("major", 0xFF), ("minor", 0xFF), ("revision", 0xFFFF), ("build", 0xFFFFFFFF))


class Flag(IntFlag):
    """``ih_flags`` of the header; unknown bits are kept."""

    PIC = 0x1
    ENCRYPTED_AES128 = 0x4
    ENCRYPTED_AES256 = 0x8
    NON_BOOTABLE = 0x10
    RAM_LOAD = 0x20
    ROM_FIXED = 0x100
    COMPRESSED_LZMA1 = 0x200
    COMPRESSED_LZMA2 = 0x400
    COMPRESSED_ARM_THUMB = 0x800


ENCRYPTED_FLAGS = Flag.ENCRYPTED_AES128 | Flag.ENCRYPTED_AES256
COMPRESSED_FLAGS = Flag.COMPRESSED_LZMA1 | Flag.COMPRESSED_LZMA2


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """An image version as MCUboot stores it; ordered. ``ValueError`` when a part is out of its range."""

    major: int
    minor: int = 0
    revision: int = 0
    build: int = 0

    def __post_init__(self) -> None:
        for name, limit in _VERSION_LIMITS:
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"the {name} number of version {self} is out of range: it must be 0 to {limit}")

    @classmethod
    def from_text(cls, text: str) -> Version:
        """Read ``major[.minor[.revision[+build]]]``; ``1.2.3.4``, as SMP writes it, is the same as ``1.2.3+4``.

        Raises ``ValueError`` with a sentence for people when the text is no version or a number is out of range.
        """
        match = _VERSION_TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a version: write major.minor.revision+build, such as 1.2.3+4")
        parts = [part or "0" for part in match.groups()]
        for (name, limit), part in zip(_VERSION_LIMITS, parts, strict=True):
            if len(part) > 10 or int(part) > limit:  # the length first: int() refuses thousands of digits
                raise ValueError(f"version {text[:40]!r}: the {name} number must be 0 to {limit}")
        return cls(*(int(part) for part in parts))

    @classmethod
    def from_bytes(cls, data: bytes, endian: Endian = "little") -> Version:
        """Read 8 bytes (``struct image_version``); raises ``FormatError``."""
        if len(data) != 8:
            raise FormatError(f"a version has 8 bytes, not {len(data)}", 0)
        return cls(*_VERSION[endian].unpack(data))

    def to_bytes(self, endian: Endian = "little") -> bytes:
        """The 8 bytes of ``struct image_version``."""
        return _VERSION[endian].pack(self.major, self.minor, self.revision, self.build)

    @property
    def with_build(self) -> str:
        """``1.2.3+0``, as imgtool and manifests of the nRF Connect SDK write it: with the build number in any case."""
        return f"{self.major}.{self.minor}.{self.revision}+{self.build}"

    @property
    def auto_counter(self) -> int:
        """The security counter that imgtool's ``auto`` makes of it; the build number does not count."""
        return self.major << 24 | self.minor << 16 | self.revision

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.revision}"
        return f"{text}+{self.build}" if self.build else text


def counted(version: Version) -> Version:
    """What a bootloader compares: by default the build number does not count."""
    return replace(version, build=0)


@dataclass(frozen=True, slots=True)
class Dependency:
    """Payload of a DEPENDENCY TLV: image number ``image`` must have at least ``version``."""

    image: int
    version: Version

    def __post_init__(self) -> None:
        if not 0 <= self.image <= 0xFF:
            raise ValueError(f"image number {self.image} of a dependency is out of range: it must be 0 to 255")

    @classmethod
    def from_bytes(cls, data: bytes, endian: Endian = "little") -> Dependency:
        """Read the 12 bytes of ``struct image_dependency``; raises ``FormatError``."""
        if len(data) != 12:
            raise FormatError(f"a DEPENDENCY TLV has 12 bytes, not {len(data)}", 0)
        return cls(data[0], Version.from_bytes(data[4:], endian))

    def to_bytes(self, endian: Endian = "little") -> bytes:
        """The 12 bytes of ``struct image_dependency``."""
        return bytes((self.image, 0, 0, 0)) + self.version.to_bytes(endian)


@dataclass(frozen=True, slots=True)
class Header:
    """The first 32 bytes of an image (``struct image_header``).

    ``hdr_size`` counts from the image's start to the payload; ``protect_tlv_size`` includes the 4 bytes of its info.
    ``reserved`` is the last word, which MCUboot does not use and the hash covers.
    """

    version: Version
    img_size: int
    hdr_size: int
    protect_tlv_size: int = 0
    load_addr: int = 0
    flags: Flag = Flag(0)  # noqa: RUF009 - an IntFlag is immutable
    reserved: int = 0

    def __post_init__(self) -> None:
        if not HEADER_SIZE <= self.hdr_size <= 0xFFFF:
            raise ValueError(f"header size {self.hdr_size} is out of range: it must be 32 to 65535")
        if not (self.protect_tlv_size == 0 or TLV_INFO_SIZE <= self.protect_tlv_size <= 0xFFFF):
            raise ValueError(f"protected TLV size {self.protect_tlv_size} is out of range: it must be 0 or 4 to 65535")
        for name in ("img_size", "load_addr", "flags", "reserved"):
            if not 0 <= getattr(self, name) <= 0xFFFFFFFF:
                raise ValueError(f"{name} {getattr(self, name)} does not fit 32 bits")

    @classmethod
    def from_bytes(cls, data: bytes, endian: Endian = "little") -> Header:
        """Read the first 32 bytes of ``data``; raises ``FormatError``."""
        if len(data) < HEADER_SIZE:
            raise FormatError(f"an MCUboot header has 32 bytes, only {len(data)} are there", len(data))
        magic, load_addr, hdr_size, prot_size, img_size, flags, *version, reserved = _HEADER[endian].unpack_from(data)
        if magic != IMAGE_MAGIC:
            raise FormatError(_no_magic(magic), 0)
        if hdr_size < HEADER_SIZE:
            raise FormatError(f"the header says that it has {hdr_size} bytes, but MCUboot's header has at least 32", 8)
        if 0 < prot_size < TLV_INFO_SIZE:
            raise FormatError(
                f"the header gives the protected TLV area {prot_size} bytes, but it has none, or at least 4", 10
            )
        return cls(Version(*version), img_size, hdr_size, prot_size, load_addr, Flag(flags), reserved)

    @property
    def encrypted(self) -> bool:
        """True if one of the AES flags is set: the image is encrypted wherever it lies outside the primary slot."""
        return bool(self.flags & ENCRYPTED_FLAGS)

    def to_bytes(self, endian: Endian = "little") -> bytes:
        """The 32 bytes."""
        sizes = (self.load_addr, self.hdr_size, self.protect_tlv_size, self.img_size, int(self.flags))
        version = self.version
        numbers = (version.major, version.minor, version.revision, version.build)
        return _HEADER[endian].pack(IMAGE_MAGIC, *sizes, *numbers, self.reserved)


def _no_magic(magic: int) -> str:
    if magic == int.from_bytes(IMAGE_MAGIC.to_bytes(4, "little"), "big"):
        return "the MCUboot header has the other byte order"
    return f"not an MCUboot header: it starts with 0x{magic:08x} and not with the magic 0x{IMAGE_MAGIC:08x}"


@dataclass(frozen=True, slots=True)
class Image:
    """A whole image. ``header_pad`` fills the header up to ``hdr_size``; ``payload`` is what is stored (ciphertext in
    an encrypted image). ``ValueError`` when the header's sizes do not match the parts.
    """

    header: Header
    header_pad: bytes
    payload: bytes
    protected: tuple[Tlv, ...] = ()
    unprotected: tuple[Tlv, ...] = ()
    endian: Endian = "little"

    def __post_init__(self) -> None:
        if self.header.hdr_size != HEADER_SIZE + len(self.header_pad):
            raise ValueError(f"hdr_size is {self.header.hdr_size}, the parts have {HEADER_SIZE + len(self.header_pad)}")
        if self.header.img_size != len(self.payload):
            raise ValueError(f"img_size is {self.header.img_size}, the payload has {len(self.payload)} bytes")
        if self.header.protect_tlv_size != protected_size_bytes(self.protected) and (
            self.protected or self.header.protect_tlv_size != TLV_INFO_SIZE
        ):
            raise ValueError("protect_tlv_size does not match the protected TLVs")
        if TLV_INFO_SIZE + sum(tlv.size_bytes for tlv in self.unprotected) > 0xFFFF:
            raise ValueError("the unprotected TLVs are larger than 65535 bytes")
        for tlv in self.protected + self.unprotected:
            if not is_distinct(tlv.type, self.endian):
                raise ValueError(f"TLV type {tlv.name} is ambiguous in a big-endian image")

    @classmethod
    def from_bytes(cls, data: bytes, endian: Endian = "little") -> Image:
        """Read an image; bytes after its last TLV (slot padding, trailer) are ignored.

        Raises ``FormatError``, whose ``offset`` counts from the start of ``data``.
        """
        header = Header.from_bytes(data, endian)
        payload_end = header.hdr_size + header.img_size
        if payload_end > len(data):
            raise FormatError(
                f"the image is cut off: header and payload have {payload_end} bytes, the file has {len(data)}",
                len(data),
            )
        protected: tuple[Tlv, ...] = ()
        if header.protect_tlv_size or peek_magic(data, payload_end, endian) == TLV_PROT_INFO_MAGIC:
            protected = read_area(data, payload_end, TLV_PROT_INFO_MAGIC, endian, header.protect_tlv_size)
        unprotected = read_area(data, payload_end + header.protect_tlv_size, TLV_INFO_MAGIC, endian)
        pad, payload = bytes(data[HEADER_SIZE : header.hdr_size]), bytes(data[header.hdr_size : payload_end])
        return cls(header, pad, payload, protected, unprotected, endian)

    def to_bytes(self) -> bytes:
        """The image as it lies in the slot, without padding or trailer."""
        return b"".join(self.parts())

    def parts(self) -> tuple[bytes, ...]:
        """``to_bytes()`` in pieces, without copying the payload."""
        return (*self.hashed_parts(), area_bytes(TLV_INFO_MAGIC, self.unprotected, self.endian))

    def hashed_parts(self) -> tuple[bytes, ...]:
        """What the image hash covers, in order, without copying the payload: header to end of the protected area.

        The hash of an encrypted image is over the decrypted payload: use the parts of the decrypted image.
        """
        protected = (
            area_bytes(TLV_PROT_INFO_MAGIC, self.protected, self.endian) if self.header.protect_tlv_size else b""
        )
        return self.header.to_bytes(self.endian), self.header_pad, self.payload, protected

    def hashed_bytes(self) -> bytes:
        """``hashed_parts()`` in one piece."""
        return b"".join(self.hashed_parts())

    def tlv(self, kind: int) -> bytes | None:
        """Data of the first TLV of this type, protected ones first; None when there is none."""
        return next((tlv.data for tlv in self.protected + self.unprotected if tlv.type == kind), None)

    def tlv_offsets(self) -> Iterator[tuple[int, bool, Tlv]]:
        """Each TLV in flash order with its offset from the image's start and whether it is protected."""
        offset = self.protected_offset + TLV_INFO_SIZE
        for tlv in self.protected:
            yield offset, True, tlv
            offset += tlv.size_bytes
        offset = self.unprotected_offset + TLV_INFO_SIZE
        for tlv in self.unprotected:
            yield offset, False, tlv
            offset += tlv.size_bytes

    @property
    def protected_offset(self) -> int:
        """Where the protected TLV area begins (or would)."""
        return self.header.hdr_size + self.header.img_size

    @property
    def unprotected_offset(self) -> int:
        """Where the unprotected TLV area begins."""
        return self.protected_offset + self.header.protect_tlv_size

    @property
    def size_bytes(self) -> int:
        """Bytes from the header to the end of the last TLV: what must fit in the slot."""
        return self.unprotected_offset + TLV_INFO_SIZE + sum(tlv.size_bytes for tlv in self.unprotected)

    @property
    def hash(self) -> bytes | None:
        """Value of the SHA TLV: what SMP calls the image's hash; None without one."""
        return next((tlv.data for tlv in self.unprotected if tlv.type in HASH_TYPES), None)

    @property
    def encrypted(self) -> bool:
        """True if the header says so. The payload of a ``--clear`` image is not encrypted even then."""
        return self.header.encrypted

    @property
    def encryption_key_tlv(self) -> Tlv | None:
        """The first TLV with a wrapped content key, in flash order; None without one."""
        return next((tlv for tlv in self.protected + self.unprotected if tlv.type in ENCRYPTION_KEY_TYPES), None)

    @property
    def reset_vector(self) -> int | None:
        """The word at payload + 4, as stored (ciphertext in an encrypted image); None if the payload is too short."""
        return _WORD[self.endian].unpack_from(self.payload, 4)[0] if len(self.payload) >= 8 else None

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """The DEPENDENCY TLVs of the protected area; raises ``FormatError`` when one has the wrong length."""
        return tuple(self.read_dependencies())

    def read_dependencies(self) -> Iterator[Dependency]:
        """Yield the dependencies as a bootloader reads them; raises ``FormatError`` at one of the wrong length."""
        found = (tlv.data for tlv in self.protected if tlv.type == TlvType.DEPENDENCY)
        return (Dependency.from_bytes(data, self.endian) for data in found)

    @property
    def security_counter(self) -> int | None:
        """Value of the SEC_CNT TLV; None without a well-formed one in the protected area."""
        data = next((tlv.data for tlv in self.protected if tlv.type == TlvType.SEC_CNT), b"")
        return _WORD[self.endian].unpack(data)[0] if len(data) == 4 else None
