"""Files to and from the file systems of a device, in pieces, with as much memory as a few pieces take.

    async with client_for("serial:/dev/ttyACM0") as client:
        with open("settings.bin", "rb") as source:
            result = await upload_file(client, source, "/lfs1/settings.bin")

The rules of an upload:

    the device answers                     what is done
    -------------------------------------  ------------------------------------------------------------------------
    the end of the piece                   the next piece
    another place, or FILE_OFFSET_NOT_VALID  a copy of the piece was taken before: go on from where the file stands
    an error that can pass (busy, memory)  the same, after a pause that doubles every time
    nothing, in all attempts               once more with half the length, if no piece so long ever went through
    any other error                        it is raised

    The link is lost -> it is opened again; go on from where the file stands
    Where it stands  -> the device closes the file and tells its length. That is believed where the last piece began or
                        ended there, and else only if the device's hash over those bytes is ours: a file that was there
                        before, or lost its end in a reset, has a length, too. 0 if nothing can be proved
    A few pieces     -> of a small file nothing is asked before, and one hash after: as few requests as can be
    No progress      -> ``PATIENCE`` bad events in a row end in an error

One piece of an upload is in flight at a time. Zephyr writes where the file ends and takes no other piece, so one that
is lost or late has the whole rest refused, a second copy of the first begins the file anew, and servers fell silent
when more came than they could write (2 in flight over UDP: 22 times slower; 4 over a serial line: given up).

A download has several in flight, for reads change nothing (``reading``), and goes on at the byte it has reached. In the
end the device's hash of the whole file is compared, if it has one that is known here.

Sources: Zephyr, smp_group_8.rst and fs_mgmt.c; recordings of real servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import BinaryIO

from smpdfu.client.client import Client
from smpdfu.client.deadline import Deadline
from smpdfu.client.exchange import now
from smpdfu.client.file_download import Part, Reading
from smpdfu.client.file_hash import HASHES, blocks_of, hash_bytes, hash_of
from smpdfu.client.file_proof import HASH_BYTES_PER_S, ask, hash_kind, hashes, their_hash
from smpdfu.client.pace import Pace
from smpdfu.client.retry import pause_after
from smpdfu.errors import DeviceError, LinkLostError, LocalProtocolError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.smp.cbor import head_size
from smpdfu.smp.groups.fs import (
    GROUP,
    FileClose,
    FileDownload,
    FileHash,
    FileStatus,
    FileUpload,
    FsRc,
)
from smpdfu.smp.message import HEADER_SIZE, MgmtRc
from smpdfu.smp.upload import PATIENCE, UploadProgress, is_passing

FILE_MAX = 0xFFFFFFFF
"""Bytes of a file: what FAT can hold, and more than LittleFS."""
_SHORTEST = 32
_SMALL = 8
"""Pieces of a file that is sent without asking what of it is there: that would take four requests or more."""
Report = Callable[[UploadProgress], None]


@dataclass(frozen=True, slots=True)
class FileResult:
    """A file that was transferred: ``len`` bytes in ``seconds``.

    ``resumed_at``: bytes that were there before; ``retries``: how often the device was asked where an upload stands.
    ``hash_type``: the kind of hash by which device and computer agree on every byte, None if the device has none that
    is known here.
    """

    len: int
    seconds: float
    resumed_at: int
    hash_type: str | None
    retries: int = 0

    @property
    def verified(self) -> bool:
        """True if the device's hash of the file is that of what was sent or received; of an empty file, its length."""
        return self.hash_type is not None or self.len == 0


async def upload_file(
    client: Client, source: BinaryIO, name: str, *, resume: bool = True, progress: Report | None = None
) -> FileResult:
    """Write ``source``, a seekable binary file, to the file ``name`` of the device, and have its hash compared.

    ``resume``: go on behind a beginning that is there already, if the device can prove it. ``progress`` is called with
    ``UploadProgress`` after every piece. LocalProtocolError if ``name`` leaves no room in a message; DeviceError if the
    device refuses; RemoteProtocolError when it makes no progress or holds other bytes in the end; LinkError, and
    TransferTimeoutError after the client's ``transfer_timeout_s``.
    """
    began = now()
    async with Deadline(f"the upload of {name}", client.transfer_timeout_s) as deadline:
        report = deadline.watched(progress or _no_report)
        await client.params()
        sending = _Sending(client, source, source.seek(0, 2), name)
        off = await sending.standing() if resume and not sending.is_small else 0
        resumed_at = off
        for last_try in (False, True):
            await sending.send(off, resumed_at, report)
            if await sending.arrived():
                break
            if last_try:
                raise RemoteProtocolError(f"the device holds other bytes in {name} than were sent")
            off = resumed_at = 0
            sending.retries += 1
    kind = sending.kind if sending.size else None
    return FileResult(sending.size, now() - began, resumed_at, kind, sending.retries)


