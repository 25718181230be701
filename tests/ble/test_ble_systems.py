"""What the Bluetooth of macOS and of Windows is known to do, played by stub backends behind bleak.

Neither was tried on such a computer: that the pipe bears these habits is certain, that there are no others is not.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError

from smpdfu.client import Client, Patience, UploadResult
from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.ble.pipe import SMP_CHARACTERISTIC, SMP_SERVICE, Backends, BlePipe
from smpdfu.link.ble.search import HABITS, SMP, Bluetooth, Habits, Heard, Search
from smpdfu.link.memory import pipe_pair
from smpdfu.smp.framing import GattFraming
from smpdfu.smp.groups.os import Echo
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.ble.ble_rig import NEW, secondary, virtual_device
else:
    from ble_rig import NEW, secondary, virtual_device

UUID = "11111111-2222-3333-4444-555555555555"
"""What macOS has for an address."""
PACKETS = 4
"""That leave in a connection interval."""


class Stack:
    """A system's Bluetooth with one device behind it, and what it was asked for."""

    def __init__(self, *, mtus: tuple[int, ...] = (498,), queue: int | None = None, interval_s: float = 0.001) -> None:
        self.mtus, self.queue, self.interval_s = deque(mtus), queue, interval_s
        self.dropped = self.written = 0
        self.clients: list[StubClient] = []
        self.hangs = False
        self.sessions = 0
        self.device = virtual_device()

    @property
    def mtu(self) -> int:
        """What it tells the next time that it is asked."""
        return self.mtus.popleft() if len(self.mtus) > 1 else self.mtus[0]

    def pipe(self, habits: Habits | None = None, target: str = "board") -> BlePipe:
        backends = Backends(StubScanner, StubClient, {"stack": self}, self._session, habits)
        return BlePipe(target, backends=backends, connect_s=10.0)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[None]:
        self.sessions += 1
        try:
            yield
        finally:
            self.sessions -= 1


class StubScanner(BaseBleakScanner):
    def __init__(self, callback: Any, service_uuids: list[str] | None, mode: str, *, stack: Stack, **_: Any) -> None:
        super().__init__(callback, service_uuids)

    async def start(self) -> None:
        shown = AdvertisementData("board", {}, {}, [SMP_SERVICE], None, -60, ())
        device = self.create_or_update_device(UUID, UUID, "board", None, shown)
        asyncio.get_running_loop().call_soon(self.call_detection_callbacks, device, shown)

    async def stop(self) -> None:
        """It was never on."""


class StubClient(BaseBleakClient):
    """Writes go through a queue; in every interval some of them leave it for the device."""

    def __init__(self, device: BLEDevice, services: Any = None, *, stack: Stack, **options: Any) -> None:
        super().__init__(device, **{key: options[key] for key in ("disconnected_callback", "timeout")})
        self.stack = stack
        self.up = self.notifying = False
        self._queue: deque[bytes] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        stack.clients.append(self)

    @property
    def mtu_size(self) -> int:
        return 23

    @property
    def is_connected(self) -> bool:
        return self.up

    async def connect(self, pair: bool, **_: Any) -> None:
        if self.stack.hangs:
            await asyncio.Event().wait()
        self.services = BleakGATTServiceCollection()
        service = BleakGATTService(None, 1, SMP_SERVICE)
        self.services.add_service(service)
        self.services.add_characteristic(
            BleakGATTCharacteristic(
                None, 2, SMP_CHARACTERISTIC, ["write-without-response", "notify"], lambda: self.stack.mtu - 3, service
            )
        )
        self.up = True
        self._wire, self._far = pipe_pair()
        await self._wire.open()
        await self._far.open()
        self._tasks = [
            asyncio.ensure_future(job) for job in (self._send(), self.stack.device.serve(self._far, GattFraming()))
        ]

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(self.stack.interval_s)
            for _ in range(min(PACKETS, len(self._queue))):
                await self._wire.write(self._queue.popleft())

    async def disconnect(self) -> None:
        self.lose()
        await asyncio.wait(self._tasks)

    def lose(self) -> None:
        self.up = False
        for task in self._tasks:
            task.cancel()
        self.call_back()

    def call_back(self) -> None:
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: Any, **_: Any) -> None:
        if self.notifying:
            raise BleakError("Characteristic notifications already started")
        self.notifying = True

        async def listen() -> None:
            while True:
                callback(bytearray(await self._wire.read()))

        self._tasks.append(asyncio.ensure_future(listen()))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: Any, response: bool) -> None:
        assert not response
        self.stack.written += 1
        if self.stack.queue is not None and len(self._queue) >= self.stack.queue:
            self.stack.dropped += 1
        else:
            self._queue.append(bytes(data))

    async def pair(self, *_: Any, **__: Any) -> None: ...
    async def unpair(self) -> None: ...
    async def stop_notify(self, characteristic: Any) -> None: ...
    async def read_gatt_char(self, characteristic: Any, **_: Any) -> bytearray:
        raise NotImplementedError

    async def read_gatt_descriptor(self, descriptor: Any, **_: Any) -> bytearray:
        raise NotImplementedError

    async def write_gatt_descriptor(self, descriptor: Any, data: Any) -> None: ...


