"""Serial ports: UARTs, USB, ptys."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.descriptor import Descriptor
from smpdfu.link.pipe import Pipe, not_open, words
from smpdfu.link.threads import ThreadedPort

if TYPE_CHECKING:
    from serial import Serial

BAUDRATE = 115_200
DRAIN_STEP_S, DRAIN_STEPS = 0.005, 100
"""How long closing waits for bytes that the port has not sent yet: 0.5 s."""
_WINDOWS = os.name == "nt"


class SerialPipe(Pipe):
    """The serial port ``port`` ("/dev/ttyACM0", "COM3"), 8N1 without flow control, for this process alone.

    ``threaded`` is how it is done on Windows; elsewhere the event loop itself watches the port.
    """

    def __init__(self, port: str, baudrate: int = BAUDRATE, *, threaded: bool = _WINDOWS) -> None:
        super().__init__(port)
        self.baudrate = baudrate
        self._threaded = threaded
        self._serial: Serial | None = None
        self._stream: Descriptor | ThreadedPort | None = None

    async def _open(self) -> None:
        self._serial = self._open_port()
        self._stream = ThreadedPort(self._serial) if self._threaded else Descriptor(self._serial.fileno())

    def _open_port(self) -> Serial:
        from serial import Serial

        timeout_s = 1.0 if self._threaded else 0.0
        try:
            # inter_byte_timeout 0 is VMIN 1: without it, read(2) does not tell "nothing there" from "hung up"
            port = Serial(self.name, self.baudrate, timeout=timeout_s, inter_byte_timeout=0.0, exclusive=True)
        except ValueError as error:
            raise ConnectError(f"{self.name} cannot run at {self.baudrate} baud", self.name) from error
        except OSError as error:
            raise ConnectError(_why_not(self.name, error), self.name) from error
        with suppress(OSError, ValueError, NotImplementedError):  # FTDI adapters else hold bytes back for 16 ms
            port.set_low_latency_mode(True)
        return port

    async def _close(self) -> None:
        port, self._serial = self._serial, None
        stream, self._stream = self._stream, None
        if port is None:
            return
        try:
            await _drain(port)
        finally:
            if stream is not None:
                stream.release(LinkLostError(f"{self.name} was closed"))
            port.close()

    async def _read(self) -> bytes:
        return await self._opened().read()

    async def _write(self, data: bytes) -> None:
        await self._opened().write(data)

    def _opened(self) -> Descriptor | ThreadedPort:
        if self._stream is None:
            raise not_open(self.name)
        return self._stream

    def _lost(self, error: Exception) -> LinkLostError:
        if isinstance(error, OSError | EOFError):
            return LinkLostError(f"{self.name} is gone: the cable was pulled, or the device restarted")
        return super()._lost(error)


async def _drain(port: Serial) -> None:
    """Let the last bytes leave, but do not wait for a device that takes none: the system would, for 30 s."""
    with suppress(OSError):  # pulled: nothing leaves any more
        try:
            for _ in range(DRAIN_STEPS):
                if not port.out_waiting:
                    return
                await asyncio.sleep(DRAIN_STEP_S)
        finally:
            if port.out_waiting:
                port.reset_output_buffer()


_REASONS = {
    errno.ENOENT: "there is no port {port}",
    errno.EACCES: "this user may not open {port}: it belongs to the group {group}",
    errno.EPERM: "this user may not open {port}: it belongs to the group {group}",
    errno.EBUSY: "{port} is taken: another program has it open",
    errno.EAGAIN: "{port} is taken: another program has it open",
    errno.EISDIR: "{port} is not a serial port",
    errno.ENOTTY: "{port} is not a serial port",
    errno.EIO: "{port} has no hardware behind it",
    errno.ENXIO: "{port} has no hardware behind it",
    errno.ENODEV: "{port} has no hardware behind it",
}


def _why_not(port: str, error: OSError) -> str:
    """One sentence: why ``port`` cannot be opened."""
    code = _error_number(error)
    if _WINDOWS and code == errno.EACCES:
        code = errno.EBUSY  # there, "access denied" is how the system says that it is open elsewhere
    reason = _REASONS.get(code) if code is not None else None
    return reason.format(port=port, group=_group_of(port)) if reason else f"cannot open {port}: {words(error)}"


def _error_number(error: BaseException) -> int | None:
    """The system's number behind pyserial's ``error``: its own, that of its cause, or, on Windows, in its text."""
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        return number
    if error.__context__ is not None:
        return _error_number(error.__context__)
    found = re.search(r"Error\((\d+),", str(error))
    return int(found[1]) if found else None


def _group_of(port: str) -> str:
    """The group that may open ``port``: "dialout" on Debian and its kin, "uucp" on others."""
    try:
        import grp

        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        return "dialout"
    return "dialout" if group == "root" else group


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A serial port that is there. ``usb_id`` is "1366:1051" (vendor and product), None if it is not on USB."""

    name: str
    description: str
    serial_number: str | None = None
    usb_id: str | None = None


def list_serial_ports() -> tuple[PortInfo, ...]:
    """The serial ports of this computer, those on USB first; opens none of them."""
    from serial.tools.list_ports import comports

    found = [
        PortInfo(
            name=port.device,
            description="" if port.description in (None, "n/a") else port.description,
            serial_number=port.serial_number,
            usb_id=None if port.vid is None or port.pid is None else f"{port.vid:04x}:{port.pid:04x}",
        )
        for port in comports()
    ]
    return tuple(sorted(found, key=lambda port: (port.usb_id is None, port.name)))
