"""From an address, such as ``serial:/dev/ttyACM0?baudrate=115200``, to a client.

One line per wire in ``WIRES``; what a wire needs is imported when an address asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl

from smpdfu.errors import ConnectError

if TYPE_CHECKING:
    from smpdfu.client import Client

DEFAULT_BAUDRATE = 115200
DEFAULT_UDP_PORT = 1337


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device is: ``kind`` names the wire, ``target`` the place on it, ``options`` how to use it."""

    kind: str
    target: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        options = "&".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.kind}:{self.target}?{options}" if options else f"{self.kind}:{self.target}"


def parse_address(text: str) -> Address:
    """Read an address. Raises ConnectError with a sentence that says what an address looks like.

    ``serial:PORT[?baudrate=N]``, ``virtual:NAME``, ``ble:NAME|ADDRESS``, ``udp:HOST[:PORT]``; an IPv6 host in brackets.
    """
    kind, colon, rest = text.partition(":")
    wire = WIRES.get(kind)
    if not colon or wire is None:
        _refuse(text, f"{text!r} is no address: it must start with {', '.join(f'{name}:' for name in sorted(WIRES))}")
    target, _, query = rest.partition("?") if wire.options else (rest, "", "")
    if not target or target != target.strip() or "\0" in target:
        _refuse(text, f"{text!r} does not name a device: write {kind}:{wire.target}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - set(wire.options))
    if unknown:
        _refuse(text, f"{text!r} has an unknown option {unknown[0]!r}; {kind} knows {', '.join(wire.options)}")
    address = Address(kind, target, options)
    wire.check(address)
    return address


def client_for(address: str | Address, *, timeout_s: float | None = None) -> Client:
    """A client for the device at ``address``, to be entered with ``async with``; ``timeout_s`` bounds one request.

    Raises ConnectError when the address is none, or when its wire cannot be had here.
    """
    found = parse_address(address) if isinstance(address, str) else address
    from smpdfu.client import DEFAULT_TIMEOUT_S

    return WIRES[found.kind].client(found, DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s)


def nearby() -> tuple[str, ...]:
    """Addresses that are found without touching a device: serial ports and virtual devices."""
    return (*_serial_ports(), *_virtual_devices())


# --- the wires ------------------------------------------------------------------------------------------------------


def baudrate_of(address: Address) -> int:
    """Bits per second of a serial address. Raises ConnectError."""
    text = address.options.get("baudrate", str(DEFAULT_BAUDRATE))
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) <= 100_000_000):
        _refuse(str(address), f"baudrate {text!r} is not a number of bits per second, such as {DEFAULT_BAUDRATE}")
    return int(text)


def host_and_port(address: Address) -> tuple[str, int]:
    """Host and port of a udp address. Raises ConnectError."""
    host, colon, port = address.target.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = address.target, str(DEFAULT_UDP_PORT)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and not host.startswith("[")):
        _refuse(str(address), f"{address.target!r} names no host: write HOST, HOST:PORT or [IPv6]:PORT")
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 0xFFFF):
        _refuse(str(address), f"{port!r} is no UDP port: it must be 1 to 65535")
    return bare, int(port)


def _serial_client(address: Address, timeout_s: float) -> Client:
    from smpdfu.client import Client
    from smpdfu.link.serial import SerialPipe
    from smpdfu.smp.framing import ConsoleFraming

    return Client(SerialPipe(address.target, baudrate_of(address)), ConsoleFraming(), timeout_s=timeout_s)


def _virtual_client(address: Address, timeout_s: float) -> Client:
    from smpdfu.client import Client
    from smpdfu.smp.framing import ConsoleFraming
    from smpdfu.virtual.store import DevicePipe

    return Client(DevicePipe(address.target), ConsoleFraming(), timeout_s=timeout_s)


def _not_yet(address: Address, timeout_s: float) -> Client:
    _refuse(str(address), f"this version of smpdfu cannot reach {address}: it speaks over serial ports only")


def _anything(address: Address) -> None:
    """An address whose target is taken as it is."""


def _refuse(address: str, sentence: str) -> NoReturn:
    raise ConnectError(sentence, address)


@dataclass(frozen=True, slots=True)
class Wire:
    """How a kind of address is read, and turned into a client."""

    target: str
    client: Callable[[Address, float], Client]
    check: Callable[[Address], object] = _anything
    options: tuple[str, ...] = ()


WIRES: Mapping[str, Wire] = {
    "serial": Wire("/dev/ttyACM0", _serial_client, baudrate_of, ("baudrate",)),
    "virtual": Wire("NAME", _virtual_client),
    "ble": Wire("NAME", _not_yet),
    "udp": Wire(f"HOST:{DEFAULT_UDP_PORT}", _not_yet, host_and_port),
}


def _serial_ports() -> tuple[str, ...]:
    from smpdfu.link.serial import list_serial_ports

    return tuple(f"serial:{port.name}" for port in list_serial_ports() if port.usb_id is not None)


def _virtual_devices() -> tuple[str, ...]:
    from smpdfu.virtual.store import list_devices

    return tuple(f"virtual:{name}" for name in list_devices())
