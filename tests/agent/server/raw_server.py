"""A raw HTTP server on loopback: each test says which bytes it sends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """A request as it came: ``headers`` with names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


Respond = Callable[[Request, asyncio.StreamWriter], Awaitable[bool | None]]
"""Writes an answer; False ends the connection."""


@dataclass
class RawServer:
    """A server that runs. ``requests`` is what it got, ``connections`` how often somebody connected."""

    scheme: str
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@asynccontextmanager
async def raw_server(respond: Respond, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve until the end of the block; then every connection ends."""
    server = RawServer("http" if tls is None else "https")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while True:
                    request = await _read(reader)
                    server.requests.append(request)
                    if await respond(request, writer) is False:
                        break
                    await writer.drain()
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, path, headers, body)


def answer(
    body: bytes = b"",
    *,
    status: str = "200 OK",
    kind: str = "application/json",
    length: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A whole answer; ``length`` is the Content-Length if it shall be wrong."""
    sent = {"Content-Type": kind, "Content-Length": str(len(body) if length is None else length), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def always(data: bytes) -> Respond:
    """Answer every request with the same bytes."""

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return respond
