"""A virtual device on Bluetooth LE: its SMP service, on bumble's host stack over any HCI controller.

That is a controller of ``radio.Air``, or a real one on USB or a UART. As on the chip, the radio lives on the network
core: there is no advertising while either core does not run, and a reset takes the connection with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Any, cast

from bumble import hci
from bumble.att import Attribute, AttributeValue
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service
from bumble.pairing import PairingConfig
from bumble.transport.common import AsyncPipeSink, TransportSink, TransportSource

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.ble.bumble_backend import FAST_S, PatientHost, hci_transport, room, switch_off, switch_on
from smpdfu.link.ble.search import SMP_CHARACTERISTIC, SMP_SERVICE
from smpdfu.link.ble.service_pipe import ATT_HEADER_SIZE, VALUE_MAX
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import GattFraming
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.wires.radio import AT_ONCE, Air, Radio, RadioController, serve_hci

MTU = 498
"""BT_L2CAP_TX_MTU of NCS' samples with BT_OTA_DFU_SPEEDUP."""
ADVERTISING_MS = 30.0
_NAME_MAX = 29


@dataclass(frozen=True, slots=True)
class Presence:
    """How a device shows on Bluetooth.

    ``name``: None, that of the device or of its firmware loader, whichever runs. ``mtu``: the largest ATT MTU that it
    takes. ``pairing``: its characteristic wants an encrypted link, as in NCS by default. ``renew_address``: every boot
    has a new address.
    """

    name: str | None = None
    mtu: int = MTU
    pairing: bool = False
    renew_address: bool = False

    def __post_init__(self) -> None:
        if not 23 <= self.mtu <= 517:
            raise ValueError(f"an ATT MTU is 23 to 517 bytes, not {self.mtu}")


@dataclass(frozen=True, slots=True)
class Hci:
    """Both directions of HCI: ``source`` gives what the controller says, ``sink`` takes what it shall do."""

    source: TransportSource
    sink: TransportSink

    @classmethod
    def of(cls, controller: RadioController) -> Hci:
        """A controller in this process."""
        return cls(cast("TransportSource", controller), AsyncPipeSink(controller))


