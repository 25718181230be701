"""Building: what is asked for is in the image, and what a bootloader would choke on is refused with the reason."""

from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import ImageError, SigningError, TooLargeError
from smpdfu.image import hexfile
from smpdfu.image.format import Dependency, Flag, Image, Tlv, TlvType, Version
from smpdfu.image.hexfile import Segment
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import ImageSpec, build, check_size, lay_out, lay_out_segments, output_base
from smpdfu.image.trailer import SwapMode
from smpdfu.image.verification.verify import verify

SLOT = 0x20000
BASE = ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=SLOT, pad_header=True)


def spec(**changes: object) -> ImageSpec:
    return replace(BASE, **changes)  # type: ignore[arg-type]  # by name


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"header_size": 31}, "header size is 31"),
        ({"header_size": 0x10000}, "header size is 65536"),
        ({"slot_size": -1}, "slot size"),
        ({"slot_size": 2**32}, "slot size"),
        ({"slot_size": 0, "pad": True}, "cannot be padded"),
        ({"slot_size": 0, "confirm": True}, "cannot be padded"),
        ({"slot_size": 400}, "smaller than its trailer"),
        ({"overwrite_only": True, "swap_mode": SwapMode.MOVE}, "exclude each other"),
        ({"erased_val": 1}, "erases to 0 or 0xff"),
        ({"encrypt_keylen": 192}, "128 or 256"),
        ({"load_addr": 1, "rom_fixed": 1}, "exclude each other"),
        ({"load_addr": 2**32}, "load address"),
        ({"load_addr": -1}, "load address"),
        ({"rom_fixed": 2**32}, "ROM address"),
        ({"rom_fixed": -1}, "ROM address"),
        ({"security_counter": -1}, "security counter"),
        ({"security_counter": 2**32}, "security counter"),
        ({"boot_record": "thirteenchars"}, "12 characters"),
        ({"align": 3}, "align is 3"),
        ({"align": 32, "max_align": 8}, "larger than max-align"),
        ({"max_align": 4}, "max-align is 4"),
        ({"max_sectors": 0}, "max_sectors"),
        ({"custom_tlvs": (Tlv(0x9F, b""),)}, "cannot have the type"),
        ({"custom_tlvs": (Tlv(0xFFFF, b""),)}, "cannot have the type"),
        ({"custom_tlvs": (Tlv(TlvType.SEC_CNT, b""),)}, "cannot have the type SEC_CNT"),
        ({"custom_tlvs": (Tlv(0xA0, b""), Tlv(0xA0, b"x"))}, "twice"),
        ({"custom_tlvs": (Tlv(0x1000, b""),), "endian": "big"}, "big-endian"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        spec(**changes)
    assert "\n" not in str(caught.value)


def test_the_defaults_are_imgtools() -> None:
    request = ImageSpec(Version(1), 32, 0)
    assert request == ImageSpec(
        Version(1),
        header_size=32,
        slot_size=0,
        pad_header=False,
        align=1,
        max_sectors=128,
        overwrite_only=False,
        pad=False,
        confirm=False,
        test=False,
        erased_val=0xFF,
        encrypt_keylen=128,
        clear=False,
        save_enctlv=False,
        non_bootable=False,
        endian="little",
    )
    assert [replace(request, align=align).real_max_align for align in (1, 2, 4, 8, 16, 32)] == [8, 8, 8, 8, 16, 32]
    assert (request.padded, request.real_security_counter) == (False, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"header_size": 32},
        {"header_size": 0xFFFF},
        {"slot_size": 2**32 - 1},
        {"load_addr": 2**32 - 1},
        {"rom_fixed": 2**32 - 1},
        {"security_counter": 0},
        {"security_counter": 2**32 - 1},
        {"boot_record": "twelve chars"},
        {"custom_tlvs": (Tlv(0xA0, b""), Tlv(0xFFFE, b""))},
        {"overwrite_only": True, "swap_mode": SwapMode.OVERWRITE_ONLY},
    ],
)
def test_extreme_requests_are_met(changes: dict[str, object]) -> None:
    assert spec(**changes) != BASE


