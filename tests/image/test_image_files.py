"""Firmware files: known by their content, read, two cores taken apart."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import FormatError, ImageError
from smpdfu.image import files, hexfile
from smpdfu.image.files import (
    Firmware,
    Segment,
    encode_firmware,
    parse_firmware,
    read_firmware,
    split_cores,
    write_file_atomic,
)
from smpdfu.image.format import Version
from smpdfu.image.inspect.identify import FileKind, identify
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.signing.build import ImageSpec, build

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and special files are POSIX")


def zipped(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_json", ".json"), data)
    return target.getvalue()


def manifest(content: Any) -> bytes:
    return json.dumps(content).encode()


IMAGE = build(ImageSpec(Version(1), 32, 0, pad_header=True), b"\x01" * 20).to_bytes()
BIG_ENDIAN = build(ImageSpec(Version(1), 32, 0, pad_header=True, endian="big"), b"\x01" * 20).to_bytes()
RAW = bytes.fromhex("00000120a1c30000") + bytes(24)
HEX = hexfile.encode([Segment(0xC200, RAW)])
SECURE_DFU = zipped(manifest_json=manifest({"manifest": {"application": {"bin_file": "a.bin", "dat_file": "a.dat"}}}))
DFU_ZIP = zipped(manifest_json=manifest({"format-version": 0, "files": [{"file": "a.bin"}]}), a=b"x")

SAMPLES = {
    FileKind.MCUBOOT_IMAGE: (IMAGE, BIG_ENDIAN, IMAGE[:4]),
    FileKind.INTEL_HEX: (HEX, b"\r\n\r\n" + HEX.replace(b"\n", b"\r\n"), HEX.lower(), b":00000001FF"),
    FileKind.ELF: (b"\x7fELF\x01\x01\x01" + bytes(50),),
    FileKind.UF2: (bytes.fromhex("5546320a57515d9e") + bytes(504),),
    FileKind.DFU_APPLICATION_ZIP: (DFU_ZIP, zipped(manifest_json=manifest({"files": []}))),
    FileKind.SECURE_DFU_ZIP: (SECURE_DFU,),
    FileKind.ZIP: (
        zipped(a=b"x"),
        zipped(),
        zipped(manifest_json=b"{"),
        zipped(manifest_json=b"[1]"),
        zipped(manifest_json=b"\xff\xfe"),
        zipped(manifest_json=b"[" * 100_000),
        zipped(manifest_json=manifest({"manifest": 1, "files": 1})),
        b"PK\x03\x04 and no more",
        DFU_ZIP[:-10],
    ),
    FileKind.PEM: (b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"Bag Attributes\n-----BEGIN CERTIFICATE-----\n"),
    FileKind.RAW_FIRMWARE: (RAW, RAW[:8], RAW + b"-----BEGIN CERTIFICATE-----\n"),
    FileKind.EMPTY: (b"",),
    FileKind.SUIT_ZIP: (zipped(manifest_json=manifest({"files": [{"file": "root.suit"}]})),),
    FileKind.OLD_IMAGE: (bytes.fromhex("3cb8f396") + bytes(28),),
    FileKind.S_RECORD: (b"S00600004844521B\n", b"\r\nS1137AF00A0A0D0000000000000000000000000061\r\n"),
    FileKind.DFU_MULTI_IMAGE: (b"\x07\x00\xa1\x63img\x81\xa0" + bytes(40), b"\x07\x00\xbf\x63img\x80\xff"),
    FileKind.SUIT_ENVELOPE: (b"\xd8\x6b\xa2\x02\x40\x03\x40",),
    FileKind.COMPRESSED: (gzip.compress(b"x", mtime=0), lzma.compress(b"x"), bz2.compress(b"x"), b"\x28\xb5\x2f\xfd\0"),
    FileKind.DER: (b"\x30\x06\x02\x01\x00\x02\x01\x00", b"\x30\x81\x80" + bytes(128), b"\x30\x82\x01\0" + bytes(256)),
    FileKind.SSH_KEY: (b"ssh-ed25519 AAAA me", b"ecdsa-sha2-nistp256 AAAA me"),
    FileKind.PROGRAM: (b"MZ" + bytes(100), bytes.fromhex("cffaedfe") + bytes(28)),
    FileKind.JSON: (b"{}", b"\xef\xbb\xbf[1]", b' {"files": []}'),
    FileKind.HTML: (b"<!DOCTYPE html>", b"\n<html lang=en>", b"<?xml version='1.0'?>"),
    FileKind.LFS_POINTER: (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",),
    FileKind.TEXT: (b"hello world", b":", b":00 hello", b"S1 hello", b"S1", "Grüße".encode() * 900, b"#!/bin/sh\n"),
    FileKind.ERASED: (bytes(100), b"\xff" * 64),
    FileKind.UNKNOWN: (
        b"\0",
        b"\xff" * 15,
        b"\x30\x06\x02\x01\x00\x02\x01\x00\x00",
        b"\x30\x80" + bytes(100),
        b"text\0text",
        "Grüße".encode()[:3] + b"\xff",
        RAW[:7],
        RAW[4:] + bytes(4),
        bytes(100) + b"-----BEGIN CERTIFICATE-----\n",
    ),
}


def vectors(stack: int, reset: int) -> bytes:
    return stack.to_bytes(4, "little") + reset.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("stack", "reset", "good"),
    [
        (0x2000_0000, 0x1FFF_FFFF, True),
        (0x3FFF_FFFC, 0x0000_0001, True),
        (0x1FFF_FFFC, 0x0000_0001, False),
        (0x4000_0000, 0x0000_0001, False),
        (0x2000_0002, 0x0000_0001, False),
        (0x2000_0000, 0x0000_0100, False),
        (0x2000_0000, 0x2000_0001, False),
    ],
)
def test_code_begins_with_a_stack_in_ram_and_a_thumb_address(stack: int, reset: int, good: bool) -> None:
    assert (identify(vectors(stack, reset)) is FileKind.RAW_FIRMWARE) == good


@pytest.mark.parametrize(("kind", "data"), [(kind, data) for kind, samples in SAMPLES.items() for data in samples])
def test_files_are_known_by_their_content(kind: FileKind, data: bytes) -> None:
    assert identify(data) is kind


def test_every_kind_is_tested() -> None:
    assert set(SAMPLES) == set(FileKind)


@given(
    st.binary(max_size=100) | st.binary(max_size=60).map(lambda data: b"PK\x03\x04" + data) | st.text().map(str.encode)
)
def test_any_bytes_are_of_some_kind(data: bytes) -> None:
    assert identify(data) in FileKind


def test_the_sample_firmware_is_known(sample_hex: Path) -> None:
    split = split_cores(read_firmware(sample_hex))
    assert identify(sample_hex.read_bytes()) is FileKind.INTEL_HEX
    assert split.app is not None
    assert split.net is not None
    for core in (split.app, split.net):
        assert identify(core.flat()) is FileKind.RAW_FIRMWARE


# --- reading firmware -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fw.bin", "fw.hex", "fw"])
def test_hex_is_read_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HEX)
    assert read_firmware(tmp_path / name) == Firmware((Segment(0xC200, RAW),), addressed=True)


@pytest.mark.parametrize("data", [RAW, IMAGE, b"\x01", bytes(100)])
def test_other_bytes_are_taken_as_they_are(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "fw.bin").write_bytes(data)
    firmware = read_firmware(tmp_path / "fw.bin")
    assert (firmware.base, firmware.flat(), firmware.addressed) == (None, data, False)


@pytest.mark.parametrize("data", [RAW, IMAGE, b"\x01"])
@pytest.mark.parametrize("name", ["fw.hex", "FW.HEX", "fw.ihex"])
def test_what_is_called_hex_and_is_not_is_refused(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FormatError, match=r"called \.hex but is not Intel HEX"):
        read_firmware(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "fw.bin is empty"),
        (SAMPLES[FileKind.ELF][0], "fw.bin is an ELF file"),
        (SAMPLES[FileKind.UF2][0], "fw.bin is a UF2 file"),
        (DFU_ZIP, "fw.bin is a dfu_application.zip"),
        (SECURE_DFU, "fw.bin is a Secure DFU package of the nRF5 SDK"),
        (zipped(a=b"x"), "fw.bin is a zip archive"),
        (SAMPLES[FileKind.PEM][0], "fw.bin is a key"),
        (b":00000001FF\n", "fw.bin is an Intel HEX file without data"),
        (HEX[:-5], "fw.bin: .* line 3"),
    ],
)
def test_what_is_no_firmware_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "fw.bin").write_bytes(data)
    with pytest.raises(ImageError, match=words):
        read_firmware(tmp_path / "fw.bin")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_firmware(tmp_path / "no.bin")
    assert caught.value.filename == str(tmp_path / "no.bin")


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: HEX[: len(data)] + data))
def test_any_bytes_are_firmware_or_an_image_error(data: bytes) -> None:
    try:
        firmware = parse_firmware(data)
    except ImageError:
        return
    assert firmware.flat()


def test_gaps_are_filled(tmp_path: Path) -> None:
    firmware = Firmware((Segment(0x100, b"abc"), Segment(0x106, b"d")), addressed=True)
    assert (firmware.base, firmware.flat(), firmware.flat(0)) == (0x100, b"abc\xff\xff\xffd", b"abc\0\0\0d")
    wide = Firmware((Segment(0, b"a"), Segment(files.MAX_GAP_BYTES + 1, b"b")), addressed=True)
    assert len(wide.flat()) == files.MAX_GAP_BYTES + 2
    wider = Firmware((Segment(0, b"a"), Segment(files.MAX_GAP_BYTES + 2, b"b")), addressed=True)
    with pytest.raises(ImageError, match="parts far apart") as refused:
        wider.flat()
    assert refused.value.code == "parts-far-apart"
    assert len(wider.flat(max_gap=1 << 22)) == files.MAX_GAP_BYTES + 3


def test_what_is_written_depends_on_the_name() -> None:
    segments = (Segment(0x10, b"abc"), Segment(0x15, b"d"))
    assert encode_firmware(segments, "a.bin") == b"abc\xff\xffd"
    assert encode_firmware(segments, "a.bin", 0) == b"abc\0\0d"
    assert encode_firmware(segments, "a.HEX") == encode_firmware(segments, "a.ihex") == hexfile.encode(segments)


# --- two cores ------------------------------------------------------------------------------------------------------


def test_cores_are_told_by_address() -> None:
    segments = (
        Segment(0, b"app"),
        Segment(0xFFFFF, b"end"),
        Segment(0xFF7FFE, b"ab" + b"UICR"),
        Segment(0xFFFFFF, b"u" + b"net"),
        Segment(0x103FFFE, b"ne" + b"rest"),
        Segment(0x10000000, b"xip"),
    )
    split = split_cores(Firmware(segments, addressed=True))
    assert split.app is not None
    assert split.net is not None
    assert split.app.segments == (segments[0], segments[1], Segment(0xFF7FFE, b"ab"))
    assert split.net.segments == (Segment(0x1000000, b"net"), Segment(0x103FFFE, b"ne"))
    dropped = {(segment.address, segment.data) for segment in split.dropped}
    assert dropped == {(0xFF8000, b"UICR"), (0xFFFFFF, b"u"), (0x1040000, b"rest"), (0x10000000, b"xip")}


@given(st.lists(st.tuples(st.integers(0, 2**25), st.binary(min_size=1, max_size=9)), max_size=6))
def test_no_byte_is_lost_when_cores_are_taken_apart(parts: list[tuple[int, bytes]]) -> None:
    firmware = Firmware(tuple(Segment(address, data) for address, data in parts), addressed=True)
    split = split_cores(firmware)
    out = [segment for core in (split.app, split.net) if core for segment in core.segments] + list(split.dropped)
    assert sorted(bytes_of(out)) == sorted(bytes_of(firmware.segments))


def bytes_of(segments: tuple[Segment, ...] | list[Segment]) -> list[tuple[int, int]]:
    return [(segment.address + index, byte) for segment in segments for index, byte in enumerate(segment.data)]


@pytest.mark.parametrize(
    ("address", "app", "net"), [(0xC000, True, False), (0x1008800, False, True), (0xFF8000, False, False)]
)
def test_a_core_that_is_not_there_is_none(address: int, app: bool, net: bool) -> None:
    split = split_cores(Firmware((Segment(address, b"x"),), addressed=True))
    assert (split.app is not None, split.net is not None) == (app, net)


def test_a_bin_file_has_no_cores() -> None:
    with pytest.raises(ImageError, match=r"merged \.hex"):
        split_cores(Firmware((Segment(0, b"x"),), addressed=False))


def test_an_image_survives_the_way_through_files(tmp_path: Path, firmware: bytes, signing_key: PrivateKey) -> None:
    image = build(ImageSpec(Version(1), 32, 0, pad_header=True), firmware, signing_key).to_bytes()
    for name in ("a.bin", "a.hex"):
        write_file_atomic(tmp_path / name, encode_firmware((Segment(0xC000, image),), name))
        assert read_firmware(tmp_path / name).flat() == image
