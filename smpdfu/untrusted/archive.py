"""Zip archives from others: every limit is checked before a byte is unpacked.

``zipfile`` reads the directory and nothing else. What it unpacks a member to is bounded by nothing: a member that
states 1,000 bytes may hold 2 GiB, and bzip2 and LZMA members unpack without any limit. So members are unpacked here:
stored and deflate, to the stated size and not a byte more. Source: PKWARE's APPNOTE.TXT, 4.3.7 and 4.4.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

from smpdfu.errors import FormatError

MAX_MEMBERS = 128

_CENTRAL_HEADER = b"PK\x01\x02"
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHER_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard", 95: "XZ"}


class Archive:
    """A zip archive in memory. Folders are not members.

    Raises ``FormatError`` for what is no archive, for more than ``MAX_MEMBERS`` members and for two of one name.
    """

    def __init__(self, data: bytes) -> None:
        # Counted before zipfile builds an object for each entry: each one has this signature.
        if data.count(_CENTRAL_HEADER) > 2 * MAX_MEMBERS:
            raise FormatError(f"the zip has more than {MAX_MEMBERS} files")
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
        except Exception as error:  # zipfile raises whatever damaged bytes lead it to
            raise FormatError(f"the zip is damaged: {error}") from None
        if len(infos) > MAX_MEMBERS:
            raise FormatError(f"the zip has {len(infos)} files, more than {MAX_MEMBERS}")
        self._data = data
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.filename in self._members:
                raise FormatError(f"the zip has two files named {info.filename[:80]!r}")
            self._members[info.filename] = info

    @property
    def sizes(self) -> Mapping[str, int]:
        """Every member's stated size in bytes, by name. ``read`` returns exactly that many or raises."""
        return {name: info.file_size for name, info in self._members.items()}

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a member. Memory and time are bounded by its stated size, which may be at most ``limit``.

        Raises ``FormatError``: no such member, longer than ``limit``, damaged, encrypted, another method than stored
        and deflate, or another size than it states.
        """
        info = self._members.get(name)
        if info is None:
            raise FormatError(f"the zip has no {name[:80]!r}")
        if info.file_size > limit:
            raise FormatError(f"{name[:80]!r} is longer than {limit} bytes: no real package has such a file")
        found = _unpacked(self._packed(info), info)
        if len(found) != info.file_size or zlib.crc32(found) != info.CRC:
            raise FormatError(f"{name[:80]!r} in the zip is damaged: its size or checksum is not the stated one")
        return found

    def _packed(self, info: zipfile.ZipInfo) -> memoryview:
        """The bytes of a member as they lie in the archive."""
        shown = repr(info.filename[:80])
        start = info.header_offset
        if info.flag_bits & _ENCRYPTED:
            raise FormatError(f"{shown} in the zip cannot be unpacked: it is encrypted")
        if info.compress_type not in _METHODS:
            method = _OTHER_METHODS.get(info.compress_type, f"number {info.compress_type}")
            raise FormatError(f"{shown} in the zip cannot be unpacked: its method is {method}, not stored or deflate")
        if start < 0 or start + _LOCAL_HEADER.size > len(self._data):
            raise FormatError(f"the zip is damaged: {shown} is said to lie outside it")
        magic, *_, name_size, extra_size = _LOCAL_HEADER.unpack_from(self._data, start)
        begin = start + _LOCAL_HEADER.size + name_size + extra_size
        end = begin + info.compress_size
        if magic != _LOCAL_MAGIC or end > len(self._data):
            raise FormatError(f"the zip is damaged: {shown} is not where the directory says")
        return memoryview(self._data)[begin:end]


def _unpacked(packed: memoryview, info: zipfile.ZipInfo) -> bytes:
    """At most one byte more than the stated size: enough to see that there is more."""
    if info.compress_type == zipfile.ZIP_STORED:
        return bytes(packed[: info.file_size + 1])
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
    except zlib.error as error:
        raise FormatError(f"{info.filename[:80]!r} in the zip is damaged: {error}") from None
