"""Whole updates of a virtual nRF52: what runs afterwards, and what the settings say."""

from __future__ import annotations

import pytest

from smpdfu.securedfu.protocol.messages import Result
from smpdfu.virtual.nrf52.settings import Bank, BankCode, Progress, Settings
from smpdfu.virtual.nrf52.softdevice import make_softdevice
from smpdfu.virtual.nrf52.start import Nrf52Ending
from tests.virtual.nrf52.nrf52_bench import S140_7_2, Host, firmware, init_command, new_device, sign


def test_a_new_application_runs_after_the_update() -> None:
    old = firmware(0x1000, 1)
    new = firmware(0x1000, 2, 12_000)
    device = new_device(app=old)
    assert device.reset() is Nrf52Ending.APPLICATION
    assert device.enter_dfu() is Nrf52Ending.DFU
    assert Host(device).update(sign(init_command(new)), new).result == Result.SUCCESS
    assert device.ending is Nrf52Ending.APPLICATION
    assert device.chip.read(0x1000, len(new)) == new
    assert device.chip.settings.app_version == 2


def test_behind_a_softdevice_the_application_is_at_its_end() -> None:
    new = firmware(S140_7_2.end, 2)
    device = new_device(softdevice=S140_7_2)
    assert device.reset() is Nrf52Ending.DFU
    assert Host(device).update(sign(init_command(new, sd_req=(0x100,))), new).result == Result.SUCCESS
    assert device.ending is Nrf52Ending.APPLICATION
    assert device.chip.read(S140_7_2.end, len(new)) == new


def test_an_application_for_another_place_is_taken_and_stays_dark() -> None:
    wrong = firmware(0x27000, 2)
    device = new_device(app=firmware(0x1000))
    device.enter_dfu()
    assert Host(device).update(sign(init_command(wrong)), wrong).result == Result.SUCCESS
    assert device.ending is Nrf52Ending.CRASH
    assert device.handle(b"\x09\x01") is None


def marked(code: BankCode, size: int, start: int, sd_size: int = 0) -> Settings:
    """Settings in which an update waits at ``start``."""
    return Settings(bank_1=Bank(size, 0, code), sd_size=sd_size, progress=Progress(image_crc=start))


# What settings of another chip, or damaged ones with a right checksum, say of an update.
IMPOSSIBLE = {
    "beyond the flash": marked(BankCode.VALID_APP, 4096, 0x20_0000),
    "longer than the flash": marked(BankCode.VALID_APP, 0x20_0000, 0x2000),
    "below its place": marked(BankCode.VALID_APP, 4096, 0),
    "in the same page": marked(BankCode.VALID_APP, 4096, 0x1004),
    "a bootloader longer than its place": marked(BankCode.VALID_BL, 0x7000, 0x2000),
    "less than nothing": marked(BankCode.VALID_SD_BL, 4096, 0x8000, sd_size=0x2000),
}


@pytest.mark.parametrize("title", IMPOSSIBLE)
def test_settings_that_lead_nowhere_crash_the_bootloader_and_not_smpdfu(title: str) -> None:
    device = new_device(app=firmware(0x1000, 1))
    if title == "less than nothing":
        device.chip.load(0x8000, make_softdevice(S140_7_2)[:0x2100])
    device.chip.settings = IMPOSSIBLE[title]
    device.chip.save_settings_with_backup()
    assert device.reset() is Nrf52Ending.NO_BOOTLOADER
    assert any("the bootloader crashes: " in line for line in device.log)
