"""Which bytes of a firmware file are the image of a core."""

from __future__ import annotations

import struct
from dataclasses import replace

import cbor2
import pytest

from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.merged_hex import NET_SLOTS, Slot, carry_over, code_of, find_code
from smpdfu.errors import ImageError
from smpdfu.image.files import Firmware, Segment
from smpdfu.image.format import Dependency, Flag, Image, Tlv, TlvType, Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.encrypt import Recipient

APP = Slot(0xC000, 0x86000, 0x200)
NET = Slot(0x0100_8800, 0x0104_0000)


def code(address: int, size: int = 400) -> bytes:
    table = struct.pack("<16I", 0x2002_0000, *(address + 0x101 + 4 * number for number in range(15)))
    return table + bytes(at % 251 for at in range(size - len(table)))


def firmware(*parts: tuple[int, bytes]) -> Firmware:
    return Firmware(tuple(Segment(address, data) for address, data in parts), addressed=True)


PLAIN = ImageSpec(Version(1), header_size=0x200, slot_size=0, pad_header=True)


def signed(payload: bytes, recipient: Recipient | None = None, spec: ImageSpec = PLAIN) -> bytes:
    return build(spec, payload, None, recipient).to_bytes()


MCUBOOT = (0x0, code(0x0, 0x9000))
B0N = (0x0100_0000, code(0x0100_0000, 0x8000))
APP_CODE, NET_CODE = code(0xC200), code(0x0100_8800, 900)


def test_the_slots_part_of_a_merged_hex_with_bootloaders() -> None:
    merged = firmware(MCUBOOT, (0xC200, APP_CODE), (0x00FF_8000, b"\0" * 4), B0N, (0x0100_8800, NET_CODE))
    app, net = code_of(merged, Core.APP, APP), code_of(merged, Core.NET, NET)
    assert app is not None
    assert net is not None
    assert (app.payload, app.whole) == (APP_CODE, False)
    assert (net.payload, net.whole) == (NET_CODE, False)


def test_a_gap_in_the_slot_is_filled_and_what_is_behind_it_is_left() -> None:
    merged = firmware((0xC200, APP_CODE), (0xC200 + 500, b"more"), (0x86000, b"the other slot"))
    app = code_of(merged, Core.APP, APP)
    assert app is not None
    assert app.payload == APP_CODE + b"\xff" * 100 + b"more"


def test_a_bootloader_and_its_slot_in_one_piece() -> None:
    merged = firmware((0x0, MCUBOOT[1].ljust(0xC200, b"\xff") + APP_CODE))
    app = code_of(merged, Core.APP, APP)
    assert app is not None
    assert (app.payload, app.whole) == (APP_CODE, False)


def test_a_signed_application_in_the_slot_is_unwrapped() -> None:
    merged = firmware(MCUBOOT, (0xC000, signed(APP_CODE)))
    app = code_of(merged, Core.APP, APP)
    assert app is not None
    assert (app.payload, app.whole) == (APP_CODE, False)


def test_an_encrypted_application_cannot_be_unwrapped() -> None:
    merged = firmware((0xC000, signed(APP_CODE, generate("ecdsa-p256").public)))
    with pytest.raises(ImageError, match="0xc000 is encrypted"):
        code_of(merged, Core.APP, APP)


@pytest.mark.parametrize("size", [400, 0x10_000])
def test_firmware_that_is_linked_for_the_start_is_taken_whole(size: int) -> None:
    """Also where it reaches over the slot: what lies there is no vector table."""
    merged = firmware((0x0, code(0x0, size)), (0x0100_0000, code(0x0100_0000, size)))
    app, net = code_of(merged, Core.APP, APP), code_of(merged, Core.NET, NET)
    assert app is not None
    assert net is not None
    assert (app.payload, app.whole) == (code(0x0, size), True)
    assert (net.payload, net.whole) == (code(0x0100_0000, size), True)


def test_the_network_slot_is_found_by_what_lies_there() -> None:
    small, first, second = code(0x0100_2800, 900), *NET_SLOTS
    assert (first, second.start) == (NET, 0x0100_2800)
    for parts, payload, slot in (
        ((B0N, (0x0100_8800, NET_CODE)), NET_CODE, first),
        (((0x0100_0000, code(0x0100_0000, 0x2800)), (0x0100_2800, small)), small, second),
        (((0x0100_0000, code(0x0100_0000, 0x2800)), (0x0100_2800, signed(small))), small, second),
        ((B0N,), B0N[1], first),  # nothing behind it
        (((0x0100_0000, code(0x0100_0000, 0xA000)),), code(0x0100_0000, 0xA000), first),
    ):
        found = find_code(firmware(*parts), Core.NET, NET_SLOTS)
        assert found is not None
        assert (found[0].payload, found[1]) == (payload, slot)
    assert find_code(firmware(MCUBOOT), Core.NET, NET_SLOTS) is None


def test_a_core_that_is_not_there() -> None:
    assert code_of(firmware((0xC200, APP_CODE)), Core.NET, NET) is None
    assert code_of(firmware((0x0100_8800, NET_CODE)), Core.APP, APP) is None


def test_a_bin_is_meant_as_it_is() -> None:
    app = code_of(Firmware((Segment(0, b"1234"),), addressed=False), Core.APP, APP)
    assert app is not None
    assert (app.payload, app.whole) == (b"1234", False)


# --- what a signed image says beside its code -----------------------------------------------------------------------

