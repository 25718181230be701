"""The client and a virtual device over bumble's Bluetooth stack, in one process."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from bleak.uuids import uuidstr_to_str
from bumble.att import Attribute
from bumble.core import AdvertisingData
from bumble.data_types import CompleteLocalName
from bumble.device import Device
from bumble.hci import Address
from bumble.transport.common import AsyncPipeSink

from smpdfu.client import UploadProgress, image_hash
from smpdfu.errors import ConnectError, LinkLostError, ResponseTimeoutError
from smpdfu.link.ble.pipe import SMP_CHARACTERISTIC, SMP_SERVICE, scan
from smpdfu.smp.groups.image import StateWrite
from smpdfu.smp.groups.os import Echo
from smpdfu.smp.session import Session
from smpdfu.virtual.wires.gatt import Presence
from smpdfu.virtual.wires.radio import Radio
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.ble.ble_rig import NET, NEW, Rig, secondary, virtual_device, write_bytes_per_s
else:
    from ble_rig import NET, NEW, Rig, secondary, virtual_device, write_bytes_per_s


def test_the_uuids_are_those_that_others_know() -> None:
    assert uuidstr_to_str(SMP_SERVICE) == "SMP Service"
    assert uuidstr_to_str(SMP_CHARACTERISTIC) == "SMP Characteristic"


@pytest.mark.parametrize("mtu", [23, 247, 498])
def test_the_upload_arrives_whatever_the_mtu(mtu: int) -> None:
    async def upload() -> None:
        async with Rig() as rig:
            device = virtual_device()
            rig.serve(device, Presence(mtu=mtu))
            pipe = rig.pipe()
            async with rig.client(pipe) as client:
                assert pipe.max_write == mtu - 3
                result = await client.upload(NEW)
                assert (result.off, result.retries, result.listed) == (len(NEW), 0, True)
            assert secondary(device, len(NEW)) == NEW

    simulate(upload())


def test_an_upload_goes_on_when_the_link_comes_back() -> None:
    offsets: list[int] = []

    async def upload() -> None:
        async with Rig() as rig:
            device = virtual_device()
            rig.serve(device)

            def watch(at: UploadProgress) -> None:
                if at.off > 0.4 * len(NEW) and max(offsets) <= 0.4 * len(NEW):
                    rig.air.cut()
                offsets.append(at.off)

            async with rig.client() as client:
                result = await client.upload(NEW, progress=watch)
            assert result.listed
            assert result.retries > 0
            assert secondary(device, len(NEW)) == NEW

    simulate(upload())
    resumed = next(off for before, off in pairwise(offsets) if before > 0.4 * len(NEW))
    assert resumed > 0.3 * len(NEW)  # not from the start


@pytest.mark.parametrize("renew", [False, True], ids=["same address", "new address"])
def test_the_device_is_found_again_after_a_reset(renew: bool) -> None:
    async def update() -> list[str]:
        addresses: list[str] = []
        async with Rig() as rig:
            device = virtual_device()
            rig.serve(device, Presence(renew_address=renew), addresses.append)
            pipe = rig.pipe()
            async with rig.client(pipe) as client:
                assert pipe.device is not None
                assert pipe.device.address == addresses[0]
                await client.upload(NEW)
                wanted = image_hash(NEW)
                assert wanted is not None
                await client.request(StateWrite(wanted, True))
                assert await client.reset()
                await client.wait_for_device(30.0)
                assert pipe.device.address == addresses[-1]
            assert device.running is not None
            assert device.running.header.version.major == 2
        return addresses

    first, *_, last = simulate(update())
    assert (first != last) is renew


def test_a_device_that_was_named_by_its_address_may_change_it() -> None:
    async def reset() -> None:
        addresses: list[str] = []
        async with Rig() as rig:
            rig.serve(virtual_device(), Presence(renew_address=True), addresses.append)
            await asyncio.sleep(0.1)
            pipe = rig.pipe(addresses[0].lower())
            async with rig.client(pipe) as client:
                await client.reset()
                await client.wait_for_device(30.0)
                assert (await client.request(Echo("here"))).r == "here"
                assert pipe.device is not None
                assert pipe.device.address == addresses[1] != addresses[0]

    simulate(reset())


# --- what is left of a connection that has ended ---------------------------------------------------------------------


def echo_bytes(text: str) -> bytes:
    session = Session()
    return session.encode(session.open(Echo(text)))


@pytest.mark.parametrize("radio", [Radio(), Radio(interval_ms=50)], ids=["at once", "paced"])
@pytest.mark.parametrize("late", [False, True], ids=["before the loss", "after the loss"])
def test_half_a_request_does_not_poison_the_next_connection(
    late: bool, radio: Radio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on its way at the loss may arrive after it: bumble, for one, writes attributes in tasks of their own."""
    if late:
        write = Attribute.write_value

        async def slow(self: Attribute[bytes], bearer: Any, value: bytes) -> None:
            if self.type.to_hex_str("-").lower() == SMP_CHARACTERISTIC:
                await asyncio.sleep(3.0)
            await write(self, bearer, value)

        monkeypatch.setattr(Attribute, "write_value", slow)

    async def use() -> None:
        async with Rig(radio) as rig:
            rig.serve(virtual_device())
            pipe = rig.pipe()
            async with pipe:
                await pipe.write(echo_bytes("a long text that is never finished")[:20])
                await asyncio.sleep(0.1 if late else 0.0)
                rig.air.cut()
                with pytest.raises(LinkLostError):
                    await pipe.read()
            async with rig.client(pipe, attempts=1) as client:
                await asyncio.sleep(5.0)
                assert (await client.request(Echo("new"))).r == "new"

    simulate(use())


