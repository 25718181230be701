"""Every parser of files that people hand over, as a function of bytes, with files to start from.

``build_folder.py`` has those of a build folder, ``wire.py`` those of what devices send, and ``server.py`` those of what
an update server says.

A target may raise what it promises and nothing else, whatever the bytes. ``tests/test_fuzz_targets.py``
runs all of them shortly with hypothesis, ``make fuzz`` for longer with atheris.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from dataclasses import fields, is_dataclass, replace
from typing import Any

import cbor2

from fuzz.build_folder import BUILD_FOLDER_TARGETS
from fuzz.server import SERVER_TARGETS
from fuzz.target import Target
from fuzz.wire import WIRE_TARGETS
from smpdfu.errors import ImageError, PackageError, SigningError
from smpdfu.image import files, hexfile
from smpdfu.image.format import Dependency, Flag, Image, Tlv, TlvType, Version
from smpdfu.image.inspect import foreign, identify
from smpdfu.image.keys import keys
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.provision import CounterUse, Place, mcuboot_provision, provision_for
from smpdfu.image.nsib.provision_reading import find_provision, problems
from smpdfu.image.nsib.seal import check_firmware, refusal, seal
from smpdfu.image.nsib.sealed_by import sealed_by
from smpdfu.image.secure_dfu.facts import packet_facts
from smpdfu.image.secure_dfu.init_packet import Packet
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.image.signing.build import ImageSpec, build, lay_out
from smpdfu.image.signing.encrypt import Recipient
from smpdfu.image.trailer import SlotGeometry, SwapMode, Trailer
from smpdfu.image.vector_table import Vectors, find_images
from smpdfu.image.verification.verify import verify
from smpdfu.securedfu.judging import judge_package
from smpdfu.securedfu.making.checks import order_findings
from smpdfu.securedfu.making.order import SecureDfuOrder
from smpdfu.securedfu.making.parts import Nrf52Firmware
from smpdfu.virtual.chip.partitions import read_layout

SECTION = b"0123456789abcdef" * 8


# --- images ---------------------------------------------------------------------------------------------------------

KEY = keys.generate("ecdsa-p256")
OTHER_KEY = keys.generate("ed25519")
ENCRYPTION_KEY = keys.generate("x25519")
FIRMWARE = struct.pack("<16I", 0x2000_1000, *[0xC201] * 15) + SECTION
SPEC = ImageSpec(
    Version(1, 2, 3, 4),
    header_size=0x20,
    slot_size=0x4000,
    pad_header=True,
    security_counter=7,
    dependencies=(Dependency(1, Version(1, 0, 0)),),
    custom_tlvs=(Tlv(0xA0, b"custom"),),
    boot_record="SPE",
)
SLOT = SlotGeometry(0x4000, mode=SwapMode.SCRATCH)


def _images() -> tuple[bytes, ...]:
    plain = build(SPEC, FIRMWARE, KEY)
    return (
        plain.to_bytes(),
        build(SPEC, FIRMWARE).to_bytes(),
        build(SPEC, FIRMWARE, OTHER_KEY, _recipient()).to_bytes(),
        build(replace(SPEC, endian="big"), FIRMWARE, KEY).to_bytes(),
        lay_out(plain, replace(SPEC, confirm=True)),
        _compressed(),
    )


def _recipient() -> Recipient:
    return ENCRYPTION_KEY.public


def _compressed() -> bytes:
    """An image that says that it is compressed; whether the payload is, is the reader's to find out."""
    sizes = Tlv(TlvType.DECOMP_SIZE, struct.pack("<I", 4096)), Tlv(TlvType.DECOMP_SHA, bytes(32))
    image = build(replace(SPEC, boot_record=None), FIRMWARE, KEY)
    flags = image.header.flags | Flag.COMPRESSED_LZMA2
    header = replace(image.header, flags=flags, protect_tlv_size=image.header.protect_tlv_size + 8 + 40 - 4)
    try:
        return replace(image, header=header, protected=(*image.protected, *sizes)).to_bytes()
    except ValueError:
        return image.to_bytes()


def read_image(data: bytes) -> object:
    """An image of either byte order, whole: what is read is written back the same."""
    for endian in ("little", "big"):
        image = Image.from_bytes(data, endian)
        assert data.startswith(image.to_bytes())
        list(image.tlv_offsets())
    return None


def judge_image(data: bytes) -> object:
    """The verdict on anything that can be read; it never raises."""
    image = Image.from_bytes(data)
    for role in (None, "primary", "secondary"):
        verify(image, (KEY, OTHER_KEY), enc_key=ENCRYPTION_KEY, slot=SLOT, slot_address=0xC000, role=role)
    return verify(image)


