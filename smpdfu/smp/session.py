"""Who waits for which answer.

A session numbers requests and matches what comes back. It knows no time: it is told to open a request, to encode it as
often as that must be sent, and to close it; ``receive`` takes every message that arrives. What nobody waits for (late
answers of closed requests, duplicates, the answers to somebody else) is counted and dropped.

Versions. Requests go out in SMP version 2, and an answer in either version is an answer. When the server refuses the
version, or nothing was ever answered and ``fall_back`` is called, version 1 is tried; once an answer has come, its
version stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smpdfu.errors import DeviceError, LocalProtocolError, RemoteProtocolError
from smpdfu.smp.groups import rc_name
from smpdfu.smp.message import Header, MgmtRc, Request, Response, decode_map, split_message

_SEQUENCES = 256
_NEWEST = 1  # the field of SMP version 2: no server answers in a version that was not asked for


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for the request with the number ``sequence``.

    ``outcome`` is its response, the device's refusal, or what is wrong with the bytes. With ``again`` the same request
    is to be sent again: the bytes were damaged or the version was refused; it stays open.
    """

    sequence: int
    outcome: Response | DeviceError | RemoteProtocolError
    again: bool = False


class Session:
    """The requests that are open, by sequence number. ``version`` is the one spoken, ``strays`` counts the dropped."""

    def __init__(self, version: int = 2, first_sequence: int = 0) -> None:
        if version not in (1, 2) or not 0 <= first_sequence < _SEQUENCES:
            raise ValueError(f"no SMP session has version {version} and first sequence {first_sequence}")
        self.version = version
        self.strays = 0
        self._proven = self._doubted = False
        self._next = first_sequence
        self._open: dict[int, Request[Any]] = {}

    def open(self, request: Request[Any]) -> int:
        """Give ``request`` a sequence number that no open request has."""
        if len(self._open) == _SEQUENCES:
            raise LocalProtocolError(f"{_SEQUENCES} requests are open, SMP cannot number more")
        while self._next in self._open:
            self._next = (self._next + 1) % _SEQUENCES
        sequence, self._next = self._next, (self._next + 1) % _SEQUENCES
        self._open[sequence] = request
        return sequence

    def encode(self, sequence: int) -> bytes:
        """The message of the open request ``sequence``. KeyError if it is not open, ValueError if a field is wrong."""
        return self._open[sequence].to_bytes(sequence, self.version)

    def reopen(self, sequence: int, request: Request[Any]) -> None:
        """Wait for another answer to ``request``, of which a copy was answered already. ValueError if others do."""
        if self._open.setdefault(sequence, request) is not request:
            raise ValueError(f"the number {sequence} is another request's")

    def close(self, sequence: int) -> None:
        """Nobody waits for ``sequence`` any more; no harm if nobody did."""
        self._open.pop(sequence, None)

    def fall_back(self) -> None:
        """Nothing comes back: try the other version, unless an answer has proven this one."""
        if not self._proven:
            self.version = 3 - self.version
            self._doubted = True

    def receive(self, message: bytes) -> Answer | None:
        """Take a message; None if nobody waits for it. Never raises, whatever the bytes are."""
        match = self._match(message)
        if match is None:
            self.strays += 1
            return None
        request, header = match
        try:
            outcome = read_outcome(request, split_message(message).body)
        except RemoteProtocolError as error:
            unread = RemoteProtocolError(f"the answer to {request.title} cannot be read: {error}")
            return Answer(header.sequence, unread, again=True)
        too_new = isinstance(outcome, DeviceError) and outcome.is_code(MgmtRc.UNSUPPORTED_TOO_NEW)
        if too_new and self.version == 2:
            self.version, self._proven = 1, True
            return Answer(header.sequence, outcome, again=True)
        self._settle(header.version)
        self.close(header.sequence)
        return Answer(header.sequence, outcome)

    def _match(self, message: bytes) -> tuple[Request[Any], Header] | None:
        try:
            header = Header.from_bytes(message)
        except RemoteProtocolError:
            return None
        request = self._open.get(header.sequence)
        if request is None or header.version > _NEWEST:
            return None
        expected = (request.group, request.command, request.op + 1)
        return (request, header) if (header.group, header.command, header.op) == expected else None

    def _settle(self, answered: int) -> None:
        # A server of version 1 may answer requests of version 2, in version 1: nothing needs to change for it. But once
        # both versions were tried, the answer tells which of them was understood.
        if not self._proven and self._doubted:
            self.version = answered + 1
        self._proven = True


def read_outcome(request: Request[Any], body: bytes) -> Response | DeviceError:
    """The response in ``body``, or the refusal. RemoteProtocolError if it is neither."""
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
