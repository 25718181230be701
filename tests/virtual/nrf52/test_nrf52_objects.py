"""Objects of firmware: what the bootloader accepts, what it writes, and what it remembers."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from smpdfu.image.secure_dfu.flash import PAGE_SIZE
from smpdfu.image.secure_dfu.init_packet import BootValidation, ValidationType
from smpdfu.securedfu.protocol.messages import (
    Abort,
    Answer,
    Checksum,
    CreateObject,
    Execute,
    ExtendedError,
    FirmwareType,
    FirmwareVersion,
    GetChecksum,
    GetFirmwareVersion,
    GetHardwareVersion,
    GetMtu,
    GetProtocolVersion,
    HardwareVersion,
    Mtu,
    ObjectType,
    Ping,
    Pong,
    ProtocolVersion,
    Request,
    Result,
    Selected,
    SelectObject,
    SetReceipts,
    WriteObject,
)
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.settings import BankCode
from smpdfu.virtual.nrf52.start import Nrf52Ending
from tests.virtual.nrf52.nrf52_bench import S140_7_2, Host, firmware, init_command, new_device, sign, signature

OLD = firmware(0x1000, 1)
NEW = firmware(0x1000, 2, 10_000)
BANK_1 = 0x3000
"""Behind the old application of 8 KiB."""


def started(build: Nrf52Build | None = None, **device: object) -> Host:
    """A host of a device that runs DFU mode, with an accepted init packet of ``NEW``."""
    made = new_device(build or Nrf52Build(), app=OLD, **device)  # type: ignore[arg-type]
    made.reset(wants_dfu=True)
    host = Host(made)
    assert host.send_init(sign(init_command(NEW))).result == Result.SUCCESS
    return host


def test_without_an_init_packet_no_data_is_taken() -> None:
    device = new_device(app=OLD)
    device.enter_dfu()
    host = Host(device)
    assert host.ask(CreateObject(ObjectType.DATA, PAGE_SIZE)).result == Result.OPERATION_NOT_PERMITTED


@pytest.mark.parametrize(
    ("size", "result"),
    [
        (0, Result.INVALID_PARAMETER),
        (100, Result.INVALID_PARAMETER),
        (2 * PAGE_SIZE, Result.INSUFFICIENT_RESOURCES),
        (PAGE_SIZE, Result.SUCCESS),
    ],
)
def test_the_sizes_of_data_objects(size: int, result: Result) -> None:
    assert started().ask(CreateObject(ObjectType.DATA, size)).result == result


def test_the_last_object_has_exactly_the_rest() -> None:
    host = started()
    for at in (0, PAGE_SIZE):
        host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
        host.put(NEW[at : at + PAGE_SIZE])
        host.succeed(Execute())
    assert host.ask(CreateObject(ObjectType.DATA, PAGE_SIZE)).result == Result.OPERATION_NOT_PERMITTED
    assert host.ask(CreateObject(ObjectType.DATA, 1804)).result == Result.INVALID_PARAMETER
    assert host.ask(CreateObject(ObjectType.DATA, len(NEW) - 2 * PAGE_SIZE)).result == Result.SUCCESS


def test_an_object_that_is_not_full_is_not_executed() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[: PAGE_SIZE - 64])
    assert host.ask(Execute()).result == Result.OPERATION_NOT_PERMITTED
    host.put(NEW[PAGE_SIZE - 64 : PAGE_SIZE])
    assert host.ask(Execute()).result == Result.SUCCESS


def test_too_many_bytes_are_dropped_without_a_word() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[:PAGE_SIZE])
    host.put(b"\0" * 4)
    assert host.succeed(GetChecksum()).content == Checksum(PAGE_SIZE, zlib.crc32(NEW[:PAGE_SIZE]))


def test_writes_of_no_whole_words_are_dropped_without_a_word() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[:63])
    assert host.succeed(GetChecksum()).content == Checksum(0, 0)


def test_a_new_object_drops_the_one_under_way() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(b"\0" * 640)
    assert host.succeed(GetChecksum()).content == Checksum(640, zlib.crc32(bytes(640)))
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    assert host.succeed(SelectObject(ObjectType.DATA)).content == Selected(PAGE_SIZE, 0, 0)
    assert host.send_data(NEW).result == Result.SUCCESS


def test_offset_and_checksum_count_over_all_objects() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[:PAGE_SIZE])
    host.succeed(Execute())
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[PAGE_SIZE : PAGE_SIZE + 64])
    done = PAGE_SIZE + 64
    assert host.succeed(SelectObject(ObjectType.DATA)).content == Selected(PAGE_SIZE, done, zlib.crc32(NEW[:done]))


def test_receipts_come_after_every_so_many_writes_and_each_object_counts_anew() -> None:
    host = started()
    host.succeed(SetReceipts(3))
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    answers = [host.device.handle(WriteObject(NEW[at : at + 64]).to_bytes()) for at in range(0, 448, 64)]
    found = [None if one is None else Answer.from_bytes(one).content for one in answers]
    receipts = [Checksum(size, zlib.crc32(NEW[:size])) for size in (192, 384)]
    assert found == [None, None, receipts[0], None, None, receipts[1], None]
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    assert [host.device.handle(WriteObject(NEW[:64]).to_bytes()) is None for _ in range(3)] == [True, True, False]


def test_wrong_firmware_is_refused_and_the_old_application_starts() -> None:
    host = started()
    answer = host.send_data(bytes(len(NEW)))
    assert (answer.result, answer.extended) == (Result.EXTENDED_ERROR, ExtendedError.VERIFICATION_FAILED)
    assert host.device.ending is Nrf52Ending.APPLICATION
    assert host.device.chip.read(0x1000, len(OLD)) == OLD
    assert host.device.chip.settings.app_version == 1


def test_an_abort_restarts_the_device() -> None:
    host = started()
    host.succeed(Abort())
    assert host.device.ending is Nrf52Ending.APPLICATION


def test_after_a_reset_the_init_packet_is_there_and_the_firmware_begins_anew() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[:PAGE_SIZE])
    host.succeed(Execute())
    host.device.reset(wants_dfu=True)
    packet = sign(init_command(NEW))
    assert host.succeed(SelectObject(ObjectType.COMMAND)).content == Selected(512, len(packet), zlib.crc32(packet))
    assert host.ask(Execute()).result == Result.SUCCESS
    assert host.succeed(SelectObject(ObjectType.DATA)).content == Selected(PAGE_SIZE, 0, 0)
    assert host.send_data(NEW).result == Result.SUCCESS
    assert host.device.ending is Nrf52Ending.APPLICATION


def test_a_build_that_saves_progress_goes_on_after_a_reset() -> None:
    host = started(Nrf52Build(saves_progress=True))
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[:PAGE_SIZE])
    host.succeed(Execute())
    host.device.reset(wants_dfu=True)
    crc = zlib.crc32(NEW[:PAGE_SIZE])
    assert host.succeed(SelectObject(ObjectType.DATA)).content == Selected(PAGE_SIZE, PAGE_SIZE, crc)
    assert host.send_data(NEW).result == Result.SUCCESS
    assert host.device.chip.read(0x1000, len(NEW)) == NEW


def test_a_lost_transport_forgets_what_is_not_saved() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[:640])
    assert host.device.bootloader is not None
    host.device.bootloader.lose_transport()
    assert host.succeed(SelectObject(ObjectType.DATA)).content == Selected(PAGE_SIZE, 0, 0)
    assert host.send_data(NEW).result == Result.SUCCESS


# --- banks ----------------------------------------------------------------------------------------------------------


def test_the_update_is_received_beside_the_old_application() -> None:
    host = started()
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    host.put(NEW[:PAGE_SIZE])
    assert host.device.chip.read(BANK_1, PAGE_SIZE) == NEW[:PAGE_SIZE]
    assert host.device.chip.read(0x1000, len(OLD)) == OLD
    assert host.device.reset() is Nrf52Ending.APPLICATION


def test_a_single_bank_overwrites_the_old_application() -> None:
    host = started(Nrf52Build(single_bank=True))
    host.succeed(CreateObject(ObjectType.DATA, PAGE_SIZE))
    assert host.device.chip.read(0x1000, 4) == b"\xff" * 4
    assert host.device.reset() is Nrf52Ending.DFU


BIG = firmware(0x1000, 2, 0x8_0000)


def test_an_update_that_does_not_fit_beside_it_takes_the_place_of_the_old_application() -> None:
    old = firmware(0x1000, 1, 0x8_0000)
    device = new_device(app=old)
    device.enter_dfu()
    host = Host(device)
    assert host.send_init(sign(init_command(BIG))).result == Result.SUCCESS
    assert device.chip.settings.bank_0.code == BankCode.INVALID
    assert device.reset() is Nrf52Ending.DFU
    assert host.send_data(BIG).result == Result.SUCCESS
    assert device.ending is Nrf52Ending.APPLICATION


def test_a_forced_dual_bank_keeps_the_old_application_and_refuses() -> None:
    device = new_device(Nrf52Build(forces_dual_bank=True), app=firmware(0x1000, 1, 0x8_0000))
    device.enter_dfu()
    assert Host(device).send_init(sign(init_command(BIG))).result == Result.INSUFFICIENT_RESOURCES
    assert device.reset() is Nrf52Ending.APPLICATION


def test_an_application_without_a_softdevice_takes_its_place() -> None:
    device = new_device(softdevice=S140_7_2, app=firmware(S140_7_2.end, 1))
    device.enter_dfu()
    assert Host(device).update(sign(init_command(NEW, sd_req=(0,))), NEW).result == Result.SUCCESS
    assert device.chip.softdevice is None
    assert device.chip.read(0x1000, len(NEW)) == NEW
    assert device.ending is Nrf52Ending.APPLICATION


# --- boot validation ------------------------------------------------------------------------------------------------


def checked(kind: ValidationType, data: bytes = b"") -> VirtualNrf52:
    """A device that was updated to ``NEW`` with this boot validation."""
    host = Host(new_device())
    host.device.reset()
    init = init_command(NEW, boot_validation=(BootValidation(kind, data),))
    assert host.update(sign(init), NEW).result == Result.SUCCESS
    assert host.device.ending is Nrf52Ending.APPLICATION
    return host.device


@pytest.mark.parametrize(
    ("kind", "boots"),
    [
        (ValidationType.NO_VALIDATION, True),
        (ValidationType.VALIDATE_GENERATED_CRC, False),
        (ValidationType.VALIDATE_SHA256, False),
    ],
)
def test_a_damaged_application_boots_only_without_boot_validation(kind: ValidationType, boots: bool) -> None:
    device = checked(kind)
    device.chip.load(0x1000 + 4096, b"damaged!")
    assert device.reset() is (Nrf52Ending.APPLICATION if boots else Nrf52Ending.DFU)


def test_a_boot_validation_by_signature_is_checked_at_each_boot() -> None:
    device = checked(ValidationType.VALIDATE_ECDSA_P256_SHA256, signature(NEW))
    assert device.reset() is Nrf52Ending.APPLICATION
    device.chip.load(0x1000 + 4096, b"damaged!")
    assert device.reset() is Nrf52Ending.DFU


def test_a_build_for_signed_boots_refuses_another_boot_validation() -> None:
    device = new_device(Nrf52Build(requires_app_signature=True))
    device.reset()
    assert Host(device).update(sign(init_command(NEW)), NEW).result == Result.INVALID_OBJECT
    assert device.ending is Nrf52Ending.DFU


def test_a_debug_bootloader_boots_in_spite_of_a_wrong_crc() -> None:
    device = new_device(Nrf52Build(allows_debug=True), app=OLD)
    device.chip.load(0x1000 + 4096, b"damaged!")
    assert device.reset() is Nrf52Ending.APPLICATION


# --- what the bootloader tells --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "content"),
    [
        (GetProtocolVersion(), ProtocolVersion(1)),
        (GetHardwareVersion(), HardwareVersion(0x52840, 0x41414430, 0x10_0000, 0x4_0000, 4096)),
        (GetFirmwareVersion(0), FirmwareVersion(FirmwareType.BOOTLOADER, 1, 0xF_8000, 0x6000)),
        (GetFirmwareVersion(1), FirmwareVersion(FirmwareType.SOFTDEVICE, 7_002_000, 0x1000, 0x27000)),
        (GetFirmwareVersion(2), FirmwareVersion(FirmwareType.APPLICATION, 1, 0x27000, 8192)),
        (GetFirmwareVersion(3), FirmwareVersion(FirmwareType.UNKNOWN, 0, 0, 0)),
        (Ping(7), Pong(7)),
        (GetMtu(), Mtu(131)),
    ],
)
def test_what_it_is_asked_for_over_serial_and_not_over_bluetooth(request_: Request, content: object) -> None:
    device = new_device(softdevice=S140_7_2, app=firmware(S140_7_2.end))
    device.enter_dfu()
    assert Host(device).succeed(request_).content == content
    over_air = new_device(replace(Nrf52Build(), transport=Transport.BLE), softdevice=S140_7_2)
    over_air.reset()
    assert Host(over_air).ask(request_).result == Result.OPCODE_NOT_SUPPORTED


def test_an_unknown_opcode_and_a_short_request_are_answered() -> None:
    device = new_device()
    device.reset()
    assert device.handle(b"\x42") == b"\x60\x42\x02"
    assert device.handle(b"\x01") == b"\x60\x01\x05"  # kind 0
    assert device.handle(b"") is None
