"""Serial ports: UARTs, USB, ptys."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.pipe import Pipe, not_open, words
from smpdfu.link.serial.descriptor import Descriptor
from smpdfu.link.serial.threaded import ThreadedPort
from smpdfu.link.serial.usb_identity import Port, find_again, port_named

if TYPE_CHECKING:
    from serial import Serial

BAUDRATE = 115_200
DRAIN_STEP_S, DRAIN_STEPS = 0.005, 100
"""How long closing waits for bytes that the port has not sent yet: 0.5 s."""
_WINDOWS = os.name == "nt"
_PACE_PIECE_S = 0.002
"""A paced port gets what fits into so much time at once: less than the smallest receive buffer."""

HOLDERS_EVERY_S = 5.0
"""How often at most the programs that have a taken port open are searched: that reads files of every process."""

Holders = Callable[[str], Sequence[str]]
"""Returns the programs that have a port open, in words. Called in a thread."""


def nobody_known(port: str) -> Sequence[str]:
    """Return no program: who has a port open cannot be told."""
    return ()


class SerialPipe(Pipe):
    """The serial port ``port`` ("/dev/ttyACM0", "COM3"), 8N1, for this process alone.

    ``flow_control``: RTS and CTS stop whoever is too fast. A device without these two lines then takes nothing.
    ``pace``: never send more bytes per second, for adapters and receivers that lose what comes faster. ``threaded`` is
    how it is done on Windows; elsewhere the event loop itself watches the port. ``holders`` returns the programs that
    have a port open, in words, as far as anybody can know: the error for a taken port names them.

    A USB device that was lost is opened again wherever it comes back, and never another one in its place.
    """

    def __init__(
        self,
        port: str,
        baudrate: int = BAUDRATE,
        *,
        pace: int | None = None,
        flow_control: bool = False,
        threaded: bool = _WINDOWS,
        holders: Holders = nobody_known,
    ) -> None:
        if pace is not None and pace < 1:
            raise ValueError(f"the pace must be at least one byte per second, not {pace}")
        super().__init__(port)
        self.baudrate = baudrate
        self.pace = pace
        self.flow_control = flow_control
        self._threaded = threaded
        self._holders = holders
        self._serial: Serial | None = None
        self._stream: Descriptor | ThreadedPort | None = None
        self._known: Port | None = None
        self._looking: asyncio.Future[Port | None] | None = None
        self._free_at = 0.0
        self._held_by: Sequence[str] = ()
        self._search_at = 0.0

    async def _open(self) -> None:
        name = await self._where()
        try:
            self._serial = self._open_port(name)
        except OSError as error:
            if _is_taken(error):
                await self._search_holders(name)
            raise ConnectError(await asyncio.to_thread(_why_not, name, error, self._held_by), name) from error
        self._stream = ThreadedPort(self._serial) if self._threaded else Descriptor(self._serial.fileno())
        if self._known is None and self._looking is None:
            self._looking = asyncio.get_running_loop().run_in_executor(None, usb_port, self.name)

    @property
    def is_open(self) -> bool:
        """True between ``open`` and ``close``, also when the link was lost meanwhile."""
        return self._stream is not None

    async def _where(self) -> str:
        """The port that the device is at now; a ConnectError says that it is gone."""
        looking, self._looking = self._looking, None
        if looking is not None and looking.get_loop() is asyncio.get_running_loop():
            self._known = await looking
        if self._known is None:
            return _calling_out(self.name)
        ports = await asyncio.to_thread(list_serial_ports)
        found = find_again(self._known, ports)
        if found is None and port_named(self._known.name, ports):
            raise ConnectError(f"{self.name} is another device now, and the one that was there is gone", self.name)
        return found or self.name

    async def _search_holders(self, name: str) -> None:
        """Find out which programs have the port open, unless that was done a moment ago."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._search_at:
            self._held_by = await asyncio.to_thread(self._holders, name)
            self._search_at = loop.time() + HOLDERS_EVERY_S

    def _open_port(self, name: str) -> Serial:
        from serial import Serial

        timeout_s = 1.0 if self._threaded else 0.0
        try:
            # inter_byte_timeout 0 is VMIN 1: without it, read(2) does not tell "nothing there" from "hung up"
            port = Serial(
                name,
                self.baudrate,
                timeout=timeout_s,
                inter_byte_timeout=0.0,
                exclusive=True,
                rtscts=self.flow_control,
            )
        except ValueError as error:
            raise ConnectError(f"{name} cannot run at {self.baudrate} baud", name) from error
        if hasattr(port, "set_low_latency_mode"):  # Windows has no such thing
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
        if self.pace is None:
            await self._opened().write(data)
            return
        loop = asyncio.get_running_loop()
        size = max(1, int(self.pace * _PACE_PIECE_S))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            await asyncio.sleep(self._free_at - loop.time())
            await self._opened().write(piece)
            self._free_at = max(self._free_at, loop.time() - _PACE_PIECE_S) + len(piece) / self.pace

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


