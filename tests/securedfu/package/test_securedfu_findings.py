"""Every mistake that a package can have is named, on hex and bin files as people hand them over."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smpdfu.securedfu.making as making_room
from smpdfu.errors import ImageError, PlanError
from smpdfu.image.files import parse_firmware
from smpdfu.image.keys.keys import PrivateKey, load_private
from smpdfu.securedfu.findings import Finding, Severity
from smpdfu.securedfu.making.checks import order_findings
from smpdfu.securedfu.making.making import make_package
from smpdfu.securedfu.making.order import SecureDfuOrder
from smpdfu.securedfu.making.parts import Nrf52Firmware
from smpdfu.securedfu.making.system_checks import DFU_SERVICE_BASE
from smpdfu.securedfu.signature import bootloader_key
from tests.conftest import ROOT
from tests.securedfu.nrf52_firmware import (
    S132_7_2,
    S140_6_1,
    S140_7_2,
    bootloader,
    bootloader_hex,
    hex_of,
    mbr,
    program,
    settings,
    softdevice,
    softdevice_hex,
)

KEY = load_private((ROOT / "keys" / "dev-sign-p256.pem").read_bytes())
OTHER = load_private((ROOT / "tests" / "securedfu" / "other-key.pem").read_bytes())
PUBLIC = bootloader_key(OTHER)
APP = (0x27000, program(0x27000, tail=DFU_SERVICE_BASE))
BARE = (0x1000, program(0x1000))
SD = ((0, mbr()), (0x1000, softdevice()))
BL = (0xF8000, bootloader(key=PUBLIC))
UICR = (0x10001014, struct.pack("<I", 0xF8000))
SIGNED_BY_MCUBOOT = bytes.fromhex("3db8f396") + bytes(28) + program(0xC200)


def part(data: bytes, name: str = "fw.hex") -> Nrf52Firmware:
    return Nrf52Firmware.of(parse_firmware(data, name), name)


def application(*parts: tuple[int, bytes], data: bytes = b"", **more: Any) -> SecureDfuOrder:
    given: dict[str, Any] = {"hw_version": 52, "sd_req": (0x100,), "application_version": 1} | more
    return SecureDfuOrder(application=part(data or hex_of(*parts)), **given)


def new_bootloader(*parts: tuple[int, bytes], data: bytes = b"", **more: Any) -> SecureDfuOrder:
    given: dict[str, Any] = {"hw_version": 52, "sd_req": (0x100,), "bootloader_version": 1} | more
    return SecureDfuOrder(bootloader=part(data or hex_of(*parts)), **given)


def new_softdevice(data: bytes, **more: Any) -> SecureDfuOrder:
    given: dict[str, Any] = {"hw_version": 52, "sd_req": (0xCA,)} | more
    return SecureDfuOrder(softdevice=part(data), **given)


def codes(order: SecureDfuOrder, severity: Severity, key: PrivateKey | None = OTHER) -> set[str]:
    return {one.code for one in order_findings(order, key) if one.severity is severity}


GOOD: dict[str, SecureDfuOrder] = {
    "behind S140 7.2.0": application(APP),
    "the same as bin": application(data=APP[1]),
    "behind S140 6.1.0": application((0x26000, program(0x26000)), sd_req=(0xAE,)),
    "behind either of two SoftDevices": application(APP, sd_req=(0x100, 0xCA)),
    "a bin of 300 KiB behind a SoftDevice": application(data=program(0x27000, 300_000)),
    "in reach over BLE only": application(APP, only_over_ble=True),
    "a chip and a bootloader that are known": application(
        APP, chip="nrf52840", known_bootloader=part(bootloader_hex(key=PUBLIC), "bl.hex")
    ),
    "a bootloader without UICR is at its first byte": application(APP, known_bootloader=part(hex_of(BL), "bl.hex")),
    "a bootloader": new_bootloader(BL, UICR),
    "a bootloader as bin": new_bootloader(data=BL[1]),
    "a bootloader in its place": new_bootloader(
        BL, UICR, known_bootloader=part(bootloader_hex(key=PUBLIC)), chip="nrf52840", only_over_ble=True
    ),
    "a SoftDevice with its MBR": new_softdevice(softdevice_hex()),
    "a SoftDevice as bin": new_softdevice(softdevice()),
    "a SoftDevice and what runs on it": new_softdevice(
        softdevice_hex(), application=part(hex_of(APP)), application_version=1, sd_id=(0x100,)
    ),
    "a new major version with a new bootloader": SecureDfuOrder(
        hw_version=52,
        sd_req=(0xAE,),
        sd_id=(0x100,),
        softdevice=part(softdevice_hex()),
        bootloader=part(hex_of(BL, UICR)),
        bootloader_version=2,
        application=part(hex_of(APP)),
        application_version=1,
    ),
    "an external application is not looked at": application(data=bytes(range(200)), is_external=True, sd_req=()),
}


@pytest.mark.parametrize("title", GOOD)
def test_a_good_order_has_no_finding(title: str) -> None:
    assert order_findings(GOOD[title], OTHER) == ()


# A mistake -> what it is called, how grave it is, and the order that has it.
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
BAD: dict[str, tuple[str, Severity, SecureDfuOrder]] = {
    "0x1000 with a SoftDevice": ("no-softdevice-linked", ERROR, application(BARE)),
    "the same as bin": ("no-softdevice-linked", ERROR, application(data=BARE[1])),
    "behind a SoftDevice with 0x00": ("softdevice-linked", ERROR, application(APP, sd_req=(0,))),
    "the same as bin: 0x00": ("softdevice-linked", ERROR, application(data=APP[1], sd_req=(0,))),
    "0x00 first, then the SoftDevice": ("softdevice-linked", ERROR, application(APP, sd_req=(0x100, 0))),
    "a large bin that looks so": (
        "softdevice-linked",
        WARNING,
        application(data=program(0x27000, 300_000), sd_req=(0,)),
    ),
    "behind another SoftDevice": ("other-softdevice", ERROR, application((0x26000, program(0x26000)))),
    "behind another SoftDevice, as bin": (
        "other-softdevice",
        ERROR,
        application(data=program(0x26000, 4000, tail=b"")),
    ),
    "behind one of two": ("sd-req-differ", WARNING, application(APP, sd_req=(0x100, 0xAE))),
    "behind a SoftDevice that nobody knows": ("sd-req-unknown", NOTE, application(APP, sd_req=(0x1FF,))),
    "wrong for the known one of two": ("other-softdevice", WARNING, application(APP, sd_req=(0xAE, 0x1FF))),
    "not where the new SoftDevice ends": (
        "other-softdevice",
        ERROR,
        new_softdevice(
            softdevice_hex(S140_6_1),
            application=part(hex_of(APP)),
            application_version=1,
            sd_id=(0xAE,),
            sd_req=(0xA9,),
        ),
    ),
    "vectors that point elsewhere": ("vectors", ERROR, application((0x27000, program(0x50000)))),
    "a build without a bootloader": ("linked-at-zero", ERROR, application((0, program(0)))),
    "the same as bin: linked at 0": ("linked-at-zero", ERROR, application(data=program(0))),
    "no vectors": ("no-vectors", ERROR, application((0x27000, bytes(range(256)) * 20))),
    "erased flash": ("no-vectors", ERROR, application((0x27000, b"\xff" * 5000))),
    "an image for MCUboot": ("mcuboot-image", ERROR, application(data=SIGNED_BY_MCUBOOT)),
    "with the MBR": ("holds-mbr", ERROR, application((0, mbr()), APP)),
    "with the SoftDevice": ("holds-softdevice", ERROR, application(*SD, APP)),
    "with the bootloader": ("holds-bootloader", ERROR, application(APP, BL)),
    "with the bootloader, by UICR": ("holds-bootloader", ERROR, application(APP, (0xF8000, b"\1" * 256), UICR)),
    "with the bootloader, by the MBR": (
        "holds-bootloader",
        ERROR,
        application((0xFF8, struct.pack("<I", 0xF8000)), APP, (0xF8000, b"\1" * 256)),
    ),
    "up into the known bootloader": (
        "holds-bootloader",
        ERROR,
        application((0x27000, program(0x27000, 0x60000)), known_bootloader=part(bootloader_hex(0x78000), "bl.hex")),
    ),
    "with the bootloader's settings": ("holds-settings", ERROR, application(APP, (0xFF000, settings()))),
    "with settings of version 1": ("holds-settings", ERROR, application(APP, (0x7F000, settings(1)))),
    "in the last page of the chip": ("holds-settings", ERROR, application(APP, (0x7F000, b"\1" * 16), chip="nrf52832")),
    "with UICR": ("holds-uicr", WARNING, application(APP, (0x10001200, b"\0\0\0\0"))),
    "external flash": ("outside-flash", ERROR, application(APP, (0x12000000, bytes(16)))),
    "larger than the flash": (
        "too-large",
        ERROR,
        application(data=program(0x27000, 0x70000), chip="nrf52832"),
    ),
    "into the bootloader, as bin": (
        "too-large",
        ERROR,
        application(data=program(0x27000, 0x60000), known_bootloader=part(bootloader_hex(0x78000), "bl.hex")),
    ),
    "too large for two banks": (
        "one-bank",
        WARNING,
        application((0x27000, program(0x27000, 0x30000)), known_bootloader=part(bootloader_hex(0x78000), "bl.hex")),
    ),
    "any SoftDevice": ("sd-req-any", ERROR, application(APP, sd_req=(0xFFFE,))),
    "no ID of a SoftDevice": ("sd-req-range", ERROR, application(APP, sd_req=(0x10000,))),
    "more SoftDevices than fit": ("too-many", ERROR, application(APP, sd_req=tuple(range(0x100, 0x111)))),
    "in the place of the SoftDevice": ("replaces-softdevice", NOTE, application(BARE, sd_req=(0,))),
    "another hardware version": ("hw-version", WARNING, application(APP, hw_version=52840)),
    "a key that is not the bootloader's": (
        "other-key",
        ERROR,
        application(APP, known_bootloader=part(bootloader_hex(key=bytes(64)), "bl.hex")),
    ),
    "no BLE for what is in reach over BLE only": ("no-ble", ERROR, application(BARE, sd_req=(0,), only_over_ble=True)),
    "no way into the bootloader over BLE": (
        "no-buttonless",
        WARNING,
        application((0x27000, program(0x27000)), only_over_ble=True),
    ),
    "a bootloader with the MBR": ("holds-mbr", ERROR, new_bootloader((0, mbr()), BL)),
    "a bootloader with settings": ("holds-settings", ERROR, new_bootloader(BL, (0xFF000, settings()))),
    "a bootloader with the SoftDevice": ("holds-softdevice", ERROR, new_bootloader(*SD, BL)),
    "a bootloader without vectors": ("no-vectors", ERROR, new_bootloader((0xF8000, bytes(range(256)) * 20))),
    "an application as bootloader": ("no-bootloader", ERROR, new_bootloader(APP)),
    "a bootloader whose vectors point elsewhere": ("no-bootloader", ERROR, new_bootloader((0xF9000, BL[1]))),
    "a bootloader for another address": (
        "bootloader-address",
        ERROR,
        new_bootloader((0xF4000, bootloader(0xF4000, key=PUBLIC)), known_bootloader=part(bootloader_hex())),
    ),
    "a bootloader that UICR does not name": (
        "bootloader-address",
        ERROR,
        new_bootloader((0xF4000, bootloader(0xF4000, key=PUBLIC)), UICR),
    ),
    "a bootloader in the middle of a page": (
        "bootloader-address",
        ERROR,
        new_bootloader((0xF8100, bootloader(0xF8100, key=PUBLIC))),
    ),
    "a bootloader over the last two pages": (
        "too-large",
        ERROR,
        new_bootloader((0x78000, bootloader(0x78000, 0x7000, key=PUBLIC)), chip="nrf52832"),
    ),
    "a bootloader with another key": ("bootloader-key-changes", WARNING, new_bootloader((0xF8000, bootloader()), UICR)),
    "a bootloader without BLE": ("no-ble", WARNING, new_bootloader((0xF8000, bootloader(key=PUBLIC, ble=False)))),
    "the same where BLE is the only way": (
        "no-ble",
        ERROR,
        new_bootloader((0xF8000, bootloader(key=PUBLIC, ble=False)), only_over_ble=True),
    ),
    "no SoftDevice": ("no-softdevice", ERROR, new_softdevice(hex_of(APP))),
    "a SoftDevice and more": ("holds-application", ERROR, new_softdevice(hex_of(*SD, APP))),
    "another SoftDevice than sd_id": (
        "sd-id",
        ERROR,
        new_softdevice(softdevice_hex(), application=part(hex_of(APP)), application_version=1, sd_id=(0xCA,)),
    ),
    "another major version alone": ("softdevice-major", WARNING, new_softdevice(softdevice_hex(), sd_req=(0xAE,))),
    "S132 over S140": ("softdevice-family", WARNING, new_softdevice(softdevice_hex(S132_7_2), sd_req=(0x100,))),
    "the same with a bootloader": (
        "softdevice-family",
        WARNING,
        new_softdevice(
            softdevice_hex(S132_7_2), sd_req=(0x100,), bootloader=part(hex_of(BL, UICR)), bootloader_version=2
        ),
    ),
    "over a SoftDevice, or where none is": (
        "softdevice-or-none",
        WARNING,
        new_softdevice(softdevice_hex(), sd_req=(0xCA, 0)),
    ),
    "an external application in UICR": (
        "not-sent",
        ERROR,
        application(APP, (0x12000000, bytes(16)), is_external=True, sd_req=()),
    ),
    "a bootloader beyond the flash of every chip": (
        "too-large",
        ERROR,
        new_bootloader((0xFC000, bootloader(0xFC000, 0x5000, key=PUBLIC))),
    ),
    "up into the settings, as bin": ("too-large", ERROR, application(data=program(0x27000, 0xD8000))),
}


@pytest.mark.parametrize("title", BAD)
def test_a_mistake_is_named(title: str) -> None:
    code, severity, order = BAD[title]
    assert code in codes(order, severity)


@pytest.mark.parametrize("title", [title for title, (_, severity, _) in BAD.items() if severity is ERROR])
def test_an_error_makes_no_package_unless_forced(title: str) -> None:
    code, _, order = BAD[title]
    with pytest.raises(PlanError) as caught:
        make_package(order, OTHER)
    assert code in caught.value.codes
    made = make_package(order, OTHER, force=True)
    assert code in {one.code for one in made.findings}
    assert made.package.entries


def test_a_key_that_everybody_has_is_named() -> None:
    assert "known-key" in codes(application(APP), WARNING, KEY)


def test_every_finding_of_the_room_has_a_row() -> None:
    named = re.compile(r"""(?:Finding|_error)\((?:part, )?\s*"([a-z0-9-]+)"|yield _error\(\s*"([a-z-]+)",""")
    sources = "".join(path.read_text() for path in Path(making_room.__path__[0]).glob("*.py"))
    found = {first or second for first, second in named.findall(sources)}
    assert len(found) > 25
    assert found - {code for code, _, _ in BAD.values()} <= {"known-key"}


def test_every_finding_is_a_sentence_without_its_full_stop() -> None:
    for _, _, order in BAD.values():
        for one in order_findings(order, OTHER):
            assert_sentence(one)


def assert_sentence(one: Finding) -> None:
    assert re.fullmatch(r"[^\s.].*[^\s.]", one.message), one.message
    assert not one.advice or re.fullmatch(r"[A-Z].*[^\s.]", one.advice), one.advice


RULES: dict[str, tuple[Callable[[], SecureDfuOrder], str]] = {
    "nothing": (lambda: SecureDfuOrder(hw_version=52, sd_req=(0,)), "nothing to pack"),
    "bootloader and application": (
        lambda: application(APP, bootloader=part(hex_of(BL)), bootloader_version=1),
        "two packages",
    ),
    "an external application and more": (
        lambda: application(APP, is_external=True, softdevice=part(softdevice_hex()), sd_id=(1,)),
        "alone",
    ),
    "SoftDevice and application without sd_id": (
        lambda: application(APP, softdevice=part(softdevice_hex())),
        "ID of the new SoftDevice",
    ),
    "no version": (lambda: application(APP, application_version=None), "needs a version"),
    "a version of nothing": (lambda: application(APP, bootloader_version=1), "no bootloader"),
    "no hardware version": (lambda: application(APP, hw_version=None), "hardware version"),
    "no sd_req": (lambda: application(APP, sd_req=()), "sd_req"),
    "a chip of another family": (lambda: application(APP, chip="nrf5340"), "nrf52840"),
    "a number of 33 bits": (lambda: application(APP, hw_version=1 << 32), "32 bits"),
}


@pytest.mark.parametrize("title", RULES)
def test_what_cannot_be_ordered_is_a_value_error(title: str) -> None:
    order, words = RULES[title]
    with pytest.raises(ValueError, match=words):
        order()


def test_the_files_of_s140_7_2_0_are_where_nordic_puts_them() -> None:
    found = part(softdevice_hex()).softdevice
    assert found is not None
    assert (found.fwid, found.end, found.version_words) == (S140_7_2[0], 0x27000, "7.2.0")


def test_a_softdevice_or_an_application_behind_the_mbr_is_no_bootloader() -> None:
    for made in (application(*SD), application((0, mbr()), (0x1000, program(0x1000)))):
        assert "holds-bootloader" not in {one.code for one in order_findings(made)}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: application(BL, UICR), "is a bootloader, from 0xf8000 on. Give the hex file of the application alone"),
        (lambda: application(*SD), "is a SoftDevice 7.2.0 (ID 0x100, up to 0x27000). Give the hex file of the appl"),
        (lambda: application(*SD, APP), "also holds a SoftDevice"),
        (lambda: new_bootloader(*SD, BL), "Give the hex file of the bootloader alone"),
    ],
)
def test_a_file_of_another_part_is_told_from_one_that_has_more(made: Callable[[], SecureDfuOrder], words: str) -> None:
    assert any(words in one.words for one in order_findings(made()))


def test_parts_that_are_too_far_apart_are_named_with_their_file() -> None:
    with pytest.raises(
        ImageError, match=r"far\.hex has parts at 0x27000 and at 0xfff0000, .* Give the hex file of one"
    ):
        part(hex_of(APP, (0xFFF0000, bytes(16))), "far.hex")


@pytest.mark.parametrize("name", ["fw.hex", "FW.hex"])
def test_the_files_of_a_package_have_names_that_differ_on_every_disk(name: str) -> None:
    made = make_package(
        SecureDfuOrder(
            hw_version=52,
            sd_req=(0xCA,),
            sd_id=(0x100,),
            softdevice=part(softdevice_hex(), "fw.hex"),
            application=part(hex_of(APP), name),
            application_version=1,
        ),
        OTHER,
    )
    names = [one.bin_file.lower() for one in made.package.entries]
    assert len(set(names)) == len(names) == 2
