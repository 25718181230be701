"""Zip archives of strangers: memory and time are bounded by what a member states, whatever it holds."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.package.package import Package
from smpdfu.errors import FormatError, PackageError
from smpdfu.image.inspect.identify import FileKind, identify
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.untrusted.archive import MAX_MEMBERS, Archive

MIB = 1 << 20
PEAK_BYTES = 8 * MIB
"""What a reader may take for a bomb whose members state a few bytes; unpacked, the smallest bomb here has 64 MiB."""


def member(packed: bytes, *, stated: int, method: int, crc: int = 0, name: bytes = b"manifest.json") -> bytes:
    """An archive with one member whose headers say what we want them to say."""
    common = struct.pack("<HHHHIII", 0, method, 0, 0x21, crc, len(packed), stated)
    local = b"PK\x03\x04" + struct.pack("<H", 20) + common + struct.pack("<HH", len(name), 0) + name
    central = b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common
    central += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return local + packed + central + end


def deflated(size: int, first: bytes = b"") -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(first) + b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


START = b'{"manifest": {}}'.ljust(1000)
BOMBS: dict[str, Callable[[], bytes]] = {
    "deflate, 1000 bytes stated": lambda: member(deflated(64 * MIB), stated=1000, method=8),
    "deflate, the checksum of the first 1000 bytes": lambda: member(
        deflated(64 * MIB, START), stated=1000, method=8, crc=zlib.crc32(START)
    ),
    "bzip2": lambda: member(bz2.compress(bytes(64 * MIB)), stated=1000, method=12),
    "lzma": lambda: member(lzma_member(bytes(64 * MIB)), stated=1000, method=14),
    "stored, more than stated": lambda: member(bytes(64), stated=10, method=0, crc=zlib.crc32(bytes(10))),
    "stored, less than stated": lambda: member(bytes(64), stated=1000, method=0, crc=zlib.crc32(bytes(64))),
}


def lzma_member(data: bytes) -> bytes:
    """LZMA as in archives: its properties behind their size, and no length."""
    packed = lzma.compress(data, lzma.FORMAT_ALONE)
    return b"\x09\x04\x05\0" + packed[:5] + packed[13:]


@cache
def bomb_of(name: str) -> bytes:
    """Made by the first test that wants it: who only looks for tests does not wait for it."""
    return BOMBS[name]()


READERS: dict[str, Callable[[bytes], object]] = {
    "package": Package.from_bytes,
    "securedfu": SecureDfuPackage.from_faulty,
    "archive": lambda data: Archive(data).read("manifest.json", 2 * MIB),
    "identify": identify,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_member_is_never_unpacked_beyond_its_stated_size(bomb: str, reader: str) -> None:
    data = bomb_of(bomb)
    tracemalloc.start()
    try:
        if reader == "identify":
            assert identify(data) is FileKind.ZIP
        else:
            with pytest.raises((FormatError, PackageError), match=r"stated|method"):
                READERS[reader](data)
        assert tracemalloc.get_traced_memory()[1] < PEAK_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [0, 8])
def test_a_member_whose_checksum_is_another_is_damaged(method: int) -> None:
    packed = deflated(MIB) if method else bytes(MIB)
    assert Archive(member(packed, stated=MIB, method=method, crc=zlib.crc32(bytes(MIB)))).read("manifest.json", MIB)
    with pytest.raises(FormatError, match="checksum"):
        Archive(member(packed, stated=MIB, method=method, crc=1)).read("manifest.json", MIB)


def test_an_honest_member_that_is_too_long_is_not_unpacked() -> None:
    archive = Archive(member(deflated(4 * MIB), stated=4 * MIB, method=8, crc=zlib.crc32(bytes(4 * MIB))))
    assert archive.sizes == {"manifest.json": 4 * MIB}
    with pytest.raises(FormatError, match="longer than 100 bytes"):
        archive.read("manifest.json", 100)
    assert archive.read("manifest.json", 4 * MIB) == bytes(4 * MIB)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("before", [b"", b"a few bytes that are no archive"])
def test_members_are_read_as_zipfile_reads_them(method: int, before: bytes) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.writestr("empty", b"")
        archive.writestr("folder/", b"")
        archive.writestr("folder/é.bin", bytes(range(256)) * 40)
    found = Archive(before + target.getvalue())
    assert found.sizes == {"empty": 0, "folder/é.bin": 10240}
    assert found.read("empty", 10) == b""
    assert found.read("folder/é.bin", 10240) == bytes(range(256)) * 40
    with pytest.raises(FormatError, match="no 'none'"):
        found.read("none", 10)


def test_too_many_members_are_refused_before_any_object_is_made() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(MAX_MEMBERS + 1):
            archive.writestr(f"{number}", b"")
    with pytest.raises(FormatError, match="more than 128"):
        Archive(target.getvalue())
    assert identify(target.getvalue()) is FileKind.ZIP


HONEST = io.BytesIO()
with zipfile.ZipFile(HONEST, "w", zipfile.ZIP_DEFLATED) as _archive:
    _archive.writestr("manifest.json", json.dumps({"files": [{"file": "a.bin"}]}))
    _archive.writestr("a.bin", bytes(500))


@given(edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_archive_is_one_named_error(edits: list[tuple[int, int]]) -> None:
    data = bytearray(HONEST.getvalue())
    for at, value in edits:
        data[at % len(data)] = value
    with suppress(FormatError):
        archive = Archive(bytes(data))
        for name, size in archive.sizes.items():
            assert len(archive.read(name, 1000)) == size <= 1000
    identify(bytes(data))
