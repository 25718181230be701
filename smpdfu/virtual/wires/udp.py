"""A virtual device on a UDP port. Like Zephyr's server, it answers to the sender of each request.

Datagrams longer than one packet on Ethernet, or than a buffer of the server, are cut off: what is left of the message
is corrupt (``rc`` 9). Answers longer than a packet are lost, because Zephyr is built without IP fragments. While the
device restarts, the port stays and is silent.
"""

from __future__ import annotations

import asyncio
from asyncio import DatagramTransport
from collections.abc import Callable
from typing import Any, cast

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe, not_open, words
from smpdfu.link.udp import UDP_PORT
from smpdfu.smp.framing import DatagramFraming
from smpdfu.virtual.device import VirtualNrf5340

MESSAGE_MAX = 1472
"""Bytes that are left of an Ethernet packet (1,500) behind the headers of IPv4 (20) and UDP (8)."""
CLIENTS_MAX = 64
"""Addresses that are remembered; then the one that was silent for the longest time is forgotten."""
_UNREAD_MAX = 256

Sender = tuple[Any, ...]
"""Where a datagram came from, in the system's form: (address, port, ...)."""


async def serve_udp(
    device: VirtualNrf5340,
    host: str = "127.0.0.1",
    port: int = UDP_PORT,
    ready: Callable[[str, int], None] | None = None,
) -> None:
    """Serve ``device`` at a UDP port of this computer until cancelled; any number of clients may ask.

    ``port`` 0: one that is free. ``ready`` is called with the address and the port once clients can send. Raises
    ConnectError when the port cannot be had.
    """
    loop = asyncio.get_running_loop()
    server = _Server(device)
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=(host, port))
    except OSError as error:
        raise ConnectError(
            f"UDP port {port} of {host} cannot be served: {words(error)}", f"udp:{host}:{port}"
        ) from None
    try:
        if ready is not None:
            ready(*transport.get_extra_info("sockname")[:2])
        await server.failed
    finally:
        transport.abort()
        await server.stop()


class _Server(asyncio.DatagramProtocol):
    """Gives every sender a pipe of its own, with a device at its end."""

    def __init__(self, device: VirtualNrf5340) -> None:
        self._device = device
        self._transport: DatagramTransport | None = None
        self._clients: dict[Sender, _ClientPipe] = {}  # who was heard last is last
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("DatagramTransport", transport)  # not its subclass in every version of Python

    def datagram_received(self, data: bytes, addr: Sender) -> None:
        client = self._clients.pop(addr, None) or self._welcome(addr)
        self._clients[addr] = client
        client.receive(data[: min(MESSAGE_MAX, self._device.buffers.size_bytes)])

    def _welcome(self, addr: Sender) -> _ClientPipe:
        assert self._transport is not None, "there are no datagrams before the connection"
        if len(self._clients) >= CLIENTS_MAX:
            self._clients.pop(next(iter(self._clients))).forget()
        client = _ClientPipe(self._transport, addr)
        task = asyncio.create_task(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._served)
        return client

    async def _serve(self, client: _ClientPipe) -> None:
        try:
            await self._device.serve(client, DatagramFraming())
        finally:
            await client.close()

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self.failed.done():
            self.failed.set_exception(task.exception() or RuntimeError())

    async def stop(self) -> None:
        """Take leave of all clients."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _ClientPipe(Pipe):
    """The datagrams from and to one sender. It is open from the first of them on."""

    ordered = False

    def __init__(self, transport: DatagramTransport, addr: Sender) -> None:
        super().__init__(f"{addr[0]}:{addr[1]}")
        self._transport = transport
        self._addr = addr
        self._inbox = Inbox()

    def receive(self, data: bytes) -> None:
        """Keep a datagram until it is read; what comes too fast is lost."""
        if data and self._inbox.waiting < _UNREAD_MAX:
            self._inbox.put(data)

    def forget(self) -> None:
        """The device needs the place for somebody else."""
        self._inbox.end(not_open(self.name))

    async def _open(self) -> None:
        raise not_open(self.name)  # it is not the device that calls

    async def _close(self) -> None:
        self._inbox.end(LinkLostError(f"{self.name} was closed"))

    async def _read(self) -> bytes:
        return await self._inbox.get()

    async def _write(self, data: bytes) -> None:
        if len(data) <= MESSAGE_MAX:
            self._transport.sendto(data, self._addr)
