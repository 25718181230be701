"""The upload of an image, decided in pure code: no wire, no clock.

The caller sends what ``next_chunk`` returns, and reports the result: ``answered``, ``refused``, ``lost`` (the answer
was unreadable), ``silence`` (no answer came in time) or ``link_lost``. The rules:

    state    sent                             next state
    -------  -------------------------------  ---------------------------------------------------------------------
    BEGIN    the first chunk, alone: it has   after its answer -> FLOW, from the offset of the device: a device that
             len, sha and the image header    knows the sha continues where it stopped
    FLOW     chunks from the device's offset, the device is at the end -> DONE
             up to ``window`` in flight;      the device wants less than the end of a chunk -> DRAIN
             after silence one alone          a chunk was refused or lost -> DRAIN
    DRAIN    nothing                          no chunk sent after that one is in flight -> FLOW from the device's last
                                              offset, or BEGIN if that is 0
    DOUBT    nothing                          the caller has looked for the image in the device's list -> DONE, BEGIN
    DONE     nothing                          the caller found wrong bytes -> BEGIN, without sha so that all is written

    Offset       The device's ``off``. The answer to the chunk sent last decides; an earlier one only shows progress
    Covered      A chunk that ends at the device's offset, or before, is done, answered or not
    Overdue      A chunk without an answer in time. Its answer still counts, and the same chunk is sent again, so that
                 the answer to either copy counts. A chunk that was lost twice, and is longer than any that the device
                 ever accepted, is cut in half: long messages may not pass
    Link lost    -> BEGIN; without sha FLOW from the device's last offset, which the device corrects if it forgot
    Lost answer  of the last chunk (the device answers 0 to the next one, or the link was lost with it) -> DOUBT: a
                 device that has everything forgets the upload, and a first chunk would make it erase the slot
    No progress  ``PATIENCE`` bad events in a row without progress, or as many times that the device falls back before
                 it gets further than ever, end in an error

Sources: Zephyr, smp_group_1.rst, "Image upload"; measured behaviour of Zephyr's and MCUboot's servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from smpdfu.errors import DeviceError, LinkError, LinkLostError, RemoteProtocolError
from smpdfu.smp.groups.image import UploadReply
from smpdfu.smp.message import MgmtRc
from smpdfu.smp.transfer.chunks import Chunk, Cutter

PATIENCE = 8
"""The bad events in a row that an upload survives."""
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
    """``off`` of ``len`` bytes are in the device, ``resumed_at`` from an earlier upload. ``retries``: sent again.

    ``window``: the chunks that may be in flight now.
    """

    off: int
    len: int
    retries: int = 0
    resumed_at: int = 0
    window: int = 1


class Upload:
    """The upload of one image to one device. ``data`` is not copied and must not change meanwhile.

    ``window`` is the number of chunks that may be in flight; you can change it at any time. ``flight`` has the chunks
    in flight, in the order in which they were sent. ``dropped`` has the chunks whose answers no longer count, until the
    caller clears the list. ``requests`` counts what was sent, ``retries`` the requests that repeated bytes, ``widest``
    is the most that was in flight.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        *,
        message_max: int,
        image: int = 0,
        upgrade: bool = False,
        names_image: bool = False,
        window: int = 1,
    ) -> None:
        """Begin an upload. SMP messages have at most ``message_max`` bytes. ``names_image``: each has ``image``.

        Raises ValueError if there is nothing to upload, or too much, and LocalProtocolError if messages of that size
        are too short to begin an upload.
        """
        if window < 1:
            raise ValueError(f"the window must be at least 1, not {window}")
        self._cutter = Cutter(data, message_max, image, upgrade, names_image=names_image)
        self._total = self._cutter.total
        self.window = window
        self.state = State.BEGIN
        self.match: bool | None = None
        self.retries = self.resumed_at = self.requests = self.widest = 0
        self._at = self._next = self._best = 0
        self.flight: list[Chunk] = []
        self._overdue: list[Chunk] = []
        self.dropped: list[Chunk] = []
        self._alone = False
        self._word = 0  # number of the chunk whose answer had the last word
        self._last_out: int | None = None  # number under which the last chunk went out first
        self._strikes = self._falls = self._taken = self._sent = 0
        self._cutter.first()  # else it is no use to begin

    @property
    def off(self) -> int:
        """The device's offset, in bytes."""
        return self._at

    @property
    def progress(self) -> UploadProgress:
        """The progress of the upload."""
        return UploadProgress(self._at, self._total, self.retries, self.resumed_at, self.window)

    @property
    def chunks_left(self) -> int:
        """The estimated number of chunks that are left."""
        return self._cutter.count(self._at)

    def ends_unit(self, size: int) -> bool:
        """Return whether the next chunk reaches a multiple of ``size`` bytes."""
        return self.state is State.FLOW and self._next // size < self._cutter.further_end(self._next) // size

    @property
    def awaited(self) -> list[Chunk]:
        """The chunks whose answers still count: those in flight, and those that are overdue."""
        return [*self.flight, *self._overdue]

    # --- what to send -----------------------------------------------------------------------------------------------

    def next_chunk(self) -> Chunk | None:
        """Return the chunk to send now; None if an answer, or a report of the caller, must come first."""
        if self.state is State.DRAIN and not self.flight:
            self._go_on()
        if self.state is State.BEGIN and not self.flight:
            return self._send(self._overdue_at(0) or self._cutter.first())
        if self.state is not State.FLOW or len(self.flight) >= (1 if self._alone else self.window):
            return None
        if self._next >= self._total and not self.flight:
            self._go_on()  # everything was sent and the device still lacks some of it
        if self._next >= self._total:
            return None
        return self._send(self._overdue_at(self._next) or self._cutter.further(self._next))

    def _send(self, chunk: Chunk) -> Chunk:
        self.flight.append(chunk)
        self.requests += 1
        self.retries += chunk.request.off < self._sent
        self.widest = max(self.widest, len(self.flight))
        self._next = chunk.end
        self._sent = max(chunk.end, self._sent)
        chunk.sends += 1
        chunk.number = self.requests
        if self._is_last(chunk) and self._last_out is None:
            self._last_out = chunk.number
        return chunk

    def _is_last(self, chunk: Chunk) -> bool:
        return chunk.end == self._total and not chunk.first

    def _overdue_at(self, off: int) -> Chunk | None:
        for chunk in self._overdue:
            if chunk.request.off == off:
                self._overdue.remove(chunk)
                return chunk
        return None

    def _go_on(self) -> None:
        self.state = State.FLOW if self._at > 0 else State.BEGIN
        self._next = self._at
        self._word = self.requests + 1  # what the device says of what was sent until now is old

    # --- what became of it ------------------------------------------------------------------------------------------

    def answered(self, chunk: Chunk, reply: UploadReply) -> bool:
        """Note the device's offset ``reply.off``. Return False if the device did not receive earlier bytes.

        Raises RemoteProtocolError if it asks for a byte beyond the end, or makes no progress.
        """
        if reply.off > self._total:
            raise RemoteProtocolError(f"the device asks for byte {reply.off} of an image of {self._total} bytes")
        if not self._take_out(chunk):
            return True
        self._taken = max(self._taken, chunk.limit)
        self._alone = False
        if reply.off == 0 and self._last_out is not None and chunk.number > self._last_out:
            self._doubt()
            return True
        if self.state is State.BEGIN:
            if chunk.first:  # else the device forgot since
                self._begun(reply.off)
        elif reply.off >= chunk.end or chunk.number < self._word:
            self._advance(reply.off, chunk.number)
        else:
            return self._fall_behind(chunk, reply.off)
        if self._at == self._total:
            self._finish(reply.match)
        return True

    def refused(self, chunk: Chunk, error: DeviceError) -> None:
        """Note a refusal. Raises it again, unless the device may accept the chunk later."""
        if not is_passing(error):
            raise error
        self.lost(chunk, error)

    def lost(self, chunk: Chunk, why: LinkError | RemoteProtocolError | DeviceError) -> None:
        """Note an unreadable answer. Raises ``why`` after too many bad events."""
        if chunk not in self.flight:
            return
        self._give_up([chunk], counts=True)
        if self.state is State.FLOW:
            self.state = State.DRAIN
            self._strike(why)
        elif self.state is State.BEGIN:
            self._strike(why)

    def silence(self, why: LinkError, *, counts: bool = True, halves: bool = True) -> None:
        """Note that no answer came in time: all in flight is overdue, and the first chunk is sent again, alone.

        Raises ``why`` after too many bad events. Without ``counts`` this is not a bad event, only a slow answer.
        Without ``halves`` the length of the chunk is not the cause.
        """
        if not self.flight:
            return
        self._alone = True
        self._give_up([*self.flight], counts=counts and halves)
        if counts:
            self._strike(why)
        if self.state in (State.FLOW, State.DRAIN):
            self._go_on()

    def hurry(self) -> None:
        """Leave DRAIN: the chunks in flight follow a lost one, and it does not pay to wait for them."""
        if self.state is State.DRAIN:
            self._give_up([*self.flight], counts=False)
            self._go_on()

    def link_lost(self, why: LinkLostError) -> None:
        """Note that the link is lost with all that was in flight. Raises ``why`` after too many bad events."""
        gone = self.awaited
        self._forget()
        if self.state in (State.DOUBT, State.DONE):
            return
        self._strike(why)
        if any(self._is_last(chunk) for chunk in gone):
            self._doubt()
        elif self._cutter.sha is None and self._at > 0:
            self.state, self._next = State.FLOW, self._at
        else:
            self.state, self._next = State.BEGIN, 0

    def shorten(self, message_max: int) -> None:
        """Note that the link is back, with messages of at most ``message_max`` bytes."""
        self._cutter.shorten(message_max)

    def settle(self, *, complete: bool) -> None:
        """End DOUBT: the caller reports whether the device has the whole image."""
        if self.state is not State.DOUBT:
            raise ValueError("the upload is not in the state DOUBT")
        if complete:
            self._at = self._total
            self._finish(None)
        else:
            self._last_out = None
            self._move(0)
            self.state, self._next = State.BEGIN, 0

    def begin_again(self) -> None:
        """Start again, because the device has wrong bytes: write all of them, even those that it reports to have."""
        self.state = State.BEGIN
        self.match = None
        self._cutter.sha = None
        self._at = self._next = self._best = self.resumed_at = 0
        self._last_out = None
        self._forget()

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _take_out(self, chunk: Chunk) -> bool:
        for chunks in (self.flight, self._overdue):
            if chunk in chunks:
                chunks.remove(chunk)
                self.dropped.append(chunk)
                return True
        return False

    def _begun(self, off: int) -> None:
        if off > self._sent:
            self.resumed_at = off
        self._last_out = None
        self._move(off)
        self._next = off
        if off > 0:
            self.state = State.FLOW

    def _advance(self, off: int, number: int) -> None:
        """Note progress, or an answer that a later one has overtaken."""
        self._word = max(self._word, number)
        if off <= self._at:
            return
        self._move(off)
        self._next = max(self._next, off)
        covered = [chunk for chunk in self.flight if chunk.end <= off]
        if self._overdue:
            covered += [chunk for chunk in self._overdue if chunk.request.off < off]
            self._overdue = [chunk for chunk in self._overdue if chunk.request.off >= off]
        if covered:
            self.dropped += covered
            self.flight = [chunk for chunk in self.flight if chunk.end > off]

    def _fall_behind(self, chunk: Chunk, off: int) -> bool:
        """Note that the device dropped ``chunk``, because it lacks the bytes at ``off``; True if that was known."""
        known = self.state is State.DRAIN and off == self._at
        self._word = chunk.number
        if not known:
            self._give_up([other for other in self.flight if other.number < chunk.number], counts=False)
            self._move(off)
        self.state = State.DRAIN
        return known

    def _give_up(self, gone: list[Chunk], *, counts: bool) -> None:
        for chunk in gone:
            if chunk in self.flight:
                self.flight.remove(chunk)
            chunk.losses += counts
            never_passed = chunk.losses >= 2 and chunk.limit > self._taken
            if chunk.end > self._at and not (never_passed and self._cutter.halve(chunk)):
                self._overdue.append(chunk)
            else:
                self.dropped.append(chunk)

    def _doubt(self) -> None:
        self.state = State.DOUBT
        self._forget()

    def _finish(self, match: bool | None) -> None:
        self.state = State.DONE
        self.match = match
        self._forget()

    def _forget(self) -> None:
        self.dropped += self.awaited
        self.flight.clear()
        self._overdue.clear()
        self._alone = False

    def _move(self, off: int) -> None:
        """Set the device's offset."""
        if off > self._at:
            self._strikes = 0
        elif off == self._at:
            self._strikes += 1
        else:
            self._falls += 1
        self._at = off
        if off > self._best:
            self._best, self._falls = off, 0
        if max(self._strikes, self._falls) >= PATIENCE:
            raise RemoteProtocolError(f"the upload makes no progress: the device keeps asking for byte {off}")

    def _strike(self, why: LinkError | RemoteProtocolError | DeviceError) -> None:
        self._strikes += 1
        if self._strikes >= PATIENCE:
            raise why


def is_passing(error: DeviceError) -> bool:
    """Return whether the device may accept later what it refuses now."""
    return error.group is None and error.rc in _PASSING
