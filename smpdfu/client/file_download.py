"""A file on its way down, with as many requests in flight as pay: reads change nothing, so each may be asked again.

How many and how far apart is decided in ``smp/window.py``, as for uploads of images. What is not answered in time, or
refused because the device was busy, is asked again; a piece that is not as long as the others ends what was asked
behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from smpdfu.client.client import Client
from smpdfu.client.exchange import now
from smpdfu.errors import DeviceError, LinkLostError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.smp.groups.fs import FileDownload, FileDownloadReply
from smpdfu.smp.upload import PATIENCE, is_passing
from smpdfu.smp.window import Fault, Window


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes ``start`` to ``end`` of the file ``name``, which the device sends in pieces of ``piece`` bytes."""

    name: str
    start: int
    end: int
    piece: int


class Reading:
    """To be used once: ``async for reply in reading.pieces()``, within ``aclosing``.

    Raises DeviceError, RemoteProtocolError or LinkError when ``PATIENCE`` attempts in a row come to nothing, or when
    the device is silent for as long as one request may be.
    """

    def __init__(self, client: Client, window: Window, part: Part) -> None:
        self._client, self._window, self._part = client, window, part
        self._piece, self._next = part.piece, part.start
        self._again: set[int] = set()
        self._asked_twice: set[int] = set()
        self._flight: dict[asyncio.Task[FileDownloadReply], tuple[int, float]] = {}
        self._held: dict[int, FileDownloadReply] = {}
        self._strikes = 0
        self._life_at = self._pause_until = 0.0

    async def pieces(self) -> AsyncGenerator[FileDownloadReply, None]:
        """The answers, in the order of the file."""
        off, self._life_at = self._part.start, now()
        try:
            while off < self._part.end:
                self._send_all()
                await self._listen()
                while (reply := self._held.pop(off, None)) is not None:
                    yield reply
                    off += len(reply.data)
                    if len(reply.data) != self._piece and off < self._part.end:
                        await self._drop_all()
                        self._piece, self._next = len(reply.data), off
        finally:
            await self._drop_all()

    def _send_all(self) -> None:
        while len(self._flight) < self._window.size:
            at = now()
            if at < self._pause_until or (self._flight and at < self._window.send_at()):
                return
            off = self._choose()
            if off is None:
                return
            self._window.sent(at)
            request = self._client.request(
                FileDownload(self._part.name, off), timeout_s=self._window.overdue_s(), attempts=1
            )
            self._flight[asyncio.create_task(request)] = off, at

    def _choose(self) -> int | None:
        """What to ask for next: what is missing longest."""
        if self._again:
            off = min(self._again)
            self._again.remove(off)
            self._asked_twice.add(off)
            return off
        if self._next >= self._part.end:
            return None
        off, self._next = self._next, self._next + self._piece
        return off

    async def _listen(self) -> None:
        """Until something has come, or the next request is due."""
        due = self._pause_until
        if self._flight and len(self._flight) < self._window.size and self._left:
            due = max(due, self._window.send_at())
        wait_s = due - now()
        if not self._flight:
            await asyncio.sleep(max(wait_s, 0.0))
            return
        done, _ = await asyncio.wait(
            self._flight, timeout=wait_s if wait_s > 0 else None, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            off, sent_at = self._flight.pop(task)
            try:
                self._answered(off, sent_at, await task)
            except LinkLostError as error:
                if error.closed:
                    raise
                self._failed(off)
                await self._reconnect()
                return
            except ResponseTimeoutError:
                self._silent(off, sent_at)
            except (DeviceError, RemoteProtocolError) as error:
                self._refused(off, sent_at, error)

    @property
    def _left(self) -> int:
        """Pieces that were not asked for yet."""
        return len(self._again) + -(-max(self._part.end - self._next, 0) // self._piece)

    def _answered(self, off: int, sent_at: float, reply: FileDownloadReply) -> None:
        self._life_at, self._strikes = now(), 0
        self._held[off] = reply
        self._window.answered(self._life_at, sent_at, left=self._left, again=off in self._asked_twice)

    def _silent(self, off: int, sent_at: float) -> None:
        self._window.fault(sent_at, Fault.SILENCE)
        self._again.add(off)
        client = self._client
        if now() - self._life_at >= client.timeout_s * client.attempts:
            raise ResponseTimeoutError(FileDownload.title, client.timeout_s, client.attempts)

    def _refused(self, off: int, sent_at: float, error: DeviceError | RemoteProtocolError) -> None:
        if isinstance(error, DeviceError):
            if not is_passing(error):
                raise error
            self._pause_until = now() + self._client.patience.pause_s
        self._window.fault(sent_at, Fault.BEHIND)
        self._failed(off)
        if self._strikes >= PATIENCE:
            raise error

    def _failed(self, off: int) -> None:
        self._strikes += 1
        self._again.add(off)

    async def _reconnect(self) -> None:
        again = self._again | {off for off, _ in self._flight.values()}
        held = self._held
        await self._drop_all()
        self._again, self._held = again, held
        if self._strikes >= PATIENCE:
            raise LinkLostError(f"the link was lost {PATIENCE} times without a piece of {self._part.name}")
        await self._client.wait_for_device(self._client.patience.reconnect_s)
        self._life_at = now()

    async def _drop_all(self) -> None:
        """Nobody waits for anything any more."""
        tasks, self._flight, self._held, self._again = [*self._flight], {}, {}, set()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # it was over already; nobody wants to know
