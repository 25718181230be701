"""The facts about this computer that a link to a device depends on: ports, processes, Bluetooth. Read only.

The code reads files below ``root``: /dev, /etc, /proc, /run and /sys, as Linux has them. Tests use a tree of their own.
Every read has a limit, and a file that the user may not read counts as missing.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from smpdfu.untrusted.programs import environment

READ_MAX = 65536
PROCESSES_MAX, FILES_MAX, ENTRIES_MAX = 32768, 4096, 4096
RUN_TIMEOUT_S = 5.0
DEFAULT_BUS = "unix:path=/run/dbus/system_bus_socket"
"""D-Bus specification, "Well-known Message Bus Instances"; /var/run, which it names, leads to /run."""
_PORTS = ("ttyACM", "ttyUSB")  # built-in UARTs (ttyS) are there whether anything is behind them or not


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port on USB: its path in /dev, its number "166:0", and the folder of its USB device in /sys."""

    path: str
    number: str
    usb: Path

    @property
    def name(self) -> str:
        """Its name in /dev."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its number, and its name as the kernel has it (15 characters)."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name or 'a program'} (pid {self.pid})"


def run_program(command: list[str]) -> str | None:
    """Return the output of a program; None if it is missing, fails, or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=RUN_TIMEOUT_S,
            check=True,
            text=True,
            env=environment({}),
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout[:READ_MAX]


def answers(socket_path: Path) -> bool:
    """Return whether a program accepts connections at a Unix socket. Nothing is sent to it."""
    import socket  # here: few computers have such a socket to try

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(RUN_TIMEOUT_S)
        try:
            trial.connect(os.fspath(socket_path))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class System:
    """Facts about a computer. If ``user`` is None, rights are those of the user who runs this, as the system has them.

    ``run`` runs a program and returns its output, or None. ``answers`` says whether a Unix socket accepts connections.
    ``bus`` is the address of the system's D-Bus; "" stands for the usual place.
    """

    root: Path = Path("/")
    platform: str = sys.platform
    user: int | None = None
    groups: frozenset[int] = frozenset()
    run: Callable[[list[str]], str | None] = field(default=run_program)
    answers: Callable[[Path], bool] = field(default=answers)
    bus: str = field(default_factory=lambda: os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", ""))

    def at(self, path: str) -> Path:
        """Return the place of an absolute path below ``root``."""
        return self.root / path.lstrip("/")

    def text(self, path: str | Path) -> str:
        """Return the stripped text of a small file; "" if it cannot be read."""
        try:
            with (self.at(path) if isinstance(path, str) else path).open("rb") as stream:
                return stream.read(READ_MAX).decode(errors="replace").strip()
        except OSError:
            return ""

    def entries(self, path: str) -> list[Path]:
        """Return the entries of a folder, sorted by name; none if it cannot be read."""
        try:
            with os.scandir(self.at(path)) as found:
                return sorted(Path(entry.path) for entry, _ in zip(found, range(ENTRIES_MAX), strict=False))
        except OSError:
            return []

    def bus_answers(self) -> bool:
        """Return whether the system's D-Bus accepts connections, at the address where programs look for it.

        An address may name several places; those that are no Unix socket with a path are taken to answer.
        """
        for place in (self.bus or DEFAULT_BUS).split(";"):
            kind, _, options = place.partition(":")
            path = next((one.removeprefix("path=") for one in options.split(",") if one.startswith("path=")), "")
            if kind != "unix" or not path or self.answers(self.at(unquote(path))):
                return True
        return False

    def ports(self) -> tuple[Port, ...]:
        """Return the serial ports on USB."""
        found = []
        for entry in self.entries("/sys/class/tty"):
            usb = _usb_device(entry / "device") if entry.name.startswith(_PORTS) else None
            if usb is not None:
                found.append(Port(f"/dev/{entry.name}", self.text(entry / "dev"), usb))
        return tuple(found)

    def usb_id(self, usb: Path) -> str:
        """Return the vendor and product ID of a USB device, such as "1366:1051"."""
        return f"{self.text(usb / 'idVendor')}:{self.text(usb / 'idProduct')}".lower()

    def has_mass_storage(self, usb: Path) -> bool:
        """Return whether this USB device also shows a disk."""
        interfaces = (self.text(one / "bInterfaceClass") for one in _folders(usb) if ":" in one.name)
        return "08" in interfaces

    def udev_tags(self, port: Port) -> set[str]:
        """Return the tags that udev's rules gave a port, such as "ID_MM_PORT_IGNORE=1"."""
        lines = self.text(f"/run/udev/data/c{port.number}").splitlines()
        return {line[2:] for line in lines if line.startswith("E:")}

    def processes(self) -> Iterator[Process]:
        """Yield the processes that run."""
        names = [entry.name for entry in self.entries("/proc") if entry.name.isdigit()][:PROCESSES_MAX]
        yield from (Process(int(name), self.text(f"/proc/{name}/comm")) for name in names)

    def holders(self, path: str) -> tuple[Process, ...]:
        """Return the other processes that have a file open, as far as this user may see them."""
        return tuple(one for one in self.processes() if one.pid != os.getpid() and self._has_open(one.pid, path))

    def _has_open(self, pid: int, path: str) -> bool:
        try:
            with os.scandir(self.at(f"/proc/{pid}/fd")) as found:
                return any(_target(entry) == path for entry, _ in zip(found, range(FILES_MAX), strict=False))
        except OSError:
            return False

    def may_use(self, path: str) -> bool:
        """Return whether this user may read and write a file."""
        place = self.at(path)
        if self.user is None:
            return os.access(place, os.R_OK | os.W_OK)
        try:
            found = place.stat()
        except OSError:
            return False
        if self.user == 0:
            return True
        shift = 6 if self.user == found.st_uid else 3 if found.st_gid in self.groups else 0
        return found.st_mode >> shift & 0o6 == 0o6

    def group_of(self, path: str) -> str:
        """Return the group that may use a file; "" for no group and for root's, which nobody should join."""
        try:
            found = self.at(path).stat()
        except OSError:
            return ""
        if stat.S_IMODE(found.st_mode) & 0o060 != 0o060 or not found.st_gid:
            return ""
        return next((name for name, number, _ in self.known_groups() if number == found.st_gid), str(found.st_gid))

    def known_groups(self) -> Iterator[tuple[str, int, list[str]]]:
        """Yield name, number and members of each group in /etc/group."""
        for line in self.text("/etc/group").splitlines():
            parts = line.split(":")
            if len(parts) == 4 and parts[2].isdigit():
                yield parts[0], int(parts[2]), [name for name in parts[3].split(",") if name]


def _folders(place: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(place)]
    except OSError:
        return []


def _usb_device(device: Path) -> Path | None:
    """Return the USB device of a tty: the first folder above it that has a vendor ID."""
    try:
        place = device.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return next((one for one in (place, *place.parents[:4]) if (one / "idVendor").is_file()), None)


def _target(entry: os.DirEntry[str]) -> str:
    try:
        return os.readlink(entry.path)
    except OSError:
        return ""
