"""The requests that wait for an answer.

A session numbers requests and matches the answers to them. It knows no time: its user opens a request, encodes it as
often as it is sent, and closes it. ``receive`` takes every message that arrives. It counts and drops an answer that no
open request waits for: a late answer of a closed request, a duplicate, or an answer to another program.

Versions. Requests go out in SMP version 2, and an answer in either version counts. If the server refuses the version,
or if nothing was ever answered and ``fall_back`` is called, the session uses version 1. After the first answer the
version stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from smpdfu.errors import DeviceError, LinkLostError, LocalProtocolError, RemoteProtocolError
from smpdfu.smp.groups import rc_name
from smpdfu.smp.message import Header, MgmtRc, Request, Response, decode_map

_SEQUENCES = 256
_NEWEST = 1  # the field of SMP version 2: no server answers in a version that was not asked for


class AnswerKind(Enum):
    """Whether a request has its answer."""

    FINAL = "final"
    """The request is answered, and closed."""
    UNREADABLE = "unreadable"
    """The bytes are damaged. The request stays open and can be sent again."""
    OTHER_VERSION = "other version"
    """The server refused SMP version 2. The request stays open and goes out in version 1 when it is sent again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to ``ticket``'s request: the device's response, its refusal, or what is wrong with the bytes."""

    ticket: Ticket
    outcome: Response | DeviceError | RemoteProtocolError
    kind: AnswerKind = AnswerKind.FINAL


@dataclass(slots=True, eq=False)
class Ticket:
    """A request that waits for its answer. ``listener`` is called when there are ``news``.

    ``done``: no other answer will come; to send the request again, open it again. ``sent_at``: when it was sent first,
    by its user's clock.
    """

    request: Request[Any]
    sequence: int
    listener: Callable[[], object] | None = None
    news: Answer | Exception | None = field(default=None, repr=False)
    done: bool = False
    sent_at: float | None = None

    def tell(self, news: Answer | Exception) -> None:
        """Note an answer, or why none will come. A lost link does not replace an answer that nobody has taken yet."""
        if self.done and isinstance(news, LinkLostError):
            return
        self.news = news
        self.done = not (isinstance(news, Answer) and news.kind is not AnswerKind.FINAL)
        if self.listener is not None:
            self.listener()

    def take(self) -> Answer:
        """Return the answer; raise the error that came in its place."""
        news, self.news = self.news, None
        if not isinstance(news, Answer):
            raise news or RuntimeError("no news")
        return news


class Session:
    """The open requests, by sequence number. ``version`` is the version in use, ``strays`` counts dropped messages."""

    def __init__(self, version: int = 2, first_sequence: int = 0) -> None:
        if version not in (1, 2) or not 0 <= first_sequence < _SEQUENCES:
            raise ValueError(f"no SMP session has version {version} and first sequence {first_sequence}")
        self.version = version
        self.strays = 0
        self._proven = self._doubted = False
        self._next = first_sequence
        self._open: dict[int, Ticket] = {}

    @property
    def waiting(self) -> tuple[Ticket, ...]:
        """The open requests."""
        return tuple(self._open.values())

    def open(self, request: Request[Any], listener: Callable[[], object] | None = None) -> Ticket:
        """Give ``request`` a sequence number that no open request has. Close it when nobody waits for it any more."""
        if len(self._open) == _SEQUENCES:
            raise LocalProtocolError(f"{_SEQUENCES} requests are open, SMP cannot number more")
        while self._next in self._open:
            self._next = (self._next + 1) % _SEQUENCES
        ticket = self._open[self._next] = Ticket(request, self._next, listener)
        self._next = (self._next + 1) % _SEQUENCES
        return ticket

    def encode(self, ticket: Ticket) -> bytes:
        """Return the message of an open request. KeyError if it is not open, ValueError if a field is wrong."""
        return self._open[ticket.sequence].request.to_bytes(ticket.sequence, self.version)

    def reopen(self, ticket: Ticket) -> None:
        """Wait for another answer: the one that came was for a copy. ValueError if another request has the number."""
        if self._open.setdefault(ticket.sequence, ticket) is not ticket:
            raise ValueError(f"the number {ticket.sequence} belongs to another request")
        ticket.done = False

    def close(self, ticket: Ticket | None) -> None:
        """Stop to wait for an answer: one that comes late is a stray. Harmless for None, and for a closed request."""
        if ticket is not None and self._open.get(ticket.sequence) is ticket:
            del self._open[ticket.sequence]

    def fall_back(self) -> None:
        """Use the other version, because nothing comes back; no effect once an answer has proven this one."""
        if not self._proven:
            self.version = 3 - self.version
            self._doubted = True

    def receive(self, message: bytes) -> Answer | None:
        """Take a message; return None if no open request waits for it. Never raises, whatever the bytes are."""
        match = self._match(message)
        if match is None:
            self.strays += 1
            return None
        ticket, header = match
        request = ticket.request
        try:
            outcome = read_outcome(request, header.body_of(message))
        except RemoteProtocolError as error:
            unread = RemoteProtocolError(f"the answer to {request.title} cannot be read: {error}")
            return Answer(ticket, unread, AnswerKind.UNREADABLE)
        too_new = isinstance(outcome, DeviceError) and outcome.is_code(MgmtRc.UNSUPPORTED_TOO_NEW)
        if too_new and self.version == 2:
            self.version = 1
            self._proven = True
            return Answer(ticket, outcome, AnswerKind.OTHER_VERSION)
        self._settle(header.version)
        self.close(ticket)
        return Answer(ticket, outcome)

    def _match(self, message: bytes) -> tuple[Ticket, Header] | None:
        try:
            header = Header.from_bytes(message)
        except RemoteProtocolError:
            return None
        ticket = self._open.get(header.sequence)
        if ticket is None or header.version > _NEWEST:
            return None
        request = ticket.request
        expected = (request.group, request.command, request.op + 1)
        return (ticket, header) if (header.group, header.command, header.op) == expected else None

    def _settle(self, answered: int) -> None:
        # A server of version 1 may answer requests of version 2 in version 1: that needs no change. If both versions
        # were tried, the answer shows which one the server understood.
        if not self._proven and self._doubted:
            self.version = answered + 1
        self._proven = True


def read_outcome(request: Request[Any], body: bytes) -> Response | DeviceError:
    """Return the response in ``body``, or the refusal. RemoteProtocolError if it is neither."""
    entries = decode_map(body)
    refusal = request.read_refusal(entries)
    if refusal is not None:
        return DeviceError(
            refusal.group,
            refusal.rc,
            request.title,
            name=rc_name(refusal.group, refusal.rc),
            reason=refusal.reason,
        )
    response: Response = request.read_response(entries)
    return response