@pytest.mark.parametrize(
    ("changes", "payload", "words"),
    [
        ({}, b"", "empty"),
        ({"pad_header": False}, b"", "empty"),
        ({"pad_header": False}, bytes(0x1FF), "empty"),
        ({"pad_header": False}, bytes(0x200), "empty"),
        ({"pad_header": False}, bytes(0x1FF) + b"\x01\x02", "--pad-header"),
        ({}, bytes.fromhex("3db8f396") + bytes(100), "image already"),
        ({"pad_header": False}, bytes(0x200) + bytes.fromhex("3db8f396"), "image already"),
        ({"custom_tlvs": (Tlv(0xA0, bytes(0xFFF8)),)}, b"\x01", "65535 bytes"),
        ({"endian": "big"}, bytes.fromhex("96f3b83d") + bytes(100), "image already"),
    ],
)
def test_what_cannot_be_an_image_is_refused(changes: dict[str, object], payload: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        build(spec(**changes), payload)


@pytest.mark.parametrize("header_size", [0x28, 0x34, 0x201])
def test_encrypted_headers_come_in_blocks(header_size: int, firmware: bytes, encryption_key: PrivateKey) -> None:
    build(spec(header_size=header_size), firmware)
    with pytest.raises(ImageError, match="multiple of 16"):
        build(spec(header_size=header_size), firmware, None, encryption_key.public)
    with pytest.raises(ImageError, match="multiple of 16"):
        build(spec(header_size=header_size, clear=True), firmware, None, encryption_key.public)


def test_keys_that_cannot_do_it_are_refused(firmware: bytes) -> None:
    with pytest.raises(SigningError, match="cannot sign"):
        build(BASE, firmware, generate("x25519"))
    with pytest.raises(SigningError, match="cannot decrypt"):
        build(BASE, firmware, None, generate("ecdsa-p384").public)


# --- size -----------------------------------------------------------------------------------------------------------

OVERHEAD = 0x200 + 40  # header, and the TLV area of an image with a hash only


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, 432),
        ({"align": 4}, 1584),
        ({"align": 8}, 3120),
        ({"align": 16}, 6224),
        ({"align": 32}, 12448),  # no mode, and so no sectors that the trailer could span
        ({"align": 32, "swap_mode": SwapMode.SCRATCH}, 12448 + 96),
        ({"align": 4, "max_sectors": 32}, 432),
        ({"overwrite_only": True}, 40),
        ({"align": 4, "swap_mode": SwapMode.SCRATCH}, 1584),
        ({"align": 4, "swap_mode": SwapMode.MOVE}, 8192),
        ({"align": 4, "swap_mode": SwapMode.OFFSET}, 8192),
        ({"align": 4, "swap_mode": SwapMode.MOVE, "sector_size": 16384}, 32768),
        ({"swap_mode": SwapMode.OVERWRITE_ONLY}, 40),
    ],
)
@pytest.mark.parametrize("padded", [False, True])
def test_the_largest_image_is_the_bootloaders(changes: dict[str, object], kept: int, padded: bool) -> None:
    request = spec(**changes, pad=padded)
    fits = SLOT - kept - OVERHEAD
    image = build(request, b"\x01" * fits)
    assert image.size_bytes == SLOT - kept
    assert len(lay_out(image, request)) == (SLOT if padded else SLOT - kept)
    with pytest.raises(TooLargeError) as caught:
        build(request, b"\x01" * (fits + 1))
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (SLOT - kept + 1, SLOT - kept)
    assert "1 too large" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "kept", "tlv"),
    [
        ({"align": 4}, 1584 + 32, 113),
        ({"align": 4, "encrypt_keylen": 256}, 1584 + 64, 129),  # imgtool would count 32 less
        ({"align": 4, "save_enctlv": True}, 1584 + 240, 113),
        ({"align": 4, "save_enctlv": True, "encrypt_keylen": 256}, 1584 + 272, 129),
        ({"overwrite_only": True}, 40, 113),
    ],
)
def test_what_is_kept_for_content_keys_counts(
    changes: dict[str, object], kept: int, tlv: int, encryption_key: PrivateKey
) -> None:
    fits = (SLOT - kept - OVERHEAD - 4 - tlv) // 16 * 16
    build(spec(**changes), b"\x01" * fits, None, encryption_key.public)
    with pytest.raises(TooLargeError):
        build(spec(**changes), b"\x01" * (fits + 1), None, encryption_key.public)


def test_without_a_slot_size_nothing_is_too_large() -> None:
    assert build(spec(slot_size=0), bytes([1]) * (1 << 20)).size_bytes == (1 << 20) + OVERHEAD


