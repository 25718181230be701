"""What a virtual device says on a wire: log lines and answers, one behind the other."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from smpdfu.errors import LinkLostError
from smpdfu.link.pipe import Pipe
from smpdfu.virtual.line.traffic import TrafficPipe


class Outgoing:
    """What leaves on a wire, in order: log lines, for which nobody waits, and answers."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._queue: asyncio.Queue[tuple[bytes, float, asyncio.Future[float] | None]] = asyncio.Queue()

    def put(self, data: bytes) -> None:
        """Send ``data`` behind what waits."""
        self._queue.put_nowait((data, asyncio.get_running_loop().time(), None))

    async def send(self, data: bytes, ready_at: float) -> float:
        """Send ``data`` and wait until the wire has taken it; returns when that was."""
        sent: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((data, ready_at, sent))
        return await sent

    async def carry(self) -> None:
        """Write what comes, until cancelled or until the link is lost: then nothing leaves any more."""
        with suppress(LinkLostError):
            while True:
                data, ready_at, sent = await self._queue.get()
                left_at = await self._write(data, ready_at)
                if sent is not None and not sent.done():
                    sent.set_result(left_at)

    async def _write(self, data: bytes, ready_at: float) -> float:
        size = self._pipe.max_write
        if len(data) > size and not self._pipe.ordered:
            return ready_at  # a datagram that no packet carries: the network stack refuses it
        if isinstance(self._pipe, TrafficPipe):
            return await self._pipe.write_at(data, ready_at)
        for start in range(0, len(data), size):
            await self._pipe.write(data[start : start + size])
        return asyncio.get_running_loop().time()
