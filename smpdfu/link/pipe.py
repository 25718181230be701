"""The port behind which every wire stands: a pipe of bytes that knows no SMP."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from smpdfu.errors import ConnectError, LinkError, LinkLostError

UNLIMITED = 1 << 30
"""``max_write`` of a wire that has no limit: a stream of bytes."""


class Pipe(ABC):
    """Bytes to a device and back.

    A wire is a subclass with the four methods that start with an underscore. The public ones around them are the error
    wall: whatever a library or the system raises behind them comes out as a ``LinkError``; cancellation passes.

    ``name`` is what people call the far end, ``max_write`` the most bytes that one ``write`` may carry.
    ``in_flight_max`` is how many unanswered bytes the wire's own queue takes (None: no bound is known), ``ordered``
    whether what arrives does so in the order in which it was sent.
    """

    in_flight_max: int | None = None
    ordered: bool = True

    def __init__(self, name: str, max_write: int = UNLIMITED) -> None:
        self.name = name
        self.max_write = max_write
        self._writing = asyncio.Lock()

    @property
    def hint(self) -> str | None:
        """What it may mean on this wire that nothing comes back; None: nothing special."""
        return None

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    async def _close(self) -> None:
        """Let go of everything; called in any state, and more than once. A waiting ``_read`` must end."""

    @abstractmethod
    async def _read(self) -> bytes: ...

    @abstractmethod
    async def _write(self, data: bytes) -> None: ...

    async def open(self) -> None:
        """Connect; a pipe that is open, or was lost, is closed first. ConnectError if it cannot be done.

        Whatever ends it, Ctrl-C included, nothing is left half open.
        """
        await self.close()
        self._writing = asyncio.Lock()
        try:
            with self._wall(self._cannot_open):
                await self._open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the wire. Never fails; a ``read`` that waits ends with LinkLostError."""
        with suppress(Exception):  # a wire that cannot even be closed is gone, which is what was asked for
            await self._close()

    async def read(self) -> bytes:
        """Wait for what has arrived: at least one byte. Loses nothing when cancelled.

        LinkLostError at the end, and on a pipe that is not open.
        """
        with self._wall(self._lost):
            return await self._read()

    async def write(self, data: bytes) -> None:
        """Send all of ``data``; it does not mix with what another task writes.

        Returns when the wire has taken it, not when it has arrived. LinkLostError if the link is gone or not open,
        ValueError if ``data`` is longer than ``max_write``.
        """
        if len(data) > self.max_write:
            raise ValueError(f"{self.name} takes {self.max_write} bytes in one write, not {len(data)}")
        with self._wall(self._lost):
            async with self._writing:
                await self._write(data)

    @contextmanager
    def _wall(self, explain: Callable[[Exception], LinkError]) -> Iterator[None]:
        try:
            yield
        except LinkError:
            raise
        except Exception as error:
            raise explain(error) from error

    def _cannot_open(self, error: Exception) -> ConnectError:
        return ConnectError(f"cannot open {self.name}: {words(error)}", self.name)

    def _lost(self, error: Exception) -> LinkLostError:
        return LinkLostError(f"the link to {self.name} is lost: {words(error)}")

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def not_open(name: str) -> LinkLostError:
    """The error of a pipe that is used without being open."""
    return LinkLostError(f"{name} is not open")


def words(error: BaseException) -> str:
    """The system's own words for ``error``, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
