"""What a device can send, as functions of bytes: each framing, the session behind it, each kind of answer.

The answers' targets come from the registry of requests: a new command has one by itself.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, crc_hqx
from collections.abc import Callable
from typing import Any

from fuzz.target import Target
from smpdfu.errors import RemoteProtocolError
from smpdfu.smp.cbor import dumps
from smpdfu.smp.describe import explain, line_of
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups import REQUESTS
from smpdfu.smp.groups.os import Echo, EchoReply
from smpdfu.smp.message import HEADER_SIZE, MESSAGE_MAX, Header, Op, Request
from smpdfu.smp.session import Session, read_outcome

KEPT_MAX = 3 * MESSAGE_MAX
"""Bytes that a framing may hold on to, whatever comes: a message, a line and some text."""
PIECES = (1, 7, 64, 4096)


def kept(framing: Framing) -> int:
    """Bytes that ``framing`` holds on to."""
    return sum(len(value) for value in vars(framing).values() if isinstance(value, bytes | bytearray))


def read_wire(make: Callable[[], Framing]) -> Callable[[bytes], object]:
    """All bytes in pieces, then silence: nothing is raised, what comes out are whole messages, little is kept."""

    def run(data: bytes) -> None:
        framing, session = make(), Session()
        session.open(Echo("x"))
        size = max(PIECES[len(data) % len(PIECES)], len(data) // 500)
        for start in range(0, len(data), size):
            messages = framing.feed(data[start : start + size])
            if framing.waits and start % 3 == 0:
                messages += framing.settle()
            for message in messages:
                assert HEADER_SIZE <= len(message) <= MESSAGE_MAX
                line_of(explain(message))
                session.receive(message)
            assert kept(framing) <= KEPT_MAX
            if start % 5 == 0:
                framing.take_text()
        framing.resync()

    return run


def read_answer(kind: type[Request[Any]]) -> Callable[[bytes], object]:
    """A body that came for ``kind``: an answer, a refusal, or RemoteProtocolError."""

    def run(data: bytes) -> object:
        return read_outcome(_anyone(kind), data)

    return run


def _anyone(kind: type[Request[Any]]) -> Request[Any]:
    """A request of ``kind``; what it asks for makes no difference to how the answer is read."""
    return object.__new__(kind)


# --- seeds ----------------------------------------------------------------------------------------------------------

BODY = EchoReply("hello").to_body()
ANSWER = Header(Op.WRITE_RSP, 1, 0, len(BODY), 0, 0, 0).to_bytes() + BODY
LONG = Header(Op.READ_RSP, 1, 0, 3000, 0, 0, 0).to_bytes() + dumps(bytes(2997))
REFUSALS = tuple(dumps(body) for body in ({"rc": 8}, {"err": {"group": 1, "rc": 9}}, {"rc": 1, "rsn": "why"}, {}))
BOMBS = (
    b"\x9f" * 1000,
    b"\xa1\x61a" * 300,
    b"\x5b" + b"\xff" * 8,
    b"\xbf" + b"\x61a\x00" * 200,
    b"\xc2\x58\x40" + b"\xff" * 64,
)
"""CBOR that asks for more than it has: depth, length, the same key again, a big number."""
SLOT = {"slot": 0, "version": "1.2.3", "hash": bytes(32), "bootable": True, "image": 0, "size": 4096}
GOOD = dumps(
    {
        "images": [{**SLOT, "slots": [SLOT]}],
        "splitStatus": 0,
        "off": 1,
        "len": 2,
        "data": b"x",
        "r": "x",
        "output": "x",
        "buf_size": 384,
        "buf_count": 4,
        "tasks": {"main": {"prio": 1, "tid": 1, "state": 1}},
        "datetime": "2026-01-02T03:04:05",
        "name": "x",
        "fields": {"ticks": 1},
        "stat_list": ["x"],
        "val": b"x",
        "types": {"crc32": {"format": 0, "size": 4}},
        "o": "x",
        "ret": 0,
        "count": 1,
        "groups": [0],
        "group": 0,
    }
)
CONSOLE = ConsoleFraming().encode(ANSWER)


def _console_of(packet: bytes) -> bytes:
    """A console frame whose check sum is right, whatever the length in it says."""
    check = crc_hqx(packet[2:], 0).to_bytes(2, "big")
    return b"\x06\x09" + b2a_base64(packet + check)


NOISE = (b"*** Booting Zephyr OS ***\r\n" * 20, b"\xff" * 300, b"\x06\x09" * 200, b"\x04\x14AAAA\n" * 50)
FRAMINGS: dict[str, tuple[Callable[[], Framing], tuple[bytes, ...]]] = {
    "console": (ConsoleFraming, (CONSOLE, ConsoleFraming().encode(LONG), _console_of(b"\xff\xff" + ANSWER), *NOISE)),
    "raw": (lambda: RawFraming(answers=True), (ANSWER, LONG, b"\x0b\0\xff\xff" + ANSWER, *NOISE)),
    "gatt": (GattFraming, (ANSWER, LONG, b"\x0b\0\xff\xff" + ANSWER, *NOISE)),
    "datagram": (DatagramFraming, (ANSWER, LONG, b"\x0b\0\xff\xff" + ANSWER, *NOISE)),
}

WIRE_TARGETS = {
    **{f"{name} framing": Target(read_wire(make), seeds, ()) for name, (make, seeds) in FRAMINGS.items()},
    **{
        f"{re.sub('[^a-z]+', ' ', kind.title)} answer": Target(
            read_answer(kind), (GOOD, *REFUSALS, *BOMBS), (RemoteProtocolError,)
        )
        for kind in REQUESTS
    },
}
