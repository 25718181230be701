"""A virtual device's end of Bluetooth LE, on bumble's host stack over any HCI controller: what every kind shares.

That is a controller of ``radio.Air``, or a real one on USB or a UART.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self, cast

from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device
from bumble.pairing import PairingConfig
from bumble.transport.common import AsyncPipeSink, TransportSink, TransportSource

from smpdfu.errors import ConnectError
from smpdfu.link.ble.bumble_host import FAST_S, PatientHost, hci_transport, heed_cancellation, switch_off, switch_on
from smpdfu.virtual.wires.radio import AT_ONCE, Air, Radio, RadioController, serve_hci

ADVERTISING_MS = 30.0
NAME_MAX = 29
"""Bytes of a name that an advertisement of its own has room for."""
FLAGS = bytes([AdvertisingData.LE_GENERAL_DISCOVERABLE_MODE_FLAG | AdvertisingData.BR_EDR_NOT_SUPPORTED_FLAG])


@dataclass(frozen=True, slots=True)
class Hci:
    """Both directions of HCI: ``source`` gives what the controller says, ``sink`` takes what it shall do."""

    source: TransportSource
    sink: TransportSink

    @classmethod
    def of(cls, controller: RadioController) -> Hci:
        """A controller in this process."""
        return cls(cast("TransportSource", controller), AsyncPipeSink(controller))


Serve = Callable[[Hci], Coroutine[None, None, None]]
"""Serves a device over a controller until cancelled."""


@asynccontextmanager
async def in_own_air(serve: Serve, radio: Radio = AT_ONCE, host: str = "127.0.0.1") -> AsyncIterator[tuple[Air, int]]:
    """Serve in an air of its own while the block runs: ``(air, port)``. Afterwards raises what went wrong there.

    The port gives HCI controllers of that air to other processes (``radio.serve_hci``): ``tcp-client:127.0.0.1:PORT``
    is the moniker for smpdfu's ``--ble-hci`` and for every other bumble host.
    """
    air = Air(radio)
    async with serve_hci(air, host) as port:
        serving = asyncio.ensure_future(serve(Hci.of(air.controller())))
        try:
            yield air, port
        finally:
            serving.cancel()
            await asyncio.wait([serving])
        if not serving.cancelled():
            serving.result()  # raises what ended it


async def serve_at(moniker: str, serve: Serve, ready: Callable[[str | None], None], radio: Radio = AT_ONCE) -> None:
    """Serve until cancelled: what ``smpdfu virtual run --ble-hci MONIKER`` does.

    ``tcp-server:HOST:PORT`` is an air of the device's own whose controllers are offered there (port 0: any that is
    free); every other moniker of bumble's names a real controller, and puts the device on the real air. ``ready`` is
    called once: with the moniker that a host needs in the first case, with None in the second. Raises ConnectError.
    """
    scheme, _, place = moniker.partition(":")
    if scheme != "tcp-server":
        async with hci_transport(moniker) as (source, sink):
            ready(None)
            await serve(Hci(source, sink))
        return
    host, _, port = place.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port[:6]) <= 0xFFFF):
        raise ConnectError(f"{moniker!r} does not say where to listen: write tcp-server:127.0.0.1:PORT", moniker)
    air = Air(radio)
    async with AsyncExitStack() as stack:
        try:
            taken = await stack.enter_async_context(serve_hci(air, host, int(port)))
        except OSError as error:
            raise ConnectError(f"cannot listen at {place}: {error.strerror or error}", moniker) from error
        ready(f"tcp-client:{host}:{taken}")
        await serve(Hci.of(air.controller()))


class Peripheral(ABC):
    """The host stack from one boot to the next. To be entered; it advertises while no host is connected.

    ``ble`` is bumble's device; a kind adds its services to it. One host is connected at a time.
    """

    advertising: AdvertisingData
    scan_response = AdvertisingData()

    def __init__(self, transport: Hci, address: hci.Address, name: str, mtu: int) -> None:
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection: Connection | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.address = address.to_string(with_type_qualifier=False)
        host = PatientHost(transport.source, transport.sink)
        self.ble = Device(name=name, address=address, host=host)
        self.ble.gatt_server.max_mtu = mtu
        self.ble.pairing_config_factory = lambda _: PairingConfig(mitm=False, bonding=False)
        self.ble.on(Device.EVENT_CONNECTION, self._connected)

    @abstractmethod
    def begin(self, connection: Connection) -> None:
        """A host has connected."""

    @abstractmethod
    def end(self) -> None:
        """The host is gone, or the device is switched off. May be called without a host."""

    async def __aenter__(self) -> Self:
        await switch_on(self.ble, "the Bluetooth controller")
        await self._advertise()
        heed_cancellation()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._lost()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(BaseBumbleError, hci.HCI_Error, TimeoutError):  # one that is gone has no connections either
            async with asyncio.timeout(FAST_S):
                await self.ble.send_sync_command(hci.HCI_Reset_Command())
        await switch_off(self.ble)

    async def until(self, changed: asyncio.Event) -> None:
        """Wait for ``changed``; raises what went wrong before. ConnectError when the controller is gone."""
        gone = self._transport.source.terminated
        waiting = asyncio.ensure_future(changed.wait())
        anything: list[asyncio.Future[Any]] = [gone, waiting, self._failure]
        try:
            await asyncio.wait(anything, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._failure.done():
            self._failure.result()
        if gone.done():
            raise ConnectError("the Bluetooth controller is gone: it was unplugged, or its connection ended")

    def is_current(self, connection: Connection) -> bool:
        """Return whether ``connection`` is the host's.

        bumble hands writes over in tasks of their own: one may come when its connection has already ended.
        """
        return self._connection is not None and connection is self._connection

    def run(self, job: Coroutine[object, object, None]) -> None:
        """Run ``job`` until it ends or the device is switched off. What it raises, ``until`` raises."""
        task = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _advertise(self) -> None:
        await self.ble.start_advertising(
            advertising_data=bytes(self.advertising),
            scan_response_data=bytes(self.scan_response),
            advertising_interval_min=ADVERTISING_MS,
            advertising_interval_max=ADVERTISING_MS,
        )

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        connection.on(Connection.EVENT_DISCONNECTION, lambda reason: self._disconnected(connection))
        self.begin(connection)

    def _disconnected(self, connection: Connection) -> None:
        if connection is self._connection:
            self._lost()
            self.run(self._advertise())

    def _lost(self) -> None:
        self.end()
        self._connection = None

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)


def shown_name(name: str, size_max: int = NAME_MAX) -> tuple[AdvertisingData.Type, bytes]:
    """The field of an advertisement that has ``name``, cut to ``size_max`` bytes."""
    return AdvertisingData.COMPLETE_LOCAL_NAME, name.encode()[:size_max].decode(errors="ignore").encode()


def address_for(name: str, boot: int = 0) -> hci.Address:
    """A static random address, always the same for the same name and number."""
    digest = bytearray(sha256(f"{name} {boot}".encode()).digest()[:6])
    digest[5] |= 0b1100_0000
    return hci.Address(bytes(digest), hci.Address.RANDOM_DEVICE_ADDRESS)
