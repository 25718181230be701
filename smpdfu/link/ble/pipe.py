"""Bluetooth LE: SMP over GATT, through bleak.

Messages go out as writes without response to one characteristic and come back as its notifications. Neither says that
anything was delivered: that is the affair of whoever waits for an answer. Source: Zephyr, "SMP over Bluetooth".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smpdfu.errors import ConnectError
from smpdfu.link.ble.search import ANY, SMP, SMP_CHARACTERISTIC, SMP_SERVICE, Backends, Found, scan
from smpdfu.link.ble.service_pipe import ServicePipe

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic

__all__ = ["ANY", "SMP_CHARACTERISTIC", "SMP_SERVICE", "Backends", "BlePipe", "Found", "scan"]


class BlePipe(ServicePipe):
    """The SMP characteristic of a device."""

    service = SMP

    @property
    def hint(self) -> str | None:
        if self._heard or self.pair:
            return None
        return "it may need pairing: such a device ignores messages until it is paired (?pair=yes pairs)"

    def _characteristics(self, client: BleakClient) -> tuple[BleakGATTCharacteristic, BleakGATTCharacteristic]:
        characteristic = client.services.get_characteristic(SMP_CHARACTERISTIC)
        if characteristic is None or "notify" not in characteristic.properties:
            raise ConnectError(
                f"{self.name} has no SMP service: its firmware was built without MCUmgr over Bluetooth", self.name
            )
        return characteristic, characteristic
