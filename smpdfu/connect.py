"""From an address, such as ``serial:/dev/ttyACM0?baudrate=115200``, to a client.

One line per wire in ``WIRES``; what a wire needs is imported when an address asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, quote

from smpdfu.errors import ConnectError

if TYPE_CHECKING:
    from smpdfu.client import Client
    from smpdfu.link.bluetooth import Backends
    from smpdfu.link.pipe import Pipe
    from smpdfu.smp.framing import Framing

DEFAULT_BAUDRATE = 115200
DEFAULT_UDP_PORT = 1337
FRAMINGS = ("console", "raw")
_UNQUOTED = "/:,*[]"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device is: ``kind`` names the wire, ``target`` the place on it, ``options`` how to use it."""

    kind: str
    target: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        options = "&".join(f"{key}={quote(value, _UNQUOTED)}" for key, value in sorted(self.options.items()))
        return f"{self.kind}:{self.target}?{options}" if options else f"{self.kind}:{self.target}"


def parse_address(text: str) -> Address:
    """Read an address. Raises ConnectError with a sentence that says what an address looks like.

    ``serial:PORT[?baudrate=N&framing=console|raw&pace=BYTES_PER_S]``, ``udp:HOST[:PORT][?mtu=BYTES]`` with an IPv6 host
    in brackets, ``ble:[NAME|ADDRESS][?adapter=hci0&hci=CONTROLLER&pair=yes]`` (neither: the only SMP device in reach),
    ``virtual:NAME``.
    """
    kind, colon, rest = text.partition(":")
    wire = WIRES.get(kind)
    if not colon or wire is None:
        _refuse(text, f"{text!r} is no address: it must start with {', '.join(f'{name}:' for name in sorted(WIRES))}")
    target, _, query = rest.partition("?") if wire.options else (rest, "", "")
    target = target or wire.default
    if not target or target != target.strip() or "\0" in target:
        _refuse(text, f"{text!r} does not name a device: write {kind}:{wire.target}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - set(wire.options))
    if unknown:
        _refuse(text, f"{text!r} has an unknown option {unknown[0]!r}; {kind} knows {', '.join(wire.options)}")
    address = Address(kind, target, options)
    wire.check(address)
    return address


def client_for(address: str | Address, *, timeout_s: float | None = None, window_max: int | None = None) -> Client:
    """A client for the device at ``address``, to be entered with ``async with``.

    ``timeout_s`` bounds one request, ``window_max`` how many requests of an upload are in flight (None: as many as
    pay). Raises ConnectError when the address is none, or when its wire cannot be had here.
    """
    found = parse_address(address) if isinstance(address, str) else address
    from smpdfu.client import DEFAULT_TIMEOUT_S, Client

    pipe, framing = WIRES[found.kind].open(found)
    timeout_s = DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
    return Client(pipe, framing, timeout_s=timeout_s, window_max=window_max)


def nearby() -> tuple[str, ...]:
    """Addresses that are found without touching a device: serial ports and virtual devices."""
    return (*_serial_ports(), *_virtual_devices())


# --- the wires ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """How a serial port is used: bits per second, framing, and the most bytes per second to send (None: no bound)."""

    baudrate: int
    framing: str
    pace: int | None


def serial_settings(address: Address) -> SerialSettings:
    """The settings of a serial address. Raises ConnectError."""
    if "://" in address.target:  # pyserial's URLs open sockets and write files
        _refuse(str(address), f"{address.target!r} is no serial port: smpdfu opens ports such as /dev/ttyACM0 or COM3")
    rates = "a number of bits per second, such as 115200"
    baudrate = _number(address, "baudrate", range(1, 100_000_001), rates)
    pace = _number(address, "pace", range(10, 100_000_001), "a number of bytes per second, at least 10")
    framing = address.options.get("framing", FRAMINGS[0])
    if framing not in FRAMINGS:
        _refuse(str(address), f"framing {framing!r} is none of a serial port: it must be {' or '.join(FRAMINGS)}")
    return SerialSettings(DEFAULT_BAUDRATE if baudrate is None else baudrate, framing, pace)


def mtu_of(address: Address) -> int | None:
    """The longest IP packet to send to a udp address, in bytes; None: what the path takes. Raises ConnectError."""
    host_and_port(address)
    return _number(address, "mtu", range(128, 0x10000), "the length of an IP packet, 128 to 65535 bytes")


def _number(address: Address, option: str, allowed: range, what: str) -> int | None:
    text = address.options.get(option)
    if text is None:
        return None
    number = natural(text)
    if number is None or number not in allowed:
        _refuse(str(address), f"{option} {text!r} is not {what}")
    return number


def natural(text: str) -> int | None:
    """The number that ``text`` is, of ten decimal digits at most; None if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def host_and_port(address: Address) -> tuple[str, int]:
    """Host and port of a udp address. Raises ConnectError."""
    host, colon, port = address.target.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = address.target, str(DEFAULT_UDP_PORT)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and not host.startswith("[")):
        _refuse(str(address), f"{address.target!r} names no host: write HOST, HOST:PORT or [IPv6]:PORT")
    number = natural(port)
    if not number or number > 0xFFFF:
        _refuse(str(address), f"{port!r} is no UDP port: it must be 1 to 65535")
    return bare, number


def _serial(address: Address) -> Ends:
    from smpdfu.link.serial import SerialPipe
    from smpdfu.smp.framing import ConsoleFraming, RawFraming

    settings = serial_settings(address)
    framing = RawFraming(answers=True) if settings.framing == "raw" else ConsoleFraming()
    return SerialPipe(address.target, settings.baudrate, pace=settings.pace), framing


def _udp(address: Address) -> Ends:
    from smpdfu.link.udp import UdpPipe
    from smpdfu.smp.framing import DatagramFraming

    host, port = host_and_port(address)
    return UdpPipe(host, port, mtu=mtu_of(address)), DatagramFraming()


def _virtual(address: Address) -> Ends:
    from smpdfu.smp.framing import ConsoleFraming
    from smpdfu.virtual.store import DevicePipe

    return DevicePipe(address.target), ConsoleFraming()


def pairs(address: Address) -> bool:
    """Whether a ble address wants pairing. Raises ConnectError."""
    text = address.options.get("pair", "no")
    if text not in ("", "yes", "no"):
        _refuse(str(address), f"pair {text!r} is neither yes nor no")
    return text != "no"


def _ble(address: Address) -> Ends:
    from smpdfu.link.ble import BlePipe
    from smpdfu.smp.framing import GattFraming

    backends, adapter = ble_backends(address.options.get("hci")), address.options.get("adapter")
    return BlePipe(address.target, backends=backends, adapter=adapter, pair=pairs(address)), GattFraming()


def ble_backends(controller: str | None) -> Backends:
    """What bleak runs on: the system's Bluetooth, or a controller such as "usb:0".

    Raises ConnectError without bumble, or for what is no controller.
    """
    from smpdfu.link.bluetooth import Backends
    from smpdfu.link.controllers import check_controller

    if controller is None:
        return Backends()
    check_controller(controller)
    try:
        from smpdfu.link import bumble
    except ImportError as error:
        why = "a controller of one's own needs bumble, which is not installed: pip install 'smpdfu[bumble]'"
        raise ConnectError(why, controller) from error
    return bumble.backends(controller)


def _anything(address: Address) -> None:
    """An address whose target is taken as it is."""


def _refuse(address: str, sentence: str) -> NoReturn:
    raise ConnectError(sentence, address)


Ends = tuple["Pipe", "Framing"]
"""A wire, and how messages travel over it."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How a kind of address is read, and turned into a pipe with its framing.

    ``target`` is an example of one, ``default`` what is meant by an empty one.
    """

    target: str
    open: Callable[[Address], Ends]
    check: Callable[[Address], object] = _anything
    options: tuple[str, ...] = ()
    default: str = ""


WIRES: Mapping[str, Wire] = {
    "serial": Wire("/dev/ttyACM0", _serial, serial_settings, ("baudrate", "framing", "pace")),
    "virtual": Wire("NAME", _virtual),
    "ble": Wire("NAME", _ble, pairs, ("adapter", "hci", "pair"), default="*"),
    "udp": Wire(f"HOST:{DEFAULT_UDP_PORT}", _udp, mtu_of, ("mtu",)),
}


def _serial_ports() -> tuple[str, ...]:
    from smpdfu.link.serial import list_serial_ports

    return tuple(f"serial:{port.name}" for port in list_serial_ports() if port.usb_id is not None)


def _virtual_devices() -> tuple[str, ...]:
    from smpdfu.virtual.shelf import list_devices

    return tuple(f"virtual:{name}" for name in list_devices())
