"""A virtual device on a UDP port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client, Patience
from smpdfu.errors import ConnectError, DeviceError
from smpdfu.link.udp import UdpPipe
from smpdfu.smp.framing import DatagramFraming
from smpdfu.smp.groups.os import Echo, Params
from smpdfu.smp.message import MgmtRc, decode_map, split_message
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.server.server import Buffers
from smpdfu.virtual.wires import udp
from smpdfu.virtual.wires.udp import serve_udp

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench


@asynccontextmanager
async def served(device: VirtualNrf5340, host: str = "127.0.0.1") -> AsyncIterator[tuple[str, int]]:
    place: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve_udp(device, host, 0, lambda *where: place.set_result(where)))
    try:
        yield await place
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        assert serving.cancelled()


def client_at(place: tuple[str, int]) -> Client:
    return Client(UdpPipe(*place), DatagramFraming(), timeout_s=20, patience=Patience(pause_s=0.0))


def test_everybody_gets_the_answers_to_what_he_asked(device: VirtualNrf5340) -> None:
    async def use() -> None:
        async with served(device) as place, client_at(place) as one, client_at(place) as two:
            for number in range(20):
                asked = [client.request(Echo(f"{number} {id(client)}")) for client in (one, two)]
                replies = await asyncio.gather(*asked)
                assert [reply.r for reply in replies] == [f"{number} {id(client)}" for client in (one, two)]
            assert one.strays == two.strays == 0

    asyncio.run(use())


def test_who_was_silent_for_long_is_forgotten_and_comes_back(
    device: VirtualNrf5340, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "CLIENTS_MAX", 3)

    async def use() -> None:
        async with served(device) as place, client_at(place) as first:
            assert (await first.request(Echo("a"))).r == "a"
            for _ in range(5):
                async with client_at(place) as other:
                    assert (await other.request(Echo("b"))).r == "b"
            assert (await first.request(Echo("c"))).r == "c"

    asyncio.run(use())


def test_a_packet_longer_than_ethernets_is_cut_off(device: VirtualNrf5340) -> None:
    """As a Zephyr without IP fragments: what is left of the message is corrupt."""

    async def use() -> None:
        async with served(device) as place:
            pipe = UdpPipe(*place, mtu=9000)
            async with Client(pipe, DatagramFraming(), timeout_s=20) as client:
                with pytest.raises(DeviceError) as refused:
                    await client.request(Echo("x" * 1600))
                assert refused.value.is_code(MgmtRc.ECORRUPT)
                assert (await client.request(Echo("x" * 1300))).r == "x" * 1300

    asyncio.run(use())


@pytest.mark.parametrize("buf_size", [64, 384, 1024])
def test_a_datagram_longer_than_the_buffer_is_corrupt(bench: Bench, buf_size: int) -> None:
    device = VirtualNrf5340(bench.layout, bench.keys, resources=Resources(Buffers(buf_size, 4)))
    device.load_app(bench.app_image(1))
    device.reset()

    async def use() -> None:
        async with served(device) as place, client_at(place) as client:
            for size in (buf_size, buf_size + 100, 1440):  # a client that has not asked for the buffers
                with pytest.raises(DeviceError) as refused:
                    await client.request(Echo("x" * size))
                assert refused.value.is_code(MgmtRc.ECORRUPT)
            assert (await client.request(Echo("x" * (buf_size - 20)))).r == "x" * (buf_size - 20)

    asyncio.run(use())


GARBAGE = {
    b"": [],
    b"\0": [],
    b"\xff" * 7: [],
    b"\xff" * 8: [MgmtRc.ECORRUPT],
    b"\x0b" * 1400: [MgmtRc.ECORRUPT],
    b"\x0a\x00\x00\x09" + b"\x00" * 8: [MgmtRc.ECORRUPT],
    bytes(1472): [MgmtRc.EINVAL],  # an echo without its text: nothing is looked at behind it
    b"\x09" + bytes(7): [MgmtRc.ENOTSUP],  # an answer
    b"\x08\x00\x00\x00\x12\x34\x00\x00" * 5: [MgmtRc.ENOTSUP],  # a group that is not there, five times
    Params().to_bytes(1) * 3: [None, None, None],
    Params().to_bytes(1) + b"\xff" * 8: [None, MgmtRc.ECORRUPT],
}
"""What comes in a datagram, and the codes that it is answered with."""


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: data[:9].hex() or "empty")
def test_a_datagram_of_garbage_is_answered_as_zephyr_does(device: VirtualNrf5340, garbage: bytes) -> None:
    async def use() -> list[object]:
        loop, last = asyncio.get_running_loop(), Echo("last").to_bytes(99)
        async with served(device) as place:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
                speaker.setblocking(False)
                for data in (garbage, last):
                    await loop.sock_sendto(speaker, data, place)
                answers: list[object] = []
                while True:
                    header, body = split_message(await loop.sock_recv(speaker, 2048))
                    if header.sequence == 99:
                        return answers
                    answers.append(decode_map(body).get("rc"))

    assert asyncio.run(use()) == GARBAGE[garbage]


def test_noise_is_no_reason_to_stop(device: VirtualNrf5340) -> None:
    async def use() -> None:
        async with served(device) as place, client_at(place) as client:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noisy:
                for data in (b"", b"\0", b"\xff" * 8, b"\x0b" * 1400, bytes(1472)):
                    noisy.sendto(data, place)
            assert (await client.request(Echo("still here"))).r == "still here"

    asyncio.run(use())


def test_a_port_that_is_taken(device: VirtualNrf5340) -> None:
    async def use() -> None:
        async with served(device) as place:
            with pytest.raises(ConnectError, match=f"UDP port {place[1]} of 127.0.0.1 cannot be served"):
                await serve_udp(device, *place)

    asyncio.run(use())
