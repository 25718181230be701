"""Packages, and virtual devices at a pseudo terminal, for the tests of sending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from smpdfu.image.secure_dfu.init_packet import Packet
from smpdfu.image.secure_dfu.package import Entry, SecureDfuPackage
from smpdfu.virtual.nrf52.build import Nrf52Build
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.wires.dfu_serial import DEFAULT_LINE, DfuLine, serve_dfu_pty
from tests.virtual.nrf52.nrf52_bench import firmware, init_command, new_device, sign

START = 0x1000
OLD, NEW = firmware(START, 1), firmware(START, 2, 3 * 4096 + 1204)


def package_of(image: bytes = NEW, packet: bytes | None = None, name: str = "application") -> SecureDfuPackage:
    """A package of one image."""
    made = sign(init_command(image)) if packet is None else packet
    return SecureDfuPackage.of([entry_of(image, made, name)])


def entry_of(image: bytes, packet: bytes, name: str) -> Entry:
    """An image of a package."""
    return Entry.of(name, name, image, Packet.from_bytes(packet))


def device_in_dfu(build: Nrf52Build | None = None) -> VirtualNrf52:
    """A device that ran an application and is in its bootloader."""
    device = new_device(Nrf52Build() if build is None else build, app=OLD)
    device.enter_dfu()
    return device


def runs_new(device: VirtualNrf52) -> bool:
    return device.app_runs and device.chip.read(START, len(NEW)) == NEW


def runs_old(device: VirtualNrf52) -> bool:
    return device.chip.read(START, len(OLD)) == OLD


@asynccontextmanager
async def served(device: VirtualNrf52, line: DfuLine = DEFAULT_LINE) -> AsyncIterator[str]:
    """Serve the device at a pseudo terminal; yields its address."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    tell: Callable[[str], None] = ready.set_result
    serving = asyncio.create_task(serve_dfu_pty(device, tell, None, line))
    try:
        yield f"serial:{await ready}"
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
