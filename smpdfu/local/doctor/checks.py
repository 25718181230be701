"""What stands between this computer and a device, found out by looking; nothing is changed, no port is opened.

A check is a function from a ``System`` to findings; the tables at the end say which ones run where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.local.doctor.system import Port, System
from smpdfu.local.doctor.usb_vendors import ADAPTERS, SEGGER, board_of

BLUEZ_MIN, BLUEZ_FAST = (5, 55), (5, 62)
"""The first BlueZ that bleak works with; the first that tells the MTU, without which writes carry 20 bytes."""


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` is so, ``why`` that matters and ``do``, what to do about it; ``topic`` is "serial" or "bluetooth"."""

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
            yield Finding("port-ready", "serial", Level.OK, f"{port.path} can be used: {what}")
    if not ports:
        yield Finding(
            "no-port",
            "serial",
            Level.NOTE,
            "there is no serial port on USB",
            "no board is plugged in, its cable has no data lines, or its driver is missing",
            "Plug the board in with a data cable; `dmesg | tail` shows whether the system sees it.",
        )


def _of_port(system: System, port: Port) -> Iterator[Finding]:
    for check in (_permission, _held, _modem_manager, _mass_storage):
        yield from check(system, port)


def _permission(system: System, port: Port) -> Iterator[Finding]:
    if system.may_use(port.path):
        return
    group = system.group_of(port.path)
    what = f"this user may not open {port.path}"
    if not group:
        why = "neither the user nor a group of the user has the right to read and write it"
        do = "A udev rule gives it: see docs/troubleshooting.md, `permission`."
    else:
        why = f"the port belongs to the group {group}, which this session is not part of"
        do = f"Run `sudo usermod -aG {group} $USER`, then log out and in again (or restart, where a session is kept)."
    yield Finding("permission", "serial", Level.ERROR, what, why, do)


def _held(system: System, port: Port) -> Iterator[Finding]:
    for process in system.holders(port.path):
        yield Finding(
            "port-held",
            "serial",
            Level.ERROR,
            f"{port.path} is open in {process}",
            "two programs on one port take each other's bytes, so smpdfu refuses a port that is taken",
            f"Close it there, or end it: `kill {process.pid}`.",
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
        f"ModemManager runs and may take {port.path} for a modem",
        "for some seconds after each plugging in and each reset of a USB device it can hold the port and write AT "
        "commands into it",
        f"Write `{rule}` into /etc/udev/rules.d/78-smpdfu.rules, then `sudo udevadm control --reload && sudo udevadm "
        "trigger`; without a modem, `sudo systemctl disable --now ModemManager` does as well.",
    )


def _mass_storage(system: System, port: Port) -> Iterator[Finding]:
    if system.usb_id(port.usb).startswith(f"{SEGGER}:") and system.has_mass_storage(port.usb):
        yield Finding(
            "jlink-msd",
            "serial",
            Level.WARNING,
            f"the J-Link behind {port.path} also shows a disk (JLINK), and may lose bytes of the serial port",
            "with the disk on, some J-Link firmware takes 64 bytes at a time for the port and damages longer frames: "
            "uploads hang or crawl",
            "Switch the disk off: start JLinkExe (JLink.exe on Windows), type MSDDisable, then exit; unplug the board "
            "and plug it in again. MSDEnable brings it back.",
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
                f"a {board_of(vendor)} is plugged in and has no port",
                "brltty, for Braille displays, takes such adapters away" if braille else "no driver has taken it",
                "Remove brltty if nobody needs it (`sudo apt remove brltty`) and plug the adapter in again."
                if braille
                else "`dmesg | tail` after plugging it in says why; its kernel module may be missing.",
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
            "BLE needs one; serial ports and UDP do not",
            "Plug a Bluetooth 4.0 or later USB adapter in to use --ble.",
        )
        return
    said = [finding for check in (_rfkill, _daemon, _version, _power, _bonds) for finding in check(system)]
    yield from said
    if not any(one.level in (Level.ERROR, Level.WARNING) for one in said):
        yield Finding("bluetooth-ready", "bluetooth", Level.OK, f"Bluetooth can be used: {', '.join(adapters)}")


def _rfkill(system: System) -> Iterator[Finding]:
    for one in system.entries("/sys/class/rfkill"):
        if system.text(one / "type") != "bluetooth":
            continue
        if system.text(one / "hard") == "1":
            do = "Use the switch or key of the computer that turns its radios on."
            yield _off("bluetooth-blocked", "Bluetooth is switched off by a switch of the computer", do)
        elif system.text(one / "soft") == "1":
            yield _off("bluetooth-blocked", "Bluetooth is switched off (rfkill)", "Run `rfkill unblock bluetooth`.")


def _off(code: str, what: str, do: str) -> Finding:
    return Finding(code, "bluetooth", Level.ERROR, what, "no BLE device can be found or reached", do)


def _daemon(system: System) -> Iterator[Finding]:
    if not system.bus_answers():
        yield _off("no-dbus", "the system's D-Bus does not answer", "Start it: `sudo systemctl start dbus`.")
    elif not any(one.name == "bluetoothd" for one in system.processes()):
        do = "Start it: `sudo systemctl enable --now bluetooth`; where it is missing, install the package bluez."
        yield _off("no-bluetoothd", "BlueZ's bluetoothd does not run", do)


