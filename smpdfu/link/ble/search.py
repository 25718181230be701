"""The Bluetooth of this computer: bleak with a backend, and the devices that it hears. ``service_pipe.py`` is the wire.

What the systems' stacks are known to do is in ``HABITS``. bleak is imported when something is looked for.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from smpdfu.errors import ConnectError

if TYPE_CHECKING:
    from bleak import BleakClient, BleakScanner
    from bleak.backends.client import BaseBleakClient
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

SMP_SERVICE = "8d53dc1d-1db7-4cd3-868b-8a527460aa84"
SMP_CHARACTERISTIC = "da2e7828-fbce-4e01-ae9e-261174997c48"
DFU_SERVICE = "0000fe59-0000-1000-8000-00805f9b34fb"
"""The Secure DFU service of the nRF5 SDK: 0xFE59, which the Bluetooth SIG assigned to Nordic Semiconductor."""

ANY = "*"
"""The target that means the only device in reach that offers the service."""
SETTLE_S = 1.0
"""How long others that fit as well may take to show up."""
_HEARD_MAX = 1000


@dataclass(frozen=True, slots=True)
class Service:
    """A GATT service: its UUID as bleak writes it, and its name in messages."""

    uuid: str
    name: str


SMP = Service(SMP_SERVICE, "SMP")
SECURE_DFU = Service(DFU_SERVICE, "Secure DFU")


@dataclass(frozen=True, slots=True)
class Habits:
    """What a system's stack does with writes.

    ``mtu_grows``: for a while after connecting it tells the smallest MTU. ``queue``: writes that it holds; it drops
    what comes on top and says nothing. ``pace_s``: seconds to leave between two writes, so that the queue can drain.
    """

    mtu_grows: bool = False
    queue: int | None = None
    pace_s: float = 0.0


HABITS: Mapping[str, Habits] = {
    "win32": Habits(mtu_grows=True),
    # About 20 packets were counted before CoreBluetooth drops; five in a connection interval of 30 ms leave it.
    "darwin": Habits(queue=16, pace_s=0.005),
}


@dataclass(frozen=True, slots=True)
class Backends:
    """What stands behind bleak; by default the system's own Bluetooth.

    ``scanner`` and ``client`` are backend classes, ``options`` further keyword arguments for both; ``session`` makes
    what must be entered while they are in use. ``habits``: None, those of the system.
    """

    scanner: type[BaseBleakScanner] | None = None
    client: type[BaseBleakClient] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    session: Callable[[], AbstractAsyncContextManager[object]] | None = None
    habits: Habits | None = None


SYSTEM = Backends()


@dataclass(frozen=True, slots=True)
class Found:
    """A device that advertises. ``rssi`` is how well it is heard, in dBm.

    ``secure_dfu``: it offers the Secure DFU service of the nRF5 SDK, as such a bootloader does, and not SMP.
    """

    name: str | None
    address: str
    rssi: int
    secure_dfu: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.name else self.address


class Bluetooth:
    """bleak's scanners and clients over ``backends``; ``adapter`` is BlueZ's name of one, such as "hci0"."""

    def __init__(self, backends: Backends = SYSTEM, adapter: str | None = None) -> None:
        self.backends = backends
        self.adapter = adapter

    @property
    def is_system(self) -> bool:
        """True if this is the Bluetooth of the operating system."""
        return self.backends.client is None

    @property
    def habits(self) -> Habits:
        """What to expect of the stack below."""
        of_system = HABITS.get(sys.platform) if self.is_system else None
        return self.backends.habits or of_system or Habits()

    async def enter(self, stack: AsyncExitStack) -> None:
        """Have the backends ready for as long as ``stack`` lasts."""
        for name in ("bleak", "dbus_fast"):  # they tell of trouble themselves, on stderr, unless asked
            logging.getLogger(name).addHandler(_QUIET)
        if self.backends.session is not None:
            await stack.enter_async_context(self.backends.session())

    def scanner(
        self, seen: Callable[[BLEDevice, AdvertisementData], None], services: Sequence[Service] = ()
    ) -> BleakScanner:
        """A scanner that calls ``seen`` while it is entered, for what advertises one of ``services`` (none: all)."""
        from bleak import BleakScanner

        return BleakScanner(
            seen,
            [one.uuid for one in services] or None,
            bluez={} if self.adapter is None else {"adapter": self.adapter},
            backend=self.backends.scanner,
            **self.backends.options,
        )

    def client(
        self,
        device: BLEDevice,
        service: Service,
        disconnected: Callable[[BleakClient], None],
        *,
        pair: bool,
        timeout_s: float,
    ) -> BleakClient:
        """A client for one connection to ``service`` of ``device``."""
        from bleak import BleakClient

        return BleakClient(
            device,
            disconnected,
            [service.uuid],
            timeout=timeout_s,
            pair=pair,
            bluez={} if self.adapter is None else {"adapter": self.adapter},
            winrt={"use_cached_services": False},  # the image that runs now may have others than the last one
            backend=self.backends.client,
            **self.backends.options,
        )

    async def connected(self, service: Service) -> list[BLEDevice]:
        """Devices with ``service`` that the system is connected to, and which do not advertise therefore.

        A program that died may have left a connection behind, and BlueZ keeps it.
        """
        from bleak import BleakAdapter

        if not self.is_system:
            return []
        with suppress(NotImplementedError):  # not every system tells
            adapter = await BleakAdapter.get(bluez={} if self.adapter is None else {"adapter": self.adapter})
            return await adapter.get_connected_devices([service.uuid])
        return []


_QUIET = logging.NullHandler()


async def scan(seconds: float = 5.0, backends: Backends = SYSTEM, *, adapter: str | None = None) -> tuple[Found, ...]:
    """The devices that advertise SMP or Secure DFU within ``seconds``, the nearest first.

    Raises ConnectError where there is no Bluetooth to use.
    """
    bluetooth = Bluetooth(backends, adapter)
    heard = Heard()
    try:
        async with AsyncExitStack() as stack:
            await bluetooth.enter(stack)
            async with bluetooth.scanner(heard.note, (SMP, SECURE_DFU)):
                await asyncio.sleep(seconds)
    except Exception as error:
        from smpdfu.link.ble.bluez import explain

        raise ConnectError(f"cannot look for Bluetooth devices: {explain(error)}") from error
    return heard.offering(SMP, SECURE_DFU)


class Heard:
    """What advertisements told so far, by address."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}
        self._services: dict[str, set[str]] = {}

    def note(self, device: BLEDevice, shown: AdvertisementData) -> None:
        """Remember what an advertisement tells; the name may be in the next one only."""
        address = device.address
        before = self._found.get(address)
        if before is None and len(self._found) >= _HEARD_MAX:  # somebody makes addresses up
            return
        name = shown.local_name or device.name or (before.name if before else None)
        self._remember(Found(name, address, shown.rssi), shown.service_uuids)

    def note_connected(self, device: BLEDevice, service: Service) -> None:
        """The system is connected to this device, which has ``service``."""
        self._remember(Found(device.name, device.address, 0), [service.uuid])

    def _remember(self, found: Found, uuids: Sequence[str]) -> None:
        services = self._services.setdefault(found.address, set())
        services.update(uuids)
        self._found[found.address] = replace(found, secure_dfu=DFU_SERVICE in services and SMP_SERVICE not in services)

    def get(self, address: str) -> Found | None:
        """What was heard of ``address``; None for nothing."""
        return self._found.get(address)

    def offers(self, address: str, service: Service) -> bool:
        """Return whether the device at ``address`` advertised ``service``."""
        return service.uuid in self._services.get(address, ())

    def offering(self, *services: Service) -> tuple[Found, ...]:
        """What was heard with one of ``services``, the nearest first."""
        devices = (one for one in self._found.values() if any(self.offers(one.address, each) for each in services))
        return tuple(sorted(devices, key=lambda one: (-one.rssi, one.address)))


