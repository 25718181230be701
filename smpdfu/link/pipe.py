"""The interface of every wire: a pipe of bytes that knows nothing of SMP."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from smpdfu.errors import ConnectError, LinkError, LinkLostError

UNLIMITED = 1 << 30
"""``max_write`` of a wire without a limit: a stream of bytes."""


class Pipe(ABC):
    """Bytes to a device and back.

    A wire is a subclass with the four methods that start with an underscore. The public methods convert every error of
    a library or the system to a ``LinkError``; cancellation passes.

    ``name`` is the far end in words for people, ``max_write`` the most bytes of one ``write``. ``in_flight_max`` is how
    many unanswered bytes the queue of the wire holds (None: no limit is known). ``ordered``: bytes arrive in the order
    in which they were sent. ``by_name``: the far end is found by the name that it advertises.
    """

    in_flight_max: int | None = None
    ordered: bool = True
    by_name: bool = False

    def __init__(self, name: str, max_write: int = UNLIMITED) -> None:
        self.name = name
        self.max_write = max_write
        self._writing = asyncio.Lock()

    @property
    def hint(self) -> str | None:
        """What silence may mean on this wire; None: nothing special."""
        return None

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    async def _close(self) -> None:
        """Release everything. May be called in any state, and more than once. A waiting ``_read`` must end."""

    @abstractmethod
    async def _read(self) -> bytes: ...

    @abstractmethod
    async def _write(self, data: bytes) -> None: ...

    async def open(self) -> None:
        """Connect. Closes an open or lost pipe first. Raises ConnectError.

        Nothing stays half open, whatever ends the call, Ctrl-C included.
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
        """Close the wire. Never raises; a waiting ``read`` ends with LinkLostError."""
        with suppress(Exception):  # a wire that cannot be closed is gone anyway
            await self._close()

    async def read(self) -> bytes:
        """Wait for bytes, at least one, and return them. Loses nothing when cancelled.

        Raises LinkLostError at the end, and on a pipe that is not open.
        """
        try:
            return await self._read()
        except LinkError:
            raise
        except Exception as error:
            raise self._lost(error) from error

    async def write(self, data: bytes) -> None:
        """Send all of ``data``; it never mixes with the writes of another task.

        Returns when the wire has accepted the bytes, before they arrive. Raises LinkLostError if the link is lost or
        not open, and ValueError if ``data`` is longer than ``max_write``.
        """
        if len(data) > self.max_write:
            raise ValueError(f"{self.name} takes {self.max_write} bytes in one write, not {len(data)}")
        try:
            async with self._writing:
                await self._write(data)
        except LinkError:
            raise
        except Exception as error:
            raise self._lost(error) from error

    @contextmanager
    def _wall(self, explain: Callable[[Exception], LinkError]) -> Iterator[None]:
        """What a block raises becomes what ``explain`` makes of it; in place in ``read`` and ``write``: faster."""
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
    """Return the error for a pipe that is not open."""
    return LinkLostError(f"{name} is not open")


def words(error: BaseException) -> str:
    """Return the system's own words for ``error``, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
