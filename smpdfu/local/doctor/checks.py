"""Find what keeps this computer from reaching a device. The checks only read; they open no port and change nothing.

A check is a function from a ``System`` to findings. The tables at the end list the checks of each operating system.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.local.doctor.system import Port, System
from smpdfu.local.doctor.usb_vendors import ADAPTERS, MASS_STORAGE_OFF, SEGGER, board_of

BLUEZ_MIN, BLUEZ_FAST = (5, 55), (5, 62)
"""The first BlueZ that bleak works with; the first that reports the MTU. Without it, a write carries 20 bytes."""


class Level(StrEnum):
    """How serious a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: ``what`` is the case, ``why`` it matters, what to ``do``; ``topic`` is "serial" or "bluetooth"."""

    code: str
    topic: str
    level: Level
    what: str
    why: str = ""
    do: str = ""


# --- serial ports ---------------------------------------------------------------------------------------------------


def _serial_ports(system: System) -> Iterator[Finding]:
    ports = system.ports()
    for port in ports:
        said = list(_of_port(system, port))
        yield from said
        if not any(one.level is Level.ERROR for one in said):
            what = board_of(system.usb_id(port.usb)) or f"USB {system.usb_id(port.usb)}"
            yield Finding("port-ready", "serial", Level.OK, f"{port.path} is ready: {what}")
    if not ports:
        yield Finding(
            "no-port",
            "serial",
            Level.NOTE,
            "there is no serial port on USB",
            "No board is plugged in, the cable has no data lines, or the driver is missing.",
            "Plug in the board with a data cable. `dmesg | tail` shows whether the system detects it.",
        )


def _of_port(system: System, port: Port) -> Iterator[Finding]:
    for check in (_permission, _held, _modem_manager, _mass_storage):
        yield from check(system, port)


def _permission(system: System, port: Port) -> Iterator[Finding]:
    if system.may_use(port.path):
        return
    group = system.group_of(port.path)
    what = f"you have no permission to open {port.path}"
    if not group:
        why = "Neither you nor one of your groups may read and write the port."
        do = "Add a udev rule: see docs/guides/troubleshooting.md, `permission`."
    else:
        why = f"The port belongs to the group {group}, and this session is not in that group."
        do = f"Run `sudo usermod -aG {group} $USER`, then log out and log in again. If that is not enough, restart."
    yield Finding("permission", "serial", Level.ERROR, what, why, do)


def _held(system: System, port: Port) -> Iterator[Finding]:
    for process in system.holders(port.path):
        yield Finding(
            "port-held",
            "serial",
            Level.ERROR,
            f"{process} has {port.path} open",
            "Two programs at one port take each other's bytes, so smpdfu does not open it.",
            f"Close the port in that program, or end the program: `kill {process.pid}`.",
        )


def _modem_manager(system: System, port: Port) -> Iterator[Finding]:
    if not any(one.name == "ModemManager" for one in system.processes()):
        return
    tags = system.udev_tags(port)
    if tags & {"ID_MM_DEVICE_IGNORE=1", "ID_MM_PORT_IGNORE=1"} or (tags and "ID_MM_CANDIDATE=1" not in tags):
        return
    vendor = system.usb_id(port.usb).partition(":")[0]
    rule = f'ATTRS{{idVendor}}=="{vendor}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
    yield Finding(
        "modem-manager",
        "serial",
        Level.WARNING,
        f"ModemManager runs and may use {port.path} as a modem",
        "After you plug in or reset a USB device, it can hold the port for some seconds and write AT commands to it.",
        f"Write `{rule}` into /etc/udev/rules.d/78-smpdfu.rules, then run `sudo udevadm control --reload && sudo "
        "udevadm trigger`. If you have no modem, run `sudo systemctl disable --now ModemManager` instead.",
    )


def _mass_storage(system: System, port: Port) -> Iterator[Finding]:
    if system.usb_id(port.usb).startswith(f"{SEGGER}:") and system.has_mass_storage(port.usb):
        yield Finding(
            "jlink-msd",
            "serial",
            Level.WARNING,
            f"the J-Link at {port.path} also shows a disk (JLINK) and may lose bytes of the serial port",
            "While the disk is on, some J-Link firmware accepts 64 bytes at a time and damages longer frames: "
            "uploads hang or are very slow.",
            MASS_STORAGE_OFF,
        )


def _adapters_without_port(system: System) -> Iterator[Finding]:
    taken = {port.usb.name for port in system.ports()}
    braille = any(one.name == "brltty" for one in system.processes())
    for usb in system.entries("/sys/bus/usb/devices"):
        vendor = system.text(usb / "idVendor").lower()
        if vendor in ADAPTERS and usb.name not in taken:
            yield Finding(
                "no-driver",
                "serial",
                Level.WARNING,
                f"a {board_of(vendor)} is plugged in but has no port",
                "brltty, a program for Braille displays, takes such adapters." if braille else "No driver uses it.",
                "If you have no Braille display, run `sudo apt remove brltty`. Then plug in the adapter again."
                if braille
                else "Plug it in again and run `dmesg | tail` for the reason. Its kernel module may be missing.",
            )


# --- Bluetooth ------------------------------------------------------------------------------------------------------


def _bluetooth(system: System) -> Iterator[Finding]:
    adapters = [one.name for one in system.entries("/sys/class/bluetooth") if re.fullmatch(r"hci\d+", one.name)]
    if not adapters:
        yield Finding(
            "no-adapter",
            "bluetooth",
            Level.NOTE,
            "this computer has no Bluetooth adapter",
            "BLE needs an adapter. Serial ports and UDP do not.",
            "To use --ble, plug in a USB adapter for Bluetooth 4.0 or later.",
        )
        return
    said = [finding for check in (_rfkill, _daemon, _version, _power, _bonds) for finding in check(system)]
    yield from said
    if not any(one.level in (Level.ERROR, Level.WARNING) for one in said):
        yield Finding("bluetooth-ready", "bluetooth", Level.OK, f"Bluetooth is ready: {', '.join(adapters)}")


def _rfkill(system: System) -> Iterator[Finding]:
    for one in system.entries("/sys/class/rfkill"):
        if system.text(one / "type") != "bluetooth":
            continue
        if system.text(one / "hard") == "1":
            do = "Turn the radios on with the switch or key of the computer."
            yield _off("bluetooth-blocked", "a switch of the computer turns Bluetooth off", do)
        elif system.text(one / "soft") == "1":
            yield _off("bluetooth-blocked", "Bluetooth is turned off (rfkill)", "Run `rfkill unblock bluetooth`.")


def _off(code: str, what: str, do: str) -> Finding:
    return Finding(code, "bluetooth", Level.ERROR, what, "smpdfu cannot find or reach BLE devices.", do)


def _daemon(system: System) -> Iterator[Finding]:
    if not system.bus_answers():
        yield _off("no-dbus", "the system's D-Bus does not answer", "Start it: `sudo systemctl start dbus`.")
    elif not any(one.name == "bluetoothd" for one in system.processes()):
        do = "Start it: `sudo systemctl enable --now bluetooth`. If it is missing, install the package bluez."
        yield _off("no-bluetoothd", "BlueZ's bluetoothd does not run", do)


def _version(system: System) -> Iterator[Finding]:
    said = system.run(["bluetoothctl", "--version"])
    found = re.search(r"(\d+)\.(\d+)", said or "")
    if found is None:
        yield Finding(
            "no-bluetoothctl",
            "bluetooth",
            Level.WARNING,
            "the version of BlueZ is unknown, because there is no bluetoothctl",
            f"Versions before {_dotted(BLUEZ_MIN)} do not work.",
            "Install the package bluez.",
        )
        return
    version = int(found[1][:6]), int(found[2][:6])
    if version < BLUEZ_MIN:
        why = f"The first version that works is {_dotted(BLUEZ_MIN)}."
        do = "Update the system, or the package bluez."
        yield Finding("bluez-old", "bluetooth", Level.ERROR, f"BlueZ {_dotted(version)} is too old", why, do)
    elif version < BLUEZ_FAST:
        why = f"Before {_dotted(BLUEZ_FAST)} it does not report the size of a write: uploads use 20-byte pieces."
        do = "Update the system, or the package bluez. Until then uploads are slow, but correct."
        yield Finding("bluez-slow", "bluetooth", Level.WARNING, f"BlueZ {_dotted(version)} is slow", why, do)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _power(system: System) -> Iterator[Finding]:
    said = system.run(["bluetoothctl", "show"]) or ""
    if re.search(r"^\s*Powered:\s*no\b", said, re.MULTILINE):
        yield _off("bluetooth-off", "the Bluetooth adapter is turned off", "Run `bluetoothctl power on`.")


def _bonds(system: System) -> Iterator[Finding]:
    # The command changed with BlueZ 5.65. A version that does not know it lists everything or fails.
    said = system.run(["bluetoothctl", "devices", "Paired"]) or ""
    paired = re.findall(r"^Device ((?:[0-9A-F]{2}:){5}[0-9A-F]{2}) (.{1,64})", said, re.MULTILINE)
    if paired:
        names = ", ".join(f"{name.strip()} ({address})" for address, name in paired[:8])
        yield Finding(
            "bonds",
            "bluetooth",
            Level.NOTE,
            f"this computer remembers pairings: {names}",
            "A device that you erase or flash again loses its part of the pairing, and refuses to connect.",
            f"If a device refuses, run `bluetoothctl remove {paired[0][0]}` with its address, then pair again.",
        )


# --- other systems --------------------------------------------------------------------------------------------------


def _macos(system: System) -> Iterator[Finding]:
    yield Finding(
        "macos",
        "serial",
        Level.NOTE,
        "macOS needs no group and no rule for serial ports",
        "If another program has a port open, smpdfu says so, but macOS does not say which program.",
        "Use the /dev/cu. name of a port. `lsof /dev/cu.usbmodem*` shows the programs that have one open.",
    )
    yield Finding(
        "macos-bluetooth",
        "bluetooth",
        Level.NOTE,
        "on macOS the terminal program needs permission to use Bluetooth",
        "Without it, smpdfu finds no device.",
        "Open System Settings, Privacy & Security, Bluetooth, and allow your terminal program.",
    )


def _windows(system: System) -> Iterator[Finding]:
    yield Finding(
        "windows",
        "serial",
        Level.NOTE,
        "Windows needs no permission for serial ports",
        "If another program has a port open, smpdfu says so, but Windows does not say which program.",
        "Close terminal programs and nRF Connect's Serial Terminal. The Device Manager shows ports without a driver.",
    )
    yield Finding(
        "windows-bluetooth",
        "bluetooth",
        Level.NOTE,
        "on Windows you must remove a pairing that the device no longer has",
        "A device that you erase or flash again refuses the old pairing.",
        "Open Settings, Bluetooth & devices, remove the device, then pair again.",
    )


def _wsl(system: System) -> Iterator[Finding]:
    if "microsoft" in system.text("/proc/version").lower():
        yield Finding(
            "wsl",
            "serial",
            Level.NOTE,
            "this Linux runs inside Windows (WSL)",
            "USB devices belong to Windows, and there is no Bluetooth.",
            "Attach the board with usbipd (`usbipd attach --wsl --busid ID`), or run smpdfu on Windows.",
        )


Check = Callable[[System], Iterable[Finding]]
LINUX: tuple[Check, ...] = (_wsl, _serial_ports, _adapters_without_port, _bluetooth)
ELSEWHERE: Mapping[str, tuple[Check, ...]] = {"darwin": (_macos,), "win32": (_windows,)}


def examine(system: System) -> tuple[Finding, ...]:
    """Return all findings about a computer, serial ports first."""
    return tuple(finding for check in ELSEWHERE.get(system.platform, LINUX) for finding in check(system))


def why_no_bluetooth(system: System) -> Finding | None:
    """Return the finding that keeps smpdfu from using Bluetooth; None if the checks find nothing in the way.

    ``doctor`` and ``scan`` both show it, so that they give the same reason.
    """
    found = [one for one in examine(system) if one.topic == "bluetooth"]
    errors = (one for one in found if one.level is Level.ERROR)
    return next(errors, None) or next((one for one in found if one.code == "no-adapter"), None)
