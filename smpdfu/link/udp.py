"""UDP: one SMP message per datagram, over IPv4 or IPv6.

The socket is connected, so that the system drops packets of others and reports when no program listens at the far end.
It forbids fragments if the system allows that, because Zephyr's server cannot join them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from asyncio import DatagramTransport
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe, not_open

UDP_PORT = 1337
"""The port of Zephyr's SMP server (CONFIG_MCUMGR_TRANSPORT_UDP_PORT)."""
ETHERNET_MTU = 1500
"""The default limit of one packet, in bytes: a path that carries more may end at a device that does not."""
MTUS = range(128, 0x10000)
_HEADERS = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}
_SMALLER_MTUS = (1280, 576, MTUS.start)  # the least that IPv6 and IPv4 promise, and what is left
_PROBE_S = 0.2
_UNREAD_MAX = 256
"""The most datagrams that wait for a reader. More are lost, as in the system's queue."""

# Linux has names for these, Python does not have all of them: (level, what to do about the path's MTU, ask for it).
_PATH_OPTIONS = {
    socket.AF_INET: (socket.IPPROTO_IP, 10, 14),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 23, 24),
}
_FORBID_FRAGMENTS = 2
_NO_FRAGMENTS_ELSEWHERE = {"win32": (socket.IPPROTO_IP, 14), "darwin": (socket.IPPROTO_IP, 28)}

_REASONS = {
    errno.ECONNREFUSED: "no program listens at UDP port {port} of {host}",
    errno.ECONNRESET: "no program listens at UDP port {port} of {host}",  # Windows' word for it
    errno.EHOSTUNREACH: "{host} cannot be reached: no answer on its network",
    errno.EHOSTDOWN: "{host} cannot be reached: no answer on its network",
    errno.ENETUNREACH: "this computer has no route to {host}",
    errno.EADDRNOTAVAIL: "this computer has no route to {host}",
    errno.ENETDOWN: "the network to {host} is down",
    errno.EACCES: "{host} is a broadcast address, or a firewall here forbids it",
    errno.EINVAL: "{host} is not an address to send to. A link-local address needs its interface, as in fe80::1%eth0",
    errno.EMSGSIZE: "messages of that length do not fit the path to {host}",
}
_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""What ``getaddrinfo`` gives: family, kind, protocol, name, and the address as the family has it."""
_NO_NAME = "this network does not know the name {host}"
_NAME_REASONS = {
    socket.EAI_NONAME: _NO_NAME,
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): _NO_NAME,
    socket.EAI_AGAIN: "no name server answers here, so {host} cannot be found",
}


class UdpPipe(Pipe):
    """UDP to ``host``, a name or an address, at ``port``.

    ``mtu`` is the longest IP packet to send, in bytes; None: what the path carries, up to Ethernet's 1,500. A write
    must be one whole message.
    """

    ordered = False

    def __init__(self, host: str, port: int = UDP_PORT, *, mtu: int | None = None) -> None:
        if mtu is not None and mtu not in MTUS:
            raise ValueError(f"an IP packet has {MTUS.start} to {MTUS.stop - 1} bytes, not {mtu}")
        super().__init__(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        self.host, self.port = host, port
        self._mtu = ETHERNET_MTU if mtu is None else mtu
        self.max_write = self._mtu - _HEADERS[socket.AF_INET6 if ":" in host else socket.AF_INET]
        self._refused = False
        self._endpoint: _Endpoint | None = None

    async def _open(self) -> None:
        opened = await self._connected()
        self._mtu = min(self._mtu, _path_mtu(opened))
        self.max_write = self._mtu - _HEADERS[opened.family]
        self._endpoint = endpoint = _Endpoint(opened, self._take_error)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: endpoint, sock=opened)
        if self._refused:
            await endpoint.probe(_PROBE_S)
            self._refused = False

    async def _connected(self) -> socket.socket:
        """A socket that leads to the first of the host's addresses that this computer has a way to."""
        found = await _addresses(self.host, self.port)
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            opened = socket.socket(family, kind, protocol)
            try:
                opened.setblocking(False)
                _forbid_fragments(opened)
                opened.connect(address)
            except OSError as error:
                opened.close()
                failure = failure or error
            else:
                return opened
        raise failure or OSError(f"{self.host} has no address")

    async def _close(self) -> None:
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.release(LinkLostError(f"{self.name} was closed"))
            await asyncio.sleep(0)  # the event loop closes the socket

    async def _read(self) -> bytes:
        return await self._opened().inbox.get()

    async def _write(self, data: bytes) -> None:
        await self._opened().send(data)

    def _opened(self) -> _Endpoint:
        if self._endpoint is None:
            raise not_open(self.name)
        return self._endpoint

    def _take_error(self, error: Exception) -> LinkLostError | None:
        """What an error of the socket means for the link; None if it costs one datagram at most."""
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.ENOBUFS:  # how some systems tell that a queue is full
            return None
        if number == errno.EMSGSIZE:  # the link opens again with shorter messages
            self._mtu = self._shorter_mtu()
        self._refused = number in (errno.ECONNREFUSED, errno.ECONNRESET)
        return self._lost(error)

    def _shorter_mtu(self) -> int:
        told = self._mtu if self._endpoint is None else _path_mtu(self._endpoint.socket)
        return told if told < self._mtu else next((mtu for mtu in _SMALLER_MTUS if mtu < self._mtu), MTUS.start)

    def _why(self, error: Exception) -> str | None:
        if isinstance(error, socket.gaierror):
            reason = _NAME_REASONS.get(error.errno or 0)
        elif isinstance(error, UnicodeError):
            reason = "{host} cannot be a host name"
        else:
            reason = _REASONS.get(error.errno or 0) if isinstance(error, OSError) else None
        return reason and reason.format(host=self.host, port=self.port)

    def _cannot_open(self, error: Exception) -> ConnectError:
        reason = self._why(error)
        return ConnectError(reason, self.name) if reason else super()._cannot_open(error)

    def _lost(self, error: Exception) -> LinkLostError:
        reason = self._why(error)
        return LinkLostError(reason) if reason else super()._lost(error)


