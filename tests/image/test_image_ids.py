"""UUIDs of vendors and classes, Nordic's manifest and pad value: what stands in the image, and what cannot."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import ImageError
from smpdfu.image.format import Flag, TlvType, Version
from smpdfu.image.ids import class_id, vendor_id
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.signing.build import ImageSpec, build, lay_out
from smpdfu.image.verification.verify import Code, verify

SPEC = ImageSpec(Version(1), 0x40, 0, pad_header=True)
FIRMWARE = bytes(range(64))


@given(st.uuids())
def test_uuids_stand_for_themselves(value: uuid.UUID) -> None:
    for text in (str(value), str(value).upper(), value.hex, value.bytes):
        assert vendor_id(text) == class_id(text, None) == value.bytes


@given(st.text(st.characters(categories=("L", "N", "P", "S"))), st.uuids())
def test_names_stand_for_the_uuid_of_the_name(name: str, vendor: uuid.UUID) -> None:
    try:
        expected = uuid.UUID(name).bytes if len(name) in (32, 36) else uuid.uuid5(vendor, name).bytes
    except ValueError:
        expected = uuid.uuid5(vendor, name).bytes
    assert class_id(name, vendor.bytes) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cid": "board"}, "give the vendor's as well"),
        ({"vid": "a\nb"}, "printable"),
        ({"vid": bytes(15)}, "has 15 bytes"),
        ({"vid": "example.com", "cid": bytes(17)}, "has 17 bytes"),
    ],
)
def test_identifiers_that_cannot_be(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        replace(SPEC, **changes)  # type: ignore[arg-type]  # names of fields


def test_identifiers_and_manifest_are_protected(signing_key: PrivateKey) -> None:
    spec = replace(SPEC, vid="example.com", cid="board", manifest=b"manifest", security_counter=1)
    image = build(spec, FIRMWARE, signing_key)
    kinds = [TlvType.SEC_CNT, TlvType.UUID_VID, TlvType.UUID_CID, TlvType.MANIFEST]
    assert [tlv.type for tlv in image.protected] == kinds
    vendor = uuid.uuid5(uuid.NAMESPACE_DNS, "example.com")
    assert image.tlv(TlvType.UUID_VID) == vendor.bytes
    assert image.tlv(TlvType.UUID_CID) == uuid.uuid5(vendor, "board").bytes
    assert verify(image, (signing_key,)).accepted


def test_an_identifier_has_16_bytes(signing_key: PrivateKey) -> None:
    image = build(replace(SPEC, vid=bytes(16)), FIRMWARE)
    short = replace(
        image,
        header=replace(image.header, protect_tlv_size=image.header.protect_tlv_size - 1),
        protected=(replace(image.protected[0], data=bytes(15)),),
    )
    assert Code.TLV_SIZE in [finding.code for finding in verify(short).warnings]  # some builds refuse it


def test_the_pad_value_fills_header_and_free_space_and_not_the_trailer(signing_key: PrivateKey) -> None:
    spec = replace(SPEC, pad_value=0, confirm=True, slot_size=0x4000, align=4)
    image = build(spec, FIRMWARE, signing_key)
    assert image.header_pad == bytes(32)
    slot, ordinary = lay_out(image, spec), lay_out(image, replace(spec, pad_value=None))
    trailer = 0x4000 - 1584  # 128 sectors, align 4: facts of MCUboot's trailer
    assert slot[image.size_bytes : trailer] == bytes(trailer - image.size_bytes)
    assert (slot[: image.size_bytes], slot[trailer:]) == (image.to_bytes(), ordinary[trailer:])


def test_the_pad_value_replaces_the_zeros_in_the_file(signing_key: PrivateKey) -> None:
    spec = replace(SPEC, pad_header=False, pad_value=0xFF)
    assert build(spec, bytes(64) + FIRMWARE, signing_key).header_pad == b"\xff" * 32
    with pytest.raises(ImageError, match="no room for the header"):
        build(spec, FIRMWARE + FIRMWARE, signing_key)
    with pytest.raises(ImageError, match="pad value is 1"):
        replace(spec, pad_value=1)


@pytest.mark.parametrize(
    ("name", "value"), [("sha", "224"), ("hmac_sha", "384"), ("public_key_format", "none"), ("compression", "zip")]
)
def test_what_is_none_of_the_choices_is_refused(name: str, value: str) -> None:
    with pytest.raises(ImageError, match=f"{name} is '{value}': it must be one of"):
        replace(SPEC, **{name: value})  # type: ignore[arg-type]  # a name of a field


@pytest.mark.parametrize(
    ("version", "counter", "words"),
    [
        (Version(1), "auto", "16777216 (made of the version)"),
        (Version(0, 0, 65535, 9), "auto", None),
        (Version(0, 1), "auto", "65536 (made of the version)"),
        (Version(1), 65536, "65536 (as given)"),
        (Version(1), 65535, None),
        (Version(1), None, None),
    ],
)
def test_security_counters_that_hardware_cannot_keep_are_told(
    version: Version, counter: int | Literal["auto"] | None, words: str | None
) -> None:
    warning = replace(SPEC, version=version, security_counter=counter).counter_warning()
    assert (warning is None) == (words is None)
    assert words is None or words in str(warning)


def test_everything_at_once(signing_key: PrivateKey, encryption_key: PrivateKey) -> None:
    spec = replace(SPEC, endian="big", vid="example.com", load_addr=0x2000_0000, security_counter="auto")
    image = build(replace(spec, boot_record="SPE", pad_sig=True), FIRMWARE, signing_key, encryption_key.public)
    assert image.header.flags == Flag.ENCRYPTED_AES128 | Flag.RAM_LOAD
    assert image.security_counter == 1 << 24
    assert verify(type(image).from_bytes(image.to_bytes(), "big"), (signing_key,), enc_key=encryption_key).accepted
