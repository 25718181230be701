"""A virtual nRF52 on Bluetooth LE: the DFU service of its bootloader, and the buttonless service of its application.

The bootloader keeps what arrives in a few buffers until the flash has taken it. A packet that finds no free one is
dropped, and nobody is told. Requests wait their turn behind the packets. Source: nRF5 SDK 17, ``nrf_dfu_ble.c``,
``ble_dfu_unbonded.c``, ``ble_dfu_bonded.c``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bumble import hci
from bumble.att import ATT_INSUFFICIENT_ENCRYPTION_ERROR, ATT_Error, Attribute, AttributeValue
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection
from bumble.gatt import Characteristic, Service
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate

from smpdfu.errors import FormatError, LinkLostError
from smpdfu.image.secure_dfu.flash import PAGE_SIZE
from smpdfu.link.ble.bumble_host import room
from smpdfu.link.ble.dfu_pipe import BUTTONLESS, BUTTONLESS_BONDED, CONTROL_POINT, PACKET
from smpdfu.link.ble.service_pipe import ATT_HEADER_SIZE
from smpdfu.securedfu.protocol.buttonless import (
    ButtonlessAnswer,
    ButtonlessOpcode,
    ButtonlessResult,
    EnterBootloader,
    SetName,
    UnknownButtonless,
    read_buttonless,
)
from smpdfu.virtual.nrf52.advertised_name import stored_name
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.wires.dfu_serial import Inactivity
from smpdfu.virtual.wires.peripheral import FLAGS, Hci, Peripheral, address_for, shown_name

SERVICE = UUID.from_16_bits(0xFE59, "Secure DFU")
MTU = 247
"""NRF_SDH_BLE_GATT_MAX_MTU_SIZE of the SDK's bootloaders since 15; before, it is 23."""
BOOTLOADER_NAME = "DfuTarg"
_BOOTLOADER_NAME_MAX = 22
_NOT_SUBSCRIBED = 0xFD
"""Client Characteristic Configuration Descriptor Improperly Configured (Core Specification Supplement, part B, 1.2)."""


@dataclass(frozen=True, slots=True)
class DfuPresence:
    """How a device shows on Bluetooth.

    ``name`` is the application's; None: the device's. ``address`` is the application's; None: a static random one.
    ``mtu`` is the largest ATT MTU. ``buffers`` are the packets that the bootloader keeps; None: as the SDK counts them
    by default. ``time_factor`` is how long the flash takes: 1 as on the chip, 0 no time.

    ``buttonless``: the application has that service; with ``bonds`` the kind that needs a bond, which the bootloader
    then needs as well. ``keeps_address``: the bootloader does not add 1 to the address. ``names``: the application can
    name the bootloader; without it, it restarts when it is asked to.
    """

    name: str | None = None
    address: str | None = None
    mtu: int = MTU
    buffers: int | None = None
    time_factor: float = 0.0
    buttonless: bool = True
    bonds: bool = False
    keeps_address: bool = False
    names: bool = True

    def __post_init__(self) -> None:
        if not 23 <= self.mtu <= MTU:
            raise ValueError(f"an ATT MTU of a bootloader is 23 to {MTU} bytes, not {self.mtu}")

    @property
    def buffer_count(self) -> int:
        """MAX_DFU_BUFFERS."""
        return PAGE_SIZE // (self.mtu - ATT_HEADER_SIZE) + 1 if self.buffers is None else self.buffers


USUAL = DfuPresence()