def test_half_an_answer_is_dropped_with_its_connection() -> None:
    async def use() -> None:
        async with Rig(Radio(interval_ms=30, dle=False, packets_per_event=1)) as rig:
            rig.serve(virtual_device(), Presence(mtu=23))
            pipe = rig.pipe()
            async with pipe:
                message = echo_bytes("so long that its answer needs several notifications, of 20 bytes each")
                for start in range(0, len(message), pipe.max_write):
                    await pipe.write(message[start : start + pipe.max_write])
                first = await pipe.read()
                assert len(first) == 20
                rig.air.cut()
            async with pipe:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(5.0):
                        await pipe.read()
            async with rig.client(pipe, attempts=1) as client:
                assert (await client.request(Echo("new"))).r == "new"

    simulate(use())


# --- pressure ---------------------------------------------------------------------------------------------------------


def test_writes_wait_until_the_air_has_room() -> None:
    async def use() -> float:
        radio = Radio(interval_ms=15)
        async with Rig(radio) as rig:
            rig.serve(virtual_device())
            pipe = rig.pipe()
            async with pipe:
                before = asyncio.get_running_loop().time()
                for _ in range(100):
                    await pipe.write(bytes(pipe.max_write))
                took_s = asyncio.get_running_loop().time() - before
        limit = write_bytes_per_s(radio)
        return took_s * limit / (100 * 495)

    assert 0.8 < simulate(use()) < 1.2


def test_cancelled_anywhere_on_the_way() -> None:
    async def use(after_s: float) -> bool:
        async with Rig(Radio(interval_ms=15)) as rig:
            rig.serve(virtual_device())
            pipe = rig.pipe()
            opening = asyncio.ensure_future(pipe.open())
            await asyncio.wait([opening], timeout=after_s)
            opening.cancel()
            await asyncio.wait([opening])
            assert len(rig.air.controllers) == 1 or not opening.cancelled()
            async with rig.client(pipe) as client:
                assert (await client.request(Echo("all the same"))).r == "all the same"
            return opening.cancelled()

    cancelled = [simulate(use(0.013 * step)) for step in range(1, 130, 12)]
    assert cancelled[0]
    assert not cancelled[-1]


# --- finding ----------------------------------------------------------------------------------------------------------


