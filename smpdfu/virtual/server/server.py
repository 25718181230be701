"""The SMP server of the application: packets in, answers out; no wire, no clock.

It decodes with ``smp/`` itself, and answers as Zephyr's server does: the same fields in the same order, maps of
indefinite length, and the same error for the same bad input. A group of commands is an object with a method
``on_<request>`` per request of the registry that it serves (``ImageUpload`` is served by ``on_image_upload``); what
nobody serves is ENOTSUP, as in a build without it. A handler returns the answer, or raises ``Refused``.

Source: Zephyr, ``subsys/mgmt/mcumgr/smp/src/smp.c``, and recordings of real servers.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from smpdfu.errors import RemoteProtocolError
from smpdfu.smp import cbor
from smpdfu.smp.groups import RCS, REQUESTS, enum, find_request
from smpdfu.smp.groups.fs import FileDownload
from smpdfu.smp.groups.image import ImageRc, ImageUpload
from smpdfu.smp.groups.os import Reset
from smpdfu.smp.message import HEADER_SIZE, Header, MgmtRc, Op, Request, Response
from smpdfu.virtual.chip.flash import PowerCut
from smpdfu.virtual.server.version1_codes import in_version_1

Answer = Response | Mapping[str, object]
"""What a handler returns: an answer, or its map where the build leaves out what the class would write."""
Handler = Callable[[Any], Answer]

# Fields without which a request is refused, and with which code; without any other, a default holds.
Needed = Mapping[type[Request[Any]], Mapping[str, IntEnum]]
NEEDED: Needed = {
    ImageUpload: {"off": ImageRc.INVALID_OFFSET},
    FileDownload: {"off": MgmtRc.EINVAL},
}
# A request that is done whatever is wrong with its fields.
LENIENT = (Reset,)

# The answer that does not fit a buffer: most groups say EMSGSIZE.
TOO_LONG = {enum.GROUP: MgmtRc.ECORRUPT}

_WITHOUT_FIELDS = frozenset(kind for kind in REQUESTS if not dataclasses.fields(kind))
_GROUP_OF = {codes: group for group, codes in RCS.items()}
LOG = logging.getLogger(__name__).error
_NEWEST_VERSION = 1  # the header's version field of SMP version 2


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A handler's refusal: a code of its group, or one of SMP's own (``MgmtRc``).

    ``more`` is what version 2 tells besides.
    """

    def __init__(self, rc: IntEnum, more: Mapping[str, object] | None = None) -> None:
        super().__init__(rc.name)
        self.rc = rc
        self.more = more or {}


@dataclass(frozen=True, slots=True)
class Buffers:
    """The pool of buffers that requests and answers share: bytes of one, and how many."""

    size_bytes: int = 2048
    count: int = 4


DEFAULT_BUFFERS = Buffers()


class Server:
    """Answers packets with the handlers of ``groups``; ``without`` are requests that the build leaves out.

    A handler that fails is a bug of ours, and the device continues: it answers EUNKNOWN, and ``log`` gets the reason.
    """

    def __init__(
        self,
        groups: Iterable[object],
        buffers: Buffers = DEFAULT_BUFFERS,
        *,
        without: Collection[type[Request[Any]]] = (),
        needed: Needed = NEEDED,
        log: Callable[[str], None] = LOG,
    ) -> None:
        self.buffers = buffers
        self._needed = needed
        self._log = log
        served = tuple(groups)
        found = _handlers_of(tuple(map(type, served)))
        self._handlers: dict[type[Request[Any]], Handler] = {
            kind: getattr(served[number], name) for kind, number, name in found if kind not in without
        }

    @property
    def served(self) -> tuple[type[Request[Any]], ...]:
        """The requests that it takes."""
        return tuple(self._handlers)

    def answers(self, packet: bytes) -> list[bytes]:
        """The answers to the messages in ``packet``, which a wire delivered whole.

        One as a rule, several if they follow each other in it, up to the first that is refused by SMP itself; none if
        it is no message or longer than a buffer.
        """
        return list(self._each(packet)) if len(packet) <= self.buffers.size_bytes else []

    def refuse(self, packet: bytes, rc: MgmtRc) -> list[bytes]:
        """The answer of a server that cannot even look into ``packet``; none if it is no message."""
        return [_answer(_lenient_header(packet), {"rc": rc})] if len(packet) >= HEADER_SIZE else []

    def _each(self, packet: bytes) -> Iterator[bytes]:
        while len(packet) >= HEADER_SIZE:
            op = packet[0] & 0b111
            header = _lenient_header(packet)
            packet = packet[HEADER_SIZE:]
            if len(packet) < header.length:
                yield _answer(header, {"rc": MgmtRc.ECORRUPT})
                return
            if op not in (Op.READ, Op.WRITE):
                yield _answer(header, {"rc": MgmtRc.ENOTSUP})
                return
            answer, goes_on = self._one(header, packet)
            yield answer
            if not goes_on:
                return
            packet = packet[header.length :]

    def _one(self, header: Header, rest: bytes) -> tuple[bytes, bool]:
        """The answer to one message; False if it is an error of SMP's own, behind which nothing is looked at."""
        entries: Mapping[str, object]
        try:
            entries = self._dispatch(header, rest)
            goes_on = True
        except Refused as refusal:
            entries = _error(refusal, header.version)
            goes_on = "rc" not in entries
        except PowerCut:
            raise
        except Exception as error:  # see the class
            self._log(f"E: group {header.group}, command {header.command} failed: {type(error).__name__}: {error}")
            entries = {"rc": MgmtRc.EUNKNOWN}
            goes_on = False
        message = _answer(header, entries)
        if len(message) <= self.buffers.size_bytes:
            return message, goes_on
        return _answer(header, {"rc": TOO_LONG.get(header.group, MgmtRc.EMSGSIZE)}), False

    def _dispatch(self, header: Header, rest: bytes) -> Mapping[str, object]:
        if header.version > _NEWEST_VERSION:
            raise Refused(MgmtRc.UNSUPPORTED_TOO_NEW)
        kind = find_request(header.op, header.group, header.command)
        if kind is None or kind not in self._handlers:
            raise Refused(MgmtRc.ENOTSUP)
        answer = self._handlers[kind](_decode(kind, rest, self._needed.get(kind, {})))
        return answer.to_map() if isinstance(answer, Response) else answer


