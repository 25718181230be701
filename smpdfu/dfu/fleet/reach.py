"""How the devices of a fleet are reached: clients, a first sign of life, the numbers of chips, places of hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from smpdfu.client import Client
from smpdfu.dfu.fleet.description.device_list import FleetDevice, Place
from smpdfu.dfu.fleet.description.file import Fleet
from smpdfu.errors import FleetFileError, LinkError, SmpdfuError
from smpdfu.smp.groups.os import Echo

_LOOK_S = 1.0  # how long smpdfu waits for an answer to the first look, twice
_CHIP_WITHIN_S = 10.0  # how long connecting may take, when a device is asked whether it is the same board


class ClientFor(Protocol):
    """``smpdfu.client_for``: makes a client of an address."""

    def __call__(
        self, address: str, *, timeout_s: float | None = None, transfer_timeout_s: float | None = None
    ) -> Client:
        """Raise ConnectError for a text that is not an address."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a fleet needs of the wires, as ``connect`` has it.

    ``client_for`` makes a client of an address. ``place_of`` gives the one spelling of an address, ``places_of`` those
    of all IP addresses to which its host name leads now. Each raises ConnectError for a text that is not an address.
    """

    client_for: ClientFor
    place_of: Place
    places_of: Callable[[str], Awaitable[tuple[str, ...]]]

    def client(self, fleet: Fleet, device: FleetDevice) -> Client:
        """Make the client with which a device is updated."""
        how = fleet.treatment
        return self.client_for(device.address, timeout_s=how.timeout_s, transfer_timeout_s=how.transfer_timeout_s)

    async def answers(self, fleet: Fleet, device: FleetDevice) -> bool:
        """Ask a device over UDP for an echo, twice at most. On other wires only an update tells: True."""
        if not device.place.startswith("udp:"):
            return True
        try:
            async with self.client_for(device.address, timeout_s=_patience_s(fleet)) as client:
                await client.request(Echo("smpdfu"), attempts=2)
        except LinkError:
            return False
        except SmpdfuError:
            return True  # it answers; the update says what is wrong
        return True

    async def chip(self, fleet: Fleet, device: FleetDevice) -> str | None:
        """Read the number of a device's chip; None where it does not tell, or does not answer soon."""
        from smpdfu.dfu.do.same_device import read_hardware  # here: a status does not wait for it

        timeout_s = _patience_s(fleet)
        try:
            async with (
                asyncio.timeout(_CHIP_WITHIN_S + 2 * timeout_s),
                self.client_for(device.address, timeout_s=timeout_s) as client,
            ):
                return await read_hardware(client)
        except (SmpdfuError, TimeoutError):
            return None

    async def refuse_same_hosts(self, fleet: Fleet) -> None:
        """Raise FleetFileError where two host names, or a name and an IP address, lead to the same device."""
        devices = [one for one in fleet.devices.values() if one.place.startswith("udp:")]
        found = await asyncio.gather(*(self.places_of(one.address) for one in devices))
        known: dict[str, str] = {}
        for one, places in zip(devices, found, strict=True):
            for place in places:
                other = known.setdefault(place, one.name)
                if other != one.name:
                    raise FleetFileError(
                        f"{other!r} and {one.name!r} of {fleet.path.name} have the same address, {place}"
                    )


def _patience_s(fleet: Fleet) -> float:
    return max(_LOOK_S, fleet.treatment.timeout_s or 0.0)