def _version(system: System) -> Iterator[Finding]:
    said = system.run(["bluetoothctl", "--version"])
    found = re.search(r"(\d+)\.(\d+)", said or "")
    if found is None:
        yield Finding(
            "no-bluetoothctl",
            "bluetooth",
            Level.WARNING,
            "BlueZ's version is not known: there is no bluetoothctl",
            f"versions before {_dotted(BLUEZ_MIN)} do not work",
            "Install the package bluez.",
        )
        return
    version = int(found[1][:6]), int(found[2][:6])
    if version < BLUEZ_MIN:
        why = f"the first version that works is {_dotted(BLUEZ_MIN)}"
        do = "Update the system, or the package bluez."
        yield Finding("bluez-old", "bluetooth", Level.ERROR, f"BlueZ {_dotted(version)} is too old", why, do)
    elif version < BLUEZ_FAST:
        why = f"before {_dotted(BLUEZ_FAST)} it does not tell how much a write may carry: uploads go in 20-byte pieces"
        do = "Update the system, or the package bluez; until then uploads are slow, not wrong."
        yield Finding("bluez-slow", "bluetooth", Level.WARNING, f"BlueZ {_dotted(version)} is slow", why, do)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _power(system: System) -> Iterator[Finding]:
    said = system.run(["bluetoothctl", "show"]) or ""
    if re.search(r"^\s*Powered:\s*no\b", said, re.MULTILINE):
        yield _off("bluetooth-off", "the Bluetooth adapter is switched off", "Run `bluetoothctl power on`.")


def _bonds(system: System) -> Iterator[Finding]:
    # The words changed with BlueZ 5.65; a version that does not know one of them lists everything or fails.
    said = system.run(["bluetoothctl", "devices", "Paired"]) or ""
    paired = re.findall(r"^Device ((?:[0-9A-F]{2}:){5}[0-9A-F]{2}) (.{1,64})", said, re.MULTILINE)
    if paired:
        names = ", ".join(f"{name.strip()} ({address})" for address, name in paired[:8])
        yield Finding(
            "bonds",
            "bluetooth",
            Level.NOTE,
            f"this computer remembers pairings: {names}",
            "a device that was erased or flashed anew has forgotten its side, and then refuses to connect",
            f"If one of them does: `bluetoothctl remove {paired[0][0]}` and its like, then pair anew.",
        )


# --- other systems --------------------------------------------------------------------------------------------------


def _macos(system: System) -> Iterator[Finding]:
    yield Finding(
        "macos",
        "serial",
        Level.NOTE,
        "on macOS no group and no rule is needed for serial ports",
        "a port that is taken says so when it is opened; the system does not tell by which program",
        "Use the /dev/cu. name of a port; `lsof /dev/cu.usbmodem*` shows who holds one.",
    )
    yield Finding(
        "macos-bluetooth",
        "bluetooth",
        Level.NOTE,
        "on macOS the terminal program needs the right to use Bluetooth",
        "without it nothing is found",
        "System Settings, Privacy & Security, Bluetooth: switch your terminal program on.",
    )


def _windows(system: System) -> Iterator[Finding]:
    yield Finding(
        "windows",
        "serial",
        Level.NOTE,
        "on Windows no right is needed for serial ports",
        'a port that is taken says "access denied" when it is opened; the system does not tell by which program',
        "Close terminal programs, and nRF Connect's Serial Terminal; the Device Manager shows ports without a driver.",
    )
    yield Finding(
        "windows-bluetooth",
        "bluetooth",
        Level.NOTE,
        "on Windows a pairing that the device has forgotten must be removed by hand",
        "a device that was erased or flashed anew refuses the old one",
        "Settings, Bluetooth & devices: remove the device, then pair anew.",
    )


def _wsl(system: System) -> Iterator[Finding]:
    if "microsoft" in system.text("/proc/version").lower():
        yield Finding(
            "wsl",
            "serial",
            Level.NOTE,
            "this Linux runs inside Windows (WSL)",
            "USB devices stay with Windows, and there is no Bluetooth",
            "Attach the board with usbipd (`usbipd attach --wsl --busid ID`), or run smpdfu on Windows.",
        )


Check = Callable[[System], Iterable[Finding]]
LINUX: tuple[Check, ...] = (_wsl, _serial_ports, _adapters_without_port, _bluetooth)
ELSEWHERE: Mapping[str, tuple[Check, ...]] = {"darwin": (_macos,), "win32": (_windows,)}


def examine(system: System) -> tuple[Finding, ...]:
    """All findings about a computer, serial ports first."""
    return tuple(finding for check in ELSEWHERE.get(system.platform, LINUX) for finding in check(system))


def why_no_bluetooth(system: System) -> Finding | None:
    """Return the finding that keeps smpdfu from using Bluetooth; None if the checks find nothing in the way.

    ``doctor`` and ``scan`` both show it, so that they give the same reason.
    """
    found = [one for one in examine(system) if one.topic == "bluetooth"]
    errors = (one for one in found if one.level is Level.ERROR)
    return next(errors, None) or next((one for one in found if one.code == "no-adapter"), None)
