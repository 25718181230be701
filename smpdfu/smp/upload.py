"""The upload of an image, decided in pure code: no wire, no clock.

Somebody else sends what ``next_chunk`` gives, and tells what became of it: ``answered``, ``refused``, ``lost`` (no
readable answer in time) or ``link_lost``. The rules:

    state    what is sent                     left when
    -------  -------------------------------  ---------------------------------------------------------------------
    BEGIN    the first chunk, alone: it has   its answer has come -> FLOW, wherever the device says it stands: a device
             len, sha and the image header    that knows the sha goes on where it was
    FLOW     chunks from the device's place,  the device stands at the end -> DONE
             up to ``window`` in flight       the device wants less than the end of a chunk -> DRAIN
                                              a chunk was lost or found no buffer -> DRAIN
    DRAIN    nothing; the window is 1 from    nothing is in flight any more -> FLOW from the device's last word, which
             now on                           begins with the chunk that was lost, or BEGIN if the device stands at 0
    DOUBT    nothing                          the caller has looked for the image in the device's list -> DONE, BEGIN
    DONE     nothing                          the caller found wrong bytes -> BEGIN, without sha so that all is written

    Link lost    -> BEGIN; without sha FLOW from the device's last word, which a device that forgot corrects
    Lost answer  of the last chunk (the device says 0 to its copy, or the link went with it) -> DOUBT: a device that has
                 everything forgets the upload, and would take a first chunk as the order to erase
    Sent again   is a chunk as it was, so that its answer counts whichever copy it is for. But one that was lost twice,
                 and is longer than any the device ever took, is cut in half: long messages may not pass
    No progress  ``PATIENCE`` bad events in a row without a byte of progress, or as many times that the device falls
                 back before it got further than ever, end in an error

Sources: Zephyr, smp_group_1.rst, "Image upload"; measured behaviour of Zephyr's and MCUboot's servers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum

from smpdfu.errors import DeviceError, LinkError, LinkLostError, LocalProtocolError, RemoteProtocolError
from smpdfu.smp.cbor import head_size
from smpdfu.smp.groups.image import ImageUpload, UploadReply
from smpdfu.smp.message import HEADER_SIZE, MgmtRc

PATIENCE = 8
"""Bad events in a row that are borne."""
IMAGE_HEADER_SIZE = 32
"""Bytes of the image that a server must see in the first chunk."""
_UNIT = 32  # a multiple of every write block: MCUboot's recovery takes only whole ones
_SHORT_UNIT = 4
_SHORTEST_HALF = 128
_CHUNK_OVERHEAD = HEADER_SIZE + len(ImageUpload(off=0).to_body()) - 2  # without the heads of off and data
_PASSING = frozenset({MgmtRc.ENOMEM, MgmtRc.EMSGSIZE, MgmtRc.ECORRUPT, MgmtRc.EBUSY})


class State(Enum):
    """See the table above."""

    BEGIN = "begin"
    FLOW = "flow"
    DRAIN = "drain"
    DOUBT = "doubt"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """``off`` of ``len`` bytes are in the device; ``resumed_at`` of them were before; ``retries``: sent again."""

    off: int
    len: int
    retries: int = 0
    resumed_at: int = 0


@dataclass(slots=True, eq=False)
class Chunk:
    """A piece on its way: the same object as often as it is sent.

    ``end`` is the offset behind it, ``limit`` the bound on its message that it was made for.
    """

    request: ImageUpload
    end: int
    limit: int
    sends: int = 0

    @property
    def first(self) -> bool:
        """True for the chunk that opens an upload."""
        return self.request.len is not None


class Upload:
    """One image on its way to one device. ``data`` is not copied; it must not change meanwhile."""

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        *,
        message_max: int,
        image: int = 0,
        upgrade: bool = False,
        window: int = 1,
    ) -> None:
        """``message_max`` bounds the SMP messages, in bytes; ``window`` the chunks in flight.

        ValueError if there is nothing to upload, or too much; LocalProtocolError if messages of that size are too
        short to begin an upload with.
        """
        self._data = memoryview(data).cast("B")
        if not 0 < len(self._data) <= 0xFFFFFFFF:
            raise ValueError(f"an upload has 1 to 2**32 - 1 bytes, not {len(self._data)}")
        if window < 1:
            raise ValueError(f"at least one chunk is in flight, not {window}")
        self._image, self._upgrade, self._window = image, upgrade, window
        self._first_max = self._message_max = message_max
        self._sha: bytes | None = hashlib.sha256(self._data).digest()
        self.state = State.BEGIN
        self.match: bool | None = None
        self.retries = self.resumed_at = 0
        self._at = self._next = self._best = 0
        self._flight: list[Chunk] = []
        self._again: Chunk | None = None
        self._strikes = self._falls = self._taken = self._sent = 0
        self._first_chunk()

    @property
    def progress(self) -> UploadProgress:
        """Where the device stands."""
        return UploadProgress(self._at, len(self._data), self.retries, self.resumed_at)

    # --- what to send -----------------------------------------------------------------------------------------------

    def next_chunk(self) -> Chunk | None:
        """The chunk to send now; None when an answer, or the caller's word, must come first."""
        if self.state is State.DRAIN and not self._flight:
            self._go_on()
        if self.state is State.BEGIN and not self._flight:
            return self._send(self._again or self._first_chunk())
        if self.state is not State.FLOW or len(self._flight) >= self._window:
            return None
        if self._again is not None:
            return self._send(self._again)
        return self._send(self._further_chunk()) if self._next < len(self._data) else None

    def _send(self, chunk: Chunk) -> Chunk:
        self._again = None
        self._flight.append(chunk)
        self._next, self._sent = chunk.end, max(chunk.end, self._sent)
        chunk.sends += 1
        return chunk

    def _go_on(self) -> None:
        self.state = State.FLOW if self._at > 0 else State.BEGIN
        self._next = self._at
        if self._again is not None and self._again.request.off != self._at:
            self._again = None

    def _first_chunk(self) -> Chunk:
        total, sha = len(self._data), self._sha
        while True:
            opening = ImageUpload(image=self._image or None, off=0, len=total, sha=sha, upgrade=self._upgrade or None)
            room = self._first_max - HEADER_SIZE - len(opening.to_body()) + 1
            size = self._size(0, room)
            if size >= min(IMAGE_HEADER_SIZE, total):
                return Chunk(replace(opening, data=bytes(self._data[:size])), size, self._first_max)
            if not sha:
                raise LocalProtocolError(f"an upload cannot begin with messages of {self._first_max} bytes")
            sha = sha[: len(sha) - 8] or None  # a shorter one still tells this upload from others

    def _further_chunk(self) -> Chunk:
        off = self._next
        size = self._size(off, self._message_max - _CHUNK_OVERHEAD - head_size(off))
        request = ImageUpload(off=off, data=bytes(self._data[off : off + size]))
        return Chunk(request, off + size, self._message_max)

    def _size(self, off: int, room: int) -> int:
        """Bytes of data from ``off`` that fit, with their head, into ``room``."""
        size = max(room - 1, 0)
        while size > 0 and size + head_size(size) > room:
            size -= 1
        if off + size >= len(self._data):
            return len(self._data) - off
        return size // _UNIT * _UNIT or size // _SHORT_UNIT * _SHORT_UNIT

    # --- what became of it ------------------------------------------------------------------------------------------

    def answered(self, chunk: Chunk, reply: UploadReply) -> None:
        """The device stands at ``reply.off``. RemoteProtocolError if that is beyond the end, or never gets further."""
        if reply.off > len(self._data):
            raise RemoteProtocolError(f"the device asks for byte {reply.off} of an image of {len(self._data)} bytes")
        if chunk not in self._flight:
            return
        self._flight.remove(chunk)
        self._taken = max(self._taken, chunk.limit)
        if reply.off == 0 and chunk.end == len(self._data) and not chunk.first and chunk.sends > 1:
            self._doubt()
            return
        if self.state is State.FLOW and reply.off >= chunk.end:
            if reply.off > self._at:  # else a later answer has overtaken this one
                self._move(reply.off)
        elif self.state is State.BEGIN:
            self._begun(reply.off)
        else:
            self._rewind()
            self._move(reply.off)
        if reply.off == len(self._data):
            self._finish(reply.match)

    def refused(self, chunk: Chunk, error: DeviceError) -> None:
        """The device answered with an error: raised again, unless it can pass."""
        if error.group is not None or error.rc not in _PASSING:
            raise error
        self.lost(chunk, error)

    def lost(self, chunk: Chunk, why: LinkError | RemoteProtocolError | DeviceError) -> None:
        """No readable answer came in time. Raises ``why`` when patience is at its end."""
        if chunk not in self._flight:
            return
        self._flight.remove(chunk)
        if chunk.end <= self._at:
            return  # a later answer has covered it
        self._strike(why)
        self._rewind()
        if chunk.sends >= 2 and chunk.limit > self._taken and chunk.limit >= 2 * _SHORTEST_HALF:
            self._halve(chunk)
        elif self._again is None or chunk.request.off < self._again.request.off:
            self._again = chunk

    def link_lost(self, why: LinkLostError) -> None:
        """The link is gone with all that was in flight. Raises ``why`` when patience is at its end."""
        gone = [*self._flight, *([self._again] if self._again else [])]
        self._flight.clear()
        self._again = None
        if self.state in (State.DOUBT, State.DONE):
            return
        self._strike(why)
        if any(chunk.end == len(self._data) and not chunk.first for chunk in gone):
            self._doubt()
        elif self._sha is None and self._at > 0:
            self.state, self._next = State.FLOW, self._at
        else:
            self.state, self._next = State.BEGIN, 0

    def settle(self, *, complete: bool) -> None:
        """The answer to DOUBT: is the whole image in the device?"""
        if self.state is not State.DOUBT:
            raise ValueError("there is no doubt to settle")
        if complete:
            self._at = len(self._data)
            self._finish(None)
        else:
            self._move(0)
            self.state, self._next = State.BEGIN, 0

    def begin_again(self) -> None:
        """The device holds other bytes than were sent: write all of them again, whatever it believes to have."""
        self.state, self.match, self._sha = State.BEGIN, None, None
        self._at = self._next = self._best = self.resumed_at = 0
        self._flight.clear()
        self._again = None
        self.retries += 1

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _begun(self, off: int) -> None:
        if off > self._sent:
            self.resumed_at = off
        self._move(off)
        self._next = off
        if off > 0:
            self.state = State.FLOW

    def _rewind(self) -> None:
        if self.state is State.FLOW:
            self.state = State.DRAIN
        self._window = 1

    def _halve(self, chunk: Chunk) -> None:
        # A first chunk may only be slow, for the device erases: that says nothing about further ones.
        if chunk.first:
            self._first_max = chunk.limit // 2
        else:
            self._message_max = chunk.limit // 2

    def _doubt(self) -> None:
        self.state, self._again = State.DOUBT, None

    def _finish(self, match: bool | None) -> None:
        self.state, self.match, self._again = State.DONE, match, None
        self._flight.clear()

    def _move(self, off: int) -> None:
        """The device stands at ``off`` now."""
        if off > self._at:
            self._strikes = 0
        elif off == self._at:
            self._strikes += 1
        else:
            self._falls += 1
        self.retries += off <= self._at
        self._at = off
        if off > self._best:
            self._best, self._falls = off, 0
        if max(self._strikes, self._falls) >= PATIENCE:
            raise RemoteProtocolError(f"the upload makes no progress: the device keeps asking for byte {off}")

    def _strike(self, why: LinkError | RemoteProtocolError | DeviceError) -> None:
        self._strikes += 1
        self.retries += 1
        if self._strikes >= PATIENCE:
            raise why