def client(pipe: BlePipe) -> Client:
    return Client(pipe, GattFraming(), timeout_s=2.0, patience=Patience(pause_s=0.0, quiet_s=0.0))


# --- macOS ----------------------------------------------------------------------------------------------------------


def upload(habits: Habits, mtu: int) -> tuple[int, UploadResult, bytes]:
    """To a system that keeps 20 writes and drops the others: what it dropped, and what arrived."""

    async def go() -> tuple[int, UploadResult, bytes]:
        stack = Stack(mtus=(mtu,), queue=20, interval_s=0.03)
        async with client(stack.pipe(habits)) as one:
            result = await one.upload(NEW)
        return stack.dropped, result, secondary(stack.device, len(NEW))

    return simulate(go())


@pytest.mark.parametrize("mtu", [185, 498])
def test_no_more_is_written_than_macos_keeps(mtu: int) -> None:
    dropped, result, arrived = upload(HABITS["darwin"], mtu)
    assert (dropped, result.retries, arrived == NEW) == (0, 0, True)


def test_writes_keep_their_distance() -> None:
    async def use() -> float:
        async with Stack().pipe(Habits(pace_s=0.01)) as pipe:
            before = asyncio.get_running_loop().time()
            for _ in range(10):
                await pipe.write(b"x")
            return asyncio.get_running_loop().time() - before

    assert simulate(use()) == pytest.approx(0.1)


def test_without_the_habit_writes_get_lost() -> None:
    """Such a loss is worse than a silence: a server joins what is left of two requests and cannot tell."""
    assert upload(Habits(), 185)[0] > 0


def test_each_connection_has_a_client_of_its_own() -> None:
    """A client that was connected before says that notifications were already started."""

    async def use() -> None:
        stack = Stack()
        pipe = stack.pipe(HABITS["darwin"])
        async with client(pipe) as one:
            await one.request(Echo("once"))
            stack.clients[-1].lose()
            with pytest.raises(LinkLostError, match="the device restarts, or is out of reach"):
                await one.request(Echo("lost"))
            await one.wait_for_device(10.0)
            await one.request(Echo("twice"))
        assert len(stack.clients) == 2
        assert stack.sessions == 0

    simulate(use())


def test_a_device_is_known_by_a_uuid_on_macos() -> None:
    async def use() -> None:
        async with client(Stack().pipe(target=UUID.upper())) as one:
            await one.request(Echo("you"))

    simulate(use())


# --- Windows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mtus", "step"), [((23, 23, 23, 23, 247), 244), ((247,), 244), ((23,), 20)])
def test_the_mtu_comes_late(mtus: tuple[int, ...], step: int) -> None:
    async def use() -> None:
        pipe = Stack(mtus=mtus).pipe(HABITS["win32"])
        async with pipe:
            assert pipe.max_write == step

    simulate(use())


def test_an_earlier_connection_that_ends_late_is_not_ours() -> None:
    async def use() -> None:
        stack = Stack()
        pipe = stack.pipe(HABITS["win32"])
        async with pipe:
            stack.clients[0].call_back()
            with pytest.raises(LinkLostError):
                await pipe.read()
        async with client(pipe) as one:
            stack.clients[0].call_back()
            assert (await one.request(Echo("still here"))).r == "still here"

    simulate(use())


# --- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_habits_are_those_of_the_system(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert Bluetooth().habits == HABITS[system]
    assert Bluetooth(Backends(StubScanner, StubClient)).habits == Habits()


def test_one_deadline_bounds_connecting() -> None:
    async def use() -> None:
        stack = Stack()
        stack.hangs = True
        started = asyncio.get_running_loop().time()
        with pytest.raises(ConnectError, match="ble:board advertises, but did not connect within 10 s"):
            await stack.pipe().open()
        assert asyncio.get_running_loop().time() - started == pytest.approx(10.0)
        assert stack.sessions == 0

    simulate(use())


def test_cancelled_while_connecting() -> None:
    async def use() -> None:
        stack = Stack()
        stack.hangs = True
        opening = asyncio.ensure_future(stack.pipe().open())
        await asyncio.sleep(5.0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert stack.sessions == 0

    simulate(use())


def test_who_makes_up_addresses_fills_no_memory() -> None:
    async def use() -> None:
        search = Search("board")
        for number in range(3000):
            address = f"C0:00:00:00:{number // 256:02X}:{number % 256:02X}"
            shown = AdvertisementData("board" if number == 2999 else f"n{number}", {}, {}, [SMP_SERVICE], None, -60, ())
            search.seen(BLEDevice(address, shown.local_name, None), shown)
        assert len(search.devices) == 1000
        assert not search.result.done()
        search.stop()

    simulate(use())


def test_a_name_that_was_heard_once_stays() -> None:
    """It is often in every other advertisement only."""

    async def use() -> None:
        heard = Heard()
        for name in (None, "board", None):
            heard.note(BLEDevice(UUID, None, None), AdvertisementData(name, {}, {}, [SMP_SERVICE], None, -60, ()))
        assert [str(one) for one in heard.offering(SMP)] == [f"board ({UUID})"]

    simulate(use())
