"""A non-blocking file descriptor in the event loop: terminals and their virtual cousins, on POSIX."""

from __future__ import annotations

import asyncio
import os

from smpdfu.errors import LinkLostError

READ_SIZE = 4096
"""The most that a terminal holds back for its reader, on Linux."""


class Descriptor:
    """Bytes in and out of ``fd``, which must be non-blocking and stays the caller's to close.

    One task may read and one may write at the same time. Belongs to the event loop that runs when it is used.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._reader: asyncio.Future[bytes] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._watched = False
        self._kept = b""

    async def read(self) -> bytes:
        """What has arrived, at least one byte. EOFError at the end, OSError as the system has it."""
        if self._kept:
            kept, self._kept = self._kept, b""
            return kept
        loop = asyncio.get_running_loop()
        if not self._watched:  # else it is still watched since the last read: two calls of the system less
            loop.add_reader(self._fd, self._readable)
            self._watched = True
        reader: asyncio.Future[bytes] = loop.create_future()
        self._reader = reader
        try:
            return await reader
        except asyncio.CancelledError:
            if not reader.cancelled() and reader.exception() is None:
                self._kept = reader.result()
            raise
        finally:
            if self._reader is reader:
                self._reader = None

    def _readable(self) -> None:
        reader = self._reader
        if reader is None or reader.done():  # nobody reads: the event loop would call again without end
            self._unwatch()
            return
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return  # someone else was faster
        except OSError as error:
            reader.set_exception(error)
            return
        if data:
            reader.set_result(data)
        else:
            reader.set_exception(EOFError("the other end has hung up"))

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            asyncio.get_running_loop().remove_reader(self._fd)

    async def write(self, data: bytes) -> None:
        """All of ``data``, at the pace of the far end; OSError as the system has it."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._writable()

    async def _writable(self) -> None:
        """Wait until the system says that it takes bytes."""
        loop = asyncio.get_running_loop()
        writer: asyncio.Future[None] = loop.create_future()
        self._writer = writer
        loop.add_writer(self._fd, lambda: None if writer.done() else writer.set_result(None))
        try:
            await writer
        finally:
            if self._writer is writer:  # else it was released, and the number may already be another file's
                self._writer = None
                loop.remove_writer(self._fd)

    def release(self, error: LinkLostError) -> None:
        """Take the descriptor out of the event loop, before it is closed; who waits gets ``error``."""
        self._unwatch()
        if self._writer is not None:
            asyncio.get_running_loop().remove_writer(self._fd)
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
        self._reader = self._writer = None
