"""The Bluetooth of this computer: bleak with a backend, and what is heard of SMP devices. ``pipe.py`` is the wire.

What the systems' stacks are known to do is in ``HABITS``. bleak is imported when something is looked for.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smpdfu.errors import ConnectError

if TYPE_CHECKING:
    from bleak import BleakClient, BleakScanner
    from bleak.backends.client import BaseBleakClient
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

SMP_SERVICE = "8d53dc1d-1db7-4cd3-868b-8a527460aa84"
SMP_CHARACTERISTIC = "da2e7828-fbce-4e01-ae9e-261174997c48"

ANY = "*"
"""The target that means the only SMP device in reach."""
SETTLE_S = 1.0
"""How long others that fit as well may take to show up."""
"""Six octets, or the UUID that macOS has instead."""
_HEARD_MAX = 1000


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
    """A device that advertises. ``rssi`` is how well it is heard, in dBm."""

    name: str | None
    address: str
    rssi: int

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

    def scanner(self, seen: Callable[[BLEDevice, AdvertisementData], None], *, only_smp: bool) -> BleakScanner:
        """A scanner that calls ``seen`` with whatever advertises, while it is entered."""
        from bleak import BleakScanner

        return BleakScanner(
            seen,
            [SMP_SERVICE] if only_smp else None,
            bluez={} if self.adapter is None else {"adapter": self.adapter},
            backend=self.backends.scanner,
            **self.backends.options,
        )

    def client(
        self, device: BLEDevice, disconnected: Callable[[BleakClient], None], *, pair: bool, timeout_s: float
    ) -> BleakClient:
        """A client for one connection to ``device``."""
        from bleak import BleakClient

        return BleakClient(
            device,
            disconnected,
            [SMP_SERVICE],
            timeout=timeout_s,
            pair=pair,
            bluez={} if self.adapter is None else {"adapter": self.adapter},
            winrt={"use_cached_services": False},  # the image that runs now may have others than the last one
            backend=self.backends.client,
            **self.backends.options,
        )

    async def connected(self) -> list[BLEDevice]:
        """SMP devices that the system is connected to, and which do not advertise therefore.

        A program that died may have left a connection behind, and BlueZ keeps it.
        """
        from bleak import BleakAdapter

        if not self.is_system:
            return []
        with suppress(NotImplementedError):  # not every system tells
            adapter = await BleakAdapter.get(bluez={} if self.adapter is None else {"adapter": self.adapter})
            return await adapter.get_connected_devices([SMP_SERVICE])
        return []


_QUIET = logging.NullHandler()


async def scan(seconds: float = 5.0, backends: Backends = SYSTEM, *, adapter: str | None = None) -> tuple[Found, ...]:
    """The devices with the SMP service that advertise within ``seconds``, the nearest first.

    Raises ConnectError where there is no Bluetooth to use.
    """
    bluetooth = Bluetooth(backends, adapter)
    search = Search(ANY)
    try:
        async with AsyncExitStack() as stack:
            await bluetooth.enter(stack)
            async with bluetooth.scanner(search.note, only_smp=True):
                await asyncio.sleep(seconds)
    except Exception as error:
        from smpdfu.link.ble.bluez import explain

        raise ConnectError(f"cannot look for Bluetooth devices: {explain(error)}") from error
    return search.smp_devices


class Search:
    """A device is looked for; ``result`` is it, or the ConnectError that tells of several.

    At first that is what the person wrote: an address, a name, or ``ANY``. After that it is the device that was there
    before (``known``): by its address at once, or else, for new firmware may have a new one, by service and name.
    What fits by name alone is taken after ``SETTLE_S``, when no other one with that name was heard.
    """

    def __init__(self, target: str, known: Found | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[BLEDevice] = self._loop.create_future()
        self._target = target
        self._known = known
        self._heard: dict[str, Found] = {}
        self._smp: set[str] = set()
        self._fitting: dict[str, BLEDevice] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def smp_devices(self) -> tuple[Found, ...]:
        """What was heard with the SMP service, the nearest first."""
        devices = (self._heard[address] for address in self._smp)
        return tuple(sorted(devices, key=lambda one: (-one.rssi, one.address)))

    def found(self, device: BLEDevice) -> Found:
        """What was heard of ``device``."""
        return self._heard.get(device.address, Found(device.name, device.address, 0))

    def seen(self, device: BLEDevice, shown: AdvertisementData) -> None:
        """An advertisement came in."""
        self.note(device, shown)
        self._consider(device)

    def is_connected(self, device: BLEDevice) -> None:
        """The system is connected to this SMP device."""
        self._heard[device.address] = Found(device.name, device.address, 0)
        self._smp.add(device.address)
        self._consider(device)

    def _consider(self, device: BLEDevice) -> None:
        if self._is_it(device):
            if not self.result.done():
                self.result.set_result(device)
        elif self._fits(device):
            self._fitting[device.address] = device
            self._timer = self._timer or self._loop.call_later(SETTLE_S, self._settle)

    def note(self, device: BLEDevice, shown: AdvertisementData) -> None:
        """Remember what an advertisement tells; the name may be in the next one only."""
        address = device.address
        before = self._heard.get(device.address)
        if before is None and len(self._heard) >= _HEARD_MAX:  # somebody makes addresses up
            return
        name = shown.local_name or device.name or (before.name if before else None)
        self._heard[address] = Found(name, address, shown.rssi)
        if SMP_SERVICE in shown.service_uuids:
            self._smp.add(address)

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
        if self._known is not None:
            return heard.name == self._known.name and heard.address in self._smp
        return heard.address in self._smp if self._target == ANY else heard.name == self._target

    def _settle(self) -> None:
        if self.result.done():
            return
        if len(self._fitting) == 1:
            self.result.set_result(next(iter(self._fitting.values())))
            return
        several = ", ".join(str(self.found(device)) for device in self._fitting.values())
        what = "SMP devices are in reach" if self._target == ANY else f"devices are called {self._target!r}"
        self.result.set_exception(ConnectError(f"several {what}: {several}; name one by its address", self._target))
