"""Bytes that arrived and were not read yet."""

from __future__ import annotations

import asyncio
from collections import deque


class Inbox:
    """A queue of pieces for a reader, which ends with an error. Belongs to one event loop."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._end: Exception | None = None
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """The number of unread pieces."""
        return len(self._pieces)

    @property
    def ended(self) -> Exception | None:
        """The error of ``end``; None while more pieces may come."""
        return self._end

    def put(self, piece: bytes, due: float = 0.0) -> None:
        """Add ``piece``, to be read when the loop's clock shows ``due``. After the end, it is dropped."""
        if self._end is None:
            self._pieces.append((due, piece))
            self._news.set()

    def end(self, error: Exception) -> None:
        """End the queue: ``get`` raises ``error`` after the last piece. Only the first call counts."""
        self._end = self._end or error
        self._news.set()

    def drop(self) -> None:
        """Drop the unread pieces."""
        self._pieces.clear()

    async def get(self) -> bytes:
        """Wait for the next piece and return it. Loses nothing when cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._pieces:
                if self._end is not None:
                    raise self._end
                self._news.clear()
                await self._news.wait()
            elif (wait_s := self._pieces[0][0] - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            else:
                return self._pieces.popleft()[1]
