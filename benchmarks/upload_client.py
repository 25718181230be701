"""One upload by one client, in a process of its own: ``python -m benchmarks.upload_client WHO WIRE PORT FILE``.

Who is ``... fs`` writes the file to the device's file system, and reads it back: ``back_s`` are the seconds of that.

Prints one line of JSON: seconds of the upload alone, CPU seconds of this process meanwhile (start-up, imports, opening
and asking for the buffers come before), and what the client tells of requests and retries. A client that gives up
prints ``{"error": ...}``.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smpclient.transport import SMPTransport

    from smpdfu.link.pipe import Pipe
    from smpdfu.smp.framing import Framing

FILE = "/lfs1/bench"
DEVICE = "bench"
"""The name by which Bluetooth finds the device."""


class Meter:
    """From ``start`` to ``stop``."""

    def start(self) -> None:
        """Now it counts."""
        self._wall, self._cpu = time.perf_counter(), _cpu_s()

    def stop(self, **facts: object) -> None:
        """Print what it took, and ``facts``."""
        wall, cpu = time.perf_counter() - self._wall, _cpu_s() - self._cpu
        print(json.dumps({"seconds": wall, "cpu_s": cpu, **facts}))

    def stop_files(self, half_s: float, *, same: bool) -> None:
        """The same of a file that went there until ``half_s``, by ``time.perf_counter``, and came back since."""
        if not same:
            raise ValueError("other bytes came back")
        self.stop(there_s=half_s - self._wall, back_s=time.perf_counter() - half_s)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def smpdfu(wire: str, port: str, data: bytes, window_max: int | None = None) -> None:
    """Ours, the library, at the window that it finds."""
    from smpdfu.client import Client

    async def upload() -> None:
        meter = Meter()
        async with Client(*_our_wire(wire, port), window_max=window_max) as client:
            await client.params()
            meter.start()
            result = await client.upload(data)
            meter.stop(requests=result.requests, retries=result.retries, window=result.window)

    asyncio.run(upload())


def _our_wire(wire: str, port: str) -> tuple[Pipe, Framing]:
    from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, GattFraming

    if wire == "pty":
        from smpdfu.link.serial.pipe import SerialPipe

        return SerialPipe(port), ConsoleFraming()
    if wire == "udp":
        from smpdfu.link.udp import UdpPipe

        return UdpPipe("127.0.0.1", int(port)), DatagramFraming()
    from smpdfu.link.ble.bumble_backend import backends
    from smpdfu.link.ble.pipe import BlePipe

    return BlePipe(DEVICE, backends=backends(port)), GattFraming()


def smpdfu_one(wire: str, port: str, data: bytes) -> None:
    """Ours, one request in flight."""
    smpdfu(wire, port, data, 1)


def smpclient(wire: str, port: str, data: bytes) -> None:
    """smpclient, with the transports and timeouts that it brings."""
    from smpclient import SMPClient

    async def upload() -> None:
        meter = Meter()
        async with SMPClient(*_its_wire(wire, port)) as client:
            meter.start()
            async for _ in client.upload(data):
                pass
            meter.stop()

    asyncio.run(upload())


def _its_wire(wire: str, port: str) -> tuple[SMPTransport, str]:
    from smpclient.transport.serial import SMPSerialTransport
    from smpclient.transport.udp import SMPUDPTransport

    if wire == "pty":
        return SMPSerialTransport(), port
    if wire == "raw":
        from smpclient.transport.serial import SMPSerialRawTransport

        return SMPSerialRawTransport(), port
    if wire == "ble":
        from smpclient.transport.bumble import SMPBumbleTransport

        return SMPBumbleTransport(hci=port, preferred_mtu=498), DEVICE

    class UdpAt(SMPUDPTransport):
        """At another port than SMP's own."""

        async def connect(self, address: str, timeout_s: float, port: int = int(port)) -> None:
            await super().connect(address, timeout_s, port)

    return UdpAt(), "127.0.0.1"


def mcumgr_toolkit(wire: str, port: str, data: bytes) -> None:
    """mcumgr-toolkit through its Python binding: the work is done in Rust."""
    from mcumgr_toolkit import MCUmgrClient

    meter = Meter()
    made = MCUmgrClient.serial(port) if wire == "pty" else MCUmgrClient.udp("127.0.0.1", int(port))
    with made as client:
        client.use_auto_frame_size()
        meter.start()
        client.image_upload(data)
        meter.stop()


def smpdfu_files(wire: str, port: str, data: bytes) -> None:
    """Ours: to the device's file system, and back."""
    from smpdfu.client import Client
    from smpdfu.client.files import download_file, upload_file

    async def there_and_back() -> None:
        meter, target = Meter(), io.BytesIO()
        async with Client(*_our_wire(wire, port)) as client:
            await client.params()
            meter.start()
            await upload_file(client, io.BytesIO(data), FILE)
            half_s = time.perf_counter()
            await download_file(client, FILE, target)
            meter.stop_files(half_s, same=target.getvalue() == data)

    asyncio.run(there_and_back())


def smpclient_files(wire: str, port: str, data: bytes) -> None:
    """smpclient: to the device's file system, and back; it does not ask whether the device holds what was sent."""
    from smpclient import SMPClient

    async def there_and_back() -> None:
        meter = Meter()
        async with SMPClient(*_its_wire(wire, port)) as client:
            meter.start()
            async for _ in client.upload_file(data, FILE):
                pass
            half_s = time.perf_counter()
            back = await client.download_file(FILE)
            meter.stop_files(half_s, same=back == data)

    asyncio.run(there_and_back())


def mcumgr_toolkit_files(wire: str, port: str, data: bytes) -> None:
    """mcumgr-toolkit: to the device's file system, and back."""
    from mcumgr_toolkit import MCUmgrClient

    meter = Meter()
    with MCUmgrClient.serial(port) as client:
        client.use_auto_frame_size()
        meter.start()
        client.fs_file_upload(FILE, data)
        half_s = time.perf_counter()
        back = client.fs_file_download(FILE)
        meter.stop_files(half_s, same=bytes(back) == data)


CLIENTS: dict[str, Callable[[str, str, bytes], None]] = {
    "smpdfu": smpdfu,
    "smpdfu -w 1": smpdfu_one,
    "smpclient": smpclient,
    "mcumgr-toolkit": mcumgr_toolkit,
    "smpdfu fs": smpdfu_files,
    "smpclient fs": smpclient_files,
    "mcumgr-toolkit fs": mcumgr_toolkit_files,
}

if __name__ == "__main__":
    who, wire, port, file = sys.argv[1:]
    try:
        CLIENTS[who](wire, port, Path(file).read_bytes())
    except Exception as error:  # a peer that gives up is a result
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:200]}))
