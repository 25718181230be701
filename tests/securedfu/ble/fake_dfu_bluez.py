"""A stand-in for BlueZ with a virtual nRF52 behind it: its bootloader, or its application with the buttonless DFU."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus

from smpdfu.link.ble.dfu_pipe import BUTTONLESS, CONTROL_POINT, PACKET
from smpdfu.link.ble.search import DFU_SERVICE
from smpdfu.securedfu.protocol.buttonless import ButtonlessAnswer, ButtonlessResult, EnterBootloader, read_buttonless
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.wires.dfu_gatt import advertised_name
from tests.ble.fake_bluez import FakeBluez, Manner

APPLICATION, BOOTLOADER = "C0:00:00:00:00:01", "C0:00:00:00:00:02"
_CHARACTERISTIC = "org.bluez.GattCharacteristic1"
_AGAIN_S = 0.05


class FakeDfuBluez(FakeBluez):
    """``requests`` and ``packets`` count what was written, with and without a response."""

    def __init__(self, bus: MessageBus, device: VirtualNrf52, manner: Manner) -> None:
        super().__init__(bus, cast("Any", device), manner)
        self.nrf52 = device
        self.address = self._own_address
        self.requests = self.packets = 0
        self._discovers = False

    @property
    def _own_address(self) -> str:
        return APPLICATION if self.nrf52.bootloader is None else BOOTLOADER

    @property
    def _packet(self) -> str:
        return f"{self.characteristic[:-9]}/char0014"

    def _device_properties(self) -> dict[str, Variant]:
        name = Variant("s", advertised_name(self.nrf52))
        uuids = [] if self.nrf52.bootloader is None else [DFU_SERVICE]
        return super()._device_properties() | {"Alias": name, "Name": name, "UUIDs": Variant("as", uuids)}

    def _services(self) -> dict[str, dict[str, dict[str, Variant]]]:
        service = {
            "UUID": Variant("s", DFU_SERVICE),
            "Primary": Variant("b", True),
            "Device": Variant("o", self.path),
        }
        found = {self.characteristic[:-9]: {"org.bluez.GattService1": service}}
        if self.nrf52.bootloader is None:
            found[self.characteristic] = self._one(BUTTONLESS, "write", "indicate")
        else:
            found[self.characteristic] = self._one(CONTROL_POINT, "write", "notify")
            found[self._packet] = self._one(PACKET, "write-without-response")
        return found

    def _one(self, uuid: str, *flags: str) -> dict[str, dict[str, Variant]]:
        properties = {
            "UUID": Variant("s", uuid),
            "Service": Variant("o", self.characteristic[:-9]),
            "Flags": Variant("as", list(flags)),
            "Notifying": Variant("b", False),
        }
        if self.manner.mtu is not None:
            properties["MTU"] = Variant("q", self.manner.mtu)
        return {_CHARACTERISTIC: properties}

    async def on_start_discovery(self, message: Message) -> tuple[str, list[Any]]:
        self._discovers = True
        self.run(self._advertise_again())
        return "", []

    async def _advertise_again(self) -> None:
        while self._discovers:
            await self._advertise()
            await asyncio.sleep(_AGAIN_S)

    async def on_stop_discovery(self, message: Message) -> tuple[str, list[Any]]:
        self._discovers = False
        return await super().on_stop_discovery(message)

    async def on_write_value(self, message: Message) -> tuple[str, list[Any]]:
        self._must_exist(message)
        data, options = message.body
        enters = self.nrf52.bootloader is None
        if message.path == self._packet:
            assert options["type"].value == "command"
            self.packets += 1
            answer = self.nrf52.write(bytes(data))
        else:
            assert options["type"].value == "request"
            self.requests += 1
            answer = self._control(bytes(data))
        self.run(self._answer(answer, enters=enters))
        return "", []

    def _control(self, data: bytes) -> bytes | None:
        if self.nrf52.bootloader is not None:
            return self.nrf52.handle(data)
        known = isinstance(read_buttonless(data), EnterBootloader)
        result = ButtonlessResult.SUCCESS if known else ButtonlessResult.OPCODE_NOT_SUPPORTED
        return ButtonlessAnswer(data[0], result).to_bytes()

    async def _answer(self, answer: bytes | None, *, enters: bool) -> None:
        if answer is not None:
            for _ in range(self.manner.notifications):
                await self.changed(self.characteristic, _CHARACTERISTIC, Value=Variant("ay", answer))
        if enters:
            self.nrf52.enter_dfu()
        else:
            self.nrf52.finish_reset()

    async def _come_up(self) -> None:
        self.connected, self.connections = True, self.connections + 1
        await self.changed(self.path, "org.bluez.Device1", Connected=Variant("b", True))
        await self._added(self._services())
        await self.changed(self.path, "org.bluez.Device1", ServicesResolved=Variant("b", True))

    async def restarted(self) -> None:
        await self.lose(self._own_address)
