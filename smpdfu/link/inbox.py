"""What has arrived and was not read yet."""

from __future__ import annotations

import asyncio
from collections import deque


class Inbox:
    """Pieces on their way to a reader, in order, and at last an error. Belongs to one event loop."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._end: Exception | None = None
        self._news = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many pieces were not read yet."""
        return len(self._pieces)

    @property
    def ended(self) -> Exception | None:
        """What was given to ``end``; None as long as more may come."""
        return self._end

    def put(self, piece: bytes, due: float = 0.0) -> None:
        """Add ``piece``; it cannot be read before the loop's clock shows ``due``. After the end it falls away."""
        if self._end is None:
            self._pieces.append((due, piece))
            self._news.set()

    def end(self, error: Exception) -> None:
        """Nothing comes any more: ``error`` is raised once all pieces are read. The first end counts."""
        self._end = self._end or error
        self._news.set()

    def drop(self) -> None:
        """Forget the pieces that were not read."""
        self._pieces.clear()

    async def get(self) -> bytes:
        """The next piece; waits for it. Loses nothing when cancelled."""
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