async def serve_ble(
    device: VirtualNrf5340,
    transport: Hci,
    presence: Presence = Presence(),
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve ``device`` over the controller behind ``transport`` until cancelled.

    ``ready`` is called with the address whenever the device begins to advertise after a boot. Several hosts may be
    connected one after another, not at the same time (CONFIG_BT_MAX_CONN is 1 in Zephyr's samples).
    """
    changed = asyncio.Event()
    unwatch = device.watch_power(changed.set)
    try:
        for boot in count():
            changed.clear()
            if device.radio_up:
                address = _address(device.name, boot if presence.renew_address else 0)
                async with _Peripheral(device, transport, presence, address) as peripheral:
                    if ready is not None:
                        ready(peripheral.address)
                    await peripheral.until(changed)
            else:
                await changed.wait()
    finally:
        unwatch()


@asynccontextmanager
async def on_air(
    device: VirtualNrf5340, radio: Radio = AT_ONCE, presence: Presence = Presence(), *, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[Air, int]]:
    """Serve ``device`` in an air of its own while the block runs: ``(air, port)``.

    The port gives HCI controllers of that air to other processes (``radio.serve_hci``): ``tcp-client:127.0.0.1:PORT``
    is the moniker for smpdfu's ``--ble-hci`` and for every other bumble host, such as smpclient's SMPBumbleTransport.
    The device needs firmware on both cores, or there is no Bluetooth. After the block, raises what went wrong there.
    """
    air = Air(radio)
    async with serve_hci(air, host) as port:
        serving = asyncio.ensure_future(serve_ble(device, Hci.of(air.controller()), presence))
        try:
            yield air, port
        finally:
            serving.cancel()
            await asyncio.wait([serving])
        if not serving.cancelled():
            serving.result()  # raises what ended it


async def serve_moniker(
    device: VirtualNrf5340,
    moniker: str,
    ready: Callable[[str | None], None],
    radio: Radio = AT_ONCE,
    presence: Presence = Presence(),
) -> None:
    """Serve ``device`` until cancelled: what ``smpdfu virtual run --ble-hci MONIKER`` does.

    ``tcp-server:HOST:PORT`` is an air of the device's own whose controllers are offered there (port 0: any that is
    free); every other moniker of bumble's names a real controller, and puts the device on the real air. ``ready`` is
    called once: with the moniker that a host needs in the first case, with None in the second. Raises ConnectError.
    """
    scheme, _, place = moniker.partition(":")
    if scheme != "tcp-server":
        async with hci_transport(moniker) as (source, sink):
            ready(None)
            await serve_ble(device, Hci(source, sink), presence)
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
        await serve_ble(device, Hci.of(air.controller()), presence)


class GattPipe(Pipe):
    """The device's end of one connection. A message of any length goes out in as many notifications as it needs."""

    def __init__(self, device: Device, connection: Connection, characteristic: Characteristic[bytes]) -> None:
        super().__init__(f"ble:{connection.peer_address}")
        self._device = device
        self._connection = connection
        self._characteristic = characteristic
        self._inbox = Inbox()

    def arrived(self, data: bytes) -> None:
        """A write command came in."""
        self._inbox.put(data)

    def lost(self) -> None:
        """The connection has ended: nobody may take what is left of it for the start of something."""
        self._inbox.end(LinkLostError(f"the link to {self.name} is lost"))

    async def _open(self) -> None:
        """Open is what a connection is from the start."""

    async def _close(self) -> None:
        self.lost()

    async def _read(self) -> bytes:
        return await self._inbox.get()

    async def _write(self, data: bytes) -> None:
        step = min(self._connection.att_mtu - ATT_HEADER_SIZE, VALUE_MAX)
        for start in range(0, len(data), step):
            await room(self._connection)
            piece = data[start : start + step]
            await self._device.gatt_server.notify_subscriber(self._connection, self._characteristic, piece)


class _Peripheral:
    """The host stack from one boot to the next."""

    def __init__(self, device: VirtualNrf5340, transport: Hci, presence: Presence, address: hci.Address) -> None:
        self._device = device
        self._transport = transport
        self._tasks: set[asyncio.Task[None]] = set()
        self._pipe: GattPipe | None = None
        self._connection: Connection | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.address = address.to_string(with_type_qualifier=False)
        host = PatientHost(transport.source, transport.sink)
        name = device.advertised_name if presence.name is None else presence.name
        self._ble = ble = Device(name=name, address=address, host=host)
        ble.gatt_server.max_mtu = presence.mtu
        ble.pairing_config_factory = lambda _: PairingConfig(mitm=False, bonding=False)
        self._smp = _characteristic(self._arrived, presence.pairing)
        ble.add_service(Service(SMP_SERVICE, [self._smp]))
        ble.on(Device.EVENT_CONNECTION, self._connected)

    async def __aenter__(self) -> _Peripheral:
        await switch_on(self._ble, "the Bluetooth controller")
        await self._advertise()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._lost()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with suppress(BaseBumbleError, hci.HCI_Error, TimeoutError):  # one that is gone has no connections either
            async with asyncio.timeout(FAST_S):
                await self._ble.send_sync_command(hci.HCI_Reset_Command())
        await switch_off(self._ble)

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

    async def _advertise(self) -> None:
        service = bytes(UUID(SMP_SERVICE))
        flags = AdvertisingData.LE_GENERAL_DISCOVERABLE_MODE_FLAG | AdvertisingData.BR_EDR_NOT_SUPPORTED_FLAG
        shown = [
            (AdvertisingData.FLAGS, bytes([flags])),
            (AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, service),
        ]
        name = self._ble.name.encode()[:_NAME_MAX].decode(errors="ignore").encode()
        await self._ble.start_advertising(
            advertising_data=bytes(AdvertisingData(shown)),
            scan_response_data=bytes(AdvertisingData([(AdvertisingData.COMPLETE_LOCAL_NAME, name)])),
            advertising_interval_min=ADVERTISING_MS,
            advertising_interval_max=ADVERTISING_MS,
        )

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        self._pipe = GattPipe(self._ble, connection, self._smp)
        connection.on(Connection.EVENT_DISCONNECTION, lambda reason: self._disconnected(connection))
        self._run(self._device.serve(self._pipe, GattFraming()))

    def _disconnected(self, connection: Connection) -> None:
        if connection is self._connection:
            self._lost()
            self._run(self._advertise())

    def _lost(self) -> None:
        if self._pipe is not None:
            self._pipe.lost()
        self._pipe = self._connection = None

    def _arrived(self, connection: Connection, data: bytes) -> None:
        # bumble hands writes over in tasks of their own: one may come when its connection has already ended
        if self._pipe is not None and connection is self._connection:
            self._pipe.arrived(data)

    def _run(self, job: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)


def _characteristic(write: Callable[[Connection, bytes], None], pairing: bool) -> Characteristic[bytes]:
    allowed = Attribute.Permissions.WRITEABLE
    if pairing:
        allowed |= Attribute.Permissions.WRITE_REQUIRES_ENCRYPTION
    properties = Characteristic.Properties.WRITE_WITHOUT_RESPONSE | Characteristic.Properties.NOTIFY
    return Characteristic(SMP_CHARACTERISTIC, properties, allowed, AttributeValue(write=write))


def _address(name: str, boot: int) -> hci.Address:
    """A static random address, always the same for the same name and number."""
    digest = bytearray(sha256(f"{name} {boot}".encode()).digest()[:6])
    digest[5] |= 0b1100_0000
    return hci.Address(bytes(digest), hci.Address.RANDOM_DEVICE_ADDRESS)
