"""The parts of the tests of Bluetooth LE: a virtual device in an air of its own, and time that does not wait.

Everything from the client to the device's SMP server is in this process, and nothing of it is a mock: bleak's API,
GATT, ATT, L2CAP and HCI are bumble's. Only the antenna is missing.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from math import ceil
from typing import Any

from bumble.transport.common import AsyncPipeSink

from smpdfu.client import Client, Patience
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.link.ble.bumble_backend import Dongle, on
from smpdfu.link.ble.pipe import BlePipe
from smpdfu.smp.framing import GattFraming
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.wires.gatt import Presence, serve_ble
from smpdfu.virtual.wires.peripheral import Hci
from smpdfu.virtual.wires.radio import AT_ONCE, GAP_S, Air, Radio

KEY = generate("ecdsa-p256")
HEADER_SIZE = 512
L2CAP_HEADER_SIZE, ATT_HEADER_SIZE = 4, 3
PRESENT = Presence()


def vectors(stack: int, start: int) -> bytes:
    return struct.pack("<2I", stack, start + 0x101)


def signed_image(version: int, size: int = 60_000) -> bytes:
    """Firmware for the application core, with its header and signature."""
    firmware = vectors(0x2000_4000, NRF5340DK_STAGED.primary.start + HEADER_SIZE) + random.Random(version).randbytes(
        size
    )
    return build(ImageSpec(Version(version), HEADER_SIZE, 0, pad_header=True), firmware, KEY).to_bytes()


OLD, NEW = signed_image(1), signed_image(2)
NET = vectors(0x2100_1000, NRF5340DK_STAGED.net.app.start) + bytes(200)


def virtual_device(name: str = "board") -> VirtualNrf5340:
    """A device that runs ``OLD``, with firmware on both cores."""
    device = VirtualNrf5340(NRF5340DK_STAGED, BootKeys((KEY.public,)), name=name)
    device.load_app(OLD)
    device.load_net(NET)
    device.reset()
    assert device.net_core.running
    return device


class AirDongle(Dongle):
    """A host's controller in the air of the test."""

    def __init__(self, air: Air) -> None:
        super().__init__("air")
        self._air = air

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[tuple[Any, Any]]:
        controller = self._air.controller()
        try:
            yield controller, AsyncPipeSink(controller)
        finally:
            self._air.remove(controller)


class Rig:
    """An air with devices in it, and a host. To be entered."""

    def __init__(self, radio: Radio = AT_ONCE) -> None:
        self.air = Air(radio)
        self.backends = on(AirDongle(self.air))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Rig:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def serve(
        self, device: VirtualNrf5340, presence: Presence = PRESENT, ready: Callable[[str], object] | None = None
    ) -> None:
        """Put a device into the air; ``ready`` gets its address at every boot."""
        serving = asyncio.ensure_future(serve_ble(device, Hci.of(self.air.controller()), presence, ready))
        self._stack.push_async_callback(_stop, serving)

    def pipe(self, target: str = "board", **options: Any) -> BlePipe:
        options = {"connect_s": 5.0} | options
        return BlePipe(target, backends=self.backends, **options)

    def client(self, pipe: BlePipe | None = None, **given: Any) -> Client:
        patience = Patience(reconnect_s=20.0, pause_s=0.05, quiet_s=0.0)
        options: dict[str, Any] = {"timeout_s": 5.0, "patience": patience, **given}
        return Client(pipe or self.pipe(), GattFraming(), **options)


async def _stop(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def secondary(device: VirtualNrf5340, length: int) -> bytes:
    """What is in the slot that uploads go to."""
    return device.images[0].secondary.area.read(0, length)


def write_bytes_per_s(radio: Radio, mtu: int = 498) -> float:
    """The most bytes per second that one end can write in pieces of ``mtu`` - 3 over a radio with an interval.

    Nothing goes the other way, nothing is lost, no event starts with an empty queue.
    """
    written, rest, pdu = 0, deque[int](), mtu + L2CAP_HEADER_SIZE
    events = 400
    for _ in range(events):
        left_s, turns = radio.interval_s, radio.packets_per_event or ceil(radio.interval_s / GAP_S)
        while turns:
            if not rest:
                rest.extend(min(radio.packet_max, pdu - start) for start in range(0, pdu, radio.packet_max))
            if (left_s := left_s - radio.turn_s(rest[0], 0)) < 0:
                break
            rest.popleft()
            written += 0 if rest else mtu - ATT_HEADER_SIZE
            turns -= 1
    return written / (events * radio.interval_s)