_REASONS: dict[int | None, str] = {
    errno.ENOENT: "there is no port {port}",
    errno.EACCES: "you have no permission to open {port}: it belongs to the group {group}",
    errno.EPERM: "you have no permission to open {port}: it belongs to the group {group}",
    errno.EBUSY: "{port} is in use: {holder} {have} it open",
    errno.EAGAIN: "{port} is in use: {holder} {have} it open",
    errno.EISDIR: "{port} is not a serial port",
    errno.ENOTTY: "{port} is not a serial port",
    errno.EIO: "{port} has no hardware behind it",
    errno.ENXIO: "{port} has no hardware behind it",
    errno.ENODEV: "{port} has no hardware behind it",
}


def _why_not(port: str, error: OSError, holders: Sequence[str] = ()) -> str:
    """Return one sentence: why ``port`` cannot be opened. May ask the system for the name of a group: call in a thread.

    ``holders``: the programs that have it open, as far as that is known.
    """
    reason = _REASONS.get(_code(error))
    if reason is None:
        return f"cannot open {port}: {words(error)}"
    holder, have = " and ".join(holders) or "another program", "have" if len(holders) > 1 else "has"
    return reason.format(port=port, group=_group_of(port), holder=holder, have=have)


def _is_taken(error: OSError) -> bool:
    """Has another program the port open?"""
    return _code(error) in (errno.EBUSY, errno.EAGAIN)


def _code(error: OSError) -> int | None:
    """The system's number for why a port cannot be opened, as POSIX has it."""
    code = _error_number(error)
    # On Windows, "access denied" means that another program has the port open.
    return errno.EBUSY if _WINDOWS and code == errno.EACCES else code


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
    """A serial port that is there. ``usb_id`` is "1366:1051" (vendor and product), None if it is not on USB.

    ``location`` is its place on USB, "3-4.1:1.2", as far as the system tells.
    """

    name: str
    description: str
    serial_number: str | None = None
    usb_id: str | None = None
    location: str | None = None


def list_serial_ports() -> tuple[PortInfo, ...]:
    """The serial ports of this computer, those on USB first; opens none of them."""
    from serial.tools.list_ports import comports

    found = [
        PortInfo(
            name=port.device,
            description="" if port.description in (None, "n/a") else port.description,
            serial_number=port.serial_number,
            usb_id=None if port.vid is None or port.pid is None else f"{port.vid:04x}:{port.pid:04x}",
            location=port.location,
        )
        for port in comports()
    ]
    return tuple(sorted(found, key=lambda port: (port.usb_id is None, port.name)))


def usb_port(name: str) -> Port | None:
    """The USB device behind the port ``name``, which may be a link to it; None if there is none, or none to be told."""
    try:
        real = name if _WINDOWS else os.path.realpath(_calling_out(name))
        if sys.platform == "linux" and not os.path.exists(f"/sys/class/tty/{os.path.basename(real)}/device"):
            return None
        return port_named(real, list_serial_ports())
    except Exception:  # whatever a driver or a listing does here costs a comfort, not the link
        return None


def _calling_out(name: str) -> str:
    """macOS: of the two names of a port, the one that does not wait for a carrier to be detected."""
    beside = name.replace("/dev/tty.", "/dev/cu.", 1)
    return beside if sys.platform == "darwin" and os.path.exists(beside) else name