def read_trailer(data: bytes) -> object:
    """The trailer of a slot of any size; where code is linked; images inside."""
    list(find_images(data))
    Vectors.of(data)
    if len(data) < 2048:
        return None
    return Trailer.from_slot(data, SlotGeometry(len(data), mode=SwapMode.SCRATCH))


# --- files ----------------------------------------------------------------------------------------------------------

HEX = hexfile.encode((hexfile.Segment(0xC1F8, SECTION * 3), hexfile.Segment(0x0100_8800, SECTION)))
ODD_HEX = b":020000021000EC\r\n:0300100041424327\r\n:0400000300003800C1\r\n:00000001FF\r\n"


def read_hex(data: bytes) -> object:
    """Intel HEX; what is read is written and read back the same."""
    segments = hexfile.decode(data)
    assert hexfile.decode(hexfile.encode(segments)) == segments
    return segments


_VECTORS = bytes(4) + (0x8301).to_bytes(4, "little")
NSIB_FIRMWARE = (_VECTORS + FIRMWARE[8:]).ljust(0x200) + FirmwareInfo(0x300, 7, 0x8200).to_bytes().ljust(0x100)
SEALED = seal(NSIB_FIRMWARE, 0x8200, KEY)
PROVISION = provision_for(0x8000, 0x14000, (KEY.public,), counter_slots=4, mcuboot_counter_slots=2)
PROVISIONS = (
    PROVISION.to_bytes(),
    bytes(4) + b"\xff" * 36 + PROVISION.count(CounterUse.NSIB, 9).to_bytes(),
    mcuboot_provision(4).to_bytes(),
    mcuboot_provision(4, place=Place.BARE).to_bytes(),
)


def read_seal(data: bytes) -> object:
    """Whether it can be sealed, who sealed it, and what b0 makes of it."""
    sealed_by(data, (KEY.public,))
    refusal(data, 0x8200, (KEY.public,))
    return check_firmware(data, 0x8200)


def read_nsib_data(data: bytes) -> object:
    """Provisioning data; what is read is written the same."""
    found = find_provision(files.parse_firmware(data))
    problems(found)
    assert found.to_bytes() in data or data.startswith(b":")
    return found


def read_firmware(data: bytes) -> object:
    """Firmware of any form, its kind, its cores, its bytes without gaps."""
    identify.identify(data)
    firmware = files.parse_firmware(data)
    files.split_cores(firmware)
    return firmware.flat()


def read_strangers(data: bytes) -> object:
    """Files of other tools: nothing is raised at all."""
    return [read(data) for read in (foreign.elf_facts, foreign.uf2_facts, foreign.srec_facts, foreign.suit_facts)]


def read_key(data: bytes) -> object:
    """A key file."""
    return keys.load_key(data, b"passphrase")


def read_package(data: bytes) -> object:
    """dfu_application.zip."""
    from smpdfu.dfu.package.package import Package

    return Package.from_bytes(data)


def read_multi_image(data: bytes) -> object:
    """dfu_multi_image.bin; what is read is written and read back the same."""
    from smpdfu.dfu.package.multi_image import dump, parse, read_images

    parts = parse(data)
    assert parse(dump(parts)) == parts
    return read_images(data)


def read_secure_dfu(data: bytes) -> object:
    """A Secure DFU zip, and its init packet; what is read is written and read back the same."""
    if data[:2] == b"PK":
        package = SecureDfuPackage.from_faulty(data)
        judge_package(package)
        if package.entries and not any(one.fault for one in package.entries):
            again = SecureDfuPackage.from_faulty(package.to_bytes())  # its manifest is sorted
            assert {one.name: one for one in again.entries} == {one.name: one for one in package.entries}
        return package
    packet = Packet.from_bytes(data)
    packet_facts(packet)
    assert packet.to_bytes() == data
    assert Packet.from_bytes(_without_bytes(packet).to_bytes()) == packet
    return packet


def check_nrf52_firmware(data: bytes) -> object:
    """Firmware for a Secure DFU package, as an application and as a bootloader."""
    part = Nrf52Firmware.of(files.parse_firmware(data), "fw.hex")
    system = SecureDfuOrder(hw_version=52, sd_req=(0x100,), bootloader=part, bootloader_version=1, chip="nrf52832")
    softdevice = SecureDfuOrder(hw_version=52, sd_req=(0x100,), softdevice=part)
    applications = [
        SecureDfuOrder(hw_version=52, sd_req=(number,), application=part, application_version=1, only_over_ble=True)
        for number in (0, 0x100)
    ]
    return [order_findings(one) for one in (system, softdevice, *applications)]


