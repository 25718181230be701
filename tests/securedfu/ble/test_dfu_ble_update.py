"""Secure DFU over Bluetooth: from the application into the bootloader, the transfer, and what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import ConnectError
from smpdfu.securedfu.send.transport import CameBack
from smpdfu.virtual.wires.dfu_gatt import DfuPresence
from smpdfu.virtual.wires.radio import Radio
from tests.simulated import simulate
from tests.virtual.nrf52.nrf52_bench import firmware

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.securedfu.ble.dfu_ble_rig import APP_START, NEW, DfuRig, carry, device, holds, init_packet
else:
    from dfu_ble_rig import APP_START, NEW, DfuRig, carry, device, holds, init_packet

pytestmark = pytest.mark.filterwarnings("ignore:Use utils.AsyncRunner:DeprecationWarning")  # bumble's own, of itself
STATIC, LAST, PRIVATE = "C0:11:22:33:44:55", "C0:11:22:33:44:FF", "4A:11:22:33:44:55"


@pytest.mark.parametrize(
    ("presence", "bootloader"),
    [
        (DfuPresence(address=STATIC), "C0:11:22:33:44:56"),
        (DfuPresence(address=LAST), "C0:11:22:33:44:00"),
        (DfuPresence(address=STATIC, keeps_address=True), STATIC),
        (DfuPresence(address=STATIC, bonds=True), STATIC),
        (DfuPresence(address=PRIVATE), "4A:11:22:33:44:56"),
        (DfuPresence(address=STATIC, mtu=23), "C0:11:22:33:44:56"),
    ],
    ids=["address + 1", "no carry", "same address", "bonds", "private address", "smallest MTU"],
)
def test_an_application_is_updated_and_comes_back(presence: DfuPresence, bootloader: str) -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp, presence)
            transport = rig.transport()
            transfer = await carry(transport)
            assert transport.write_size == presence.mtu - 3 - (presence.mtu - 3) % 4
            assert (transfer.confirmed, transfer.progress.repeats) == (True, 0)
            assert await transport.came_back(20.0) is CameBack.APPLICATION
            assert rig.addresses == [presence.address, bootloader, presence.address]
            assert holds(lamp, NEW)

    simulate(use())


@pytest.mark.parametrize("target", ["*", "DfuTarg", "C0:11:22:33:44:56", "c0:11:22:33:44:55"])
def test_a_device_in_its_bootloader_is_found(target: str) -> None:
    """The last one is the address of the application: an earlier call may have left the device in its bootloader."""

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device(app=None)
            rig.serve(lamp, DfuPresence(address=STATIC))
            transport = rig.transport(target)
            await carry(transport)
            assert transport.name == "ble:C0:11:22:33:44:56"
            assert await transport.came_back(20.0) is CameBack.APPLICATION
            assert holds(lamp, NEW)

    simulate(use())


# --- what came back ---------------------------------------------------------------------------------------------------


def test_an_application_that_does_not_pass_its_check_is_told_as_that() -> None:
    """The bootloader advertises again, because the flash of the new application does not hold what was sent."""

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp)
            transport = rig.transport()
            await carry(transport)
            lamp.chip.load(APP_START + 0x400, bytes(range(16)))
            lamp.reset()
            assert await transport.came_back(20.0) is CameBack.BOOTLOADER

    simulate(use())


def test_an_application_that_crashes_leaves_nothing_to_be_heard() -> None:
    async def use() -> None:
        image = firmware(0x1000, 2)  # linked for a device without a SoftDevice
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp)
            transport = rig.transport()
            await carry(transport, image, init_packet(image))
            assert await transport.came_back(20.0) is CameBack.UNKNOWN
            assert not lamp.app_runs

    simulate(use())


@pytest.mark.parametrize("presence", [DfuPresence(keeps_address=True), DfuPresence(bonds=True)], ids=["plain", "bonds"])
def test_what_came_back_at_the_same_address_is_looked_at(presence: DfuPresence) -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp, presence)
            transport = rig.transport()
            await transport.open()
            assert await transport.came_back(20.0) is CameBack.BOOTLOADER
            lamp.reset()
            assert await transport.came_back(20.0) is CameBack.APPLICATION

    simulate(use())


def test_an_application_without_the_service_at_the_same_address_is_one() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            lamp.enter_dfu()
            rig.serve(lamp, DfuPresence(keeps_address=True, buttonless=False))
            transport = rig.transport("*")
            await transport.open()
            lamp.reset()
            assert await transport.came_back(20.0) is CameBack.APPLICATION

    simulate(use())


def test_before_the_first_contact_nothing_is_known() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            assert await rig.transport().came_back(1.0) is CameBack.UNKNOWN

    simulate(use())


# --- the name of the bootloader ---------------------------------------------------------------------------------------


def test_a_name_is_set_where_the_address_cannot_tell() -> None:
    async def names(address: str, given: str | None) -> list[str]:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp, DfuPresence(address=address))
            transport = rig.transport(bootloader_name=given)
            await transport.open()
            shown = [one.le_legacy_advertiser.advertising_data for one in rig.air.controllers]
            return [data[9:].decode() for data in shown if data]

    assert simulate(names(STATIC, None)) == ["DfuTarg"]
    assert simulate(names(STATIC, "roof 7")) == ["roof 7"]
    (first,) = simulate(names(PRIVATE, None))
    assert first.startswith("Dfu")
    assert first[3:].isdigit()
    assert simulate(names(PRIVATE, None)) == [first]  # a second call finds a bootloader that the first one left


def test_an_application_that_restarts_at_a_name_is_told_as_that() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            rig.serve(device(), DfuPresence(address=PRIVATE, names=False))
            await rig.transport().open()

    with pytest.raises(ConnectError, match="restarted when it was asked to change its bootloader's name") as refused:
        simulate(use())
    assert refused.value.code == "name-restarts"


@pytest.mark.parametrize("name", ["", "a name of 21 bytes ..."])
def test_a_name_that_is_too_long_is_a_mistake_of_the_caller(name: str) -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            rig.transport(bootloader_name=name)

    with pytest.raises(ValueError, match="1 to 20 bytes"):
        simulate(use())


# --- who is updated ---------------------------------------------------------------------------------------------------


def test_another_device_in_its_bootloader_is_left_alone() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            lamp, other = device(), device(app=None, name="other")
            rig.serve(other)
            rig.serve(lamp)
            transport = rig.transport()
            await carry(transport)
            assert holds(lamp, NEW)
            assert other.ending == "dfu"
            with pytest.raises(ConnectError, match=r"'nobody' was not heard .*; what was heard: DfuTarg \("):
                await rig.transport("nobody").open()

    simulate(use())


def test_two_bootloaders_are_not_confused() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            for name in ("left", "right"):
                rig.serve(device(app=None, name=name))
            with pytest.raises(ConnectError, match=r"several Secure DFU devices are in reach: DfuTarg \(.*name one by"):
                await rig.transport("*").open()

    simulate(use())


def test_a_bootloader_that_is_gone_is_not_replaced_by_another_one() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            stop = rig.serve(device(app=None))
            transport = rig.transport("*")
            await transport.open()
            rig.serve(device(app=None, name="other"))
            await stop()
            with pytest.raises(
                ConnectError, match=r"DfuTarg \(.*\) was not heard again within 8 s; what was heard: DfuTarg \("
            ):
                await transport.open()

    simulate(use())


def test_an_update_on_a_slow_radio_arrives() -> None:
    async def use() -> None:
        async with DfuRig(Radio(interval_ms=15, loss=0.05)) as rig:
            lamp = device()
            rig.serve(lamp, DfuPresence(time_factor=1.0))
            transport = rig.transport()
            transfer = await carry(transport)
            assert transfer.progress.repeats == 0
            assert await transport.came_back(30.0) is CameBack.APPLICATION
            assert holds(lamp, NEW)

    simulate(use())
