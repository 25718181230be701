"""Bluetooth LE: the Secure DFU service of the nRF5 SDK (0xFE59), through bleak.

A bootloader has a control point for requests and answers, and a characteristic that takes the bytes of objects. An
application may have a buttonless characteristic instead, which starts the bootloader. Sources: nRF5 SDK 17,
``nrf_dfu_ble.c``, ``ble_dfu_unbonded.c`` and ``ble_dfu_bonded.c``.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bleak.exc import BleakGATTProtocolError

from smpdfu.errors import ConnectError
from smpdfu.link.ble.bluez import explain
from smpdfu.link.ble.search import ANY, SECURE_DFU, Search
from smpdfu.link.ble.service_pipe import ServicePipe
from smpdfu.link.inbox import Inbox

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

CONTROL_POINT = "8ec90001-f315-4f60-9fb8-838830daea50"
PACKET = "8ec90002-f315-4f60-9fb8-838830daea50"
BUTTONLESS = "8ec90003-f315-4f60-9fb8-838830daea50"
BUTTONLESS_BONDED = "8ec90004-f315-4f60-9fb8-838830daea50"


class DfuRole(Enum):
    """What runs on a device with the service: its bootloader, or an application that can start it."""

    BOOTLOADER = "bootloader"
    BUTTONLESS = "application"
    BUTTONLESS_BONDED = "application with bonds"


@dataclass(frozen=True, slots=True)
class Sought:
    """What the next ``open`` looks for: a device that was there before, after a restart or a loss.

    ``bootloaders`` are the addresses that its bootloader may have; one counts if it advertises the service.
    ``applications`` are those of its application, which need not advertise it. ``name`` is what the bootloader
    advertises; None: it tells nothing. Without any of these, it is the only device with the service.
    """

    bootloaders: frozenset[str] = frozenset()
    applications: frozenset[str] = frozenset()
    name: str | None = None


class SoughtSearch(Search):
    """The device that ``sought`` describes is looked for. An address is taken at once, a name after a while."""

    def __init__(self, sought: Sought) -> None:
        super().__init__(sought.name or ANY, service=SECURE_DFU)
        self._bootloaders = {one.lower() for one in sought.bootloaders}
        self._applications = {one.lower() for one in sought.applications}
        self._by_name = sought.name is not None or not (sought.bootloaders or sought.applications)
        if sought.applications:  # they need not advertise it
            self.services = ()

    def _is_it(self, device: BLEDevice) -> bool:
        address = device.address.lower()
        is_bootloader = address in self._bootloaders and self._heard.offers(device.address, SECURE_DFU)
        return is_bootloader or address in self._applications

    def _fits(self, device: BLEDevice) -> bool:
        return self._by_name and self._heard.offers(device.address, SECURE_DFU) and super()._fits(device)


class DfuPipe(ServicePipe):
    """The Secure DFU service of a device. ``role`` says whose service it is, when it is open.

    ``request`` sends to the control point or to the buttonless characteristic, and ``read`` gives the answers.
    ``write`` sends bytes of an object to a bootloader, ``max_write`` of them at most.
    ``sought`` is what ``open`` looks for; None: the target, or the device that was found by it.
    """

    service = SECURE_DFU
    role: DfuRole | None = None
    _control: BleakGATTCharacteristic | None = None
    sought: Sought | None = None

    async def heard_again(self, addresses: frozenset[str], after_s: float) -> str:
        """Close the pipe, and wait until one of ``addresses`` advertises; return it.

        What comes in the first ``after_s`` seconds does not count. Raises ConnectError where there is no Bluetooth.
        """
        await self.close()
        loop = asyncio.get_running_loop()
        begins = loop.time() + after_s
        heard: asyncio.Future[str] = loop.create_future()
        wanted = {one.lower(): one for one in addresses}

        def seen(device: BLEDevice, _: AdvertisementData) -> None:
            address = wanted.get(device.address.lower())
            if address is not None and loop.time() >= begins and not heard.done():
                heard.set_result(address)

        with self._wall(self._cannot_open):
            async with AsyncExitStack() as stack:
                await self._bluetooth.enter(stack)
                async with self._bluetooth.scanner(seen):
                    return await heard

    async def request(self, message: bytes) -> None:
        """Send ``message`` and wait until the device has it. Raises LinkLostError, ConnectError if it is refused."""
        with self._wall(self._lost):
            async with self._writing:
                try:
                    await self._write_to(self._control, message)
                except BleakGATTProtocolError as error:
                    raise self._refused(error) from error

    def _refused(self, error: BleakGATTProtocolError) -> ConnectError:
        """The connection lasts, and the device does not want what was written: another attempt ends alike."""
        return ConnectError(f"{self.name} refuses the request: {explain(error)}", self.name).because("dfu-refused")

    def _search(self) -> Search:
        return super()._search() if self.sought is None else SoughtSearch(self.sought)

    def _too_late(self, search: Search) -> str:
        if self.device is None or (search.result.done() and not search.result.cancelled()):
            return super()._too_late(search)
        others = ", ".join(str(one) for one in search.devices)
        heard = f"; what was heard: {others}" if others else ""
        return f"{self.device} was not heard again within {self.connect_s:g} s{heard}"

    def _characteristics(self, client: BleakClient) -> tuple[BleakGATTCharacteristic, BleakGATTCharacteristic]:
        for role, control, data in _ROLES:
            listens_to, writes_to = (client.services.get_characteristic(one) for one in (control, data))
            if listens_to is not None and writes_to is not None:
                self.role, self._control = role, listens_to
                return listens_to, writes_to
        raise ConnectError(
            f"{self.name} has no Secure DFU service: neither the bootloader of the nRF5 SDK runs on it, nor an "
            "application with the buttonless DFU service",
            self.name,
        ).because("no-secure-dfu")

    async def _listen(self, client: BleakClient, characteristic: BleakGATTCharacteristic, inbox: Inbox) -> None:
        if self.role is DfuRole.BUTTONLESS_BONDED and not self.pair:  # it takes nothing from a computer without a bond
            async with AsyncExitStack() as stack:
                await self._answer_pairing(stack, wanted=True)
                with suppress(NotImplementedError):  # macOS pairs by itself when it is asked to
                    await client.pair()
        await super()._listen(client, characteristic, inbox)


_ROLES = (  # where answers come from, and where writes go to
    (DfuRole.BOOTLOADER, CONTROL_POINT, PACKET),
    (DfuRole.BUTTONLESS, BUTTONLESS, BUTTONLESS),
    (DfuRole.BUTTONLESS_BONDED, BUTTONLESS_BONDED, BUTTONLESS_BONDED),
)