async def serve_dfu_ble(
    device: VirtualNrf52,
    transport: Hci,
    presence: DfuPresence = USUAL,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve ``device`` over the controller behind ``transport`` until cancelled.

    ``ready`` is called with the address whenever the device begins to advertise after a start: the bootloader in DFU
    mode, or the application. Bonds last as long as this.
    """
    changed = asyncio.Event()
    unwatch = device.watch_power(changed.set)
    bonds = MemoryKeyStore()
    try:
        with Inactivity(device):
            while True:
                changed.clear()
                peripheral = _what_runs(device, transport, presence, bonds)
                if peripheral is None:
                    await changed.wait()
                    continue
                async with peripheral:
                    if ready is not None:
                        ready(peripheral.address)
                    await peripheral.until(changed)
    finally:
        unwatch()
        device.finish_reset()


def advertised_name(device: VirtualNrf52, presence: DfuPresence = USUAL) -> str:
    """Return the name that ``device`` advertises now."""
    if device.bootloader is None:
        return device.name if presence.name is None else presence.name
    return (None if presence.bonds else stored_name(device.chip.settings)) or BOOTLOADER_NAME


def _what_runs(device: VirtualNrf52, transport: Hci, presence: DfuPresence, bonds: MemoryKeyStore) -> Peripheral | None:
    """What is on the air; None if nothing is."""
    if device.bootloader is not None:
        return _Bootloader(device, transport, presence, bonds)
    return _Application(device, transport, presence, bonds) if device.app_runs else None


def _application_address(device: VirtualNrf52, presence: DfuPresence) -> hci.Address:
    return address_for(device.name) if presence.address is None else hci.Address(presence.address)


def _bootloader_address(device: VirtualNrf52, presence: DfuPresence) -> hci.Address:
    """One more in the last octet, without a carry; the SoftDevice makes an address of another kind a static one."""
    octets = bytearray(bytes(_application_address(device, presence)))
    if not presence.bonds and not presence.keeps_address:
        octets[0] = (octets[0] + 1) % 256
    return hci.Address(bytes(octets), hci.Address.RANDOM_DEVICE_ADDRESS)


class _Bootloader(Peripheral):
    """DFU mode."""

    def __init__(self, device: VirtualNrf52, transport: Hci, presence: DfuPresence, bonds: MemoryKeyStore) -> None:
        name = advertised_name(device, presence)
        super().__init__(transport, _bootloader_address(device, presence), name, presence.mtu)
        self.advertising = AdvertisingData(
            [
                (AdvertisingData.FLAGS, FLAGS),
                (AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, bytes(SERVICE)),
                shown_name(name, _BOOTLOADER_NAME_MAX),
            ]
        )
        self._device, self._presence = device, presence
        allowed = _permissions(encrypted=presence.bonds)
        both = Characteristic.Properties.WRITE | Characteristic.Properties.NOTIFY
        without_response = Characteristic.Properties.WRITE_WITHOUT_RESPONSE
        self._control: Characteristic[bytes] = Characteristic(
            CONTROL_POINT, both, allowed, AttributeValue(write=self._requested)
        )
        packet: Characteristic[bytes] = Characteristic(
            PACKET, without_response, allowed, AttributeValue(write=self._arrived)
        )
        self.ble.add_service(Service(SERVICE, [packet, self._control]))
        self._bonds = bonds
        self.ble.keystore = bonds
        self.ble.pairing_config_factory = lambda _: PairingConfig(delegate=_Refusing())
        self._waiting: deque[tuple[bool, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()

    def begin(self, connection: Connection) -> None:
        self._answers = asyncio.Queue()
        self.run(self._answer(connection, self._answers))

    def end(self) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._answers.put_nowait(None)
        if self._device.bootloader is not None:
            self._device.bootloader.lose_transport()

    def _requested(self, connection: Connection, data: bytes) -> None:
        self._check_bond(connection)
        if not self.ble.gatt_server.read_cccd(connection, self._control)[0] & 1:
            raise ATT_Error(error_code=_NOT_SUBSCRIBED)
        if self.is_current(connection):
            self._put(data, is_packet=False)

    def _arrived(self, connection: Connection, data: bytes) -> None:
        self._check_bond(connection)
        if self.is_current(connection):
            self._put(data, is_packet=True)

    def _check_bond(self, connection: Connection) -> None:
        """The controllers of ``radio.py`` encrypt without a key. So what the key would prove is asked here."""
        if self._presence.bonds and str(connection.peer_address) not in self._bonds.all_keys:
            raise ATT_Error(error_code=ATT_INSUFFICIENT_ENCRYPTION_ERROR)

    def _put(self, data: bytes, *, is_packet: bool) -> None:
        kept = sum(one for one, _ in self._waiting)
        if is_packet and kept >= self._presence.buffer_count:
            return  # nobody is told
        self._waiting.append((is_packet, data))
        if self._timer is None:
            self._work()

    def _work(self) -> None:
        """Take what waits, each in its time. What is at work keeps its buffer."""
        self._timer = None
        flash = self._device.chip.flash
        while self._waiting:
            is_packet, data = self._waiting[0]
            flash.take_busy()
            answer = self._device.write(data) if is_packet else self._device.handle(data)
            busy_s = flash.take_busy() * self._presence.time_factor
            if busy_s:
                self._timer = asyncio.get_running_loop().call_later(busy_s, self._worked, answer)
                return
            self._give(answer)

    def _worked(self, answer: bytes | None) -> None:
        self._give(answer)
        self._work()

    def _give(self, answer: bytes | None) -> None:
        if self._waiting:  # a power cut has emptied it
            self._waiting.popleft()
        if answer is not None:
            self._answers.put_nowait(answer)

    async def _answer(self, connection: Connection, answers: asyncio.Queue[bytes | None]) -> None:
        """Send the answers until None; reset when the last one has left, or when nobody is there to hear it."""
        try:
            while (answer := await answers.get()) is not None:
                await room(connection)
                await self.ble.gatt_server.notify_subscriber(connection, self._control, answer)
                if self._device.bootloader is not None and self._device.bootloader.ended:
                    await room(connection, pending_max=0)
                    break
        except LinkLostError:
            pass
        self._device.finish_reset()


class _Refusing(PairingDelegate):
    """A bootloader does not pair: it knows the bond of its application, or none."""

    async def accept(self) -> bool:
        return False


class _Application(Peripheral):
    """The application, and its buttonless service if it has one."""

    def __init__(self, device: VirtualNrf52, transport: Hci, presence: DfuPresence, bonds: MemoryKeyStore) -> None:
        name = advertised_name(device, presence)
        super().__init__(transport, _application_address(device, presence), name, presence.mtu)
        self.advertising = AdvertisingData([(AdvertisingData.FLAGS, FLAGS), shown_name(name)])
        self._device, self._presence, self._bonds = device, presence, bonds
        self.ble.keystore = bonds
        self.ble.pairing_config_factory = lambda _: PairingConfig(mitm=False, bonding=presence.bonds)
        properties = Characteristic.Properties.WRITE | Characteristic.Properties.INDICATE
        uuid = BUTTONLESS_BONDED if presence.bonds else BUTTONLESS
        allowed = _permissions(encrypted=presence.bonds)
        value = AttributeValue(write=self._requested)
        self._buttonless: Characteristic[bytes] = Characteristic(uuid, properties, allowed, value)
        if presence.buttonless:
            self.ble.add_service(Service(SERVICE, [self._buttonless]))

    def begin(self, connection: Connection) -> None:
        """It has nothing to do for a host that only connects."""

    def end(self) -> None:
        """It keeps nothing of a host."""

    def _requested(self, connection: Connection, data: bytes) -> None:
        if not self.ble.gatt_server.read_cccd(connection, self._buttonless)[0] & 2:
            raise ATT_Error(error_code=_NOT_SUBSCRIBED)
        if self.is_current(connection):
            self.run(self._handle(connection, data))

    async def _handle(self, connection: Connection, data: bytes) -> None:
        """Answer by an indication; an application that shall enter the bootloader does when that is confirmed."""
        opcode = (data or b"\0")[0]
        if opcode == ButtonlessOpcode.SET_NAME and not self._presence.names:
            self._device.reset()
            return
        try:
            result = await self._result(connection, read_buttonless(data))
        except FormatError:
            result = ButtonlessResult.NAME_INVALID
        answer = ButtonlessAnswer(opcode, result).to_bytes()
        try:
            await self.ble.gatt_server.indicate_subscriber(connection, self._buttonless, answer)
        except TimeoutError:
            return
        if (opcode, result) == (ButtonlessOpcode.ENTER_BOOTLOADER, ButtonlessResult.SUCCESS):
            self._device.enter_dfu()

    async def _result(
        self, connection: Connection, request: EnterBootloader | SetName | UnknownButtonless
    ) -> ButtonlessResult:
        bonds = self._presence.bonds
        if isinstance(request, EnterBootloader):
            is_known = await self._bonds.get(str(connection.peer_address)) is not None
            return ButtonlessResult.SUCCESS if is_known or not bonds else ButtonlessResult.NOT_BONDED
        if isinstance(request, UnknownButtonless) or bonds:
            return ButtonlessResult.OPCODE_NOT_SUPPORTED
        stored = self._device.name_bootloader(request.name)
        return ButtonlessResult.SUCCESS if stored else ButtonlessResult.OPERATION_FAILED


def _permissions(*, encrypted: bool) -> Attribute.Permissions:
    allowed = Attribute.Permissions.WRITEABLE
    return allowed | Attribute.Permissions.WRITE_REQUIRES_ENCRYPTION if encrypted else allowed
