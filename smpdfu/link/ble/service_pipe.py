"""Bluetooth LE: a pipe to one GATT service of a device, through bleak. ``pipe.py`` and ``dfu_pipe.py`` are its kinds.

Bytes go out as writes to one characteristic and come back as the notifications or indications of one.
"""

from __future__ import annotations

import asyncio
import sys
from abc import abstractmethod
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.ble.search import ANY, SYSTEM, Backends, Bluetooth, Found, Search, Service
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe, not_open

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic
    from bleak.backends.device import BLEDevice

ATT_HEADER_SIZE = 3
VALUE_MAX = 512
"""The longest value of an attribute, whatever the MTU (Core Specification 5.4, volume 3 part F, 3.2.9)."""
SMALLEST_WRITE = 20

CONNECT_S = 15.0
"""For all of it: finding the device, connecting, reading its services."""
CLOSE_S = 3.0
"""How long a system may take to let go of a connection."""
MTU_STEP_S, MTU_STEPS = 0.1, 20
"""How often, and how many times, a system is asked that tells the smallest MTU at first."""


class ServicePipe(Pipe):
    """``service`` of a device. ``target`` is its name, its address, or ``ANY``.

    Opened again, it looks for the device that it had: by its address, and where that has changed, by service and name.
    ``pair`` pairs before connecting if that was not done yet, where the system lets programs do so. ``connect_s``
    bounds all of ``open``. ``max_write``, ``in_flight_max`` and ``device`` are known when it is open.
    """

    service: Service

    def __init__(
        self,
        target: str = ANY,
        *,
        backends: Backends = SYSTEM,
        adapter: str | None = None,
        pair: bool = False,
        connect_s: float = CONNECT_S,
    ) -> None:
        super().__init__(f"ble:{target}", SMALLEST_WRITE)
        self.target = target
        self.pair = pair
        self.connect_s = connect_s
        self.device: Found | None = None
        self._bluetooth = Bluetooth(backends, adapter)
        self._stack: AsyncExitStack | None = None
        self._client: BleakClient | None = None
        self._writes_to: BleakGATTCharacteristic | None = None
        self._inbox = Inbox()
        self._heard = False

    @property
    def is_connected(self) -> bool:
        """Return whether the device is connected, as far as the system knows."""
        return self._client is not None and self._client.is_connected

    @abstractmethod
    def _characteristics(self, client: BleakClient) -> tuple[BleakGATTCharacteristic, BleakGATTCharacteristic]:
        """Return the characteristics to listen to and to write to. Raises ConnectError if the device has none."""

    def _search(self) -> Search:
        """Return the search for the device. Called in each ``open``."""
        return Search(self.target, self.device, self.service)

    async def _open(self) -> None:
        self._stack = AsyncExitStack()
        search = self._search()
        try:
            async with asyncio.timeout(self.connect_s):
                await self._bluetooth.enter(self._stack)
                device = await self._find(search)
                await self._connect(device, self._stack)
        except TimeoutError as error:
            raise ConnectError(self._too_late(search), self.name) from error
        self.device = search.found(device)
        self.by_name = self.target != ANY and self.target.upper() != self.device.address.upper()

    async def _find(self, search: Search) -> BLEDevice:
        try:
            if self.device is None:
                for device in await self._bluetooth.connected(self.service):
                    search.is_connected(device)
            async with self._bluetooth.scanner(search.seen, search.services):
                return await search.result
        finally:
            search.stop()

    async def _connect(self, device: BLEDevice, stack: AsyncExitStack) -> None:
        client = self._bluetooth.client(
            device, self.service, self._disconnected, pair=self.pair, timeout_s=self.connect_s
        )
        stack.push_async_callback(_let_go, client)
        async with AsyncExitStack() as meanwhile:
            await self._answer_pairing(meanwhile, wanted=self.pair)
            await client.connect()
        listens_to, self._writes_to = self._characteristics(client)
        # A new one for each connection: half a message of the last one must not meet half a message of this one.
        self._inbox = inbox = Inbox()
        await self._listen(client, listens_to, inbox)
        await self._learn_size(self._writes_to)
        self._client = client  # only now: a stack that connects at its third attempt tells of two losses before
        if not client.is_connected:
            self._disconnected(client)

    async def _answer_pairing(self, stack: AsyncExitStack, *, wanted: bool) -> None:
        """Where BlueZ needs somebody who agrees to pairing, be that one for as long as ``stack`` lasts."""
        if wanted and self._bluetooth.is_system and sys.platform == "linux":
            from smpdfu.link.ble.bluez import pairing_agent

            await stack.enter_async_context(pairing_agent())

    async def _listen(self, client: BleakClient, characteristic: BleakGATTCharacteristic, inbox: Inbox) -> None:
        await client.start_notify(characteristic, lambda _, data: self._notified(inbox, data))

    async def _learn_size(self, characteristic: BleakGATTCharacteristic) -> None:
        habits = self._bluetooth.habits
        for _ in range(MTU_STEPS if habits.mtu_grows else 0):
            if characteristic.max_write_without_response_size > SMALLEST_WRITE:
                break
            await asyncio.sleep(MTU_STEP_S)
        self.max_write = min(characteristic.max_write_without_response_size, VALUE_MAX)
        self.in_flight_max = None if habits.queue is None else habits.queue * self.max_write

    async def _close(self) -> None:
        stack, self._stack = self._stack, None
        self._client = self._writes_to = None
        self._inbox.end(LinkLostError(f"{self.name} was closed"))
        self._inbox.drop()
        if stack is not None:
            await stack.aclose()

    async def _read(self) -> bytes:
        if self._client is None:
            raise not_open(self.name)
        return await self._inbox.get()

    async def _write(self, data: bytes) -> None:
        await self._write_to(self._writes_to, data)
        if pace_s := self._bluetooth.habits.pace_s:
            await asyncio.sleep(pace_s)

    async def _write_to(self, characteristic: BleakGATTCharacteristic | None, data: bytes) -> None:
        """Write to ``characteristic``, without a response where it takes such writes."""
        client = self._client
        if client is None or characteristic is None:
            raise not_open(self.name)
        if not client.is_connected:
            raise self._gone()
        needs_response = "write-without-response" not in characteristic.properties
        await client.write_gatt_char(characteristic, data, response=needs_response)

    def _notified(self, inbox: Inbox, data: bytearray) -> None:
        self._heard = True
        inbox.put(bytes(data))

    def _disconnected(self, client: BleakClient) -> None:
        if client is self._client:  # else it is an earlier one's, late
            self._inbox.end(self._gone())

    def _gone(self) -> LinkLostError:
        return LinkLostError(f"the link to {self.name} is lost: the device restarts, or is out of reach")

    def _cannot_open(self, error: Exception) -> ConnectError:
        from smpdfu.link.ble.bluez import explain

        return ConnectError(f"cannot connect to {self.name}: {explain(error)}", self.name)

    def _lost(self, error: Exception) -> LinkLostError:
        from smpdfu.link.ble.bluez import explain

        return LinkLostError(f"the link to {self.name} is lost: {explain(error)}")

    def _too_late(self, search: Search) -> str:
        within = f"within {self.connect_s:g} s"
        if search.result.done() and not search.result.cancelled():
            return f"{self.name} advertises, but did not connect {within}"
        if self.target == ANY:
            return f"no Bluetooth device with the {self.service.name} service was heard {within}"
        others = ", ".join(str(one) for one in search.devices)
        return f"{self.target!r} was not heard on Bluetooth {within}" + (
            f"; what was heard: {others}" if others else ""
        )


async def _let_go(client: BleakClient) -> None:
    """Disconnect, as far as the system takes part in it."""
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_S):
            await client.disconnect()
