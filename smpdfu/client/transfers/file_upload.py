"""One file on its way to a device. The rules stand in ``smpdfu.client.files``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import BinaryIO

from smpdfu.client.client import Client
from smpdfu.client.exchange import now
from smpdfu.client.pace import Pace
from smpdfu.client.report import Report
from smpdfu.client.retry import pause_after
from smpdfu.client.transfers.file_hash import HASHES, blocks_of, hash_bytes, hash_of
from smpdfu.client.transfers.file_proof import HASH_BYTES_PER_S, ask, hash_kind, their_hash
from smpdfu.errors import DeviceError, LinkLostError, LocalProtocolError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.smp.cbor import head_size
from smpdfu.smp.groups.fs import (
    GROUP,
    FileClose,
    FileHash,
    FileHashReply,
    FileStatus,
    FileUpload,
    FileUploadReply,
    FsRc,
)
from smpdfu.smp.message import HEADER_SIZE, MgmtRc
from smpdfu.smp.transfer.upload import PATIENCE, UploadProgress, is_passing

_SHORTEST = 32
_ONE_LINE = 88
"""Bytes of a message that fits into one console line. Even a small UART keeps that while the device works."""
_EARLY_BUFFERS = 2
"""Buffers that a piece and the question behind it take; the answer takes one more."""
_EARLY_S = 0.2
"""How much later than the answer to the last piece the answer to an early question may come, at least."""
_SMALL = 8
"""Pieces of a file that is sent without asking what of it is there: that would take four requests or more."""


class FileSender:
    """Sends one file. ``taken``: the length of the longest message that the device accepted, in bytes.

    ``kind``: the kind of hash that both sides have; None if there is none, or if the device was not asked yet.
    """

    def __init__(self, client: Client, source: BinaryIO, size: int, name: str) -> None:
        self.client = client
        self.source = source
        self.size = size
        self.name = name
        self.kind: str | None = None
        self._knows_kind = False
        self._proven = False
        self.limit = client.message_max()
        self.taken = 0
        self.retries = 0
        self._pauses = 0
        self.limit_min = HEADER_SIZE + len(FileUpload(name=name, off=size, len=size, data=b"").to_body()) + _SHORTEST

    @property
    def is_small(self) -> bool:
        """Whether it costs less to send the whole file than to ask which part of it is there."""
        return self.size <= _SMALL * max(self.limit - self.limit_min, 1)

    async def _find_kind(self) -> None:
        if not self._knows_kind:
            self.kind = await hash_kind(self.client)
            self._knows_kind = True

    async def send(self, off: int, resumed_at: int, report: Report) -> None:
        """Send everything from ``off`` on; for an empty file, one piece without data."""
        strikes = 0
        furthest = off
        pace = Pace(f"the upload of {self.name}")
        while off < self.size or not self.size:
            report(UploadProgress(off, self.size, self.retries, resumed_at))
            try:
                off = await self._carry(self._piece(off))
            except LinkLostError as error:
                if error.closed:
                    raise
                await self.client.wait_for_device(self.client.patience.reconnect_s)
                off = await self._again()
            if not self.size:
                break
            pace.moved(off, now())
            strikes = 0 if off > furthest else strikes + 1
            furthest = max(off, furthest)
            if strikes >= PATIENCE:
                raise RemoteProtocolError(f"the upload makes no progress: {self.name} stays at byte {off}")
        report(UploadProgress(off, self.size, self.retries, resumed_at))

    async def _carry(self, piece: FileUpload) -> int:
        """Send one piece; return the length of the device's file afterwards."""
        end = piece.off + len(piece.data)
        length = HEADER_SIZE + len(piece.to_body())
        try:
            reply = await self._send_piece(piece)
        except ResponseTimeoutError:
            if length <= self.taken or length < 2 * self.limit_min:
                raise
            self.limit = length // 2
            return await self._again(piece.off, end)
        except DeviceError as error:
            if error.is_code(MgmtRc.EMSGSIZE):
                self.limit = max(length // 2, self.limit_min)
            if is_passing(error):
                await self._pause()
            stands = await self._again(piece.off, end) if _may_pass(error) else piece.off
            # A second copy of the first piece leaves a device behind that counts more than it wrote, until it closes.
            miscounts = error.is_code(FsRc.FILE_OFFSET_NOT_VALID, GROUP)
            if stands == piece.off and not is_passing(error) and not miscounts:
                raise
            return stands
        self.taken = max(self.taken, length)
        self._pauses = 0
        return end if reply.off == end else await self._again(piece.off, end)

    async def _send_piece(self, piece: FileUpload) -> FileUploadReply:
        """Send one piece; right behind the last one of a small file, ask for the hash that proves the whole."""
        kind = _best_kind()
        question = FileHash(self.name, kind)
        self._proven = False
        is_last = piece.off + len(piece.data) == self.size > 0
        if not (is_last and self.is_small and not self._knows_kind and await self._hears_early(question)):
            return await self.client.request(piece)
        early = asyncio.create_task(self.client.request(question, attempts=1))
        began = now()
        try:
            reply = await self.client.request(piece)  # on the wire before the task begins
            await asyncio.wait([early], timeout=max(now() - began, _EARLY_S))
        finally:
            early.cancel()
            await asyncio.wait([early])
            failed = early.cancelled() or early.exception() is not None
        # Only a proof counts: anything else may be from before the last piece was there.
        self._proven = not failed and reply.off == self.size and self._proves(early.result(), kind)
        return reply

    async def _hears_early(self, question: FileHash) -> bool:
        """Whether the device has a buffer for one request more, and for its answer, while it works."""
        if self.client.window_bound == 1:
            return False
        params = await self.client.params()
        buffers = None if params is None else params.buf_count
        return (buffers or 0) > _EARLY_BUFFERS and HEADER_SIZE + len(question.to_body()) <= _ONE_LINE

    async def _pause(self) -> None:
        """Leave a busy device alone, twice as long every time."""
        await asyncio.sleep(pause_after(self._pauses, self.client.patience.pause_s))
        self._pauses += 1

    async def _again(self, *believed: int) -> int:
        self.retries += 1
        return await self.standing(*believed)

    async def standing(self, *believed: int) -> int:
        """Return how many bytes of the file are in the device, by the rules in ``smpdfu.client.files``."""
        with suppress(DeviceError):
            await ask(self.client, FileClose())
        try:
            there = (await ask(self.client, FileStatus(self.name))).len
        except DeviceError:
            return 0
        if there in believed:
            return there
        await self._find_kind()
        if self.kind is None or not 0 < there <= self.size:
            return 0
        return there if await self._same(there) else 0

    async def arrived(self) -> bool:
        """Return whether the device holds the whole file, as far as it can prove that."""
        if self._proven:
            self.kind = _best_kind()
            return True
        if self.size and not self._knows_kind:
            with suppress(DeviceError):  # it has not this one: then it is asked what it has
                return await self._is_whole()
        await self._find_kind()
        with suppress(DeviceError):
            if not self.size:
                await ask(self.client, FileClose())  # Zephyr does not notice that an empty file is whole
            if (await ask(self.client, FileStatus(self.name))).len != self.size:
                return False
        return self.kind is None or not self.size or await self._same(self.size)

    async def _is_whole(self) -> bool:
        """Is the device's file ours, by one request? Raises DeviceError if the device lacks the best kind of hash."""
        kind = _best_kind()
        reply = await ask(self.client, FileHash(self.name, kind), self.client.timeout_s + self.size / HASH_BYTES_PER_S)
        self.kind = kind
        self._knows_kind = True
        return self._proves(reply, kind)

    def _proves(self, reply: FileHashReply, kind: str) -> bool:
        return reply.len in (None, self.size) and hash_bytes(reply) == self._hash_of(self.size, kind)

    def _hash_of(self, count: int, kind: str) -> bytes:
        ours = hash_of(kind)
        for block in blocks_of(self.source, count):
            ours.update(block)
        return ours.digest()

    async def _same(self, count: int) -> bool:
        assert self.kind is not None, "asked for only where there is a hash"
        try:
            return await their_hash(self.client, self.name, self.kind, count) == self._hash_of(count, self.kind)
        except DeviceError:
            return False

    def _piece(self, off: int) -> FileUpload:
        total = self.size if off == 0 else None
        bare = HEADER_SIZE + len(FileUpload(name=self.name, off=off, len=total, data=b"").to_body())
        room = self.limit - bare
        room -= head_size(max(room, 0)) - 1
        if room < min(_SHORTEST, self.size):
            raise LocalProtocolError(f"the name {self.name!r} leaves no room for data in {self.limit} bytes")
        self.source.seek(off)
        data = self.source.read(min(room, self.size - off))
        if len(data) < min(room, self.size - off):
            raise LocalProtocolError(f"the file for {self.name} became shorter while it was sent")
        return FileUpload(name=self.name, off=off, len=total, data=data)


def _best_kind() -> str:
    """The kind of hash that is asked for first."""
    return next(iter(HASHES))


def _may_pass(error: DeviceError) -> bool:
    """Whether the device may have the piece, or accept it later. Version 1 says EUNKNOWN for a wrong offset."""
    return error.is_code(FsRc.FILE_OFFSET_NOT_VALID, GROUP) or error.is_code(MgmtRc.EUNKNOWN) or is_passing(error)
