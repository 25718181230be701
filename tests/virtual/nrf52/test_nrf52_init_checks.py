"""Every refusal of an init packet, with the answer of nRF5 SDK 17, and that the checks come in the SDK's order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from smpdfu.image.secure_dfu.init_packet import (
    BootValidation,
    Command,
    FwType,
    Hash,
    HashType,
    InitCommand,
    OpCode,
    Packet,
    SignedCommand,
    ValidationType,
)
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.securedfu.protocol.messages import CreateObject, Execute, ExtendedError, ObjectType, Result, SelectObject
from smpdfu.virtual.nrf52.build import DEFAULT_BUILD, Nrf52Build, Transport
from smpdfu.virtual.nrf52.device import VirtualNrf52
from tests.virtual.nrf52.nrf52_bench import (
    NRF52840,
    OTHER_KEY,
    S140_7_2,
    Host,
    bootloader,
    firmware,
    init_command,
    new_device,
    sign,
    signature,
)

APP = firmware(0x1000, 2)
INIT = init_command(APP)


def answer_to(packet: bytes, build: Nrf52Build = DEFAULT_BUILD, **device: object) -> tuple[int, int | None]:
    """The result and the extended error of a device that gets this init packet."""
    made = new_device(build, **device)  # type: ignore[arg-type]
    made.reset(wants_dfu=True)
    answer = Host(made).send_init(packet)
    return answer.result, answer.extended


def extended(error: ExtendedError) -> tuple[int, int]:
    return Result.EXTENDED_ERROR, error


def packet_of(init: InitCommand, signature: bytes | None = None, kind: int | None = 0) -> bytes:
    return Packet(signed_command=SignedCommand(Command(OpCode.INIT, init), kind, signature)).to_bytes()


INVALID_INIT = extended(ExtendedError.INIT_COMMAND_INVALID)
INVALID_OBJECT = (Result.INVALID_OBJECT, None)
FAILED = (Result.OPERATION_FAILED, None)


@dataclass(frozen=True)
class Row:
    """A fault of an init packet, and the answer. Rows are in the SDK's order: an earlier fault hides a later one."""

    name: str
    make: Callable[[InitCommand], bytes]
    answer: tuple[int, int | None]