@functools.cache
def _handlers_of(groups: tuple[type, ...]) -> tuple[tuple[type[Request[Any]], int, str], ...]:
    """The requests that groups of these types serve: the number of the first group that does, and its method."""
    names = {kind: _handler_name(kind.__name__) for kind in REQUESTS}
    found = {
        kind: next((number for number, group in enumerate(groups) if hasattr(group, name)), None)
        for kind, name in names.items()
    }
    return tuple((kind, number, names[kind]) for kind, number in found.items() if number is not None)


def _handler_name(kind: str) -> str:
    return "on_" + re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


def _lenient_header(packet: bytes) -> Header:
    """The header, where the server does not look at the reserved bits; a strange operation is answered as a write."""
    op = Op.READ if packet[0] & 0b111 == Op.READ else Op.WRITE
    return Header.from_bytes(bytes((packet[0] & 0b11000 | op,)) + packet[1:HEADER_SIZE])


def _decode(kind: type[Request[Any]], rest: bytes, needed: Mapping[str, IntEnum]) -> Request[Any]:
    """The request. A command without fields does not look at its body, and nothing looks behind the map."""
    if kind in _WITHOUT_FIELDS:
        return kind()
    try:
        entries = cbor.loads(rest)
        if not isinstance(entries, dict) or not all(isinstance(name, str) for name in entries):
            raise Refused(MgmtRc.EINVAL)
        for name, rc in needed.items():
            if name not in entries:
                raise Refused(rc)
        return kind.from_map(entries)
    except RemoteProtocolError:
        if kind in LENIENT:
            return kind()
        raise Refused(MgmtRc.EINVAL) from None


def _error(refusal: Refused, version: int) -> Mapping[str, object]:
    rc = refusal.rc
    group = _GROUP_OF.get(type(rc))
    if group is None:
        return {"rc": rc}
    if version == 0:
        return {"rc": in_version_1(rc)}
    return {"err": {"group": group, "rc": rc}, **refusal.more}


def _answer(header: Header, entries: Mapping[str, object]) -> bytes:
    if header.version > _NEWEST_VERSION:
        header = dataclasses.replace(header, version=_NEWEST_VERSION)
    return header.reply(_indefinite(entries))


def _indefinite(value: object) -> bytes:
    """CBOR as Zephyr's encoder writes it: maps and arrays of indefinite length."""
    if isinstance(value, str | int) and type(value) in _OFTEN_ALIKE:
        return _encoded(value)
    if isinstance(value, Mapping):
        pairs = [_indefinite(part) for pair in value.items() for part in pair]
        return b"\xbf" + b"".join(pairs) + b"\xff"
    if isinstance(value, list):
        return b"\x9f" + b"".join([_indefinite(item) for item in value]) + b"\xff"
    return cbor.dumps(value)


_OFTEN_ALIKE = (str, int, bool)
"""Types of values that are encoded alike where they are equal, and their types are."""


@functools.lru_cache(maxsize=1024, typed=True)
def _encoded(value: str | int) -> bytes:
    return cbor.dumps(value)