class Search:
    """A device is looked for; ``result`` is it, or the ConnectError that tells of several.

    At first that is what the person wrote: an address, a name, or ``ANY``. After that it is the device that was there
    before (``known``): by its address at once, or else, for new firmware may have a new one, by service and name.
    What fits by name alone is taken after ``SETTLE_S``, when no other one with that name was heard. ``services`` are
    what the scanner should pass; none: everything.
    """

    def __init__(self, target: str, known: Found | None = None, service: Service = SMP) -> None:
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[BLEDevice] = self._loop.create_future()
        self._target = target
        self._known = known
        self._service = service
        self.services = (service,) if target == ANY else ()
        self._heard = Heard()
        self._fitting: dict[str, BLEDevice] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def devices(self) -> tuple[Found, ...]:
        """What was heard with the service, the nearest first."""
        return self._heard.offering(self._service)

    def found(self, device: BLEDevice) -> Found:
        """What was heard of ``device``."""
        return self._heard.get(device.address) or Found(device.name, device.address, 0)

    def seen(self, device: BLEDevice, shown: AdvertisementData) -> None:
        """An advertisement came in."""
        self._heard.note(device, shown)
        self._consider(device)

    def is_connected(self, device: BLEDevice) -> None:
        """The system is connected to this device, which has the service."""
        self._heard.note_connected(device, self._service)
        self._consider(device)

    def _consider(self, device: BLEDevice) -> None:
        if self._is_it(device):
            if not self.result.done():
                self.result.set_result(device)
        elif self._fits(device):
            self._fitting[device.address] = device
            self._timer = self._timer or self._loop.call_later(SETTLE_S, self._settle)

    def stop(self) -> None:
        """Nothing more is wanted of it."""
        if self._timer is not None:
            self._timer.cancel()

    def _is_it(self, device: BLEDevice) -> bool:
        wanted = self._target if self._known is None else self._known.address
        return device.address.lower() == wanted.lower()

    def _fits(self, device: BLEDevice) -> bool:
        heard = self._heard.get(device.address)
        if heard is None:
            return False
        offers = self._heard.offers(heard.address, self._service)
        if self._known is not None:
            return heard.name == self._known.name and offers
        return offers if self._target == ANY else heard.name == self._target

    def _settle(self) -> None:
        if self.result.done():
            return
        if len(self._fitting) == 1:
            self.result.set_result(next(iter(self._fitting.values())))
            return
        several = ", ".join(str(self.found(device)) for device in self._fitting.values())
        devices = f"{self._service.name} devices are in reach"
        what = devices if self._target == ANY else f"devices are called {self._target!r}"
        self.result.set_exception(ConnectError(f"several {what}: {several}; name one by its address", self._target))
