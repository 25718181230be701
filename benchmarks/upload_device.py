"""The device of ``bench_upload``, in a process of its own: a virtual nRF5340 with one wire at a time.

A line of JSON on stdin (the fields of ``Setting``) makes a new device with a blank secondary slot and serves it; the
answer on stdout is ``{"port": ...}``. The line ``done`` ends it: ``{"requests": ..., "repeats": ..., "held": ...}``,
what came, how often a piece of the image came again, and the SHA-256 of what the slot holds.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from smpdfu.errors import RemoteProtocolError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signing.build import build
from smpdfu.image.signing.spec import ImageSpec
from smpdfu.smp import cbor
from smpdfu.smp.framing import RawFraming
from smpdfu.smp.groups.image import ImageUpload
from smpdfu.smp.message import HEADER_SIZE, Header
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.line.timers import precise_loop
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.server.server import Buffers
from smpdfu.virtual.wires.pty import serve_pty
from smpdfu.virtual.wires.udp import serve_udp

LAYOUT = LAYOUTS["nrf5340dk-staged"]
KEY = generate("ecdsa-p256")
HEADER = 0x200
TIME_FACTOR = 0.05
"""Flash 20 times as fast as the chip's, so that the wire is what is measured; yet not of no account."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A wire and a device: see ``bench_upload``, and for what follows ``size``, ``bench_uart``."""

    wire: str
    round_trip_ms: float = 0.0
    buffers: int = 4
    loss: float = 0.0
    baudrate: int | None = None
    size: int = 0
    buf_size: int = 2048
    uart_ring: int | None = None
    time_factor: float = TIME_FACTOR
    erase_progressively: bool = False

    @property
    def traffic(self) -> Traffic:
        """The model of a wire that is no radio."""
        return Traffic(baudrate=self.baudrate, latency_s=self.round_trip_ms / 2000, loss=self.loss, seed=4)


class CountingDevice(VirtualNrf5340):
    """Counts the pieces of an upload that came before."""

    def __init__(self, setting: Setting) -> None:
        resources = Resources(
            buffers=Buffers(size_bytes=setting.buf_size, count=setting.buffers),
            uart_ring=setting.uart_ring,
            time_factor=setting.time_factor,
            erase_progressively=setting.erase_progressively,
        )
        super().__init__(LAYOUT, BootKeys((KEY.public,)), resources=resources, name="bench")
        self.offsets: set[int] = set()
        self.repeats = 0
        table = b"".join(
            word.to_bytes(4, "little") for word in (0x2000_4000, *[LAYOUT.primary.start + HEADER + 0x101] * 15)
        )
        self.load_app(build(ImageSpec(Version(1), HEADER, 0, pad_header=True), table + bytes(4096), KEY).to_bytes())
        net = b"".join(word.to_bytes(4, "little") for word in (0x2100_4000, *[LAYOUT.net.app.start + 0x101] * 15))
        self.load_net(net + bytes(4096))
        self.reset()

    def answers(self, packet: bytes) -> list[bytes]:
        """As a device; every piece of an upload is noted."""
        header = Header.from_bytes(packet[:HEADER_SIZE])
        if (header.group, header.command) == (ImageUpload.group, ImageUpload.command):
            try:
                entries = cbor.loads(packet[HEADER_SIZE:])
            except RemoteProtocolError:
                entries = {}
            off = entries.get("off") if isinstance(entries, dict) else None
            if isinstance(off, int):
                self.repeats += off in self.offsets
                self.offsets.add(off)
        return super().answers(packet)


Serve = Callable[[Callable[[str], None]], Coroutine[object, object, None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    """The port of a device that is served while the block runs."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve(ready.set_result))

    def ended(_: object) -> None:
        if not ready.done() and not serving.cancelled():
            ready.set_exception(serving.exception() or EOFError())

    serving.add_done_callback(ended)
    try:
        yield await ready
    finally:
        serving.cancel()
        await asyncio.wait([serving])


def on_pty(device: CountingDevice, setting: Setting) -> AbstractAsyncContextManager[str]:
    """A pseudo terminal."""
    device.traffic = setting.traffic
    return served(lambda ready: serve_pty(device, ready))


def on_raw(device: CountingDevice, setting: Setting) -> AbstractAsyncContextManager[str]:
    """A pseudo terminal without a console: bare messages."""
    device.traffic = setting.traffic
    return served(lambda ready: serve_pty(device, ready, framing=RawFraming()))


def on_udp(device: CountingDevice, setting: Setting) -> AbstractAsyncContextManager[str]:
    """A UDP port on loopback."""
    device.traffic = setting.traffic
    return served(lambda ready: serve_udp(device, "127.0.0.1", 0, lambda _, port: ready(str(port))))


@asynccontextmanager
async def on_ble(device: CountingDevice, setting: Setting) -> AsyncIterator[str]:
    """A radio whose controllers are offered at a TCP port."""
    from smpdfu.virtual.wires.gatt import on_air
    from smpdfu.virtual.wires.radio import Radio

    async with on_air(device, Radio(interval_ms=setting.round_trip_ms, loss=setting.loss)) as (_, port):
        yield f"tcp-client:127.0.0.1:{port}"


Wire = Callable[[CountingDevice, Setting], AbstractAsyncContextManager[str]]
WIRES: dict[str, Wire] = {"pty": on_pty, "raw": on_raw, "udp": on_udp, "ble": on_ble}


async def serve(lines: asyncio.Queue[str]) -> None:
    """One device after another, until stdin ends."""
    while line := await lines.get():
        setting = Setting(**json.loads(line))
        device = CountingDevice(setting)
        async with WIRES[setting.wire](device, setting) as port:
            tell(port=port)
            await lines.get()
        held = device.images[0].secondary.area.read(0, setting.size)
        pool = device.pool
        tell(
            requests=pool.requests,
            repeats=device.repeats,
            full=pool.dropped + pool.refused,
            held=hashlib.sha256(held).hexdigest(),
        )


def tell(**facts: object) -> None:
    """A line for who started us."""
    print(json.dumps(facts), flush=True)


async def main() -> None:
    """Read stdin without a thread, so that nothing disturbs the timers."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    await serve(lines)


if __name__ == "__main__":
    with suppress(OSError, AttributeError):  # a model of hardware should not wait for a processor, where we may say so
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(main())
