"""Requests and answers over one link: who sends, who listens, when the link is gone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from smpdfu.client.boot_text import BootText, Phase
from smpdfu.client.trace import Kind, Trace, Tracer
from smpdfu.errors import ConnectError, LinkLostError, LocalProtocolError, ResponseTimeoutError
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing
from smpdfu.smp.groups.os import Reset
from smpdfu.smp.message import MESSAGE_MAX, Response
from smpdfu.smp.session import Answer, AnswerKind, Session, Ticket

SILENCE_S = 0.2
"""So long a message may pause: more than any adapter holds bytes back."""
_NO_BOUND = MESSAGE_MAX + 4  # a buffer that holds every message in every framing


class Exchange:
    """A link with requests on it. While it is open, a task reads.

    ``buf_size``: the size of the device's buffers as it reported it, None if it did not. ``lost``: why the link is
    gone. ``closed``: True if this program closed the link. ``heard_at``: when the last bytes came, by the clock of the
    event loop; ``text_at``: the same of console text. ``boot``: the text of the last boot. ``trip_s``: how long the
    last answer took, in seconds since its request was sent first; 0 before the first answer. ``least_trip_s``: the
    shortest of these.
    """

    def __init__(self, pipe: Pipe, framing: Framing) -> None:
        self.pipe = pipe
        self.framing = framing
        # Starting anywhere, we do not take the late answers of an earlier process for ours.
        self.session = Session(first_sequence=os.urandom(1)[0])
        self.buf_size: int | None = None
        self.console: Callable[[str], None] | None = None
        self.trace: Tracer | None = None
        self.heard_at = self.text_at = self.trip_s = self.least_trip_s = 0.0
        self.lost: Exception | None = None
        self.closed = False
        self._closings = 0
        self.boot = BootText()
        self._older: tuple[Ticket, ...] = ()
        self._reader: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._prefix = b""

    # --- the link ---------------------------------------------------------------------------------------------------

    async def open_link(self) -> None:
        """Open the link and listen. ConnectError if that fails, LinkLostError if ``close_link`` is called meanwhile."""
        self.closed = False
        await self._connect(self._closings)

    async def close_link(self) -> None:
        """Close the link until ``open_link``. Everyone who waits for an answer, or reconnects, gets LinkLostError."""
        self.closed = True
        self._closings += 1
        try:
            await self._disconnect()
        finally:
            for ticket in self.session.waiting:
                ticket.tell(self._closed_error())

    def _closed_error(self) -> LinkLostError:
        error = LinkLostError(f"this program closed the link to {self.pipe.name}")
        error.closed = True
        return error

    def _check_not_closed(self, closings: int) -> None:
        """LinkLostError if the link is closed, or was closed since ``_closings`` was ``closings``."""
        if self.closed or self._closings != closings:
            raise self._closed_error()

    async def _connect(self, closings: int) -> None:
        """Open the link and listen; close an open one first. The errors of ``open_link``."""
        if self._reader is not None:
            await self._disconnect()
        await self.pipe.open()
        self._prefix = self.framing.resync()  # whoever had the link before may have left half a message behind
        self.lost = None
        self._writing = asyncio.Lock()
        try:
            self._check_not_closed(closings)
            if isinstance(self.framing, ConsoleFraming):
                self._hear(self.framing.feed(b"\n"))  # half a line of the link before would spoil the first one of this
            self.note("link", f"{self.pipe.name} is open")
        except BaseException:
            await self.pipe.close()
            raise
        self._reader = asyncio.create_task(self._listen())

    async def _disconnect(self) -> None:
        """Let go of the link. Never fails."""
        reader, self._reader = self._reader, None
        try:
            if reader is not None:
                reader.cancel()
                await asyncio.wait([reader])
                with suppress(Exception):  # whoever looks on may have failed: the port is given back all the same
                    self.note("link", f"{self.pipe.name} is closed")
        finally:
            await self.pipe.close()

    async def reconnect(self, within_s: float, poll_s: float) -> None:
        """Open the link again, trying every ``poll_s``.

        LinkLostError if it does not come back ``within_s``, or if this program closes it.
        """
        closings = self._closings
        deadline = now() + within_s
        self._check_not_closed(closings)
        await self._disconnect()
        while True:
            try:
                self._check_not_closed(closings)
                return await self._connect(closings)
            except ConnectError as error:
                if now() >= deadline:
                    raise self._gone(error) from error
            await asyncio.sleep(poll_s)

    def _gone(self, error: ConnectError) -> LinkLostError:
        name = self.pipe.name
        if self.heard_at:
            return LinkLostError(f"the link to {name} is lost and does not come back: {error}")
        gone = LinkLostError(f"{name} cannot be reached: {error}")
        gone.reached = False
        return gone

    async def stay(self, until: float) -> None:
        """Wait until the time ``until``, or until the link is lost."""
        if self._reader is not None and until > now():
            await asyncio.wait([self._reader], timeout=until - now())

    async def quiet(self, for_s: float, until: float) -> None:
        """Wait until nothing was heard for ``for_s`` seconds, or until the time ``until``."""
        while now() < until:
            rest = self.heard_at + for_s - now()
            if rest <= 0:
                return
            await asyncio.sleep(rest)

    async def _listen(self) -> None:
        try:
            while True:
                for messages in await self._heard():
                    self._hear(messages)
        except Exception as error:  # a broken link, or the console function's mistake: for whoever waits
            self._lose(error)
            for ticket in self.session.waiting:
                ticket.tell(error)

    async def _heard(self) -> Iterator[list[bytes]]:
        """The messages in what arrives next, or that silence reveals; of a console line by line."""
        if not self.framing.waits:
            data = await self.pipe.read()
        else:
            try:
                async with asyncio.timeout(SILENCE_S):
                    data = await self.pipe.read()
            except TimeoutError:
                return iter([self.framing.settle()])
        self.heard_at = now()
        # In a line the text stands before the frame: so whatever comes is heard in the order in which it was said.
        pieces = data.splitlines(keepends=True) if isinstance(self.framing, ConsoleFraming) else (data,)
        return map(self.framing.feed, pieces)

    def _hear(self, messages: list[bytes]) -> None:
        self._take_text()
        for message in messages:
            answer = self.session.receive(message)
            self.note("stray" if answer is None else "received", message)
            if answer is not None:
                ticket = answer.ticket
                self._follow_boot(answer)
                self.trip_s = self.heard_at - (self.heard_at if ticket.sent_at is None else ticket.sent_at)
                self.least_trip_s = min(self.trip_s, self.least_trip_s or self.trip_s)
                ticket.tell(answer)

    def _take_text(self) -> None:
        text = self.framing.take_text()
        if text:
            self.text_at = self.heard_at
            self.note("console", text, boot=self.boot.take(text))
            if self.console is not None:
                self.console(text)

    def _follow_boot(self, answer: Answer) -> None:
        if isinstance(answer.ticket.request, Reset):
            if answer.kind is AnswerKind.FINAL:
                self.boot.reset_answered(answer.outcome)
        elif self.boot.phase is not Phase.IDLE and answer.ticket not in self._older:
            self.boot.end()

    def expect_boot(self) -> None:
        """A request to reset follows; its boot text ends with the first answer to what is asked after it."""
        self._older = self.session.waiting
        self.boot.reset_asked()

    def note(self, kind: Kind, data: bytes | str, *, boot: bool = False) -> None:
        """For whoever looks on."""
        if self.trace is not None:
            self.trace(Trace(now(), kind, data.encode() if isinstance(data, str) else data, boot))

    def _lose(self, error: Exception) -> None:
        if isinstance(error, LinkLostError):
            error.reached = bool(self.heard_at)
        is_news = self.lost is None
        self.lost = error
        if is_news:
            with suppress(Exception):  # it may be the onlooker itself that failed
                self.note("link", str(error))

    # --- requests ---------------------------------------------------------------------------------------------------

    async def attempt(self, ticket: Ticket, timeout_s: float) -> Response:
        """Send once and wait. LinkLostError, ResponseTimeoutError, RemoteProtocolError or DeviceError."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._answer(ticket)
                while answer.kind is AnswerKind.OTHER_VERSION:
                    answer = await self._answer(ticket)
        except TimeoutError:
            raise ResponseTimeoutError(ticket.request.title, timeout_s) from None
        if isinstance(answer.outcome, Response):
            return answer.outcome
        raise answer.outcome

    def after_silence(self, attempt: int) -> None:
        """Nothing came at the ``attempt``-th time: make the next one more likely to be understood."""
        self._prefix = self.framing.resync()
        if attempt % 2 == 0:
            self.session.fall_back()

    def message_max(self) -> int:
        """The longest message, in bytes, that the device takes as far as is known."""
        return self.framing.message_max(self.buf_size, self.pipe.max_write)

    def seals(self) -> bool:
        """Is each message checked as a whole on its way, so that what is acknowledged is what was sent?"""
        framing = self.framing
        return framing.checked and not (framing.joined and self.message_max() > self.pipe.max_write)

    async def _answer(self, ticket: Ticket) -> Answer:
        if ticket.news is None:  # else it came when nobody waited
            await self.send(ticket)
        if ticket.news is None:
            heard = asyncio.Event()
            ticket.listener = heard.set
            await heard.wait()
        return ticket.take()

    async def send(self, ticket: Ticket) -> int:
        """Put the request on the wire; gives its bytes there. LinkLostError if the link is gone."""
        self._check_not_closed(self._closings)
        if self.lost is not None:
            raise self.lost
        message = self._message(ticket)
        wire = self.framing.encode(message)
        self.note("sent", message)
        if ticket.sent_at is None:
            ticket.sent_at = now()
        try:
            if len(wire) <= self.pipe.max_write and not (self._prefix or self._writing.locked()):
                await self.pipe.write(wire)  # one write never mixes with others
            else:
                await self._write_in_turn(wire)
        except LinkLostError as error:
            self._lose(error)
            raise
        return len(wire)

    async def _write_in_turn(self, wire: bytes) -> None:
        """Write ``wire`` in as many writes as it needs, between which nobody else writes."""
        size = self.pipe.max_write
        async with self._writing:
            if self._prefix:  # never in one write with the frame, see ``Framing.resync``
                await self.pipe.write(self._prefix)
            for start in range(0, len(wire), size):
                await self.pipe.write(wire[start : start + size])
        self._prefix = b""

    def _message(self, ticket: Ticket) -> bytes:
        message = self.session.encode(ticket)
        limit = self.framing.message_max(self.buf_size or _NO_BOUND, self.pipe.max_write)
        if len(message) > limit:  # no server answers those
            title = ticket.request.title
            length = len(message)
            raise LocalProtocolError(f"{title} needs a message of {length} bytes, the device takes {limit}")
        return message


def now() -> float:
    """The time, in seconds, by the clock of the event loop."""
    return asyncio.get_running_loop().time()