def test_a_slot_smaller_than_the_trailer_with_keys_takes_nothing(encryption_key: PrivateKey) -> None:
    with pytest.raises(TooLargeError, match="takes 0"):
        build(spec(slot_size=440), b"\x01", None, encryption_key.public)
    with pytest.raises(TooLargeError):
        check_size(build(spec(slot_size=0), b"\x01"), spec(slot_size=433))


# --- what is in the image -------------------------------------------------------------------------------------------


def test_everything_that_was_asked_for_is_there(firmware: bytes, signing_key: PrivateKey) -> None:
    dependencies = (Dependency(0, Version(1)), Dependency(1, Version(2, 3, 4, 5)))
    custom = (Tlv(0xB0, b"later"), Tlv(0xA0, b"earlier"))
    request = spec(
        security_counter=9,
        boot_record="SPE",
        dependencies=dependencies,
        custom_tlvs=custom,
        load_addr=0x2000_0000,
        non_bootable=True,
    )
    image = build(request, firmware, signing_key)
    assert image.header.version == Version(1, 2, 3)
    assert (image.header.hdr_size, image.header.img_size) == (0x200, len(firmware))
    assert image.header.load_addr == 0x2000_0000
    assert image.header.flags == Flag.RAM_LOAD | Flag.NON_BOOTABLE
    assert (image.payload, image.header_pad) == (firmware, b"\xff" * (0x200 - 32))
    assert (image.security_counter, image.dependencies) == (9, dependencies)
    kinds = [tlv.type for tlv in image.protected]
    assert kinds == [TlvType.SEC_CNT, TlvType.BOOT_RECORD, TlvType.DEPENDENCY, TlvType.DEPENDENCY, 0xB0, 0xA0]
    assert [tlv.type for tlv in image.unprotected] == [TlvType.SHA256, TlvType.KEYHASH, TlvType.ECDSA_SIG]
    record = image.tlv(TlvType.BOOT_RECORD)
    assert record is not None
    assert len(record) == 91
    assert record.endswith(bytes(32))  # the bootloader writes the hash there
    expected = {1: "SPE", 4: "1.2.3", 5: signing_key.keyhash, 6: "SHA256", 2: bytes(32)}
    assert list(cbor2.loads(record).items()) == list(expected.items())


