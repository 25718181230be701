"""An upload on its way: one loop that sends, waits and listens, for as many requests in flight as pay.

``smp/transfer/upload.py`` decides what to send, ``smp/transfer/window.py`` how much at a time. This module has the
clock and the link.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from smpdfu.client.exchange import Exchange, now
from smpdfu.client.pace import Pace
from smpdfu.client.patience import Patience
from smpdfu.client.retry import pause_after
from smpdfu.errors import DeviceError, LinkLostError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.smp.groups.image import ImageUpload, UploadReply
from smpdfu.smp.groups.os import Params
from smpdfu.smp.session import Answer, AnswerKind, Ticket
from smpdfu.smp.transfer.chunks import Chunk
from smpdfu.smp.transfer.hearing import PAGE
from smpdfu.smp.transfer.upload import PATIENCE, State, Upload, UploadProgress, is_passing
from smpdfu.smp.transfer.window import Fault, Window

_PING_S, _PING_ANSWER_S = 0.5, 0.2
"""After how long one asks about a first chunk, and how much later than its own answer that one may come."""
_PROBE_HEAD = 8
"""Bytes around the padding of a probe, at most: so its message is no longer than the chunk's."""


class Owner(Protocol):
    """Runs a transfer, and does for it everything that is not the transfer of chunks."""

    def report(self, progress: UploadProgress) -> None:
        """Take notice of the progress."""

    async def reconnect(self) -> None:
        """Open the lost link again. LinkLostError if it stays lost."""

    async def has_image(self) -> bool:
        """Whether the device lists the whole image."""
        ...

    async def check_device(self) -> None:
        """Check that this is still the same device, which asks for the first byte again. Its errors end the upload."""


@dataclass(frozen=True, slots=True)
class Probe(Params):
    """A request that is as long as one likes, has a short answer and changes nothing: servers pass over ``pad``."""

    pad: bytes = b""


