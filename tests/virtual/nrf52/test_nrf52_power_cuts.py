"""The power is cut at every flash operation of an update: there is always a bootloader, and the update can go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from smpdfu.image.secure_dfu.init_packet import BootValidation, FwType, InitCommand, ValidationType
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.securedfu.protocol.messages import Result
from smpdfu.virtual.chip.flash import Tear
from smpdfu.virtual.nrf52.build import DEFAULT_BUILD, Nrf52Build, Transport
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.softdevice import make_softdevice
from smpdfu.virtual.nrf52.start import Nrf52Ending
from tests.virtual.nrf52.nrf52_bench import (
    NRF52840,
    Host,
    bootloader,
    firmware,
    init_command,
    new_device,
    sign,
    signature,
)

OLD = firmware(0x1000, 1, 4096)
NEW = firmware(0x1000, 2, 8192 + 100)
SMALL = SoftDeviceInfo(end=0x5000, fwid=0x100, family=140, version=7_002_000)
"""A SoftDevice of four pages, so that each operation can be cut."""
BEHIND = firmware(SMALL.end, 1)
NEW_SOFTDEVICE = make_softdevice(replace(SMALL, fwid=0x123, version=7_003_000), b"new SoftDevice, ")[:-100]
NEW_BOOTLOADER = bootloader(2)[:4100]


@dataclass(frozen=True)
class Case:
    """An update: the device, the image and its init command, and what must be there in the end."""

    make: Callable[[], VirtualNrf52]
    image: bytes
    init: InitCommand
    is_done: Callable[[VirtualNrf52], bool]
    is_old: Callable[[VirtualNrf52], bool]


def app_case(build: Nrf52Build = DEFAULT_BUILD) -> Case:
    return Case(
        lambda: new_device(build, app=OLD),
        NEW,
        init_command(NEW),
        lambda device: device.chip.read(0x1000, len(NEW)) == NEW,
        lambda device: device.chip.read(0x1000, len(OLD)) == OLD,
    )


def system(kind: FwType, image: bytes, sd_size: int = 0, bl_size: int = 0) -> InitCommand:
    return init_command(image, type=kind, app_size=0, sd_size=sd_size, bl_size=bl_size, sd_req=(0x100, 0x123))


BOTH = NEW_SOFTDEVICE + NEW_BOOTLOADER


def has_new_softdevice(device: VirtualNrf52) -> bool:
    return device.chip.read(0x1000, len(NEW_SOFTDEVICE)) == NEW_SOFTDEVICE


def has_new_bootloader(device: VirtualNrf52) -> bool:
    return device.chip.read(NRF52840.bootloader.start, len(NEW_BOOTLOADER)) == NEW_BOOTLOADER


def with_softdevice() -> VirtualNrf52:
    return new_device(Nrf52Build(transport=Transport.BLE), softdevice=SMALL, app=BEHIND)


CASES = {
    "application": app_case(),
    "application, single bank": app_case(Nrf52Build(single_bank=True)),
    "application, saved progress": app_case(Nrf52Build(saves_progress=True)),
    "application in the place of the SoftDevice": Case(
        lambda: new_device(softdevice=SMALL, app=BEHIND),
        NEW,
        init_command(NEW),
        lambda device: device.chip.read(0x1000, len(NEW)) == NEW,
        lambda device: device.app_runs,
    ),
    "bootloader": Case(
        with_softdevice,
        NEW_BOOTLOADER,
        system(FwType.BOOTLOADER, NEW_BOOTLOADER, bl_size=len(NEW_BOOTLOADER)),
        has_new_bootloader,
        lambda device: device.app_runs,
    ),
    "softdevice": Case(
        with_softdevice,
        NEW_SOFTDEVICE,
        system(FwType.SOFTDEVICE, NEW_SOFTDEVICE, sd_size=len(NEW_SOFTDEVICE)),
        has_new_softdevice,
        lambda device: device.app_runs,
    ),
    "softdevice and bootloader": Case(
        with_softdevice,
        BOTH,
        system(FwType.SOFTDEVICE_BOOTLOADER, BOTH, sd_size=len(NEW_SOFTDEVICE), bl_size=len(NEW_BOOTLOADER)),
        lambda device: has_new_softdevice(device) and has_new_bootloader(device),
        lambda device: device.app_runs,
    ),
}


def update(device: VirtualNrf52, case: Case) -> None:
    """Send what is missing, as a host does that knows nothing of earlier runs, until the power goes or all is done."""
    host = Host(device, piece=1024)
    try:
        host.update(sign(case.init), case.image)
    except AssertionError:
        assert device.ending is None  # the power is gone


def operations_of(case: Case) -> int:
    device = case.make()
    device.reset(wants_dfu=True)
    before = device.chip.power.operations
    update(device, case)
    assert case.is_done(device)
    return device.chip.power.operations - before


@pytest.mark.parametrize("tear", list(Tear))
@pytest.mark.parametrize("name", CASES)
def test_a_power_cut_at_any_operation_leaves_a_device_that_can_be_updated(name: str, tear: Tear) -> None:
    case = CASES[name]
    total = operations_of(case)
    for number in range(total):
        device = case.make()
        device.reset(wants_dfu=True)
        device.chip.power.cut_after, device.chip.power.tear = number, tear
        update(device, case)
        device.chip.power.cut_after = None
        first = device.reset()
        assert first is not Nrf52Ending.NO_BOOTLOADER, number
        if first is Nrf52Ending.APPLICATION:
            assert case.is_done(device) or case.is_old(device), number
        if not case.is_done(device):
            device.enter_dfu()
            update(device, case)
        assert case.is_done(device), number
        assert device.reset() in (Nrf52Ending.APPLICATION, Nrf52Ending.DFU)


@pytest.mark.parametrize("tear", list(Tear))
def test_power_cuts_again_and_again_during_the_activation_only_delay_it(tear: Tear) -> None:
    case = CASES["softdevice and bootloader"]
    device = case.make()
    device.reset(wants_dfu=True)
    host = Host(device, piece=1024)
    assert host.send_init(sign(case.init)).result == Result.SUCCESS
    device.finish_reset = lambda: False  # type: ignore[method-assign]  # the power goes before the reset
    assert host.send_data(case.image).result == Result.SUCCESS
    for number in range(1000):
        device.chip.power.cut_after, device.chip.power.tear = number, tear
        if device.reset() is not None:
            break
    assert case.is_done(device)
    assert device.reset() is Nrf52Ending.APPLICATION


def test_softdevice_and_bootloader_have_a_boot_validation_each() -> None:
    """As in nRF5 SDK 17.1: the signature of the SoftDevice says nothing about the bootloader behind it."""
    case = CASES["softdevice and bootloader"]
    by_signature = BootValidation(ValidationType.VALIDATE_ECDSA_P256_SHA256, signature(NEW_SOFTDEVICE))
    by_crc = BootValidation(ValidationType.VALIDATE_GENERATED_CRC, b"")
    for validations, result in (
        ((by_signature, by_crc), Result.SUCCESS),
        ((by_crc, by_signature), Result.INVALID_OBJECT),
    ):
        device = case.make()
        device.reset(wants_dfu=True)
        packet = sign(replace(case.init, boot_validation=validations))
        assert Host(device, piece=1024).update(packet, case.image).result == result
        assert case.is_done(device) is (result == Result.SUCCESS)