ROWS = [
    Row("garbage", lambda init: b"\xff" * 40, INVALID_OBJECT),
    Row("no init command", lambda init: Packet(command=Command(OpCode.INIT, None)).to_bytes(), INVALID_OBJECT),
    Row("hash of no type", lambda init: sign(replace(init, hash=Hash(None, bytes(32)))), INVALID_OBJECT),
    Row("hash too long", lambda init: sign(replace(init, hash=Hash(HashType.SHA256, bytes(33)))), INVALID_OBJECT),
    Row("too many SoftDevices", lambda init: sign(replace(init, sd_req=(1,) * 17)), INVALID_OBJECT),
    Row("no signature type", lambda init: packet_of(init, signature(init.to_bytes()), None), INVALID_OBJECT),
    Row("signature too long", lambda init: packet_of(init, bytes(65)), INVALID_OBJECT),
    Row("unsigned", lambda init: Packet(command=Command(OpCode.INIT, init)).to_bytes(), extended(ExtendedError(8))),
    Row(
        "Ed25519",
        lambda init: packet_of(init, signature(init.to_bytes()), 1),
        extended(ExtendedError.WRONG_SIGNATURE_TYPE),
    ),
    Row("short signature", lambda init: packet_of(init, signature(init.to_bytes())[:63]), FAILED),
    Row("another key", lambda init: sign(init, OTHER_KEY), INVALID_OBJECT),
    Row("no type", lambda init: sign(replace(init, type=None)), INVALID_INIT),
    Row("unknown type", lambda init: sign(replace(init, type=7)), INVALID_INIT),
    Row("external application", lambda init: sign(replace(init, type=FwType.EXTERNAL_APPLICATION)), INVALID_INIT),
    Row("no hash", lambda init: sign(replace(init, hash=None)), extended(ExtendedError.WRONG_HASH_TYPE)),
    Row(
        "CRC as the hash",
        lambda init: sign(replace(init, hash=Hash(HashType.CRC, bytes(4)))),
        extended(ExtendedError.WRONG_HASH_TYPE),
    ),
    Row("no hardware version", lambda init: sign(replace(init, hw_version=None)), INVALID_INIT),
    Row(
        "another hardware",
        lambda init: sign(replace(init, hw_version=51)),
        extended(ExtendedError.HW_VERSION_FAILURE),
    ),
    Row(
        "a SoftDevice that is not there",
        lambda init: sign(replace(init, sd_req=(0x100,))),
        extended(ExtendedError.SD_VERSION_FAILURE),
    ),
    Row(
        "no version, and so unknown whether the SoftDevice may go",
        lambda init: sign(replace(init, fw_version=None)),
        extended(ExtendedError.SD_VERSION_FAILURE),
    ),
    Row("an older version", lambda init: sign(replace(init, fw_version=4)), extended(ExtendedError(5))),
    Row("no size", lambda init: sign(replace(init, app_size=0)), INVALID_INIT),
    Row("too big", lambda init: sign(replace(init, app_size=0x10_0000)), (Result.INSUFFICIENT_RESOURCES, None)),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_fault_has_its_answer(row: Row) -> None:
    assert answer_to(row.make(replace(INIT, fw_version=6)), app=APP, app_version=5) == row.answer


FIELDS = (
    ("no type", {"type": None}),
    ("no hash", {"hash": None}),
    ("no hardware version", {"hw_version": None}),
    ("another hardware", {"hw_version": 51}),
    ("a SoftDevice that is not there", {"sd_req": (0x100,)}),
    ("an older version", {"fw_version": 4}),
    ("no size", {"app_size": 0}),
)


@pytest.mark.parametrize("first", range(len(FIELDS) - 1), ids=lambda number: FIELDS[number][0])
def test_an_earlier_fault_hides_all_later_ones(first: int) -> None:
    changes: dict[str, object] = {}
    for _, one in reversed(FIELDS[first:]):
        changes |= one
    expected = next(row.answer for row in ROWS if row.name == FIELDS[first][0])
    wrong = replace(INIT, **changes)  # type: ignore[arg-type]
    assert answer_to(sign(wrong), app=APP, app_version=5) == expected
    assert answer_to(sign(wrong, OTHER_KEY), app=APP, app_version=5) == INVALID_OBJECT
    unsigned = Packet(command=Command(OpCode.INIT, wrong)).to_bytes()
    assert answer_to(unsigned, app=APP, app_version=5) == extended(ExtendedError.SIGNATURE_MISSING)


def test_a_signed_and_an_unsigned_command_together_are_refused() -> None:
    command = Command(OpCode.INIT, INIT)
    both = Packet(command=command, signed_command=SignedCommand(command, 0, signature(INIT.to_bytes()))).to_bytes()
    assert answer_to(both) == INVALID_OBJECT


def test_a_bootloader_without_a_key_accepts_nothing_signed() -> None:
    device = new_device()
    device.trust = replace(device.trust, key=None)
    bare = VirtualNrf52(NRF52840, device.trust, flash=device.chip.flash)
    bare.reset()
    assert Host(bare).send_init(sign(INIT)).result == Result.INVALID_OBJECT


def test_the_same_version_is_accepted_unless_the_build_says_no() -> None:
    same = sign(replace(INIT, fw_version=5))
    assert answer_to(same, app=APP, app_version=5) == (Result.SUCCESS, None)
    strict = Nrf52Build(accepts_same_version=False)
    assert answer_to(same, strict, app=APP, app_version=5) == extended(ExtendedError.FW_VERSION_FAILURE)


def test_a_build_without_downgrade_prevention_takes_any_application() -> None:
    free = Nrf52Build(prevents_downgrade=False)
    for version in (0, None):
        assert answer_to(sign(replace(INIT, fw_version=version)), free, app=APP, app_version=5)[0] == Result.SUCCESS


def test_a_build_that_needs_no_signature_takes_unsigned_applications_only() -> None:
    free = Nrf52Build(requires_signed_app=False)
    unsigned = Packet(command=Command(OpCode.INIT, INIT)).to_bytes()
    assert answer_to(unsigned, free) == (Result.SUCCESS, None)
    new = init_command(bootloader(2), type=FwType.BOOTLOADER, app_size=None, bl_size=len(bootloader(2)))
    unsigned = Packet(command=Command(OpCode.INIT, new)).to_bytes()
    assert answer_to(unsigned, free) == extended(ExtendedError.SIGNATURE_MISSING)


@pytest.mark.parametrize("allows_debug", [True, False])
def test_only_a_debug_bootloader_passes_over_versions_of_a_debug_packet(allows_debug: bool) -> None:
    packet = sign(replace(INIT, is_debug=True, hw_version=1, sd_req=(0xFFFE,), fw_version=0))
    build = Nrf52Build(allows_debug=allows_debug)
    expected = (Result.SUCCESS, None) if allows_debug else extended(ExtendedError.HW_VERSION_FAILURE)
    assert answer_to(packet, build, app=APP, app_version=5) == expected


BLE = Nrf52Build(transport=Transport.BLE)


@pytest.mark.parametrize(
    ("sd_req", "build", "softdevice", "accepted"),
    [
        ((0x100,), DEFAULT_BUILD, S140_7_2, True),
        ((0xB6, 0x100), DEFAULT_BUILD, S140_7_2, True),
        ((0xB6,), DEFAULT_BUILD, S140_7_2, False),
        ((), DEFAULT_BUILD, S140_7_2, False),
        ((0,), DEFAULT_BUILD, S140_7_2, True),
        ((0, 0x100), DEFAULT_BUILD, S140_7_2, True),
        ((0, 0xB6), DEFAULT_BUILD, S140_7_2, False),
        ((0, 0x100), BLE, S140_7_2, False),
        ((0,), BLE, S140_7_2, True),
        ((0xFFFE,), DEFAULT_BUILD, S140_7_2, False),
        ((), DEFAULT_BUILD, None, True),
        ((0,), DEFAULT_BUILD, None, True),
        ((0x100,), DEFAULT_BUILD, None, False),
    ],
)
def test_the_softdevice_rule(
    sd_req: tuple[int, ...], build: Nrf52Build, softdevice: SoftDeviceInfo | None, accepted: bool
) -> None:
    found = answer_to(sign(replace(INIT, sd_req=sd_req)), build, softdevice=softdevice)
    assert found == ((Result.SUCCESS, None) if accepted else extended(ExtendedError.SD_VERSION_FAILURE))


def test_bootloaders_have_a_version_of_their_own() -> None:
    image = bootloader(2)
    system = init_command(image, type=FwType.BOOTLOADER, app_size=None, bl_size=len(image))
    assert answer_to(sign(replace(system, fw_version=1))) == extended(ExtendedError.FW_VERSION_FAILURE)  # its own
    assert answer_to(sign(replace(system, fw_version=2)), app=APP, app_version=9)[0] == Result.SUCCESS
    too_big = replace(system, bl_size=NRF52840.bootloader.size_bytes + 1)
    assert answer_to(sign(too_big)) == (Result.INSUFFICIENT_RESOURCES, None)


def test_external_applications_need_a_build_for_them() -> None:
    packet = sign(replace(INIT, type=FwType.EXTERNAL_APPLICATION, sd_req=(0xFFFE,)))
    assert answer_to(packet, Nrf52Build(external_app=True)) == (Result.SUCCESS, None)


# --- the object that the packet comes in ----------------------------------------------------------------------


def in_dfu() -> Host:
    device = new_device()
    device.reset()
    return Host(device)


def test_a_command_object_has_1_to_512_bytes() -> None:
    host = in_dfu()
    assert host.ask(CreateObject(ObjectType.COMMAND, 0)).result == Result.INVALID_PARAMETER
    assert host.ask(CreateObject(ObjectType.COMMAND, 513)).result == Result.INSUFFICIENT_RESOURCES
    assert host.ask(CreateObject(ObjectType.COMMAND, 512)).result == Result.SUCCESS


def test_an_incomplete_packet_is_not_executed() -> None:
    host = in_dfu()
    packet = sign(INIT)
    host.succeed(CreateObject(ObjectType.COMMAND, len(packet)))
    host.put(packet[:-4])
    assert host.ask(Execute()).result == Result.OPERATION_NOT_PERMITTED
    host.put(packet[-4:])
    assert host.ask(Execute()).result == Result.SUCCESS


def test_a_valid_packet_that_is_executed_again_stays_valid() -> None:
    host = in_dfu()
    assert host.send_init(sign(INIT)).result == Result.SUCCESS
    assert host.ask(Execute()).result == Result.SUCCESS
    assert host.send_data(APP).result == Result.SUCCESS


def test_objects_of_no_kind_are_refused_until_the_next_choice() -> None:
    host = in_dfu()
    assert host.ask(SelectObject(3)).result == Result.INVALID_OBJECT
    assert host.ask(Execute()).result == Result.INVALID_OBJECT
    assert host.ask(SelectObject(ObjectType.COMMAND)).result == Result.SUCCESS


# --- boot validation in the packet ----------------------------------------------------------------------


def test_a_boot_validation_that_does_not_fit_the_firmware_is_refused_at_the_end() -> None:
    wrong = BootValidation(ValidationType.VALIDATE_ECDSA_P256_SHA256, bytes(64))
    host = in_dfu()
    answer = host.update(sign(replace(INIT, boot_validation=(wrong,))), APP)
    assert (answer.result, answer.extended) == INVALID_OBJECT
