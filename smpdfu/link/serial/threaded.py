"""A port that can only block, in the event loop: Windows has no readiness for serial ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Protocol, TypeVar

from smpdfu.errors import LinkLostError
from smpdfu.link.inbox import Inbox

T = TypeVar("T")


class BlockingPort(Protocol):
    """What is used of pyserial's ``Serial``. Its ``read`` must come back every second or so, with or without a byte."""

    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...
    def write(self, data: bytes, /) -> object: ...
    def cancel_read(self) -> None: ...
    def cancel_write(self) -> None: ...


class ThreadedPort:
    """Bytes in and out of ``port``, by one thread each; the same interface as ``Descriptor``."""

    def __init__(self, port: BlockingPort) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self._released = False
        self._writer = ThreadPoolExecutor(1, "serial-write")  # one: a cancelled write must end before the next begins
        self._reader = Thread(target=self._receive, name="serial-read", daemon=True)
        self._reader.start()

    async def read(self) -> bytes:
        """What has arrived, at least one byte; OSError as the system has it."""
        return await self._inbox.get()

    async def write(self, data: bytes) -> None:
        """All of ``data``, at the pace of the far end; OSError as the system has it."""
        await self._loop.run_in_executor(self._writer, self._send, data)

    def release(self, error: LinkLostError) -> None:
        """Stop both threads, before the port is closed; who waits gets ``error``."""
        self._released = True
        self._inbox.end(error)
        self._inbox.drop()
        with suppress(OSError):  # a port that is gone has nothing to cancel
            self._port.cancel_read()
            self._port.cancel_write()
        self._reader.join()
        self._writer.shutdown()

    def _send(self, data: bytes) -> None:
        if self._released:
            raise LinkLostError("the port was closed")
        self._port.write(data)
        if self._released:
            raise LinkLostError("the port was closed before all was written")

    def _receive(self) -> None:
        try:
            while not self._released:
                if first := self._port.read(1):
                    self._tell(self._inbox.put, first + self._port.read(self._port.in_waiting))
        except Exception as error:  # whatever a driver raises means that nothing more will come
            self._tell(self._inbox.end, error)

    def _tell(self, receiver: Callable[[T], None], what: T) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(receiver, what)
