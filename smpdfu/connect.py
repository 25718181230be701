"""From an address, such as ``serial:/dev/ttyACM0?baudrate=115200``, to a client.

``WIRES`` has one line per wire. The modules of a wire are imported when an address needs them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl, quote

from smpdfu.errors import ConnectError

if TYPE_CHECKING:
    from smpdfu.client import Client
    from smpdfu.link.ble.search import Backends
    from smpdfu.link.pipe import Pipe
    from smpdfu.smp.framing import Framing

DEFAULT_BAUDRATE = 115200
DEFAULT_UDP_PORT = 1337
FRAMINGS = ("console", "raw")
FLOWS = {"none": False, "rtscts": True}
_UNQUOTED = "/:,*[]"
_SERIAL_NAMES = Path("/dev/serial/by-id")
_BLE_ADDRESS = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device is. ``kind`` is the wire, ``target`` the place on it, ``options`` say how to use the wire."""

    kind: str
    target: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        options = "&".join(f"{key}={quote(value, _UNQUOTED)}" for key, value in sorted(self.options.items()))
        return f"{self.kind}:{self.target}?{options}" if options else f"{self.kind}:{self.target}"

    @property
    def place(self) -> str:
        """The address of the device in one spelling, for locks, journals and comparisons.

        The options are not part of it. Host names are not looked up, except ``localhost``.
        """
        wire = WIRES.get(self.kind)
        return f"{self.kind}:{self.target if wire is None else wire.place(self)}"


