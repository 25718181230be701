"""A virtual nRF5340 on Bluetooth LE: its SMP service (``peripheral.py``).

As on the chip, the radio lives on the network core: there is no advertising while either core does not run, and a reset
takes the connection with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count

from bumble import hci
from bumble.att import Attribute, AttributeValue
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from smpdfu.errors import LinkLostError
from smpdfu.link.ble.bumble_host import room
from smpdfu.link.ble.search import SMP_CHARACTERISTIC, SMP_SERVICE
from smpdfu.link.ble.service_pipe import ATT_HEADER_SIZE, VALUE_MAX
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import GattFraming
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.wires.peripheral import FLAGS, Hci, Peripheral, address_for, in_own_air, serve_at, shown_name
from smpdfu.virtual.wires.radio import AT_ONCE, Air, Radio

MTU = 498
"""BT_L2CAP_TX_MTU of NCS' samples with BT_OTA_DFU_SPEEDUP."""


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
                address = address_for(device.name, boot if presence.renew_address else 0)
                async with _SmpPeripheral(device, transport, presence, address) as peripheral:
                    if ready is not None:
                        ready(peripheral.address)
                    await peripheral.until(changed)
            else:
                await changed.wait()
    finally:
        unwatch()


def on_air(
    device: VirtualNrf5340, radio: Radio = AT_ONCE, presence: Presence = Presence(), *, host: str = "127.0.0.1"
) -> AbstractAsyncContextManager[tuple[Air, int]]:
    """Serve ``device`` in an air of its own while the block runs: ``in_own_air``.

    ``tcp-client:127.0.0.1:PORT`` also works for smpclient's SMPBumbleTransport. The device needs firmware on both
    cores, or there is no Bluetooth.
    """
    return in_own_air(lambda transport: serve_ble(device, transport, presence), radio, host)


async def serve_moniker(
    device: VirtualNrf5340,
    moniker: str,
    ready: Callable[[str | None], None],
    radio: Radio = AT_ONCE,
    presence: Presence = Presence(),
) -> None:
    """Serve ``device`` until cancelled: ``serve_at``."""
    await serve_at(moniker, lambda transport: serve_ble(device, transport, presence), ready, radio)


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


class _SmpPeripheral(Peripheral):
    def __init__(self, device: VirtualNrf5340, transport: Hci, presence: Presence, address: hci.Address) -> None:
        name = device.advertised_name if presence.name is None else presence.name
        super().__init__(transport, address, name, presence.mtu)
        self._device = device
        self._pipe: GattPipe | None = None
        self._smp = _characteristic(self._arrived, presence.pairing)
        self.ble.add_service(Service(SMP_SERVICE, [self._smp]))
        service = (AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, bytes(UUID(SMP_SERVICE)))
        self.advertising = AdvertisingData([(AdvertisingData.FLAGS, FLAGS), service])
        self.scan_response = AdvertisingData([shown_name(name)])

    def begin(self, connection: Connection) -> None:
        self._pipe = GattPipe(self.ble, connection, self._smp)
        self.run(self._device.serve(self._pipe, GattFraming()))

    def end(self) -> None:
        if self._pipe is not None:
            self._pipe.lost()
        self._pipe = None

    def _arrived(self, connection: Connection, data: bytes) -> None:
        if self._pipe is not None and self.is_current(connection):
            self._pipe.arrived(data)


def _characteristic(write: Callable[[Connection, bytes], None], pairing: bool) -> Characteristic[bytes]:
    allowed = Attribute.Permissions.WRITEABLE
    if pairing:
        allowed |= Attribute.Permissions.WRITE_REQUIRES_ENCRYPTION
    properties = Characteristic.Properties.WRITE_WITHOUT_RESPONSE | Characteristic.Properties.NOTIFY
    return Characteristic(SMP_CHARACTERISTIC, properties, allowed, AttributeValue(write=write))
