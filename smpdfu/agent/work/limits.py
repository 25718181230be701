"""How many devices are worked on at a time: in all, over one Bluetooth adapter, and behind one USB hub."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from smpdfu.agent.description.file import GatewayLimits
from smpdfu.connect import parse_address
from smpdfu.errors import ConnectError

SYSFS = "/sys/class/tty"


class Limits:
    """``async with limits.slot(address)`` waits until the device at this address may be worked on."""

    def __init__(self, limits: GatewayLimits, hub_of: Callable[[str], str] | None = None) -> None:
        self._limits = limits
        self._all = asyncio.Semaphore(limits.at_once)
        self._shared: dict[tuple[str, str], asyncio.Semaphore] = {}
        self._hub_of = hub_of or usb_hub_of

    @asynccontextmanager
    async def slot(self, address: str) -> AsyncIterator[None]:
        """Wait for the shared wire first: who waits for an adapter keeps no other device waiting."""
        async with AsyncExitStack() as stack:
            if (shared := self._shared_by(address)) is not None:
                await stack.enter_async_context(shared)
            await stack.enter_async_context(self._all)
            yield

    def _shared_by(self, address: str) -> asyncio.Semaphore | None:
        try:
            found = parse_address(address)
        except ConnectError:  # the update says so
            return None
        if found.kind == "ble":
            adapter = found.options.get("hci") or found.options.get("adapter") or ""
            return self._semaphore("ble", adapter, self._limits.per_ble_adapter)
        if found.kind == "serial" and (hub := self._hub_of(found.target)):
            return self._semaphore("serial", hub, self._limits.per_serial_hub)
        return None

    def _semaphore(self, kind: str, name: str, count: int) -> asyncio.Semaphore:
        return self._shared.setdefault((kind, name), asyncio.Semaphore(count))


def usb_hub_of(port: str, sysfs: str = SYSFS) -> str:
    """The USB hub to which the device of a serial port is connected; "" if the port is not on USB, or not on Linux.

    The kernel's path of a port ends with hub, device, interface: ``.../1-1/1-1.4/1-1.4:1.0``.
    """
    name = os.path.basename(os.path.realpath(port))
    parts = os.path.realpath(os.path.join(sysfs, name, "device")).split(os.sep)
    interfaces = [at for at, part in enumerate(parts) if ":" in part and part[0].isdigit() and "-" in part]
    return os.sep.join(parts[: interfaces[0] - 1]) if interfaces and interfaces[0] > 1 else ""