def _without_bytes(message: Any) -> Any:
    """The same message and messages in it, made of values: none keeps the bytes that it was read from."""
    if isinstance(message, tuple):
        return tuple(map(_without_bytes, message))
    if not is_dataclass(message) or isinstance(message, type):
        return message
    return replace(
        message, **{one.name: _without_bytes(getattr(message, one.name)) for one in fields(message) if one.init}
    )


def _zip(manifest: object, **members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return target.getvalue()


INIT_PACKET = bytes.fromhex("12180a0e08011208080710341a02800240001000") + b"\x1a\x04abcd"
IMAGES = _images()
PACKAGE = _zip({"format-version": 1, "files": [{"file": "app.bin", "type": "application"}]}, app_bin=IMAGES[0])
_MULTI_HEADER = cbor2.dumps({"img": [{"id": number, "size": len(IMAGES[0])} for number in (0, 1)]})
MULTI_IMAGE = struct.pack("<H", len(_MULTI_HEADER)) + _MULTI_HEADER + IMAGES[0] + IMAGES[0]
SECURE_DFU = _zip(
    {"manifest": {"application": {"bin_file": "app.bin", "dat_file": "app.dat"}}}, app_bin=b"x", app_dat=INIT_PACKET
)
NRF52_HEX = hexfile.encode(
    [
        hexfile.Segment(0x27000, struct.pack("<16I", 0x2000_4000, *[0x27201] * 15) + SECTION * 4),
        hexfile.Segment(0x10001014, SECTION[:4]),
    ]
)
ELF = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHII", 2, 40, 1, 0xC2A1) + bytes(40)
UF2 = struct.pack("<IIIIIIII", 0x0A324655, 0x9E5D5157, 0x2000, 0x26000, 256, 0, 3, 0xADA52840) + bytes(480)
SREC = b"S00600004844521B\nS2140C2000000000000000000000000000000000BF\nS9030000FC\n"
SUIT = b"\xd8\x6b\xa2\x02\x40\x03\x45\xa2\x01\x01\x02\x09"
PEMS = (KEY.to_private_pem(), KEY.to_pem(), OTHER_KEY.to_private_pem(b"passphrase"), ENCRYPTION_KEY.to_pem())

PARTITIONS = b"""
mcuboot: {address: 0x0, size: 0x8000}
mcuboot_primary: {address: 0x8000, end_address: 0xf7000, region: flash_primary, span: &id1 [mcuboot_pad, app]}
mcuboot_secondary: {address: 0x0, size: 0xef000, region: external_flash}
mcuboot_primary_1: {address: 0x0, size: 0x40000, region: ram_flash}
mcuboot_secondary_1: {address: 0xef000, size: 0x40000, region: external_flash}
settings_storage: {address: 0xf8000, size: 0x8000}
"""


def read_partitions(data: bytes) -> None:
    """A partition table of a virtual device."""
    read_layout(data, "own")


TARGETS = {
    "image": Target(read_image, IMAGES),
    "verify": Target(judge_image, IMAGES),
    "trailer": Target(read_trailer, (IMAGES[4],), (ImageError,)),
    "hex": Target(read_hex, (HEX, ODD_HEX), (ImageError,)),
    "firmware": Target(read_firmware, (HEX, FIRMWARE, ELF, UF2, SREC, PACKAGE), (ImageError,)),
    "seal": Target(read_seal, (SEALED, NSIB_FIRMWARE), (ImageError,)),
    "provision": Target(read_nsib_data, PROVISIONS, (ImageError,)),
    "strangers": Target(read_strangers, (ELF, UF2, SREC, SUIT), ()),
    "key": Target(read_key, PEMS, (SigningError,)),
    "package": Target(read_package, (PACKAGE, MULTI_IMAGE), (ImageError, PackageError)),
    "multiimage": Target(read_multi_image, (MULTI_IMAGE,), (PackageError,)),
    "securedfu": Target(read_secure_dfu, (INIT_PACKET, SECURE_DFU), (ImageError,)),
    "nrf52firmware": Target(check_nrf52_firmware, (NRF52_HEX, HEX, FIRMWARE), (ImageError,)),
    "partitions": Target(read_partitions, (PARTITIONS,), (ImageError,)),
    **BUILD_FOLDER_TARGETS,
    **WIRE_TARGETS,
    **SERVER_TARGETS,
}
"""Name -> target. A new parser is a row here."""
