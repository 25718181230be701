"""A virtual device that fails beyond its server: its host gets the error at once, instead of silence."""

from __future__ import annotations

import asyncio

import pytest

from smpdfu.client import Client
from smpdfu.errors import LinkLostError
from smpdfu.link.memory import pipe_pair
from smpdfu.link.udp import UdpPipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.beside import run_beside
from smpdfu.virtual.line.traffic import NO_TRAFFIC, Traffic, TrafficPipe
from smpdfu.virtual.wires.udp import serve_udp
from tests.deadlines import HANG_S
from tests.simulated import simulate


@pytest.fixture
def failing(device: VirtualNrf5340, monkeypatch: pytest.MonkeyPatch) -> VirtualNrf5340:
    def fail(packet: bytes) -> list[bytes]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(device, "answers", fail)
    return device


@pytest.mark.parametrize("traffic", [NO_TRAFFIC, Traffic(latency_s=0.01)])
def test_the_host_of_a_device_in_this_process_reads_why(failing: VirtualNrf5340, traffic: Traffic) -> None:
    failing.traffic = traffic

    async def ask() -> None:
        async with Client(failing.connect(), ConsoleFraming(), timeout_s=600, attempts=1) as client:
            await client.request(Echo("x"))

    with pytest.raises(LinkLostError, match=r"the device behind virtual:\w+ failed: .*No space left on device"):
        simulate(ask())


def test_a_server_of_datagrams_ends_with_the_error(failing: VirtualNrf5340) -> None:
    async def use() -> None:
        place: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(serve_udp(failing, "127.0.0.1", 0, lambda *where: place.set_result(where)))
        pipe = UdpPipe(*await place)
        async with pipe:
            await pipe.write(DatagramFraming().encode(Echo("x").to_bytes(1)))
            await asyncio.wait_for(serving, HANG_S)

    with pytest.raises(OSError, match="No space left on device"):
        asyncio.run(use())


def test_a_wire_with_traffic_hands_on_every_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(lane: object, data: bytes, at: float) -> None:
        raise RuntimeError("a mistake of ours")

    async def talk() -> None:
        inner, far = pipe_pair()
        async with far, TrafficPipe(inner, Traffic(latency_s=0.01)) as pipe:
            await far.write(b"x")
            await asyncio.wait_for(pipe.read(), 600)

    monkeypatch.setattr("smpdfu.virtual.line.traffic._Lane.send", fail)
    with pytest.raises(LinkLostError, match="a mistake of ours"):
        simulate(talk())


def test_a_lost_link_ends_no_other_task() -> None:
    done: list[str] = []

    async def main() -> None:
        await asyncio.sleep(5)
        done.append("main")

    async def lost() -> None:
        raise LinkLostError("nobody listens")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            done.append("endless")

    simulate(run_beside(main(), lost(), endless()))
    assert done == ["main", "endless"]