async def download_file(
    client: Client, name: str, target: BinaryIO, *, resume: bool = False, progress: Report | None = None
) -> FileResult:
    """Read the file ``name`` of the device into ``target``, a binary file, and compare the device's hash of it.

    With ``resume``, ``target`` is seekable and readable: what it holds is kept if the device can prove that the file
    begins with it, else overwritten. Raises as ``upload_file``, and OSError where ``target`` cannot be written.
    """
    began = now()
    async with Deadline(f"the download of {name}", client.transfer_timeout_s) as deadline:
        report = deadline.watched(progress or _no_report)
        receiving = _Receiving(client, target, name)
        if resume:
            await receiving.take_up()
        resumed_at = receiving.off
        await receiving.receive(resumed_at, report)
        kind = await receiving.compare() if receiving.off else None
    return FileResult(receiving.off, now() - began, resumed_at, kind)


# --- up -------------------------------------------------------------------------------------------------------------


class _Sending:
    """One file on its way up. ``taken``: the longest message that the device took.

    ``kind`` of hash that both sides have: None if there is none, or if that was not asked yet.
    """

    def __init__(self, client: Client, source: BinaryIO, size: int, name: str) -> None:
        self.client, self.source, self.size, self.name = client, source, size, name
        self.kind: str | None = None
        self._knows_kind = False
        self.limit, self.taken, self.retries, self._pauses = client.message_max(), 0, 0, 0
        self.limit_min = HEADER_SIZE + len(FileUpload(name=name, off=size, len=size, data=b"").to_body()) + _SHORTEST

    @property
    def is_small(self) -> bool:
        """Would it cost less to send all of it than to ask what is there?"""
        return self.size <= _SMALL * max(self.limit - self.limit_min, 1)

    async def _find_kind(self) -> None:
        if not self._knows_kind:
            self.kind = await hash_kind(self.client)
            self._knows_kind = True

    async def send(self, off: int, resumed_at: int, report: Report) -> None:
        """Send everything from ``off`` on; of an empty file, that it is empty."""
        strikes, furthest, pace = 0, off, Pace(f"the upload of {self.name}")
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
        """Send one piece; where the file stands then."""
        end = piece.off + len(piece.data)
        length = HEADER_SIZE + len(piece.to_body())
        try:
            reply = await self.client.request(piece)
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
        self.taken, self._pauses = max(self.taken, length), 0
        return end if reply.off == end else await self._again(piece.off, end)

    async def _pause(self) -> None:
        """Leave a busy device alone, twice as long every time."""
        await asyncio.sleep(pause_after(self._pauses, self.client.patience.pause_s))
        self._pauses += 1

    async def _again(self, *believed: int) -> int:
        self.retries += 1
        return await self.standing(*believed)

    async def standing(self, *believed: int) -> int:
        """The bytes of the file that are in the device: see the rules at the top."""
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
        """Does the device hold the whole file, as far as it can tell?"""
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
        kind = next(iter(HASHES))
        reply = await ask(self.client, FileHash(self.name, kind), self.client.timeout_s + self.size / HASH_BYTES_PER_S)
        self.kind, self._knows_kind = kind, True
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


def _may_pass(error: DeviceError) -> bool:
    """Could the device have taken a copy of the piece, or take it later? Version 1 says EUNKNOWN for a wrong offset."""
    return error.is_code(FsRc.FILE_OFFSET_NOT_VALID, GROUP) or error.is_code(MgmtRc.EUNKNOWN) or is_passing(error)


# --- down -----------------------------------------------------------------------------------------------------------


class _Receiving:
    """One file on its way down: ``off`` bytes of it are written, and in ``hashes``, by their kinds."""

    def __init__(self, client: Client, target: BinaryIO, name: str) -> None:
        self.client, self.target, self.name = client, target, name
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
                    self.off, self.hashes = count, running
        self.target.seek(self.off)
        self.target.truncate()

    async def compare(self) -> str | None:
        """Compare the device's hash of all that was received; the kind, None if the device has none that is known.

        The best kind is asked for without asking which there are: one request less. RemoteProtocolError if the hashes
        differ, DeviceError if the device refuses one that it has.
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
        """Take everything from ``off`` on."""
        params = await self.client.params()
        total, piece = await self._first()
        window, pace = self.client.window_for(params), Pace(f"the download of {self.name}")
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
        """The bytes of the file, and of a piece: only the answer to the piece at 0 has them. It is kept if needed."""
        reply = await ask(self.client, FileDownload(self.name, 0))
        if reply.len is None:
            raise RemoteProtocolError(f"the device does not tell how long {self.name} is")
        if reply.len > FILE_MAX:
            raise RemoteProtocolError(
                f"the device promises {reply.len} bytes of {self.name}: no file system has such files"
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


def _no_report(progress: UploadProgress) -> None:
    """Nobody wants to know."""
