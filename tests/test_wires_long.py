"""1 MiB over wires that are cut twenty times, lose, repeat, reorder and damage: it must arrive, bit for bit.

The chip has slots that no nRF5340 has room for; everything else is as it is. Over memory with the console's check sum,
and over real UDP sockets with a proxy between them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
import struct
from asyncio import DatagramTransport
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import pytest

from smpdfu.client import Client, Patience, UploadResult, image_hash
from smpdfu.errors import LinkLostError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.link import udp
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.link.serial.pipe import SerialPipe
from smpdfu.link.udp import UdpPipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming
from smpdfu.smp.groups.image import ImageSlot, StateRead
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED, Region, SlotPair
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.wires.pty import serve_pty
from smpdfu.virtual.wires.udp import serve_udp
from tests.deadlines import HANG_S
from tests.simulated import simulate

MIB = 1 << 20
SLOT = 0x12_0000
LARGE = replace(
    NRF5340DK_STAGED,
    name="large",
    flash=Region("app flash", 0, 0xC000 + 2 * SLOT),
    images=(SlotPair(Region("primary", 0xC000, SLOT), Region("secondary", 0xC000 + SLOT, SLOT)),),
    settings=None,
)
KEY = generate("ecdsa-p256")
PATIENT = Patience(reconnect_s=20.0, pause_s=0.002, quiet_s=0.0)
TIMEOUT_S = 0.025
"""Short for those who wait, long for a busy machine: an answer that comes late costs a copy and nothing else."""
CUTS = 20


@cache
def image(version: int, size: int) -> bytes:
    """A signed image, linked for the primary slot."""
    firmware = struct.pack("<2I", 0x2000_4000, LARGE.primary.start + 0x301) + random.Random(version).randbytes(size)
    return build(ImageSpec(Version(version), 0x200, 0, pad_header=True), firmware, KEY).to_bytes()


def new_image() -> bytes:
    """The one that is uploaded: 1 MiB and its signature."""
    return image(2, MIB)


def new_device() -> VirtualNrf5340:
    device = VirtualNrf5340(LARGE, BootKeys((KEY.public,)))
    device.load_app(image(1, 5000))
    device.reset()
    return device


async def send(client: Client, device: VirtualNrf5340) -> UploadResult:
    """Upload, and look at the flash, at the list and at what the bootloader makes of it."""
    async with client:
        result = await client.upload(new_image(), erase_timeout_s=8 * TIMEOUT_S)
        listed = await slots_of(client)
    area = device.images[0].secondary.area
    arrived = hashlib.sha256(area.read(0, len(new_image()))).hexdigest()
    assert arrived == hashlib.sha256(new_image()).hexdigest()
    assert (result.off, result.len, result.verified) == (len(new_image()), len(new_image()), True)
    assert (1, image_hash(new_image())) in [(slot.slot, slot.hash) for slot in listed]
    return result


async def slots_of(client: Client) -> tuple[ImageSlot, ...]:
    """The device's list; the wire may be cut once more."""
    for _ in range(5):
        try:
            return (await client.request(StateRead(), attempts=20)).images
        except LinkLostError:
            await client.wait_for_device(10.0)
    raise AssertionError("the device does not come back")


# --- in memory ------------------------------------------------------------------------------------------------------


@dataclass
class Memory:
    """A wire in memory with a device at its end; with ``restarts``, each cut restarts that."""

    to_device: Faults
    to_host: Faults = NO_FAULTS
    connections: int = 0
    restarts: bool = False

    def send(self) -> UploadResult:
        device = new_device()

        async def serve(pipe: Pipe) -> None:
            self.connections += 1
            if self.restarts and self.connections > 1:
                device.reset()
            await device.serve(pipe)

        pipe = served_pipe(serve, self.to_device, to_host=self.to_host)
        client = Client(pipe, ConsoleFraming(), timeout_s=TIMEOUT_S, attempts=8, patience=PATIENT)
        return simulate(send(client, device))


def test_a_wire_that_is_cut_twenty_times_on_the_way_there() -> None:
    memory = Memory(Faults(cut_after_bytes=70_000, cuts=CUTS))
    result = memory.send()
    assert memory.connections == CUTS + 1
    assert result.retries <= 4 * CUTS, "what arrived before a cut is not sent again"


def test_a_wire_that_is_cut_twenty_times_on_the_way_back() -> None:
    memory = Memory(NO_FAULTS, Faults(cut_after_bytes=900, cuts=CUTS))
    memory.send()
    assert memory.connections == CUTS + 1


def test_a_wire_that_is_cut_in_the_middle_of_anything_and_is_bad_besides() -> None:
    faults = Faults(6, None, 0.05, 0.05, 0.05, cut_after_bytes=70_123, cuts=CUTS)
    memory = Memory(faults, replace(faults, cut_after_bytes=None))
    memory.send()
    assert memory.connections == CUTS + 1


def test_a_device_that_restarts_with_some_cuts_gets_everything_again() -> None:
    memory = Memory(Faults(cut_after_bytes=500_000, cuts=3), restarts=True)
    result = memory.send()
    assert memory.connections == 4
    assert result.retries


def test_a_wire_that_loses_repeats_and_damages() -> None:
    faults = Faults(1, loss=0.05, corruption=0.05, duplication=0.05)
    assert Memory(faults, faults).send().retries


# --- over UDP -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Odds:
    """What happens to a datagram, each from 0 to 1. A damaged one does not pass its check sum: it is lost."""

    loss: float = 0.0
    damage: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0