class Transfer:
    """``upload`` over ``exchange``, with as many requests in flight as ``window`` allows.

    ``timeout_s``: how long an answer may take; ``first_timeout_s``: the same for the first chunk, at which the device
    erases. Use it once: ``await transfer.run()``.
    """

    def __init__(
        self,
        exchange: Exchange,
        upload: Upload,
        window: Window,
        owner: Owner,
        *,
        timeout_s: float,
        first_timeout_s: float,
        patience: Patience,
    ) -> None:
        self._exchange = exchange
        self._upload = upload
        self._window = window
        self._owner = owner
        self._timeout_s = timeout_s
        self._first_timeout_s = first_timeout_s
        self._patience = patience
        self._news: deque[Chunk] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_until = self._life_at = 0.0
        self._silences = self._counted = self._pauses = 0
        self._quiet_left_s = patience.quiet_max_s
        self._begins_anew = False
        self._pace = Pace("the upload")
        self._ping: Ticket | None = None
        self._ping_at = 0.0

    async def run(self) -> None:
        """Until the device has everything. Raises what ends the upload, see ``Upload``."""
        upload = self._upload
        self._owner.report(upload.progress)
        try:
            while upload.state is not State.DONE:
                if upload.state is State.DOUBT:
                    self._forget()
                    upload.settle(complete=await self._owner.has_image())
                try:
                    if self._begins_anew:
                        self._begins_anew = False
                        await self._owner.check_device()
                    await self._step()
                except LinkLostError as error:
                    if error.closed:
                        raise
                    upload.link_lost(error)
                    self._forget()
                    await self._owner.reconnect()
                    upload.shorten(self._exchange.message_max())
        finally:
            self._forget()
            if self._timer is not None:
                self._timer.cancel()

    async def _step(self) -> None:
        await self._send_all()
        if not self._news:
            await self._wait(self._due())
        while self._news:
            self._take(self._news.popleft())
        if self._ping is not None:
            await self._await_ping(self._ping)
        if not self._upload.flight:
            return
        if now() >= self._overdue_at():
            await self._fall_silent()
        elif self._waits_for_first():
            await self._ask_for_first()

    # --- sending -----------------------------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        upload, window = self._upload, self._window
        while not self._news:
            upload.window = window.size
            at = now()
            if at < self._pause_until or (upload.flight and (at < window.send_at() or not self._has_room())):
                return
            page = (window.asks or window.wants_page) and upload.ends_unit(PAGE)
            if page and upload.flight and window.queues:
                return
            chunk = upload.next_chunk()
            if chunk is None:
                return
            await self._send(chunk, at)
            if window.asks or page:
                await self._probe(chunk, page=page)

    def _has_room(self) -> bool:
        """Does the wire's own queue take one more?"""
        limit = self._exchange.pipe.in_flight_max
        if limit is None:
            return True
        sizes = [chunk.wire_size for chunk in self._upload.flight]
        return sum(sizes) + max(sizes) <= limit

    async def _send(self, chunk: Chunk, at: float) -> None:
        if chunk.sends == 1:
            chunk.first_at = at
        if chunk.ticket is None or chunk.ticket.done:  # a request that was answered needs a new number
            chunk.ticket = self._exchange.session.open(chunk.request, partial(self._heard, chunk))
        chunk.last_at = at
        chunk.unanswered += 1
        if len(self._upload.flight) == 1 and not self._silences:
            self._life_at = at
        if chunk.first and self._ping is None:  # else the device is at work: no more of its buffers for questions
            self._ping_at = at + max(4 * self._exchange.least_trip_s, _PING_S) if self._may_ping() else math.inf
        self._window.sent(at)
        chunk.wire_size = await self._exchange.send(chunk.ticket)

    async def _probe(self, chunk: Chunk, *, page: bool) -> None:
        """Does the device hear a request while it works on this chunk? Nothing else is sent until that is known."""
        exchange, window = self._exchange, self._window
        await asyncio.sleep(window.probe_gap_s(page=page))
        if chunk.heard_at:
            return  # too late: it is at work no more
        probe = exchange.session.open(Probe(bytes(len(chunk.request.to_body()) - _PROBE_HEAD)), self._wake)
        try:
            await exchange.send(probe)
            await self._wait_until(lambda: bool(chunk.heard_at), window.overdue_s())
            answered_at = now()
            await self._wait_until(lambda: probe.news is not None, window.trips.echo_s)
            if probe.news is not None:
                probe.take()
                window.probe_heard(page=page)
            elif chunk.heard_at:
                window.probe_missed(now() - answered_at, page=page)
                exchange.after_silence(1)
                exchange.note("link", "the device lost a request while it was busy: now 1 request in flight")
        finally:
            exchange.session.close(probe)

    async def _wait_until(self, condition: Callable[[], bool], wait_s: float) -> None:
        """Until ``condition`` holds, or for ``wait_s``."""
        due = now() + wait_s
        while not condition() and now() < due:
            await self._wait(due)

    # --- the first chunk ---------------------------------------------------------------------------------------------

    def _may_ping(self) -> bool:
        """May messages get lost here, each as a whole?"""
        framing = self._exchange.framing
        return framing.checked and not framing.joined

    def _waits_for_first(self) -> bool:
        return self._upload.state is State.BEGIN and bool(self._upload.flight)

    async def _ask_for_first(self) -> None:
        """Does the device erase, or was the first chunk lost? Who answers a later request, does not erase."""
        if self._ping is None and now() >= self._ping_at:
            self._exchange.after_silence(1)
            self._ping = self._exchange.session.open(Params(), self._wake)
            await self._exchange.send(self._ping)
        elif self._ping is not None and self._ping.news is not None:
            outcome = self._ping.take().outcome
            if isinstance(outcome, DeviceError) and is_passing(outcome):
                return  # no buffer is free for it
            self._end_ping()
            self._upload.silence(ResponseTimeoutError(ImageUpload.title, self._first_timeout_s, PATIENCE))

    def _end_ping(self) -> None:
        self._exchange.session.close(self._ping)
        self._ping = None

    async def _await_ping(self, ping: Ticket) -> None:
        """The first chunk is answered: so will be what was sent behind it, unless the device lost some of it."""
        if not self._waits_for_first():
            await self._wait_until(lambda: ping.done, max(2 * self._exchange.least_trip_s, _PING_ANSWER_S))
            if not ping.done:
                self._exchange.after_silence(1)
            self._end_ping()

    # --- waiting -----------------------------------------------------------------------------------------------------

    async def _wait(self, due: float) -> None:
        """Until there is news, or the time ``due``."""
        if self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(due, self._ring)
        self._waker = asyncio.get_running_loop().create_future()
        try:
            await self._waker
        finally:
            self._waker = None

    def _due(self) -> float:
        """When to look again at the latest."""
        upload = self._upload
        if not upload.flight:
            return self._pause_until
        overdue_at = self._overdue_at()
        if self._waits_for_first() and self._ping is None:
            return min(overdue_at, self._ping_at)
        if upload.state is not State.FLOW or len(upload.flight) >= self._window.size:
            return overdue_at
        send_at = max(self._window.send_at(), self._pause_until)
        return min(send_at, overdue_at) if send_at > now() else overdue_at

    def _overdue_at(self) -> float:
        """When the oldest request in flight is overdue, if nothing is heard until then."""
        oldest = self._upload.flight[0]
        if self._upload.state is State.DRAIN:
            return oldest.last_at + self._window.trips.late_s
        wait_s = self._first_timeout_s if oldest.first else self._window.overdue_s()
        return max(oldest.last_at, self._life_at) + wait_s

    def _ring(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _heard(self, chunk: Chunk) -> None:
        chunk.heard_at = self._exchange.heard_at
        self._news.append(chunk)
        self._wake()

    # --- what came ---------------------------------------------------------------------------------------------------

    def _take(self, chunk: Chunk) -> None:
        ticket = chunk.ticket
        if ticket is None or ticket.news is None:
            return
        answer = ticket.take()
        outcome = answer.outcome
        chunk.unanswered -= 1
        if chunk.unanswered > 0 and isinstance(outcome, DeviceError) and is_passing(outcome):
            self._exchange.session.reopen(ticket)  # a copy found no room: the one before it may be at work
            return
        self._life_at = chunk.heard_at
        self._silences = self._counted = 0
        self._quiet_left_s = self._patience.quiet_max_s
        if isinstance(outcome, UploadReply):
            self._answered(chunk, outcome)
        elif isinstance(outcome, DeviceError):
            self._refused(chunk, answer, outcome)
        elif isinstance(outcome, RemoteProtocolError):
            self._upload.lost(chunk, outcome)
            self._exchange.after_silence(chunk.sends)
        self._sweep()

    def _answered(self, chunk: Chunk, reply: UploadReply) -> None:
        upload, window = self._upload, self._window
        again = chunk.sends > 1
        before = upload.off
        copy_at_work = again and self._life_at - chunk.last_at < window.trips.shortest_s / 2
        came_late = copy_at_work or (not again and chunk not in upload.flight)
        in_step = upload.answered(chunk, reply)
        self._begins_anew = self._begins_anew or upload.off == 0 < before
        self._pace.moved(upload.off, self._life_at)
        self._pauses = 0
        if chunk.first:
            pass  # an erase tells nothing of the chunks that follow
        elif came_late and upload.off > before:
            window.late(self._life_at - chunk.first_at)
        elif not in_step:
            self._slow_down(chunk, Fault.BEHIND)
        elif upload.off > before:
            window.answered(chunk.heard_at, chunk.first_at, left=upload.chunks_left, again=again)
        if upload.off != before:
            self._owner.report(upload.progress)

    def _refused(self, chunk: Chunk, answer: Answer, error: DeviceError) -> None:
        if answer.kind is AnswerKind.OTHER_VERSION:  # it is in use from now on
            self._upload.silence(ResponseTimeoutError(error.command, 0), counts=False)
            return
        self._upload.refused(chunk, error)
        self._slow_down(chunk, Fault.FULL)
        if not self._upload.flight:
            self._pause_until = now() + pause_after(self._pauses, self._patience.pause_s)
            self._pauses += 1

    async def _fall_silent(self) -> None:
        """Nothing came in time. It is a bad event whenever as long has passed as the user gives one answer."""
        upload, exchange = self._upload, self._exchange
        if upload.state is State.DRAIN:
            upload.hurry()
            return
        oldest = upload.flight[0]
        whole_s = self._first_timeout_s if oldest.first else self._timeout_s
        counts = now() - self._life_at >= whole_s * (self._counted + 0.99)
        self._silences += 1
        self._counted += counts
        self._slow_down(oldest, Fault.SILENCE)
        at_work = oldest.first and self._ping is not None  # for short messages are not answered either
        why = ResponseTimeoutError(ImageUpload.title, whole_s, PATIENCE)
        upload.silence(why, counts=counts, halves=not at_work)
        exchange.after_silence(self._silences)
        self._sweep()
        if self._silences > 1 and exchange.text_at > oldest.last_at:  # perhaps it restarts
            began = now()
            await exchange.quiet(self._patience.quiet_s, began + self._quiet_left_s)
            self._quiet_left_s -= now() - began

    def _slow_down(self, chunk: Chunk, why: Fault) -> None:
        window = self._window
        was = self._window.size
        window.fault(chunk.last_at, why)
        if window.size < was:
            self._exchange.note("link", f"{was} requests in flight were too many: now {window.size}")

    # --- bookkeeping --------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Close the requests of the chunks whose answers count no more."""
        for chunk in self._upload.dropped:
            if self._exchange.pipe.ordered and chunk.unanswered == chunk.sends == 1:
                self._window.answer_lost()
            self._close(chunk)
        self._upload.dropped.clear()

    def _close(self, chunk: Chunk) -> None:
        self._exchange.session.close(chunk.ticket)
        chunk.ticket = None

    def _forget(self) -> None:
        for chunk in (*self._upload.awaited, *self._upload.dropped):
            self._close(chunk)
        self._upload.dropped.clear()
        self._end_ping()
        self._news.clear()
        self._silences = self._counted = 0
