"""The SMP message: eight bytes of header and one CBOR map; and what a command is.

Source: Zephyr, "SMP protocol specification" (doc/services/device_mgmt/smp_protocol.rst).
"""

from __future__ import annotations

import reprlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Generic, NamedTuple, TypeVar, cast

from smpdfu.errors import LocalProtocolError, RemoteProtocolError
from smpdfu.smp import cbor
from smpdfu.smp.body import Body, decode_map

HEADER_SIZE = 8
MESSAGE_MAX = HEADER_SIZE + 0xFFFF
_HEADER = struct.Struct(">BBHHBB")
assert _HEADER.size == HEADER_SIZE


class Op(IntEnum):
    """What a message is. A response has the op of its request plus one."""

    READ = 0
    READ_RSP = 1
    WRITE = 2
    WRITE_RSP = 3


class MgmtRc(IntEnum):
    """Result codes of SMP itself (``rc``)."""

    EOK = 0
    EUNKNOWN = 1
    ENOMEM = 2
    EINVAL = 3
    ETIMEOUT = 4
    ENOENT = 5
    EBADSTATE = 6
    EMSGSIZE = 7
    ENOTSUP = 8
    ECORRUPT = 9
    EBUSY = 10
    EACCESSDENIED = 11
    UNSUPPORTED_TOO_OLD = 12
    UNSUPPORTED_TOO_NEW = 13
    EPERUSER = 256


@dataclass(frozen=True, slots=True)
class Header:
    """The eight bytes before the body.

    ``version`` is the field as sent: 0 is SMP version 1, 1 is SMP version 2, 2 and 3 are not in use.
    ``length`` is that of the body in bytes.
    """

    op: Op
    version: int
    flags: int
    length: int
    group: int
    sequence: int
    command: int

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """Read the first eight bytes of ``data``; RemoteProtocolError if they are too few or no header."""
        if len(data) < HEADER_SIZE:
            raise RemoteProtocolError(f"the message has {len(data)} bytes, fewer than its header")
        first, flags, length, group, sequence, command = _HEADER.unpack_from(data)
        if first & 0b11100100:
            raise RemoteProtocolError(f"the message starts with 0x{first:02x}, which is no SMP operation")
        return cls(Op(first & 0b11), first >> 3, flags, length, group, sequence, command)

    def to_bytes(self) -> bytes:
        """The eight bytes. ValueError if a field does not fit."""
        if not 0 <= self.version <= 3:
            raise ValueError(f"the version field has two bits, {self.version} does not fit")
        try:
            return _HEADER.pack(
                self.op | self.version << 3, self.flags, self.length, self.group, self.sequence, self.command
            )
        except struct.error as error:
            raise ValueError(f"a field of the SMP header does not fit: {error}") from error

    def reply(self, body: bytes) -> bytes:
        """The message that answers this one with ``body``: for the device's side. ValueError on a response."""
        if self.op in (Op.READ_RSP, Op.WRITE_RSP):
            raise ValueError("a response is not answered")
        answer = Header(Op(self.op + 1), self.version, 0, len(body), self.group, self.sequence, self.command)
        return answer.to_bytes() + body


class Message(NamedTuple):
    """A message taken apart; ``body`` is CBOR."""

    header: Header
    body: bytes


def split_message(message: bytes) -> Message:
    """Take ``message`` apart; RemoteProtocolError if the header does not tell its length."""
    header = Header.from_bytes(message)
    body = message[HEADER_SIZE:]
    if len(body) != header.length:
        raise RemoteProtocolError(f"the body has {len(body)} bytes, its header says {header.length}")
    return Message(header, body)


class Response(Body):
    """Base of the answers: a frozen dataclass whose fields are the keys of the map."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Empty(Response):
    """The answer of a command that says nothing but "done"."""


R = TypeVar("R", bound=Response, covariant=True)


class Request(Body, Generic[R]):
    """Base of the requests: a frozen dataclass whose fields are the keys of the map, R being its answer."""

    __slots__ = ()
    group: ClassVar[int]
    command: ClassVar[int]
    op: ClassVar[Op]
    title: ClassVar[str]
    """What people call it: "img upload"."""
    also: ClassVar[tuple[Op, ...]] = ()
    """Other operations under which a server takes it."""
    response: ClassVar[type[Response]]

    def to_bytes(self, sequence: int, version: int = 2, op: Op | None = None) -> bytes:
        """The whole message in SMP ``version`` 1 or 2.

        ValueError if a field is wrong; LocalProtocolError if the body is longer than SMP can carry, or no CBOR.
        """
        if version not in (1, 2):
            raise ValueError(f"there is no SMP version {version}")
        body = self.to_body()
        if len(body) > 0xFFFF:
            raise LocalProtocolError(f"the body of {self.title} has {len(body)} bytes, more than SMP can carry")
        header = Header(self.op if op is None else op, version - 1, 0, len(body), self.group, sequence, self.command)
        return header.to_bytes() + body

    @classmethod
    def read_refusal(cls, entries: dict[object, object]) -> Refusal | None:
        """The error in the decoded map ``entries``, None if it is an answer; RemoteProtocolError if it is neither."""
        return Refusal.from_map(entries)

    def read_response(self, entries: dict[object, object]) -> R:
        """The answer in the decoded map ``entries``; RemoteProtocolError if it is not one of this request."""
        return cast("R", self.response.from_map(entries))


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error in a body. ``group`` is None for SMP's own codes (``MgmtRc``), else the group whose code ``rc`` is."""

    rc: int
    group: int | None = None
    reason: str | None = None

    def to_body(self) -> bytes:
        """As the device sends it: ``{"err": {...}}`` for a group's code, else ``{"rc": ...}``."""
        entries: dict[str, object] = {"rc": self.rc}
        if self.group is not None:
            entries = {"err": {"group": self.group, "rc": self.rc}}
        elif self.reason is not None:
            entries["rsn"] = self.reason
        return cbor.dumps(entries)

    @classmethod
    def from_map(cls, entries: dict[object, object]) -> Refusal | None:
        """The error in ``entries``, None if it is a success; RemoteProtocolError if it is neither."""
        error = entries.get("err")
        if error is not None:
            if not isinstance(error, dict):
                raise RemoteProtocolError("err is not a map")
            rc, group = _code(error.get("rc")), _code(error.get("group"))
            return None if rc == 0 else cls(rc, group)
        rc = _code(entries.get("rc", 0))
        reason = entries.get("rsn")
        return None if rc == 0 else cls(rc, None, reason if isinstance(reason, str) else None)


def _code(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 0xFFFFFFFF:
        raise RemoteProtocolError(f"the result code is {reprlib.repr(value)}, not an unsigned integer")
    return value


__all__ = [
    "HEADER_SIZE",
    "MESSAGE_MAX",
    "Body",
    "Empty",
    "Header",
    "Message",
    "MgmtRc",
    "Op",
    "Refusal",
    "Request",
    "Response",
    "decode_map",
    "split_message",
]
