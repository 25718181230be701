"""What is in reach of this computer: serial ports, BLE devices and virtual devices; no device is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smpdfu.connect import WIRES, ble_backends
from smpdfu.errors import ConnectError
from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.local.doctor import system
from smpdfu.local.doctor.usb_vendors import board_of
from smpdfu.virtual.store.kinds import is_nrf52
from smpdfu.virtual.store.names import holder_of, list_devices

if TYPE_CHECKING:
    from smpdfu.link.ble.search import Found


@dataclass(frozen=True, slots=True)
class SerialDevice:
    """A serial port and its ``address``. ``board`` is what its USB vendor makes, None if that is not known.

    ``stable_name`` is its name from udev, which does not depend on the order of plugging in.
    """

    address: str
    description: str
    board: str | None
    serial_number: str | None
    usb_id: str | None
    stable_name: str | None


@dataclass(frozen=True, slots=True)
class VirtualDevice:
    """A virtual device. ``address`` is its port if a process runs it, because then its name is in use.

    ``secure_dfu``: it is an nRF52 with the bootloader of the nRF5 SDK, which does not speak SMP.
    """

    name: str
    address: str
    running: bool
    secure_dfu: bool


def serial_devices(*, every: bool = False) -> tuple[SerialDevice, ...]:
    """Return the ports on USB, those of known vendors first; with ``every``, also the others."""
    names = _stable_names()
    found = [
        SerialDevice(
            f"serial:{port.name}",
            port.description,
            board_of(port.usb_id),
            port.serial_number,
            port.usb_id,
            names.get(port.name),
        )
        for port in serial_pipe.list_serial_ports()
        if every or port.usb_id is not None
    ]
    return tuple(sorted(found, key=lambda port: port.board is None))


def virtual_devices() -> tuple[VirtualDevice, ...]:
    """Return the virtual devices of this computer. One with Secure DFU is in reach only while a process runs it."""
    rows = []
    for name in list_devices():
        port = str((holder_of(name) or {}).get("port") or "")
        address = port if port.partition(":")[0] in WIRES else f"serial:{port}"
        secure_dfu = is_nrf52(name)
        if port or not secure_dfu:
            rows.append(VirtualDevice(name, address if port else f"virtual:{name}", bool(port), secure_dfu))
    return tuple(rows)


async def ble_devices(seconds: float, controller: str | None = None) -> tuple[tuple[Found, ...], str | None]:
    """Listen for BLE devices that offer SMP or Secure DFU.

    Return them, the nearest first, and why Bluetooth cannot be used.
    """
    from smpdfu.link.ble import pipe  # here: 40 ms, which a search without BLE does not pay
    from smpdfu.local.doctor import checks

    try:
        return await pipe.scan(seconds, ble_backends(controller)), None
    except ConnectError as error:
        known = checks.why_no_bluetooth(system.System()) if controller is None else None
        return (), str(error) if known is None else known.what


def _stable_names() -> dict[str, str]:
    found = {}
    for link in system.System().entries("/dev/serial/by-id"):
        try:
            found[str(link.resolve(strict=True))] = str(link)
        except (OSError, RuntimeError):
            continue
    return found
