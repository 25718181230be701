"""A non-blocking file descriptor in the event loop: terminals and their virtual cousins, on POSIX."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from smpdfu.errors import LinkLostError

READ_SIZE = 4096
"""The most that a terminal holds back for its reader, on Linux."""


class Descriptor:
    """Bytes in and out of ``fd``, which must be non-blocking and stays the caller's to close.

    One task may read and one may write at the same time. Belongs to the event loop that runs when it is used.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiters: set[asyncio.Future[None]] = set()

    async def read(self) -> bytes:
        """What has arrived, at least one byte. EOFError at the end, OSError as the system has it."""
        loop = asyncio.get_running_loop()
        while True:
            await self._ready(loop.add_reader, loop.remove_reader)
            try:
                data = os.read(self._fd, READ_SIZE)
            except BlockingIOError:
                continue  # someone else was faster
            if not data:
                raise EOFError("the other end has hung up")
            return data

    async def write(self, data: bytes) -> None:
        """All of ``data``, at the pace of the far end; OSError as the system has it."""
        loop = asyncio.get_running_loop()
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._ready(loop.add_writer, loop.remove_writer)

    def release(self, error: LinkLostError) -> None:
        """Take the descriptor out of the event loop, before it is closed; who waits gets ``error``."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()

    async def _ready(self, watch: Callable[[int, Callable[[], None]], None], unwatch: Callable[[int], object]) -> None:
        """Wait until the system says that ``fd`` is worth a try."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watch(self._fd, lambda: None if waiter.done() else waiter.set_result(None))
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:  # else it was released, and the number may already be another file's
                self._waiters.discard(waiter)
                unwatch(self._fd)
