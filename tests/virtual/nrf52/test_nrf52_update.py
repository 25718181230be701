"""Whole updates of a virtual nRF52: what runs afterwards, and what the settings say."""

from __future__ import annotations

from smpdfu.securedfu.protocol.messages import Result
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
