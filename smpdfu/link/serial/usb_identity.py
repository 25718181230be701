"""Finding a USB device again that came back as another serial port, or whose port is somebody else's by now.

Pure decisions about lists of ports. A device that resets leaves USB and comes back: the system may give it the next
number, and two boards that reset together may swap theirs. What stays is who it says that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from smpdfu.errors import ConnectError


class Port(Protocol):
    """What is used of ``PortInfo``."""

    @property
    def name(self) -> str: ...
    @property
    def usb_id(self) -> str | None: ...
    @property
    def serial_number(self) -> str | None: ...
    @property
    def location(self) -> str | None: ...


def port_named(name: str, ports: Sequence[Port]) -> Port | None:
    """The port ``name`` if it is one on USB, for others cannot be told apart."""
    return next((port for port in ports if port.name == name and port.usb_id is not None), None)


def find_again(known: Port, ports: Sequence[Port]) -> str | None:
    """The name that the device ``known`` has among ``ports``; None while it is not there.

    Its serial number tells, and where it has none its place on USB; a bootloader may have a product number of its own.
    ConnectError if several ports could be meant.
    """
    found = [port for port in ports if _is_same(known, port)]
    exact = [port for port in found if port.usb_id == known.usb_id]
    interface = [port for port in exact or found if _interface(port) == _interface(known)]
    chosen = interface or exact or found
    names = [port.name for port in chosen]
    if len(names) > 1 and known.name not in names:
        raise ConnectError(f"{known.name} came back as several ports: {', '.join(names)}", known.name)
    return known.name if known.name in names else next(iter(names), None)


def at_the_same_place(known: Port, port: Port) -> bool:
    """True if both are in the same socket of USB: one device at two times, whatever it calls itself."""
    place = _socket(known)
    return bool(place) and place == _socket(port)


def _is_same(known: Port, port: Port) -> bool:
    if known.usb_id is None or port.usb_id is None:
        return False
    if known.serial_number is not None:
        return port.serial_number == known.serial_number and _vendor(port) == _vendor(known)
    return port.serial_number is None and port.usb_id == known.usb_id and port.location == known.location


def _vendor(port: Port) -> str:
    return (port.usb_id or "").partition(":")[0]


def _socket(port: Port) -> str:
    """ "3-4.1" of the place "3-4.1:1.2"."""
    return (port.location or "").partition(":")[0]


def _interface(port: Port) -> str:
    """ "1.2" of the place "3-4.1:1.2": which one of a device's several ports it is."""
    return (port.location or "").partition(":")[2]
