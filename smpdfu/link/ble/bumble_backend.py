"""A Bluetooth controller of one's own, on USB, a UART or TCP, with bumble's host stack: bleak backends for ``pipe.py``.

Experimental, with the extra ``smpdfu[bumble]``. ``moniker`` is bumble's name of a controller: ``usb:0``,
``serial:/dev/ttyACM0,1000000,rtscts`` (Zephyr's hci_uart), ``hci-socket:0``, ``tcp-client:127.0.0.1:PORT`` (a virtual
device, ``smpdfu virtual run --ble-hci``). Nothing of the operating system's Bluetooth takes part; its MTU, PHY and
connection interval are ours to ask for, and writes wait until the controller has room (HCI flow control).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_16
from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Advertisement, Connection, ConnectionParametersPreferences, Device, Peer
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig

from smpdfu.link.ble.bumble_host import (
    FAST_S,
    PatientHost,
    bleak_errors,
    hci_transport,
    is_up,
    room,
    switch_off,
    switch_on,
)
from smpdfu.link.ble.search import Backends

if TYPE_CHECKING:
    from bleak.args import SizedBuffer
    from bleak.backends.client import NotifyCallback
    from bumble.gatt_client import CharacteristicProxy

MTU = 517
"""The largest that a value of 512 bytes needs."""
INTERVAL_MS = (7.5, 15.0)
_ATT_HEADER_SIZE = 3


def backends(moniker: str, *, bonds: bool = False) -> Backends:
    """Backends for ``BlePipe`` and ``scan`` over the controller that bumble calls ``moniker``.

    ``bonds``: pairing makes a bond, for as long as these backends live.
    """
    return on(Dongle(moniker, bonds=bonds))


def on(dongle: Dongle) -> Backends:
    """Backends over ``dongle``, which is opened for each use."""
    return Backends(BumbleScanner, BumbleClient, {"dongle": dongle}, dongle.session)


class Dongle:
    """A controller, and the host stack on it while it is in use. Its address is made anew for each object.

    With ``bonds`` a device that was paired is known again, as long as the object lives. No bond is kept on this
    computer: what smpdfu would need to keep it safely is more than an update needs.
    """

    def __init__(self, moniker: str, *, bonds: bool = False) -> None:
        self.moniker = moniker
        self.bonds = MemoryKeyStore() if bonds else None
        self.address = hci.Address.generate_static_address()
        self._device: Device | None = None

    @property
    def device(self) -> Device:
        """The host stack. BleakError if it is not in use."""
        if self._device is None:
            raise BleakError(f"the Bluetooth controller {self.moniker} is not open")
        return self._device

    def transport(self) -> Any:
        """A context manager for HCI: ``(source, sink)``."""
        return hci_transport(self.moniker)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """Have the host stack ready while the block runs. Raises ConnectError."""
        async with self.transport() as (source, sink):
            device = Device(name="smpdfu", address=self.address, host=PatientHost(source, sink))
            bonding = self.bonds is not None
            device.keystore = self.bonds  # None: bumble makes one for this session
            device.pairing_config_factory = lambda _: PairingConfig(mitm=False, bonding=bonding)
            await switch_on(device, self.moniker)
            self._device = device
            try:
                yield
            finally:
                self._device = None
                await switch_off(device)


class BumbleScanner(BaseBleakScanner):
    """What advertises, as the controller hears it."""

    def __init__(
        self, detection_callback: Any, service_uuids: list[str] | None, scanning_mode: str, *, dongle: Dongle, **_: Any
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._dongle = dongle
        self._active = scanning_mode == "active"

    async def start(self) -> None:
        self.seen_devices = {}
        device = self._dongle.device
        device.on(Device.EVENT_ADVERTISEMENT, self._heard)
        await device.start_scanning(active=self._active)

    async def stop(self) -> None:
        device = self._dongle.device
        device.remove_listener(Device.EVENT_ADVERTISEMENT, self._heard)
        with suppress(BaseBumbleError, hci.HCI_Error):
            await device.stop_scanning()

    def _heard(self, heard: Advertisement) -> None:
        names = heard.data.get_all(AdvertisingData.Type.COMPLETE_LOCAL_NAME, raw=True)
        lists = [(one, size) for size, kind in _SERVICE_LISTS for one in heard.data.get_all(kind, raw=True)]
        shown = AdvertisementData(
            local_name=names[0].decode(errors="replace") if names else None,
            manufacturer_data={},
            service_data={},
            service_uuids=[
                _text(one[start : start + size]) for one, size in lists for start in range(0, len(one) - size + 1, size)
            ],
            tx_power=None,
            rssi=heard.rssi,
            platform_data=(heard,),
        )
        address = heard.address.to_string(with_type_qualifier=False)
        device = self.create_or_update_device(address, address, shown.local_name, heard.address, shown)
        if self.is_allowed_uuid(shown.service_uuids):
            self.call_detection_callbacks(device, shown)


_SERVICE_LISTS = (  # how many bytes a UUID has in each
    (2, AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS),
    (2, AdvertisingData.Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS),
    (16, AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS),
    (16, AdvertisingData.Type.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS),
)


def _text(little_endian: bytes) -> str:
    """A UUID of 2 or 16 bytes as bleak writes it."""
    if len(little_endian) == 2:
        return normalize_uuid_16(int.from_bytes(little_endian, "little"))
    return str(uuid.UUID(bytes=little_endian[::-1]))


class BumbleClient(BaseBleakClient):
    """One connection."""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        services: set[str] | None = None,
        *,
        dongle: Dongle,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        **_: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        known = address_or_ble_device.details if isinstance(address_or_ble_device, BLEDevice) else None
        self._peer_address: hci.Address = known or hci.Address(self.address)
        self._wanted = services
        self._dongle = dongle
        self._connection: Connection | None = None

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return 23 if self._connection is None else self._connection.att_mtu

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and is_up(self._connection)

    async def connect(self, pair: bool, **_: Any) -> None:
        device = self._dongle.device
        timing = ConnectionParametersPreferences(*INTERVAL_MS)
        with bleak_errors():
            try:
                await self._connect(device, timing, pair=pair)
            except asyncio.CancelledError:
                with suppress(BaseBumbleError, hci.HCI_Error):
                    await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
                raise

    async def _connect(self, device: Device, timing: ConnectionParametersPreferences, *, pair: bool) -> None:
        self._connection = connection = await device.connect(
            self._peer_address, connection_parameters_preferences={hci.Phy.LE_1M: timing}, timeout=self._timeout
        )
        connection.on(Connection.EVENT_DISCONNECTION, self._gone)
        if await self._is_bonded(connection):
            await connection.encrypt()
        elif pair:
            await connection.pair()
        await _make_fast(connection)
        peer = Peer(connection)
        await peer.request_mtu(MTU)
        self.services = await self._discover(peer)

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        services = BleakGATTServiceCollection()
        for service in await peer.discover_services():
            uuid_text = _text(service.uuid.to_bytes(force_128=True))
            if self._wanted and uuid_text not in self._wanted:
                continue
            ours = BleakGATTService(service, service.handle, uuid_text)
            services.add_service(ours)
            for one in await service.discover_characteristics():
                await one.discover_descriptors()
                services.add_characteristic(self._characteristic(one, ours))
        return services

    def _characteristic(self, one: CharacteristicProxy[bytes], service: BleakGATTService) -> BleakGATTCharacteristic:
        return BleakGATTCharacteristic(
            one,
            one.handle,
            _text(one.uuid.to_bytes(force_128=True)),
            list(gatt_char_props_to_strs(one.properties)),
            lambda: self.mtu_size - _ATT_HEADER_SIZE,
            service,
        )

    def _gone(self, reason: int) -> None:
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        if self.is_connected:
            with suppress(BleakError), bleak_errors():
                await self._up.disconnect()

    async def pair(self, *_: Any, **__: Any) -> None:
        """Pair, unless the device is bonded: then the connection is encrypted already. BleakError if it refuses."""
        if await self._is_bonded(self._up):
            return
        try:
            await self._up.pair()
        except (BaseBumbleError, hci.HCI_Error) as error:
            raise BleakError(f"Authentication: {error or type(error).__name__}") from error

    async def _is_bonded(self, connection: Connection) -> bool:
        bonds = self._dongle.bonds
        return bonds is not None and await bonds.get(str(connection.peer_address)) is not None

    async def unpair(self) -> None:
        """No bond is kept."""

    async def start_notify(self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_: Any) -> None:
        with bleak_errors():
            await characteristic.obj.subscribe(lambda value: callback(bytearray(value)))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        with bleak_errors():
            await characteristic.obj.unsubscribe()

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool) -> None:
        await room(self._up)
        with bleak_errors():
            await characteristic.obj.write_value(bytes(data), with_response=response)

    async def read_gatt_char(self, characteristic: BleakGATTCharacteristic, **_: Any) -> bytearray:
        with bleak_errors():
            return bytearray(await characteristic.obj.read_value())

    async def read_gatt_descriptor(self, descriptor: BleakGATTDescriptor, **_: Any) -> bytearray:
        with bleak_errors():
            return bytearray(await descriptor.obj.read_value())

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        with bleak_errors():
            await descriptor.obj.write_value(bytes(data), with_response=True)

    @property
    def _up(self) -> Connection:
        if self._connection is None or not self.is_connected:
            raise BleakError("Not connected")
        return self._connection


async def _make_fast(connection: Connection) -> None:
    """Long packets and the 2 Mbit/s PHY, from controllers that can."""
    for ask in (
        connection.set_data_length(251, 2120),
        connection.set_phy([hci.Phy.LE_2M], [hci.Phy.LE_2M]),
    ):
        with suppress(BaseBumbleError, hci.HCI_Error, TimeoutError):
            async with asyncio.timeout(FAST_S):
                await ask
