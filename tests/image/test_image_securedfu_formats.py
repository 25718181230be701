"""Init packets and packages of the nRF5 SDK: values to bytes and back, and bytes of any kind to one named error."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import FormatError
from smpdfu.image.secure_dfu.init_packet import (
    BootValidation,
    Command,
    FwType,
    Hash,
    InitCommand,
    Packet,
    SignedCommand,
    name_of,
)
from smpdfu.image.secure_dfu.package import MAX_FIRMWARE_BYTES, Entry, SecureDfuPackage
from smpdfu.image.secure_dfu.protobuf import Field, bytes_field, decode, encode, encode_varint, number_field
from smpdfu.image.secure_dfu.softdevices import SOFTDEVICES, SoftDeviceInfo, softdevice_words

NUMBERS = st.none() | st.integers(0, 0xFFFFFFFF)
DATA = st.none() | st.binary(max_size=70)
UNKNOWN = st.lists(
    st.builds(number_field, st.integers(20, 1000), st.integers(0, (1 << 64) - 1))
    | st.builds(bytes_field, st.integers(20, 1000), st.binary(max_size=20))
    | st.builds(Field, st.integers(20, 1000), st.just(5), st.binary(min_size=4, max_size=4))
    | st.builds(Field, st.integers(20, 1000), st.just(1), st.binary(min_size=8, max_size=8)),
    max_size=3,
).map(tuple)
INITS = st.builds(
    InitCommand,
    NUMBERS,
    NUMBERS,
    st.lists(st.integers(0, 0xFFFFFFFF), max_size=5).map(tuple),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.none() | st.builds(Hash, NUMBERS, DATA, unknown=UNKNOWN),
    st.none() | st.booleans(),
    st.lists(st.builds(BootValidation, NUMBERS, DATA, unknown=UNKNOWN), max_size=3).map(tuple),
    unknown=UNKNOWN,
)
COMMANDS = st.builds(Command, NUMBERS, INITS, DATA, unknown=UNKNOWN)
PACKETS = st.builds(Packet, COMMANDS, unknown=UNKNOWN) | st.builds(
    Packet,
    st.none() | COMMANDS,
    st.builds(SignedCommand, COMMANDS, NUMBERS, DATA, unknown=UNKNOWN),
    unknown=UNKNOWN,
)


@settings(max_examples=80)
@given(PACKETS)
def test_what_is_written_is_read_the_same(packet: Packet) -> None:
    data = packet.to_bytes()
    again = Packet.from_bytes(data)
    assert again == packet
    assert again.to_bytes() == data


@settings(max_examples=80)
@given(PACKETS)
def test_the_signed_bytes_are_in_the_packet_as_they_are(packet: Packet) -> None:
    chosen = Packet.from_bytes(packet.to_bytes()).chosen
    assert chosen is not None
    assert chosen.signed_bytes in packet.to_bytes()
    assert chosen.signed_bytes.startswith(packet.init.to_bytes())


@settings(max_examples=40)
@given(PACKETS, st.integers(0, 0xFFFFFFFF))
def test_a_changed_packet_is_written_anew_and_the_rest_of_it_is_kept(packet: Packet, version: int) -> None:
    read = Packet.from_bytes(packet.to_bytes())
    init = replace(read.init, fw_version=version)
    assert InitCommand.from_bytes(init.to_bytes()) == init
    assert init.to_bytes() != read.init.to_bytes() or read.init.fw_version == version


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_garbage_is_a_format_error_or_a_packet(data: bytes) -> None:
    try:
        assert Packet.from_bytes(data).to_bytes() == data
    except FormatError:
        return


@settings(max_examples=60)
@given(PACKETS, st.data())
def test_each_changed_bit_is_a_format_error_or_a_packet(packet: Packet, draw: Any) -> None:
    data = bytearray(packet.to_bytes())
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        assert Packet.from_bytes(bytes(data)).to_bytes() == bytes(data)
    except FormatError:
        return


def packet(init: bytes) -> bytes:
    return bytes_field(1, bytes_field(2, init).to_bytes()).to_bytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (packet(number_field(1, 1 << 32).to_bytes()), "4294967296, which is more than 4294967295"),
        (packet(bytes_field(3, encode_varint(1 << 32)).to_bytes()), "more than 4294967295"),
        (packet(bytes_field(1, b"x").to_bytes()), "field 1 of the init command does not hold a number"),
        (packet(number_field(8, 1).to_bytes()), "field 8 of the init command does not hold bytes"),
        (packet(Field(3, 5, bytes(4)).to_bytes()), "field 3 of the init command does not hold numbers"),
        (packet(bytes_field(8, b"").to_bytes() * 2), "has field 8 twice"),
        (packet(b"") * 2, "the init packet has field 1 twice"),
    ],
)
def test_what_readers_do_not_agree_about_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        Packet.from_bytes(data)


def test_the_last_number_counts_as_in_protobuf() -> None:
    twice = number_field(1, 7).to_bytes() + number_field(1, 8).to_bytes()
    assert Packet.from_bytes(packet(twice)).init.fw_version == 8


@given(st.integers(0, (1 << 64) - 1))
def test_a_number_is_read_as_it_is_written(value: int) -> None:
    assert list(decode(encode([number_field(1, value)]))) == [number_field(1, value)]


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_a_number_of_more_than_64_bits_cannot_be_written(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        encode_varint(value)


def test_names_are_the_specification_s() -> None:
    assert [name_of(FwType, one) for one in (0, 3, 9, None)] == [
        "APPLICATION",
        "SOFTDEVICE_BOOTLOADER",
        "unknown (9)",
        "none",
    ]


# --- packages -------------------------------------------------------------------------------------------------------


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


@settings(max_examples=20)
@given(st.lists(PACKETS, min_size=1, max_size=4), st.binary(max_size=100))
def test_a_package_is_read_as_it_is_written(packets: list[Packet], firmware: bytes) -> None:
    names = ("application", "bootloader", "softdevice", "something new")
    entries = tuple(Entry.of(name, name, firmware, one) for name, one in zip(names, packets, strict=False))
    made = SecureDfuPackage.of(entries)
    again = SecureDfuPackage.from_bytes(made.to_bytes())
    assert {one.name: one for one in again.entries} == {one.name: one for one in entries}
    assert again.to_bytes() == made.to_bytes()
    assert len(again.in_sending_order) == len(entries)


def test_what_smpdfu_does_not_know_is_kept() -> None:
    listed = {"bin_file": "a.bin", "dat_file": "a.dat", "comment": "from the other tool"}
    document = {"manifest": {"application": listed, "dfu_version": 0.5}, "made_by": "another"}
    dat = packet(number_field(1, 7).to_bytes())
    members = {"manifest.json": json.dumps(document).encode(), "a.bin": b"1234", "a.dat": dat, "notes.txt": b"hello"}
    read = SecureDfuPackage.from_bytes(zipped(members))
    assert read.entries[0].more == {"comment": "from the other tool"}
    with zipfile.ZipFile(io.BytesIO(read.to_bytes())) as archive:
        assert json.loads(archive.read("manifest.json")) == document
        assert (archive.read("notes.txt"), archive.read("a.dat")) == (b"hello", dat)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"manifest.json": b'{"manifest": {}}'}, "names none"),
        ({"manifest.json": json.dumps({"manifest": {f"i{n}": {} for n in range(17)}}).encode()}, "17 images"),
        ({"manifest.json": json.dumps({"manifest": {"a" * 256: {}}}).encode()}, "256 characters, more than 255"),
        ({"manifest.json": b'{"manifest": {}}', "big": bytes(MAX_FIRMWARE_BYTES + 1)}, "belong to no image"),
        (
            {
                "manifest.json": b'{"manifest": {"application": {"bin_file": "a", "dat_file": "b"}}}',
                "a": bytes(MAX_FIRMWARE_BYTES + 1),
                "b": packet(b""),
            },
            "longer than",
        ),
    ],
)
def test_a_package_out_of_bounds_is_refused(members: dict[str, bytes], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        SecureDfuPackage.from_bytes(zipped(members))


# --- SoftDevices ----------------------------------------------------------------------------------------------------


def test_every_softdevice_has_an_id_of_its_own_and_ends_with_a_page() -> None:
    assert len(SOFTDEVICES) == 44
    assert all(one.end is None or one.end % 0x1000 == 0 for one in SOFTDEVICES.values())
    assert [softdevice_words(one) for one in (0, 0x100, 0xCA, 0xFFFE, 0x1FF)] == [
        "0x00 (no SoftDevice)",
        "0x100 (S140 7.2.0)",
        "0xCA (S140 7.0.1)",
        "0xFFFE (any SoftDevice, in debug mode)",
        "0x1FF (not known)",
    ]


@given(st.binary(max_size=0x2040))
def test_bytes_of_any_kind_are_no_softdevice(data: bytes) -> None:
    assert SoftDeviceInfo.find(data) is None
