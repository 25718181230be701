"""Secure DFU packages of the nRF5 SDK are read as nrfutil writes them, and nothing in them can do harm."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import FormatError
from smpdfu.image.secure_dfu.facts import packet_facts
from smpdfu.image.secure_dfu.init_packet import Packet
from smpdfu.image.secure_dfu.package import SecureDfuPackage


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    """One field of a protobuf message, a number or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


HASH = bytes(range(32))
INIT = b"".join(
    (
        field(1, 7),
        field(2, 52),
        field(3, varint(0x100) + varint(0x101)),
        field(4, 0),
        field(5, 0),
        field(6, 0),
        field(7, 70_000),
        field(8, field(1, 3) + field(2, HASH[::-1])),
        field(9, 0),
    )
)
COMMAND = field(1, 1) + field(2, INIT)
SIGNED = field(2, field(1, COMMAND) + field(2, 0) + field(3, bytes(64)))
UNSIGNED = field(1, COMMAND)


def package(packet: bytes, **more: object) -> bytes:
    manifest = {"manifest": {"application": {"bin_file": "app.bin", "dat_file": "app.dat", **more}}}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("app.bin", bytes(70_000))
        archive.writestr("app.dat", packet)
    return target.getvalue()


@pytest.mark.parametrize(("data", "signature"), [(SIGNED, "ECDSA P-256 with SHA-256"), (UNSIGNED, None)])
def test_an_init_packet_is_read(data: bytes, signature: str | None) -> None:
    assert asdict(packet_facts(Packet.from_bytes(data))) == {
        "fw_type": "application",
        "fw_version": 7,
        "hw_version": 52,
        "softdevices": (0x100, 0x101),
        "sizes": (("application", 70_000),),
        "hash_type": "SHA-256",
        "hash": HASH,
        "signature_type": signature,
        "is_debug": False,
    }


def test_what_a_packet_does_not_say_is_none() -> None:
    init = Packet.from_bytes(field(1, field(2, b""))).init
    assert (init.fw_version, init.hw_version, init.sd_req, init.hash) == (None, None, (), None)
    assert packet_facts(Packet.from_bytes(field(1, field(2, field(4, 77))))).fw_type == "unknown (77)"


def test_numbers_need_not_be_packed() -> None:
    assert Packet.from_bytes(field(1, field(2, field(3, 1) + field(3, 2)))).init.sd_req == (1, 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no init command"),
        (field(1, field(1, 1)), "no init command"),
        (SIGNED[:-1], "cut off"),
        (b"\x0a\xff", "cut off"),
        (b"\x0a" + b"\xff" * 11, "ten bytes"),
        (b"\x0b", "wire type 3"),
        (bytes(70_000), "70000 bytes"),
    ],
)
def test_what_is_no_init_packet(data: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        Packet.from_bytes(data)


def test_fields_of_other_kinds_are_passed_over() -> None:
    fixed = varint(20 << 3 | 5) + bytes(4) + varint(21 << 3 | 1) + bytes(8)
    assert Packet.from_bytes(field(1, field(2, fixed + field(1, 3)))).init.fw_version == 3


def test_a_package_is_read() -> None:
    (entry,) = SecureDfuPackage.from_bytes(package(SIGNED)).entries
    assert (entry.name, entry.bin_file, entry.size_bytes, entry.fault) == ("application", "app.bin", 70_000, "")
    assert entry.packet == Packet.from_bytes(SIGNED)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (package(b"\x0b"), "wire type"),
        (package(SIGNED, dat_file="gone.dat"), "gone.dat is not in the package"),
        (package(SIGNED, bin_file=None), "bin_file in the manifest is no name of a file"),
        (package(SIGNED, dat_file=["app.dat"] * 50_000), "dat_file in the manifest is no name of a file"),
        (package(SIGNED, bin_file="a" * 300), "bin_file in the manifest is no name of a file"),
        (package(bytes(5_000)), "'app.dat' is longer than 4096 bytes"),
        (package(bytes(70_000)), "longer than"),
    ],
)
def test_a_package_with_a_bad_entry_is_told_of(data: bytes, words: str) -> None:
    (entry,) = SecureDfuPackage.from_faulty(data).entries
    assert entry.packet is None
    assert words in entry.fault
    with pytest.raises(FormatError, match=words):
        SecureDfuPackage.from_bytes(data)


GOOD = '"application": {"bin_file": "app.bin", "dat_file": "app.dat"}'


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (f'{{"manifest": {{{GOOD}, "softdevice_bootloader": "sd"}}}}', "softdevice_bootloader in it is no image"),
        (f'{{"manifest": {{{GOOD}, "softdevice": []}}}}', "softdevice in it is no image"),
        (f'{{"manifest": {{{GOOD}, {GOOD}}}}}', "'application' is there twice"),
        (f'{{"manifest": {{{GOOD}, "n": NaN}}}}', "NaN is no number"),
    ],
)
def test_a_manifest_that_two_readers_understand_in_two_ways_is_refused(manifest: str, words: str) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", manifest)
        archive.writestr("app.bin", bytes(4))
        archive.writestr("app.dat", SIGNED)
    with pytest.raises(FormatError, match=words):
        SecureDfuPackage.from_faulty(target.getvalue())


@pytest.mark.parametrize("data", [b"", b"PK", package(SIGNED)[:-30], package(SIGNED)[40:]])
def test_a_damaged_package_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        SecureDfuPackage.from_faulty(data)


@settings(max_examples=300)
@given(
    st.binary(max_size=200) | st.integers(0, len(SIGNED) - 1).map(lambda at: SIGNED[:at] + b"\xff" + SIGNED[at + 1 :])
)
def test_garbage_is_a_format_error_or_a_packet(data: bytes) -> None:
    try:
        Packet.from_bytes(data)
    except FormatError:
        return
