"""Header, version, TLVs, image: what is written is read back, and anything else is one named error."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imgtool import image as imgtool

from smpdfu.errors import FormatError
from smpdfu.image.format import (
    ENCRYPTED_FLAGS,
    HEADER_SIZE,
    TLV_INFO_MAGIC,
    TLV_PROT_INFO_MAGIC,
    TLV_VENDOR_MAX,
    TLV_VENDOR_MIN,
    Dependency,
    Flag,
    Header,
    Image,
    Tlv,
    TlvType,
    Version,
    tlv_name,
)
from smpdfu.image.tlv import is_distinct, protected_size_bytes

Endian = Literal["little", "big"]

endians: st.SearchStrategy[Endian] = st.sampled_from(("little", "big"))
u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
versions = st.builds(Version, u8, u8, u16, u32)
flags = st.builds(Flag, u32)
tlv_types = u16.filter(lambda kind: is_distinct(kind, "little") and is_distinct(kind, "big"))
tlvs = st.builds(Tlv, tlv_types, st.binary(max_size=40))
areas = st.lists(tlvs, max_size=5).map(tuple)
headers = st.builds(
    Header, versions, u32, st.integers(HEADER_SIZE, 0xFFFF), st.just(0) | st.integers(4, 0xFFFF), u32, flags, u32
)


@st.composite
def images(draw: st.DrawFn) -> Image:
    pad, payload = draw(st.binary(max_size=40)), draw(st.binary(max_size=60))
    protected, unprotected = draw(areas), draw(areas)
    header = Header(
        draw(versions),
        img_size=len(payload),
        hdr_size=HEADER_SIZE + len(pad),
        protect_tlv_size=protected_size_bytes(protected) or draw(st.sampled_from((0, 4))),
        load_addr=draw(u32),
        flags=draw(flags),
        reserved=draw(u32),
    )
    return Image(header, pad, payload, protected, unprotected, draw(endians))


# --- versions -------------------------------------------------------------------------------------------------------


@given(versions)
def test_version_is_read_back_from_text_and_bytes(version: Version) -> None:
    assert Version.from_text(str(version)) == version
    smp = f"{version.major}.{version.minor}.{version.revision}.{version.build}"
    assert Version.from_text(smp) == version
    for endian in ("little", "big"):
        assert Version.from_bytes(version.to_bytes(endian), endian) == version


@given(versions, versions)
def test_versions_are_ordered_by_their_numbers(one: Version, other: Version) -> None:
    numbers = [(v.major, v.minor, v.revision, v.build) for v in (one, other)]
    assert (one < other) == (numbers[0] < numbers[1])


@pytest.mark.parametrize(
    "text",
    ["", "v1.2.3", "1.", "1.2.", ".1", "1.2.3+", "1.2.3.4.5", "1.2.3-rc1", "01.2.3", "1.2.3+04", "1,2", " 1.2.3",
     "1.2.3\n", "-1.0.0", "256.0.0", "0.256.0", "0.0.65536", "0.0.0+4294967296", "1" * 5000, "1.2.3+" + "9" * 5000,
     "\u0661.2.3"],
)  # fmt: skip
def test_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="version"):
        Version.from_text(text)


@given(st.text(max_size=20))
def test_any_text_is_a_version_or_a_value_error(text: str) -> None:
    try:
        version = Version.from_text(text)
    except ValueError:
        return
    assert Version.from_text(str(version)) == version


@pytest.mark.parametrize("numbers", [(256,), (-1,), (0, 256), (0, 0, 65536), (0, 0, 0, 2**32)])
def test_version_numbers_have_their_ranges(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Version(*numbers)


# --- header ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 0xFFFF])
def test_extreme_header_sizes(size: int) -> None:
    header = Header(Version(1), 0, size)
    assert Header.from_bytes(header.to_bytes()) == header
    assert header.version == Version(1, 0, 0, 0)


def test_header_bytes_are_mcuboots() -> None:
    header = Header(Version(1, 2, 0x0304, 0x05060708), 0x11121314, 0x0200, 0x0010, 0x21222324, Flag(0x31323334))
    assert header.to_bytes().hex() == "3db8f39624232221000210001413121134333231010204030807060500000000"
    assert header.to_bytes("big").hex() == "96f3b83d21222324020000101112131431323334010203040506070800000000"


@given(headers, endians)
def test_header_round_trip(header: Header, endian: Endian) -> None:
    data = header.to_bytes(endian)
    assert len(data) == HEADER_SIZE
    assert Header.from_bytes(data + b"more", endian) == header


@pytest.mark.parametrize(
    ("at", "data", "offset", "words"),
    [
        (0, b"\0", 0, "magic"),
        (0, b"\x96\xf3\xb8\x3d", 0, "other byte order"),
        (8, b"\x1f\0", 8, "31 bytes"),
        (10, b"\x03\0", 10, "3 bytes"),
    ],
)
def test_no_header(at: int, data: bytes, offset: int, words: str) -> None:
    good = bytearray(Header(Version(1), 0, 32).to_bytes())
    good[at : at + len(data)] = data
    with pytest.raises(FormatError, match=words) as caught:
        Header.from_bytes(bytes(good))
    assert caught.value.offset == offset


@pytest.mark.parametrize("size", range(HEADER_SIZE))
def test_header_cut_off(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        Header.from_bytes(Header(Version(1), 0, 32).to_bytes()[:size])
    assert caught.value.offset == size


@pytest.mark.parametrize(
    "fields",
    [{"hdr_size": 31}, {"hdr_size": 0x10000}, {"protect_tlv_size": 3}, {"protect_tlv_size": 0x10000},
     {"img_size": 2**32}, {"img_size": -1}, {"load_addr": 2**32}, {"reserved": -1}],
)  # fmt: skip
def test_a_header_that_has_no_bytes_cannot_be_made(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"out of range|32 bits"):
        Header(**({"version": Version(1), "img_size": 0, "hdr_size": 32} | fields))  # type: ignore[arg-type]  # by name


# --- TLVs -----------------------------------------------------------------------------------------------------------


# imgtool's names where they differ from MCUboot's own.
IMGTOOLS = {
    "RSA2048": "RSA2048_PSS",
    "ECDSASIG": "ECDSA_SIG",
    "RSA3072": "RSA3072_PSS",
    "ENCRSA2048": "ENC_RSA2048",
    "ENCKW": "ENC_KW",
    "ENCEC256": "ENC_EC256",
    "ENCX25519": "ENC_X25519",
    "ENCX25519_SHA512": "ENC_X25519_SHA512",
}


def test_types_and_flags_are_imgtools() -> None:
    theirs = {IMGTOOLS.get(name, name): value for name, value in imgtool.TLV_VALUES.items()}
    assert {kind.name: kind.value for kind in TlvType} == theirs | {"MANIFEST": 0x76}  # that one is Nordic's
    assert {flag.name: flag.value for flag in Flag} == imgtool.IMAGE_F
    assert (TLV_VENDOR_MIN, TLV_VENDOR_MAX) == (imgtool.TLV_VENDOR_RES_MIN, imgtool.TLV_VENDOR_RES_MAX)
    assert Flag.ENCRYPTED_AES128 | Flag.ENCRYPTED_AES256 == ENCRYPTED_FLAGS


def test_big_endian_images_have_imgtools_types() -> None:
    """One byte and a zero for MCUboot's own, a 16-bit word for a vendor's."""
    tlvs = (Tlv(TlvType.SHA256, b"x"), Tlv(0x00A0, b"y"), Tlv(0x2AA0, b"z"))
    image = Image(Header(Version(1), 1, 32), b"", b"p", (), tlvs, "big")
    assert image.to_bytes()[37:].hex() == "100000017800a00001792aa000017a"
    assert Image.from_bytes(image.to_bytes(), "big") == image
    wrong = image.to_bytes().replace(bytes.fromhex("10000001"), bytes.fromhex("00100001"))
    with pytest.raises(FormatError, match="SHA256 does not have the byte order of a big-endian image") as caught:
        Image.from_bytes(wrong, "big")
    assert caught.value.offset == 37


def test_tlv_names() -> None:
    assert [tlv_name(kind) for kind in (0x10, 0x22, 0x50, 0xA0, 0xFFFE)] == [
        "SHA256",
        "ECDSA_SIG",
        "SEC_CNT",
        "0x00a0",
        "0xfffe",
    ]


@pytest.mark.parametrize(("kind", "size"), [(-1, 0), (0x10000, 0), (0xA0, 0x10000)])
def test_a_tlv_that_has_no_bytes_cannot_be_made(kind: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"out of range|65535"):
        Tlv(kind, bytes(size))


@given(u8, versions, endians)
def test_dependency_round_trip(image: int, version: Version, endian: Endian) -> None:
    dependency = Dependency(image, version)
    data = dependency.to_bytes(endian)
    assert len(data) == 12
    assert Dependency.from_bytes(data, endian) == dependency


@pytest.mark.parametrize("size", [0, 11, 13])
def test_dependency_of_another_size(size: int) -> None:
    with pytest.raises(FormatError):
        Dependency.from_bytes(bytes(size))


# --- images ---------------------------------------------------------------------------------------------------------


@given(images(), st.binary(max_size=20))
def test_image_round_trip(image: Image, tail: bytes) -> None:
    data = image.to_bytes()
    assert len(data) == image.size_bytes
    assert Image.from_bytes(data + tail, image.endian) == image
    assert data.startswith(image.hashed_bytes())
    assert image.hashed_bytes() == b"".join(image.hashed_parts())
    assert len(image.hashed_bytes()) == image.unprotected_offset


@given(images())
@settings(max_examples=50)
def test_tlvs_are_where_they_are_said_to_be(image: Image) -> None:
    data = image.to_bytes()
    found = list(image.tlv_offsets())
    assert [tlv for _, _, tlv in found] == [*image.protected, *image.unprotected]
    for offset, protected, tlv in found:
        assert data[offset + 4 : offset + tlv.size_bytes] == tlv.data
        assert protected == (offset < image.unprotected_offset)


@given(images())
@settings(max_examples=30)
def test_every_cut_is_noticed(image: Image) -> None:
    data = image.to_bytes()
    for size in range(len(data)):
        with pytest.raises(FormatError) as caught:
            Image.from_bytes(data[:size], image.endian)
        assert caught.value.offset is not None
        assert 0 <= caught.value.offset <= size


@given(images(), st.data())
def test_changed_bytes_are_an_image_or_a_format_error(image: Image, data: st.DataObject) -> None:
    changed = bytearray(image.to_bytes())
    for _ in range(3):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(u8)
    try:
        again = Image.from_bytes(bytes(changed), image.endian)
    except FormatError:
        return
    assert bytes(changed).startswith(again.to_bytes())


@given(st.binary(max_size=200))
def test_garbage_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        Image.from_bytes(data)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (31, "only 31 are there"),
        (39, "header and payload have 40 bytes, the file has 39"),
        (40, "before its protected TLV area"),
        (43, "before its protected TLV area"),
        (44, "inside its protected TLV area"),
        (52, "before its unprotected TLV area"),
        (60, "inside its unprotected TLV area"),
    ],
)
def test_where_a_file_was_cut_is_told(kept: int, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        Image.from_bytes(simple().to_bytes()[:kept])
    assert caught.value.offset == kept


def simple(**changes: object) -> Image:
    parts: dict[str, object] = {
        "header": Header(Version(1), img_size=8, hdr_size=32, protect_tlv_size=12),
        "header_pad": b"",
        "payload": bytes.fromhex("00000120a1c30000"),
        "protected": (Tlv(TlvType.SEC_CNT, b"\x07\0\0\0"),),
        "unprotected": (Tlv(TlvType.SHA256, bytes(32)),),
    }
    return Image(**(parts | changes))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("at", "data", "offset"),
    [
        (40, TLV_INFO_MAGIC.to_bytes(2, "little"), 40),  # protected area with the wrong magic
        (42, b"\x0d\0", 42),  # protected area with another size than the header says
        (46, b"\x05\0", 44),  # a TLV that runs over its area
        (52, TLV_PROT_INFO_MAGIC.to_bytes(2, "little"), 52),
        (54, b"\x03\0", 54),
        (58, b"\x21\0", 56),
    ],
)
def test_a_damaged_area_is_named_with_its_offset(at: int, data: bytes, offset: int) -> None:
    damaged = bytearray(simple().to_bytes())
    damaged[at : at + len(data)] = data
    with pytest.raises(FormatError) as caught:
        Image.from_bytes(bytes(damaged))
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "changes",
    [
        {"header_pad": b"\0"},
        {"payload": bytes(9)},
        {"protected": ()},
        {"unprotected": (Tlv(0xA0, bytes(0xFFF0)), Tlv(0xA1, bytes(8)))},
        {"endian": "big", "unprotected": (Tlv(0x1000, b""),)},
    ],
)
def test_an_image_that_has_no_bytes_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"hdr_size|img_size|protect_tlv_size|65535|big-endian"):
        simple(**changes)


def test_what_an_image_tells() -> None:
    image = simple()
    assert (image.reset_vector, image.security_counter, image.hash, image.encrypted) == (0xC3A1, 7, bytes(32), False)
    assert image.tlv(TlvType.SEC_CNT) == b"\x07\0\0\0"
    assert image.tlv(TlvType.KEYHASH) is None
    assert image.encryption_key_tlv is None
    assert image.dependencies == ()
    bare = Image(Header(Version(1), 0, 32), b"", b"")
    assert (bare.reset_vector, bare.security_counter, bare.hash) == (None, None, None)


def test_dependencies_are_read() -> None:
    wanted = (Dependency(1, Version(1, 2, 3, 4)), Dependency(2, Version(5)))
    protected = tuple(Tlv(TlvType.DEPENDENCY, one.to_bytes()) for one in wanted)
    header = Header(Version(1), 8, 32, protected_size_bytes(protected))
    assert simple(header=header, protected=protected).dependencies == wanted


def test_a_version_for_manifests_has_its_build_number_and_for_a_counter_it_has_not() -> None:
    assert (str(Version(1, 2, 3)), Version(1, 2, 3).with_build) == ("1.2.3", "1.2.3+0")
    assert Version(1, 2, 3, 4).with_build == "1.2.3+4"
    assert Version(1, 2, 0x304, 5).auto_counter == 0x0102_0304