def parse_address(text: str) -> Address:
    """Read an address.

    The forms are:

    - ``serial:PORT[?baudrate=N&flow=rtscts|none&framing=console|raw&pace=BYTES_PER_S]``
    - ``udp:HOST[:PORT][?mtu=BYTES]``, with an IPv6 host in brackets
    - ``ble:[NAME|ADDRESS][?adapter=hci0&hci=CONTROLLER&pair=yes]``; ``ble:`` alone is the only SMP device in reach
    - ``virtual:NAME``
    - the bare name of a serial port: ``/dev/ttyACM0``, ``COM3``
    - a connection string of the Go mcumgr: ``dev=/dev/ttyACM0,baud=115200``, ``peer_name='DK',ctlr_name=hci0``

    Raises ConnectError, whose message shows what an address looks like.
    """
    if _CONNECTION_STRING.match(text):
        return parse_address(str(_from_connection_string(text)))
    if _SERIAL_PORT.match(text):
        return parse_address(f"serial:{text}")
    kind, colon, rest = text.partition(":")
    wire = WIRES.get(kind)
    if not colon or wire is None:
        _refuse(
            text, f"{text!r} is not an address. It must start with {', '.join(f'{name}:' for name in sorted(WIRES))}"
        )
    target, _, query = rest.partition("?") if wire.options else (rest, "", "")
    target = target or wire.default
    if not target or target != target.strip() or "\0" in target:
        _refuse(text, f"{text!r} does not name a device. Write {kind}:{wire.target}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - set(wire.options))
    if unknown:
        _refuse(text, f"{text!r} has an unknown option {unknown[0]!r}. Options of {kind}: {', '.join(wire.options)}")
    address = Address(kind, target, options)
    wire.check(address)
    return address


def place_of(text: str) -> str:
    """Return ``Address.place`` of an address that is given as text. Raises ConnectError."""
    return parse_address(text).place


_SERIAL_PORT = re.compile(r"/dev/[^/\s]|COM\d+(\?|$)", re.IGNORECASE | re.ASCII)
_CONNECTION_STRING = re.compile(r"(dev|baud|mtu|ctlr_name|peer_name|peer_id)=")
_MCUMGR_KEYS: Mapping[str, str | None] = {"baud": "baudrate", "ctlr_name": "adapter", "mtu": None}
"""mcumgr's options and ours; None: smpdfu measures the value itself."""


def _from_connection_string(text: str) -> Address:
    """Read the value of mcumgr's ``--connstring``. Raises ConnectError for a part that smpdfu does not know."""
    example = "write serial:/dev/ttyACM0?baudrate=115200 or ble:NAME"
    parts = [part.partition("=") for part in text.split(",")]
    found = {key.strip(): value.strip().strip("'\"") for key, _, value in parts}
    where = [(kind, found.pop(key)) for kind, key in _MCUMGR_PLACES if key in found]
    unknown = sorted(set(found) - set(_MCUMGR_KEYS))
    if len(where) != 1 or unknown or len(parts) != len(found) + 1:
        _refuse(text, f"smpdfu does not understand the mcumgr connection string {text!r}: {example}")
    ((kind, target),) = where
    options = {name: value for key, value in found.items() if (name := _MCUMGR_KEYS[key]) is not None}
    return Address(kind, target, options)


_MCUMGR_PLACES = (("serial", "dev"), ("ble", "peer_name"), ("ble", "peer_id"))


NAMES_WITHIN_S = 5.0
"""The longest wait for the lookup of a host name. Without an answer, the place has the name itself."""


async def places_by_lookup(text: str) -> tuple[str, ...]:
    """Look up the host of a udp address; return one ``Address.place`` for each of its IP addresses.

    If the name is not found, or the wire is not udp, the result is the place of the address as it is written. Raises
    ConnectError.
    """
    import asyncio
    import socket
    from contextlib import suppress
    from ipaddress import ip_address

    address = parse_address(text)
    if address.kind != "udp":
        return (address.place,)
    host, port = host_and_port(address)
    with suppress(ValueError):
        ip_address(host)
        return (address.place,)
    lookup = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    try:
        found = await asyncio.wait_for(lookup, NAMES_WITHIN_S)
    except (OSError, UnicodeError, TimeoutError):
        return (address.place,)
    hosts = (str(entry[4][0]) for entry in found)
    places = (Address("udp", f"[{one}]:{port}" if ":" in one else f"{one}:{port}").place for one in hosts)
    return tuple(dict.fromkeys(places))


def client_for(
    address: str | Address,
    *,
    timeout_s: float | None = None,
    window_max: int | None = None,
    transfer_timeout_s: float | None = None,
) -> Client:
    """Return a client for the device at ``address``. Use it with ``async with``.

    ``timeout_s`` is the longest wait for an answer, in seconds (None: 2.5). ``window_max`` is the largest number of
    upload requests in flight (None: smpdfu finds the best number). ``transfer_timeout_s`` is the longest time for a
    whole upload or download (None: no limit). Raises ConnectError if the text is not an address, or if this computer
    cannot use the wire.
    """
    found = parse_address(address) if isinstance(address, str) else address
    from smpdfu.client import DEFAULT_TIMEOUT_S, Client

    pipe, framing = WIRES[found.kind].open(found)
    timeout_s = DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s
    return Client(pipe, framing, timeout_s=timeout_s, window_max=window_max, transfer_timeout_s=transfer_timeout_s)


def nearby() -> tuple[str, ...]:
    """Return the addresses that smpdfu finds without opening a device: serial ports on USB, and virtual devices."""
    return (*_serial_ports(), *_virtual_devices())


# --- the wires ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """The settings of a serial port: bits per second, framing, and the most bytes to send per second (None: any).

    ``flow_control``: by RTS and CTS; None: the address does not say.
    """

    baudrate: int
    framing: str
    pace: int | None
    flow_control: bool | None = None


def serial_settings(address: Address) -> SerialSettings:
    """Return the settings of a serial address. Raises ConnectError."""
    if "://" in address.target:  # pyserial's URLs open sockets and write files
        _refuse(str(address), f"{address.target!r} is not a serial port such as /dev/ttyACM0 or COM3")
    baudrate = _number(address, "baudrate", range(1, 100_000_001), "a number of bits per second, such as 115200")
    pace = _number(address, "pace", range(10, 100_000_001), "a number of bytes per second, at least 10")
    framing = address.options.get("framing", FRAMINGS[0])
    if framing not in FRAMINGS:
        _refuse(str(address), f"framing {framing!r} is wrong. It must be {' or '.join(FRAMINGS)}")
    flow = address.options.get("flow")
    if flow not in (None, *FLOWS):
        _refuse(str(address), f"flow {flow!r} is wrong. It must be {' or '.join(FLOWS)}")
    return SerialSettings(DEFAULT_BAUDRATE if baudrate is None else baudrate, framing, pace, FLOWS.get(flow or ""))


def mtu_of(address: Address) -> int | None:
    """Return the longest IP packet for a udp address, in bytes; None: what the path carries. Raises ConnectError."""
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
    """Read a number of at most ten decimal digits; return None if ``text`` is not one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def host_and_port(address: Address) -> tuple[str, int]:
    """Return the host and the port of a udp address. Raises ConnectError."""
    host, colon, port = address.target.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = address.target, str(DEFAULT_UDP_PORT)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and not host.startswith("[")):
        _refuse(str(address), f"{address.target!r} does not name a host. Write HOST, HOST:PORT or [IPv6]:PORT")
    number = natural(port)
    if not number or number > 0xFFFF:
        _refuse(str(address), f"{port!r} is not a UDP port. It must be 1 to 65535")
    return bare, number


def _udp_place(address: Address) -> str:
    """Return host and port; an IP address is written as in RFC 5952."""
    from ipaddress import IPv6Address, ip_address

    host, port = host_and_port(address)
    host = host.lower().removesuffix(".")
    try:
        found = ip_address("127.0.0.1" if host == "localhost" else host)  # RFC 6761: always the loopback
    except ValueError:
        return f"{host}:{port}"
    if isinstance(found, IPv6Address):
        return f"[{found}]:{port}" if found.ipv4_mapped is None else f"{found.ipv4_mapped}:{port}"
    return f"{found}:{port}"