def test_scan_tells_who_speaks_smp() -> None:
    async def look() -> None:
        async with Rig() as rig:
            for name in ("left", "right"):
                rig.serve(virtual_device(name))
            found = await scan(1.0, rig.backends)
            assert sorted(str(one.name) for one in found) == ["left", "right"]
            assert {one.rssi for one in found} == {-50}

    simulate(look())


def test_any_device_means_the_only_one() -> None:
    async def find() -> None:
        async with Rig() as rig:
            rig.serve(virtual_device("left"))
            async with rig.client(rig.pipe("*")) as client:
                assert (await client.request(Echo("you"))).r == "you"
            rig.serve(virtual_device("right"))
            with pytest.raises(ConnectError, match=r"several SMP devices are in reach: .*left .*; name one by"):
                await rig.pipe("*").open()
            async with rig.client(rig.pipe("right")) as client:
                await client.request(Echo("you"))

    simulate(find())


def test_two_devices_with_one_name_are_not_confused() -> None:
    async def find() -> None:
        async with Rig() as rig:
            addresses: list[str] = []
            rig.serve(virtual_device("twin"), ready=addresses.append)
            rig.serve(virtual_device("twin"), Presence(renew_address=True), addresses.append)
            other = virtual_device("other")
            rig.serve(other, Presence(name="twin"), addresses.append)
            with pytest.raises(ConnectError, match=r"several devices are called 'twin': twin \(.*\), twin \("):
                await rig.pipe("twin").open()
            async with rig.client(rig.pipe(addresses[-1])) as client:
                await client.request(Echo("you"))

    simulate(find())


def test_a_device_that_is_not_there() -> None:
    async def find(target: str) -> None:
        async with Rig() as rig:
            if target != "*":
                rig.serve(virtual_device())
            await rig.pipe(target, connect_s=3.0).open()

    with pytest.raises(ConnectError, match=r"'nobody' was not heard on Bluetooth within 3 s; what was heard: board \("):
        simulate(find("nobody"))
    with pytest.raises(ConnectError, match="no Bluetooth device with the SMP service was heard within 3 s"):
        simulate(find("*"))


def test_a_device_without_the_service_is_none_for_us() -> None:
    async def find() -> None:
        async with Rig() as rig:
            controller = rig.air.controller()
            lamp = Device.with_hci("lamp", Address.generate_static_address(), controller, AsyncPipeSink(controller))
            await lamp.power_on()
            await lamp.start_advertising(advertising_data=bytes(AdvertisingData([CompleteLocalName("lamp")])))
            assert not await scan(1.0, rig.backends)
            with pytest.raises(ConnectError, match="ble:lamp has no SMP service: its firmware was built without"):
                await rig.pipe("lamp").open()

    simulate(find())


def test_a_network_core_without_firmware_has_no_bluetooth() -> None:
    async def find() -> None:
        async with Rig() as rig:
            device = virtual_device()
            rig.serve(device)
            async with rig.client() as client:
                await client.request(Echo("you"))
                device.net_core.app.erase_all()
                device.reset()
                with pytest.raises(LinkLostError):
                    await client.request(Echo("you"))
            assert not await scan(1.0, rig.backends)
            device.load_net(NET)
            device.reset()
            assert await scan(1.0, rig.backends)

    simulate(find())


# --- pairing ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Use utils.AsyncRunner:DeprecationWarning")  # bumble's own, of itself
def test_a_device_that_wants_pairing_is_silent_until_it_gets_it() -> None:
    async def ask(pair: bool) -> str:
        async with Rig() as rig:
            rig.serve(virtual_device(), Presence(pairing=True))
            async with rig.client(rig.pipe(pair=pair), attempts=1, timeout_s=1.0) as client:
                return (await client.request(Echo("secret"))).r

    assert simulate(ask(pair=True)) == "secret"
    with pytest.raises(ResponseTimeoutError, match="may need pairing"):
        simulate(ask(pair=False))
