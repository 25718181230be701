"""Carries connections between a TCP port of the loopback interface and a socket in a file, each way.

``python -m tests.agent.scenarios.relay FROM TO`` with ``tcp:PORT`` or ``unix:PATH``; it says ``ready`` once it listens.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

PIECE = 1 << 16


async def _connect(where: str) -> tuple[StreamReader, StreamWriter]:
    kind, _, name = where.partition(":")
    if kind == "tcp":
        return await asyncio.open_connection("127.0.0.1", int(name))
    return await asyncio.open_unix_connection(name)


async def _carry(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()


async def relay(listen: str, to: str) -> None:
    """Carry until cancelled."""

    async def taken(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            other_reader, other_writer = await _connect(to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_carry(reader, other_writer), _carry(other_reader, writer))

    kind, _, name = listen.partition(":")
    if kind == "tcp":
        server = await asyncio.start_server(taken, "127.0.0.1", int(name))
    else:
        server = await asyncio.start_unix_server(taken, name)
    print("ready", flush=True)  # noqa: T201
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(sys.argv[1], sys.argv[2]))
