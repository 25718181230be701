"""Packages of two parts over Bluetooth: SoftDevice and bootloader first, then the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import DfuRefusedError
from smpdfu.image.secure_dfu.init_packet import FwType, InitCommand
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.securedfu.send.session import Session
from smpdfu.securedfu.send.transport import CameBack
from smpdfu.virtual.nrf52.device import VirtualNrf52
from tests.securedfu.send.dfu_bench import entry_of
from tests.simulated import simulate
from tests.virtual.nrf52.nrf52_bench import KEY, OTHER_KEY, firmware, init_command, sign
from tests.virtual.nrf52.test_nrf52_power_cuts import BOTH, NEW_BOOTLOADER, NEW_SOFTDEVICE, SMALL, with_softdevice

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.securedfu.ble.dfu_ble_rig import DfuRig
else:
    from dfu_ble_rig import DfuRig

APPLICATION = firmware(SMALL.end, 2, 4_400)
SYSTEM = init_command(
    BOTH,
    type=FwType.SOFTDEVICE_BOOTLOADER,
    app_size=0,
    sd_size=len(NEW_SOFTDEVICE),
    bl_size=len(NEW_BOOTLOADER),
    sd_req=(0x100, 0x123),
)


def package(system: InitCommand = SYSTEM, *, signed: bool = True) -> SecureDfuPackage:
    """Both parts; ``signed``: the first one by the key that the bootloader trusts."""
    first = entry_of(BOTH, sign(system, KEY if signed else OTHER_KEY), "softdevice_bootloader")
    second = entry_of(APPLICATION, sign(init_command(APPLICATION, sd_req=(0x123,))), "application")
    return SecureDfuPackage.of([first, second])


def started() -> VirtualNrf52:
    device = with_softdevice()
    device.name = "lamp"
    device.reset()
    return device


def test_both_parts_arrive_and_a_second_call_leaves_out_the_first() -> None:
    """Such a bootloader reports no versions; that it refuses the first part as not newer tells that it has it."""

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = started()
            rig.serve(lamp)
            for skipped in (False, True):
                sent = await Session(rig.transport()).send(package())
                assert [part.skipped for part in sent.parts] == [skipped, False]
                assert sent.came_back is CameBack.APPLICATION
                assert lamp.chip.read(SMALL.end, len(APPLICATION)) == APPLICATION

    simulate(use())


def test_a_first_part_that_is_refused_for_another_reason_ends_the_call() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            rig.serve(started())
            await Session(rig.transport()).send(package(signed=False))

    with pytest.raises(DfuRefusedError):
        simulate(use())


def test_the_bootloader_is_started_again_if_the_application_runs_after_the_first_part() -> None:
    """A new bootloader leaves the application alone, and it has the buttonless service."""
    first = init_command(
        NEW_BOOTLOADER, type=FwType.BOOTLOADER, app_size=0, bl_size=len(NEW_BOOTLOADER), sd_req=(0x100,)
    )
    second = init_command(APPLICATION, sd_req=(0x100,))
    both = SecureDfuPackage.of(
        [
            entry_of(NEW_BOOTLOADER, sign(first), "bootloader"),
            entry_of(APPLICATION, sign(second), "application"),
        ]
    )

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = started()
            rig.serve(lamp)
            sent = await Session(rig.transport()).send(both)
            assert [part.skipped for part in sent.parts] == [False, False]
            assert sent.came_back is CameBack.APPLICATION
            assert lamp.chip.read(SMALL.end, len(APPLICATION)) == APPLICATION

    simulate(use())
