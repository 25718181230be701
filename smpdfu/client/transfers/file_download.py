"""One file on its way from a device, with as many requests in flight as pay. Reads change nothing and can be repeated.

``smp/transfer/window.py`` decides how many are in flight and how far apart, as for uploads of images. A request that
is not answered in time, or refused because the device was busy, is sent again. If a piece is not as long as the
others, the requests behind it are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import BinaryIO

from smpdfu.client.client import Client
from smpdfu.client.exchange import now
from smpdfu.client.pace import Pace
from smpdfu.client.report import Report
from smpdfu.client.transfers.file_hash import HASHES, blocks_of
from smpdfu.client.transfers.file_proof import ask, hash_kind, hashes, their_hash
from smpdfu.errors import DeviceError, LinkLostError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.smp.groups.fs import FileDownload, FileDownloadReply
from smpdfu.smp.transfer.upload import PATIENCE, UploadProgress, is_passing
from smpdfu.smp.transfer.window import Fault, Window

FILE_MAX = 0xFFFFFFFF
"""Bytes of a file: what FAT can hold, and more than LittleFS."""


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
        self._client = client
        self._window = window
        self._part = part
        self._piece = part.piece
        self._next = part.start
        self._again: set[int] = set()
        self._asked_twice: set[int] = set()
        self._flight: dict[asyncio.Task[FileDownloadReply], tuple[int, float]] = {}
        self._held: dict[int, FileDownloadReply] = {}
        self._strikes = 0
        self._life_at = self._pause_until = 0.0

    async def pieces(self) -> AsyncGenerator[FileDownloadReply, None]:
        """The answers, in the order of the file."""
        off = self._part.start
        self._life_at = now()
        try:
            while off < self._part.end:
                self._send_all()
                await self._listen()
                while (reply := self._held.pop(off, None)) is not None:
                    yield reply
                    off += len(reply.data)
                    if len(reply.data) != self._piece and off < self._part.end:
                        await self._drop_all()
                        self._piece = len(reply.data)
                        self._next = off
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
        self._life_at = now()
        self._strikes = 0
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
        self._again = again
        self._held = held
        if self._strikes >= PATIENCE:
            raise LinkLostError(f"the link was lost {PATIENCE} times without a piece of {self._part.name}")
        await self._client.wait_for_device(self._client.patience.reconnect_s)
        self._life_at = now()

    async def _drop_all(self) -> None:
        """Cancel all requests in flight and drop what they brought."""
        tasks = [*self._flight]
        self._flight = {}
        self._held = {}
        self._again = set()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # it had ended already; without this asyncio logs the error as never retrieved


class FileReceiver:
    """Receives one file. ``off`` bytes are written to the target; ``hashes`` are over the same bytes, by kind."""

    def __init__(self, client: Client, target: BinaryIO, name: str) -> None:
        self.client = client
        self.target = target
        self.name = name
        self.hashes = hashes()
        self.off = 0

    async def take_up(self) -> None:
        """Keep what the target holds if the file begins with it; empty it otherwise."""
        count = self.target.seek(0, 2)
        if count:
            running = hashes()
            for block in blocks_of(self.target, count):
                for one in running.values():
                    one.update(block)
            kind = await hash_kind(self.client)
            with suppress(DeviceError):
                if kind and await their_hash(self.client, self.name, kind, count) == running[kind].digest():
                    self.off = count
                    self.hashes = running
        self.target.seek(self.off)
        self.target.truncate()

    async def compare(self) -> str | None:
        """Compare the device's hash of the received bytes; return its kind, None if the device has no known kind.

        The first question is for the best kind, without asking which kinds there are: that saves a request. Raises
        RemoteProtocolError if the hashes differ, DeviceError if the device refuses a hash that it has.
        """
        kind, theirs = next(iter(HASHES)), None
        with suppress(DeviceError):
            theirs = await their_hash(self.client, self.name, kind, self.off)
        if theirs is None:
            other = await hash_kind(self.client)
            if other is None:
                return None
            kind, theirs = other, await their_hash(self.client, self.name, other, self.off)
        if theirs != self.hashes[kind].digest():
            raise RemoteProtocolError(
                f"the {kind} of {self.name} is not that of what was received: it changed on the way"
            )
        return kind

    async def receive(self, resumed_at: int, report: Report) -> None:
        """Receive everything from ``off`` on."""
        params = await self.client.params()
        total, piece = await self._first()
        window = self.client.window_for(params)
        pace = Pace(f"the download of {self.name}")
        if self.off < total:
            reading = Reading(self.client, window, Part(self.name, self.off, total, piece))
            async with aclosing(reading.pieces()) as pieces:
                report(UploadProgress(self.off, total, 0, resumed_at))
                async for reply in pieces:
                    self._take(reply.off, reply.data, total)
                    pace.moved(self.off, now())
                    if self.off < total:
                        report(UploadProgress(self.off, total, 0, resumed_at, window.size))
        report(UploadProgress(self.off, total, 0, resumed_at, window.size))

    async def _first(self) -> tuple[int, int]:
        """Return the sizes of the file and of a piece: only the answer for byte 0 has them. Keep its data if needed."""
        reply = await ask(self.client, FileDownload(self.name, 0))
        if reply.len is None:
            raise RemoteProtocolError(f"the device does not report the size of {self.name}")
        if reply.len > FILE_MAX:
            raise RemoteProtocolError(
                f"the device reports {reply.len} bytes for {self.name}: more than any file system of a device holds"
            )
        if self.off > reply.len:
            raise RemoteProtocolError(f"{self.name} has {reply.len} bytes, fewer than were received before")
        if self.off == 0 < reply.len:
            self._take(reply.off, reply.data, reply.len)
        return reply.len, max(len(reply.data), 1)

    def _take(self, off: int, data: bytes, total: int) -> None:
        if off != self.off:
            raise RemoteProtocolError(f"asked for byte {self.off} of {self.name}, the device sent byte {off}")
        if not data:
            raise RemoteProtocolError(f"{self.name} ends at byte {off}, of {total} that the device promised")
        if off + len(data) > total:
            raise RemoteProtocolError(f"the device sends more of {self.name} than the {total} bytes that it promised")
        self.target.write(data)
        for running in self.hashes.values():
            running.update(data)
        self.off += len(data)