async def _addresses(host: str, port: int) -> Sequence[_Found]:
    """What ``host`` means; an address is read here, for it must not wait behind names that no server knows."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)


class _Endpoint(asyncio.DatagramProtocol):
    """The socket in the event loop. ``judge`` says whether an error ends the link, and with which words."""

    def __init__(self, opened: socket.socket, judge: Callable[[Exception], LinkLostError | None]) -> None:
        self.socket = opened
        self.inbox = Inbox()
        self._judge = judge
        self._transport: DatagramTransport | None = None
        self._may_send = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("DatagramTransport", transport)  # not its subclass in every version of Python
        self._may_send.set()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data and self.inbox.waiting < _UNREAD_MAX:
            self.inbox.put(data)

    def error_received(self, exc: Exception) -> None:
        if (lost := self._judge(exc)) is not None:
            self._end(lost)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LinkLostError("the socket was closed") if exc is None else self._judge(exc))

    def pause_writing(self) -> None:
        self._may_send.clear()

    def resume_writing(self) -> None:
        self._may_send.set()

    async def send(self, data: bytes) -> None:
        """Give ``data`` to the system, when its queue takes it. Raises what ended the link."""
        await self._may_send.wait()
        if self.inbox.ended is None and self._transport is not None:
            self._transport.sendto(data)
        if self.inbox.ended is not None:
            raise self.inbox.ended

    async def probe(self, seconds: float) -> None:
        """Send what is no message to any server, and wait for a refusal; raises the system's OSError for it."""
        heard = asyncio.Event()
        refusals = list[Exception]()

        def refused(error: Exception) -> None:
            refusals.append(error)
            heard.set()

        self._judge, judge = refused, self._judge
        with suppress(TimeoutError):
            self.socket.send(b"")
            await asyncio.wait_for(heard.wait(), seconds)
        self._judge = judge
        if refusals:
            raise refusals[0]

    def release(self, error: LinkLostError) -> None:
        """Close the socket; who waits gets ``error``."""
        self._end(error)
        self.inbox.drop()
        if self._transport is None:
            self.socket.close()
        else:
            self._transport.abort()

    def _end(self, error: LinkLostError | None) -> None:
        self.inbox.end(error or LinkLostError("the socket was closed"))
        self._may_send.set()


def _path_mtu(opened: socket.socket) -> int:
    """The longest packet that the way to the far end takes, in bytes, as far as the system knows."""
    if sys.platform != "linux":
        return ETHERNET_MTU
    level, _, ask = _PATH_OPTIONS[opened.family]
    return max(opened.getsockopt(level, ask), MTUS.start)


def _forbid_fragments(opened: socket.socket) -> None:
    with suppress(OSError):  # then fragments are sent, and a server that cannot join them does not answer
        if sys.platform == "linux":
            level, discover, _ = _PATH_OPTIONS[opened.family]
            opened.setsockopt(level, discover, _FORBID_FRAGMENTS)
        elif sys.platform in _NO_FRAGMENTS_ELSEWHERE and opened.family == socket.AF_INET:
            opened.setsockopt(*_NO_FRAGMENTS_ELSEWHERE[sys.platform], 1)