EVERYTHING = replace(
    PLAIN,
    security_counter=7,
    boot_record="SPE",
    dependencies=(Dependency(0, Version(1)), Dependency(1, Version(2, 3, 4, 5))),
    vid=b"\x01" * 16,
    cid=b"\x02" * 16,
    manifest=b"\x03" * 5,
    custom_tlvs=(Tlv(0xA1, b"\x01\x02\x03"), Tlv(0xA0, b"text")),
    load_addr=0x2000_0000,
    non_bootable=True,
)


def test_signing_again_asks_for_all_that_the_image_says() -> None:
    app = code_of(firmware((0xC000, signed(APP_CODE, spec=EVERYTHING))), Core.APP, APP)
    assert app is not None
    assert app.image is not None
    spec, lost = carry_over(replace(PLAIN, version=Version(2)), app.image)
    assert (spec, lost) == (replace(EVERYTHING, version=Version(2)), ())
    assert build(spec, app.payload).protected[2:] == app.image.protected[2:]


@pytest.mark.parametrize(
    ("flags", "address", "asked", "made", "lost"),
    [
        (Flag(0), 0, 0xC000, (Flag.ROM_FIXED, 0xC000), ()),
        (Flag.ROM_FIXED, 0xC000, 0xC000, (Flag.ROM_FIXED, 0xC000), ()),
        (Flag.ROM_FIXED, 0xC000, 0, (Flag.ROM_FIXED, 0xC000), ()),
        (Flag.ROM_FIXED, 0x86000, 0xC000, (Flag.ROM_FIXED, 0xC000), ("ROM_FIXED 0x86000",)),
        (Flag.RAM_LOAD, 0x2000_0000, 0xC000, (Flag.RAM_LOAD, 0x2000_0000), ()),
        (Flag.RAM_LOAD | Flag.ROM_FIXED, 0xC000, 0xC000, (Flag.RAM_LOAD, 0xC000), ("ROM_FIXED 0xc000",)),
    ],
)
def test_the_slot_that_was_asked_for_goes_into_the_header(
    flags: Flag, address: int, asked: int, made: tuple[Flag, int], lost: tuple[str, ...]
) -> None:
    image = build(PLAIN, APP_CODE)
    image = replace(image, header=replace(image.header, load_addr=address, flags=flags))
    spec, found = carry_over(replace(PLAIN, rom_fixed=asked), image)
    header = build(spec, APP_CODE).header
    assert (header.flags, header.load_addr) == made
    assert found == lost


def test_what_was_asked_for_stays() -> None:
    image = build(EVERYTHING, APP_CODE)
    asked = replace(PLAIN, security_counter=9, boot_record="APP", vid=b"\x08" * 16)
    spec, lost = carry_over(asked, image)
    assert lost == ()
    assert (spec.security_counter, spec.boot_record, spec.vid, spec.cid) == (9, "APP", b"\x08" * 16, b"\x02" * 16)


def with_tlvs(*protected: Tlv, unprotected: tuple[Tlv, ...] = (), flags: int = 0) -> Image:
    image = build(PLAIN, APP_CODE)
    size = 4 + sum(tlv.size_bytes for tlv in protected) if protected else 0
    header = replace(image.header, protect_tlv_size=size, flags=Flag(flags))
    return replace(image, header=header, protected=protected, unprotected=(*image.unprotected, *unprotected))


@pytest.mark.parametrize(
    ("image", "lost"),
    [
        (with_tlvs(Tlv(0xA0, b"a"), Tlv(0xA0, b"b"), Tlv(0xA1, b"c")), ("0x00a0",)),
        (with_tlvs(Tlv(TlvType.SEC_CNT, b"\1\0\0\0"), Tlv(TlvType.SEC_CNT, b"\2\0\0\0")), ("SEC_CNT",)),
        (with_tlvs(Tlv(TlvType.SEC_CNT, b"\1"), Tlv(TlvType.DEPENDENCY, b"\1")), ("SEC_CNT", "DEPENDENCY")),
        (with_tlvs(Tlv(TlvType.UUID_VID, b"\1")), ("UUID_VID",)),
        (with_tlvs(Tlv(0x61, b"?"), unprotected=(Tlv(0xA5, b""),)), ("0x00a5", "0x0061")),
        (with_tlvs(Tlv(TlvType.BOOT_RECORD, b"\xff")), ("BOOT_RECORD",)),
        (with_tlvs(Tlv(TlvType.BOOT_RECORD, cbor2.dumps([1]))), ("BOOT_RECORD",)),
        (with_tlvs(Tlv(TlvType.BOOT_RECORD, cbor2.dumps({1: "thirteen long"}))), ("BOOT_RECORD",)),
        (with_tlvs(flags=Flag.PIC | 0x8000), ("flags 0x8001",)),
        (with_tlvs(unprotected=(Tlv(TlvType.KEYHASH, bytes(32)), Tlv(TlvType.ECDSA_SIG, bytes(70)))), ()),
    ],
)
def test_what_no_request_can_ask_for_is_named(image: Image, lost: tuple[str, ...]) -> None:
    spec, found = carry_over(PLAIN, image)
    assert found == lost
    build(spec, APP_CODE)


def test_a_compressed_application_cannot_be_unwrapped() -> None:
    image = with_tlvs(flags=Flag.COMPRESSED_LZMA2)
    with pytest.raises(ImageError, match="0xc000 is compressed"):
        code_of(firmware((0xC000, image.to_bytes())), Core.APP, APP)