def _serial_place(address: Address) -> str:
    """Return the lasting name of a USB device (``/dev/serial/by-id``) if the port has one, else its device file."""
    if sys.platform == "win32":
        return address.target.upper().removeprefix("\\\\.\\")
    port = os.path.realpath(address.target)
    try:
        names = sorted(os.listdir(_SERIAL_NAMES))
    except OSError:
        return port
    paths = (str(_SERIAL_NAMES / name) for name in names)
    return next((path for path in paths if os.path.realpath(path) == port), port)


def _ble_place(address: Address) -> str:
    """Return a Bluetooth address in upper case with colons, or a name as it is."""
    target = address.target
    return target.upper().replace("-", ":") if _BLE_ADDRESS.fullmatch(target) else target


def _as_it_is(address: Address) -> str:
    return address.target


def _serial(address: Address) -> Ends:
    from smpdfu.link.serial.pipe import SerialPipe
    from smpdfu.smp.framing import ConsoleFraming, RawFraming

    settings = serial_settings(address)
    framing = RawFraming(answers=True) if settings.framing == "raw" else ConsoleFraming()
    flow = bool(settings.flow_control)
    return SerialPipe(
        address.target, settings.baudrate, pace=settings.pace, flow_control=flow, holders=holders
    ), framing


def holders(port: str) -> list[str]:
    """Return the programs that have a serial port open, as far as this user may see them."""
    from smpdfu.local.doctor.system import System

    return [str(one) for one in System().holders(os.path.realpath(port))]


def _udp(address: Address) -> Ends:
    from smpdfu.link.udp import UdpPipe
    from smpdfu.smp.framing import DatagramFraming

    host, port = host_and_port(address)
    return UdpPipe(host, port, mtu=mtu_of(address)), DatagramFraming()


def _virtual(address: Address) -> Ends:
    from smpdfu.smp.framing import ConsoleFraming
    from smpdfu.virtual.store.devices import DevicePipe

    return DevicePipe(address.target), ConsoleFraming()


def pairs(address: Address) -> bool:
    """Return whether a ble address asks for pairing. Raises ConnectError."""
    text = address.options.get("pair", "no")
    if text not in ("", "yes", "no"):
        _refuse(str(address), f"pair {text!r} is wrong. It must be yes or no")
    return text != "no"


def _ble(address: Address) -> Ends:
    from smpdfu.link.ble.pipe import BlePipe
    from smpdfu.smp.framing import GattFraming

    backends, adapter = ble_backends(address.options.get("hci")), address.options.get("adapter")
    return BlePipe(address.target, backends=backends, adapter=adapter, pair=pairs(address)), GattFraming()


def ble_backends(controller: str | None, *, bonds: bool = False) -> Backends:
    """Return the Bluetooth that bleak uses: the system's (None), or a controller such as "usb:0".

    ``bonds``: a controller of your own makes bonds, and keeps them as long as the backends live. The system keeps its
    bonds anyway. Raises ConnectError if ``controller`` is not a controller, or if bumble is not installed.
    """
    from smpdfu.link.ble.controllers import check_controller
    from smpdfu.link.ble.search import Backends

    if controller is None:
        return Backends()
    check_controller(controller)
    try:
        from smpdfu.link.ble import bumble_backend
    except ImportError as error:
        why = "a controller of your own needs bumble, which is not installed. Install it: pip install 'smpdfu[bumble]'"
        raise ConnectError(why, controller) from error
    return bumble_backend.backends(controller, bonds=bonds)


def _anything(address: Address) -> None:
    """Accept every target."""


def _refuse(address: str, sentence: str) -> NoReturn:
    raise ConnectError(sentence, address)


Ends = tuple["Pipe", "Framing"]
"""A wire, and the framing of the messages on it."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One kind of address: how to check it, and how to open its pipe and framing.

    ``target`` is an example, ``default`` stands for an empty target, ``place`` returns the one spelling of a target.
    """

    target: str
    open: Callable[[Address], Ends]
    check: Callable[[Address], object] = _anything
    options: tuple[str, ...] = ()
    default: str = ""
    place: Callable[[Address], str] = _as_it_is


WIRES: Mapping[str, Wire] = {
    "serial": Wire(
        "/dev/ttyACM0", _serial, serial_settings, ("baudrate", "flow", "framing", "pace"), place=_serial_place
    ),
    "virtual": Wire("NAME", _virtual),
    "ble": Wire("NAME", _ble, pairs, ("adapter", "hci", "pair"), default="*", place=_ble_place),
    "udp": Wire(f"HOST:{DEFAULT_UDP_PORT}", _udp, mtu_of, ("mtu",), place=_udp_place),
}


def _serial_ports() -> tuple[str, ...]:
    from smpdfu.link.serial.pipe import list_serial_ports

    return tuple(f"serial:{port.name}" for port in list_serial_ports() if port.usb_id is not None)


def _virtual_devices() -> tuple[str, ...]:
    from smpdfu.virtual.store.kinds import smp_devices

    return tuple(f"virtual:{name}" for name in smp_devices())