@pytest.mark.parametrize(("keylen", "flag"), [(128, Flag.ENCRYPTED_AES128), (256, Flag.ENCRYPTED_AES256)])
def test_an_encrypted_image_hides_its_payload_only(
    keylen: int, flag: Flag, firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    request = spec(encrypt_keylen=keylen)
    image = build(request, firmware, signing_key, encryption_key.public)
    clear = build(replace(request, clear=True), firmware, signing_key, encryption_key.public)
    assert image.header == clear.header
    assert image.header.flags == flag
    assert image.header.img_size % 16 == 0
    assert clear.payload == firmware + bytes(len(clear.payload) - len(firmware))
    assert firmware[:16] not in image.to_bytes()
    assert image.unprotected[:-1] == clear.unprotected[:-1]  # hash and signature are over the plain image
    assert image.unprotected[-1].type == TlvType.ENC_EC256


@pytest.mark.parametrize(("endian", "counter"), [("little", b"\x05\0\0\0"), ("big", b"\0\0\0\x05")])
def test_the_security_counter_has_the_processors_byte_order(firmware: bytes, endian: str, counter: bytes) -> None:
    spec = ImageSpec(Version(1), 0x40, 0, pad_header=True, security_counter=5, endian=endian)  # type: ignore[arg-type]  # one of its choices
    assert build(spec, firmware).protected == (Tlv(TlvType.SEC_CNT, counter),)


def test_a_boot_record_has_the_version_without_its_build(firmware: bytes) -> None:
    spec = ImageSpec(Version(1, 2, 3, 4), 0x40, 0, pad_header=True, boot_record="SPE")
    assert cbor2.loads(build(spec, firmware).protected[0].data)[4] == "1.2.3"


def test_the_largest_protected_area() -> None:
    image = build(spec(slot_size=0, custom_tlvs=(Tlv(0xA0, bytes(0xFFF7)),)), b"\x01")
    assert image.header.protect_tlv_size == 0xFFFF


def test_unsigned_images_have_a_hash_only(firmware: bytes) -> None:
    assert [tlv.type for tlv in build(BASE, firmware).unprotected] == [TlvType.SHA256]


def test_signed_images_are_the_same_each_time(firmware: bytes, signing_key: PrivateKey) -> None:
    assert build(BASE, firmware, signing_key) == build(BASE, firmware, signing_key)


def test_encrypted_images_are_never_the_same(firmware: bytes, encryption_key: PrivateKey) -> None:
    one, other = (build(BASE, firmware, None, encryption_key.public) for _ in range(2))
    assert one.payload != other.payload
    assert one.unprotected[:-1] == other.unprotected[:-1]
    assert one.unprotected[-1] != other.unprotected[-1]


@settings(max_examples=60)
@given(
    payload=st.binary(min_size=1, max_size=200).filter(lambda data: not data.startswith(b"\x3d\xb8\xf3\x96")),
    header_size=st.integers(2, 64).map(lambda blocks: blocks * 16),
    erased=st.sampled_from((0, 0xFF)),
    counter=st.none() | st.integers(0, 2**32 - 1) | st.just("auto"),
    custom=st.dictionaries(st.integers(0xA0, 0xFFFE), st.binary(min_size=1, max_size=20), max_size=3),
    keylen=st.sampled_from((None, 128, 256)),
    confirm=st.booleans(),
)
def test_what_was_built_is_accepted_and_is_the_firmware(
    payload: bytes,
    header_size: int,
    erased: int,
    counter: object,
    custom: dict[int, bytes],
    keylen: int | None,
    confirm: bool,
    signing_key: PrivateKey,
    encryption_key: PrivateKey,
) -> None:
    request = spec(
        header_size=header_size,
        erased_val=erased,
        security_counter=counter,
        custom_tlvs=tuple(Tlv(kind, data) for kind, data in custom.items()),
        encrypt_keylen=keylen or 128,
        confirm=confirm,
    )
    recipient = encryption_key.public if keylen else None
    data = lay_out(build(request, payload, signing_key, recipient), request)
    verdict = verify(Image.from_bytes(data), (signing_key.public,), enc_key=encryption_key)
    assert verdict.accepted, verdict.refusals
    assert verdict.plain is not None
    assert verdict.plain.payload[: len(payload)] == payload
    assert not any(verdict.plain.payload[len(payload) :])


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{}, {"pad": True}, {"confirm": True}, {"test": True, "align": 32}, {"erased_val": 0, "pad": True}]
)
def test_the_hex_file_says_what_the_bin_file_says(changes: dict[str, object], firmware: bytes) -> None:
    request = spec(**changes)
    image = build(request, firmware)
    flat = bytearray([request.erased_val]) * SLOT
    for segment in hexfile.decode(hexfile.encode(lay_out_segments(image, request, 0x8000))):
        flat[segment.address - 0x8000 : segment.end - 0x8000] = segment.data
    data = lay_out(image, request)
    assert bytes(flat) == data.ljust(SLOT, bytes([request.erased_val]))


@pytest.mark.parametrize(
    ("changes", "firmware_base", "hex_addr", "expected"),
    [
        ({}, 0xC200, None, 0xC000),
        ({}, 0, None, 0),
        ({}, 0xC200, 0x100, 0x100),
        ({}, None, 0, 0),
        ({}, 0x200, None, 0),
        ({"pad_header": False}, 0xC000, None, 0xC000),
    ],
)
def test_where_a_hex_file_begins(
    changes: dict[str, object], firmware_base: int | None, hex_addr: int | None, expected: int
) -> None:
    assert output_base(spec(**changes), firmware_base, hex_addr) == expected


@pytest.mark.parametrize(("firmware_base", "words"), [(None, "--hex-addr"), (0x1FF, "no header of 512 bytes fits")])
def test_a_hex_file_without_a_place_is_refused(firmware_base: int | None, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        output_base(BASE, firmware_base)


def test_a_hex_file_ends_below_4_gib(firmware: bytes) -> None:
    image = build(BASE, firmware)
    lay_out_segments(image, BASE, 2**32 - image.size_bytes)
    with pytest.raises(ImageError, match="32 bits"):
        lay_out_segments(image, BASE, 2**32 - image.size_bytes + 1)
    with pytest.raises(ImageError, match="32 bits"):
        lay_out_segments(image, BASE, -1)


def test_segments_of_an_image_that_is_not_padded(firmware: bytes) -> None:
    image = build(BASE, firmware)
    assert lay_out_segments(image, BASE, 0xC000) == (Segment(0xC000, image.to_bytes()),)
