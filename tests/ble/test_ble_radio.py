"""The paced air: what it carries, and what an upload makes of it. Time is the test's own, so every figure is exact."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from bumble.core import TimeoutError as NeverConnectedError
from bumble.device import Device
from bumble.hci import Address
from bumble.transport.common import AsyncPipeSink

from smpdfu.client import UploadResult
from smpdfu.errors import ConnectError
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.server.server import DEFAULT_BUFFERS
from smpdfu.virtual.wires.gatt import Presence, on_air, serve_moniker
from smpdfu.virtual.wires.radio import Radio
from tests.deadlines import HANG_S
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.ble.ble_rig import NEW, Rig, secondary, signed_image, virtual_device, write_bytes_per_s
else:
    from ble_rig import NEW, Rig, secondary, signed_image, virtual_device, write_bytes_per_s

LARGE = signed_image(2, 160_000)


def upload(radio: Radio, data: bytes = NEW, *, window_max: int | None = None, mtu: int = 498) -> UploadResult:
    async def go() -> UploadResult:
        async with Rig(radio) as rig:
            device = virtual_device()
            rig.serve(device, Presence(mtu=mtu))
            async with rig.client(rig.pipe(connect_s=60.0), window_max=window_max) as client:
                result = await client.upload(data)
            assert secondary(device, len(data)) == data
            return result

    return simulate(go())


def speed(result: UploadResult) -> float:
    return result.len / result.seconds


# --- the model ------------------------------------------------------------------------------------------------------


def test_air_time() -> None:
    # Core Specification 5.4, volume 6 part B, 2.1: 251 bytes take 2088 us at 1 Mbit/s and 1048 us at 2 Mbit/s.
    assert Radio(phy_mbit_s=1).air_s(251) == pytest.approx(2088e-6)
    assert Radio(phy_mbit_s=2).air_s(251) == pytest.approx(1048e-6)
    assert Radio(phy_mbit_s=1).turn_s(27, 0) == pytest.approx(296e-6 + 80e-6 + 300e-6)


@pytest.mark.parametrize(
    ("radio", "turns"),
    [
        (Radio(interval_ms=15), 10),
        (Radio(interval_ms=15, phy_mbit_s=1), 6),
        (Radio(interval_ms=15, packets_per_event=4), 4),
        (Radio(interval_ms=7.5), 5),
    ],
)
def test_what_the_link_carries(radio: Radio, turns: int) -> None:
    """Two packets of 251 bytes are one write of 495."""
    assert write_bytes_per_s(radio, 498) == pytest.approx(turns / 2 * 495 / radio.interval_s, rel=0.01)


@pytest.mark.parametrize(
    "wrong", [{"phy_mbit_s": 3}, {"interval_ms": 5}, {"packets_per_event": 0}, {"buffers": 0}, {"loss": 1.0}]
)
def test_radios_that_do_not_exist(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"a PHY|an interval|a connection interval|an event|a probability"):
        Radio(**wrong)  # type: ignore[arg-type]  # wrong on purpose


# --- uploads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "radio",
    [Radio(7.5), Radio(15), Radio(50), Radio(8.75, phy_mbit_s=1)],
    ids=["7.5 ms", "15 ms", "50 ms", "8.75 ms at 1 Mbit/s"],
)
def test_an_upload_uses_most_of_what_can_be_had(radio: Radio) -> None:
    """That is the air, or the buffers of the device but one, in every interval."""
    air = write_bytes_per_s(radio)
    limit = min(air, (DEFAULT_BUFFERS.count - 1) * DEFAULT_BUFFERS.size_bytes / radio.interval_s)
    assert 0.8 * limit < speed(upload(radio, LARGE)) < limit


def test_one_request_in_flight_leaves_the_air_empty() -> None:
    """At an interval of 50 ms a request and its answer take two of them; what pays is to have the next on its way."""
    radio = Radio(interval_ms=50)
    assert speed(upload(radio, LARGE)) > 2.5 * speed(upload(radio, LARGE, window_max=1))


def test_short_packets_and_few_of_them() -> None:
    slow = Radio(interval_ms=30, phy_mbit_s=1, dle=False, packets_per_event=6)
    limit = write_bytes_per_s(slow, 247)
    assert limit == pytest.approx(6 * 27 / 0.03 * 244 / 251, rel=0.1)
    assert 0.8 * limit < speed(upload(slow, mtu=247)) < limit


def test_loss_on_the_air_costs_time_and_nothing_else() -> None:
    calm, noisy = (upload(Radio(interval_ms=15, loss=loss)) for loss in (0.0, 0.1))
    assert (calm.retries, noisy.retries) == (0, 0)
    assert speed(noisy) < 0.8 * speed(calm)


def test_a_device_far_away_answers_two_intervals_later() -> None:
    async def ask() -> float:
        async with Rig(Radio(interval_ms=500)) as rig:
            rig.serve(virtual_device())
            async with rig.client(rig.pipe(connect_s=60.0)) as client:
                await client.request(Echo("warm"))
                before = asyncio.get_running_loop().time()
                await client.request(Echo("timed"))
                return asyncio.get_running_loop().time() - before

    assert 0.5 <= simulate(ask()) <= 1.01


def test_a_connection_that_never_comes_can_be_given_up() -> None:
    async def give_up() -> None:
        async with Rig() as rig:
            controller = rig.air.controller()
            host = Device.with_hci("host", Address.generate_static_address(), controller, AsyncPipeSink(controller))
            await host.power_on()
            with pytest.raises(NeverConnectedError):
                await host.connect(Address("C0:00:00:00:00:09"), timeout=1.0)

    simulate(give_up())


# --- HCI by TCP: only what needs no second process; that is in test_ble_tcp.py ----------------------------------------


def test_hosts_are_let_go_when_the_air_is_gone() -> None:
    async def stay() -> bytes:
        async with on_air(virtual_device()) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.05)
        try:
            return await asyncio.wait_for(reader.read(), HANG_S)
        except ConnectionError:
            return b""
        finally:
            writer.close()
            await asyncio.sleep(0)

    assert asyncio.run(stay()) == b""


def test_what_is_no_hci_ends_the_connection() -> None:
    async def babble() -> bytes:
        async with on_air(virtual_device()) as (air, port):
            alone = len(air.controllers)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()
                await asyncio.sleep(0)
                assert len(air.controllers) == alone

    assert asyncio.run(babble()) == b""


@pytest.mark.parametrize(
    ("moniker", "words"),
    [
        ("tcp-server:9001", "does not say where to listen: write tcp-server:127.0.0.1:PORT"),
        ("tcp-server:127.0.0.1:99999", "does not say where to listen"),
        ("tcp-server:192.0.2.1:0", "cannot listen at 192.0.2.1:0: "),
        ("tcp-client:127.0.0.1:1", "the Bluetooth controller 'tcp-client:127.0.0.1:1' cannot be opened: "),
        ("pigeon:1", "the Bluetooth controller 'pigeon:1' cannot be opened: smpdfu opens only controllers such as "),
    ],
)
def test_controllers_that_cannot_be_had(moniker: str, words: str) -> None:
    with pytest.raises(ConnectError) as refused:
        asyncio.run(serve_moniker(virtual_device(), moniker, lambda _: None))
    assert words in str(refused.value)