class Proxy(asyncio.DatagramProtocol):
    """One end of the way between a client and a device; ``other`` is where its datagrams go on."""

    def __init__(self, dice: random.Random, odds: Odds) -> None:
        self.dice, self.odds = dice, odds
        self.forward: Callable[[bytes], None] = lambda data: None
        self.sender: Any = None
        self.transport: DatagramTransport | None = None
        self._left, self._enough = 0, asyncio.Event()
        self._held: bytes | None = None

    async def has_passed(self, datagrams: int) -> None:
        """Wait until so many more went through."""
        self._left = datagrams
        await self._enough.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.sender = addr
        lost, damaged, twice, held = (self.dice.random() for _ in range(4))
        if lost < self.odds.loss or damaged < self.odds.damage:
            return
        self._left -= 1
        if self._left == 0:
            self._enough.set()
        if held < self.odds.reordering and self._held is None:
            self._held = data
            asyncio.get_running_loop().call_later(0.01, self._let_go)  # if nothing overtakes it
            return
        self.forward(data)
        if twice < self.odds.duplication:
            self.forward(data)
        self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self.forward(held)


class Way:
    """A UDP port in front of the device's. ``cut`` closes it for a moment, so that the system refuses datagrams."""

    def __init__(self, target: tuple[str, int], odds: Odds) -> None:
        self.target, self.odds, self.dice = target, odds, random.Random(7)
        self.port = 0
        self.cuts = 0
        self._near: Proxy | None = None
        self._far: Proxy | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        near, far = Proxy(self.dice, self.odds), Proxy(self.dice, self.odds)
        await loop.create_datagram_endpoint(lambda: far, remote_addr=self.target)
        await loop.create_datagram_endpoint(lambda: near, local_addr=("127.0.0.1", self.port))
        near.forward = lambda data: far.transport.sendto(data) if far.transport else None
        far.forward = lambda data: near.transport.sendto(data, near.sender) if near.transport and near.sender else None
        assert near.transport is not None
        self.port = near.transport.get_extra_info("sockname")[1]
        self._near, self._far = near, far

    def close(self) -> None:
        for end in (self._near, self._far):
            if end is not None and end.transport is not None:
                end.transport.abort()
                end.transport = None

    async def cut_every(self, datagrams: int, times: int) -> None:
        """Cut it ``times`` times, each after so many requests."""
        for _ in range(times):
            assert self._near is not None
            await self._near.has_passed(datagrams)
            self.close()
            self.cuts += 1
            await asyncio.sleep(0.02)
            await self.open()


@asynccontextmanager
async def way_to(device: VirtualNrf5340, odds: Odds) -> AsyncIterator[Way]:
    place: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve_udp(device, "127.0.0.1", 0, lambda *where: place.set_result(where)))
    way = Way(await place, odds)
    await way.open()
    try:
        yield way
    finally:
        way.close()
        serving.cancel()
        await asyncio.wait([serving])


def over_udp(odds: Odds, cuts: int = 0) -> tuple[UploadResult, int]:
    """The upload, and how often the way was cut."""

    async def use() -> tuple[UploadResult, int]:
        device = new_device()
        async with way_to(device, odds) as way:
            cutting = asyncio.ensure_future(way.cut_every(len(new_image()) // 1500 // (cuts + 1), cuts))
            client = Client(
                UdpPipe("127.0.0.1", way.port), DatagramFraming(), timeout_s=TIMEOUT_S, attempts=40, patience=PATIENT
            )
            try:
                return await send(client, device), way.cuts
            finally:
                cutting.cancel()
                await asyncio.wait([cutting])

    return asyncio.run(use())


def test_udp_that_loses_repeats_reorders_and_damages() -> None:
    result, _ = over_udp(Odds(loss=0.05, damage=0.02, duplication=0.05, reordering=0.05))
    assert result.retries


def test_udp_that_is_cut_twenty_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there for a while: the client is told, waits, and goes on where it was."""
    monkeypatch.setattr(udp, "_PROBE_S", 0.02)
    result, cuts = over_udp(Odds(), CUTS)
    assert cuts >= CUTS - 1  # the last one may come when everything has arrived
    assert result.retries


def test_udp_that_is_cut_and_bad_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "_PROBE_S", 0.02)
    result, cuts = over_udp(Odds(loss=0.05, damage=0.01, duplication=0.05, reordering=0.05), CUTS)
    assert cuts >= CUTS - 1
    assert result.retries


# --- and at the operating system's ports ------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="the system has no pseudo terminals")
def test_a_terminal_carries_it_without_a_single_copy() -> None:
    async def use() -> UploadResult:
        device = new_device()
        port: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.ensure_future(serve_pty(device, port.set_result))
        client = Client(SerialPipe(await port), ConsoleFraming(), timeout_s=HANG_S, window_max=1, patience=PATIENT)
        try:
            return await send(client, device)
        finally:
            serving.cancel()
            await asyncio.wait([serving])

    assert asyncio.run(use()).retries == 0


def test_the_proxy_can_do_harm() -> None:
    """What the tests above count on: with all odds at one, nothing arrives."""

    async def use() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
            target.bind(("127.0.0.1", 0))
            target.setblocking(False)
            way = Way(target.getsockname(), Odds(loss=1.0))
            await way.open()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"x", ("127.0.0.1", way.port))
            await asyncio.sleep(0.05)
            with pytest.raises(BlockingIOError):
                target.recv(10)
            way.close()
            await asyncio.sleep(0)

    asyncio.run(use())
