"""The SMP message: a header of eight bytes and one CBOR map; and the base classes of the commands.

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
    """The operation of a message. A response has the operation of its request plus one."""

    READ = 0
    READ_RSP = 1
    WRITE = 2
    WRITE_RSP = 3


_OPS = tuple(Op)


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
    ``length`` is the length of the body in bytes.
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
        """Read the first eight bytes of ``data``. Raises RemoteProtocolError if they are too few, or not a header."""
        if len(data) < HEADER_SIZE:
            raise RemoteProtocolError(f"the message has {len(data)} bytes, fewer than its header")
        first, flags, length, group, sequence, command = _HEADER.unpack_from(data)
        if first & 0b11100100:
            raise RemoteProtocolError(f"the message starts with 0x{first:02x}, which is not an SMP operation")
        return cls(_OPS[first & 0b11], first >> 3, flags, length, group, sequence, command)

    def to_bytes(self) -> bytes:
        """Return the eight bytes. Raises ValueError if a field does not fit."""
        if not 0 <= self.version <= 3:
            raise ValueError(f"the version field has two bits: {self.version} does not fit")
        return _packed(self.op, self.version, self.flags, self.length, self.group, self.sequence, self.command)

    def body_of(self, message: bytes) -> bytes:
        """Return what follows this header in ``message``. Raises RemoteProtocolError if it has another length."""
        body = message[HEADER_SIZE:]
        if len(body) != self.length:
            raise RemoteProtocolError(f"the body has {len(body)} bytes, but its header says {self.length}")
        return body

    def reply(self, body: bytes) -> bytes:
        """Return the answer to this request with ``body``: for a server. Raises ValueError for a response."""
        if self.op in (Op.READ_RSP, Op.WRITE_RSP):
            raise ValueError("a response has no answer")
        answer = Header(Op(self.op + 1), self.version, 0, len(body), self.group, self.sequence, self.command)
        return answer.to_bytes() + body


class Message(NamedTuple):
    """The header and the body of a message; ``body`` is CBOR."""

    header: Header
    body: bytes


def split_message(message: bytes) -> Message:
    """Split ``message``. Raises RemoteProtocolError if the header gives another length."""
    header = Header.from_bytes(message)
    return Message(header, header.body_of(message))


def _packed(op: Op, version: int, flags: int, length: int, group: int, sequence: int, command: int) -> bytes:
    """The bytes of a header, without a ``Header``: every request of an upload needs them."""
    try:
        return _HEADER.pack(op | version << 3, flags, length, group, sequence, command)
    except struct.error as error:
        raise ValueError(f"a field of the SMP header does not fit: {error}") from error


class Response(Body):
    """Base of the responses: a frozen dataclass whose fields are the keys of the map."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Empty(Response):
    """The response of a command that returns no values."""


R = TypeVar("R", bound=Response, covariant=True)


class Request(Body, Generic[R]):
    """Base of the requests: a frozen dataclass whose fields are the keys of the map. R is its response."""

    __slots__ = ()
    group: ClassVar[int]
    command: ClassVar[int]
    op: ClassVar[Op]
    title: ClassVar[str]
    """The name for people: "img upload"."""
    also: ClassVar[tuple[Op, ...]] = ()
    """Other operations under which a server accepts the command."""
    response: ClassVar[type[Response]]

    def to_bytes(self, sequence: int, version: int = 2, op: Op | None = None) -> bytes:
        """Return the whole message in SMP ``version`` 1 or 2.

        Raises ValueError if a field is wrong, and LocalProtocolError if the body is too long for SMP or cannot be CBOR.
        """
        if version not in (1, 2):
            raise ValueError(f"there is no SMP version {version}")
        body = self.to_body()
        if len(body) > 0xFFFF:
            raise LocalProtocolError(f"the body of {self.title} has {len(body)} bytes, more than SMP can carry")
        op = self.op if op is None else op
        return _packed(op, version - 1, 0, len(body), self.group, sequence, self.command) + body

    @classmethod
    def read_refusal(cls, entries: dict[object, object]) -> Refusal | None:
        """Return the error in the decoded map ``entries``, or None. Raises RemoteProtocolError for a malformed one."""
        return Refusal.from_map(entries)

    def read_response(self, entries: dict[object, object]) -> R:
        """Read the response in the decoded map ``entries``. Raises RemoteProtocolError if it does not fit."""
        return cast("R", self.response.from_map(entries))


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error in a body. ``rc`` is a code of ``group``, or one of SMP's own codes (``MgmtRc``) if that is None."""

    rc: int
    group: int | None = None
    reason: str | None = None

    def to_body(self) -> bytes:
        """Return the body that a device sends: ``{"err": {...}}`` for a code of a group, else ``{"rc": ...}``."""
        entries: dict[str, object] = {"rc": self.rc}
        if self.group is not None:
            entries = {"err": {"group": self.group, "rc": self.rc}}
        elif self.reason is not None:
            entries["rsn"] = self.reason
        return cbor.dumps(entries)

    @classmethod
    def from_map(cls, entries: dict[object, object]) -> Refusal | None:
        """Return the error in ``entries``, or None. Raises RemoteProtocolError for a malformed one."""
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
