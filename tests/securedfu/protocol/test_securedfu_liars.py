"""Devices that lie: a transfer ends with an error, and not never."""

from __future__ import annotations

import struct
from collections.abc import Callable
from zlib import crc32

import pytest

from smpdfu.errors import InconsistentBootloaderError
from smpdfu.securedfu.protocol.actions import Await, SendRequest
from smpdfu.securedfu.protocol.messages import Opcode
from smpdfu.securedfu.protocol.transfer import Transfer
from tests.securedfu.protocol.test_securedfu_transfer import NEW, PACKET

Liar = Callable[[bytes], bytes]
"""The answer to a request; to an empty one, where the host waits once more."""
STEPS_MAX = 50_000


def answer(opcode: int, content: bytes = b"", result: int = 1) -> bytes:
    return bytes([Opcode.RESPONSE, opcode, result]) + content


def honest(request: bytes) -> bytes:
    """An answer that every request accepts; nothing has arrived."""
    contents = {
        Opcode.PING: request[1:2],
        Opcode.MTU: struct.pack("<H", 131),
        Opcode.SELECT: struct.pack("<III", 4096, 0, 0),
        Opcode.CHECKSUM: struct.pack("<II", len(PACKET), crc32(PACKET)),
    }
    return answer(request[0], contents.get(Opcode(request[0]), b"")) if request else answer(Opcode.ABORT)


def beyond(request: bytes) -> bytes:
    """Always more than there is."""
    return answer(Opcode.SELECT, struct.pack("<III", 4096, 0xFFFFFFFF, 0)) if request[:1] == b"\6" else honest(request)


def other_bytes(request: bytes) -> bytes:
    """Always the bytes of another firmware."""
    return answer(Opcode.SELECT, struct.pack("<III", 4096, 100, 7)) if request[:1] == b"\6" else honest(request)


class WholeAndNot:
    """All of the firmware is there, and none of it is to be executed."""

    def __init__(self) -> None:
        self._kind = 0

    def __call__(self, request: bytes) -> bytes:
        if request[:1] == b"\6":
            self._kind = request[1]
        if self._kind == 2 and request[:1] == b"\6":
            return answer(Opcode.SELECT, struct.pack("<III", 4096, len(NEW), crc32(NEW)))
        return answer(Opcode.EXECUTE, result=8) if self._kind == 2 and request[:1] == b"\4" else honest(request)


def always_a_pong(request: bytes) -> bytes:
    """A sign of life, to whatever was asked."""
    return honest(request) if request[:1] == b"\x09" else answer(Opcode.PING, b"\0")


def always_an_old_pong(_: bytes) -> bytes:
    return answer(Opcode.PING, b"\xee")


@pytest.mark.parametrize(
    "liar",
    [beyond, other_bytes, WholeAndNot(), always_a_pong, always_an_old_pong],
    ids=["beyond", "other bytes", "whole and not", "always a pong", "always an old pong"],
)
@pytest.mark.parametrize("write_size", [None, 1020], ids=["as the device says", "ahead"])
def test_a_device_whose_answers_never_fit_does_not_keep_us_for_ever(liar: Liar, write_size: int | None) -> None:
    with pytest.raises(InconsistentBootloaderError, match=f"of {len(NEW)} bytes"):
        carry(Transfer(PACKET, NEW, write_size=write_size, write_ahead=True), liar)


def test_receipts_that_confirm_nothing_are_not_waited_for_for_ever() -> None:
    def nothing(request: bytes) -> bytes:
        return honest(request) if request else answer(Opcode.CHECKSUM, struct.pack("<II", 0, 0))

    with pytest.raises(InconsistentBootloaderError):
        carry(Transfer(PACKET, NEW, write_size=20, receipts=2, writes_max=4, pings=False), nothing)


def carry(transfer: Transfer, liar: Liar) -> None:
    for _ in range(STEPS_MAX):
        action = transfer.next_action()
        if action is None:
            return
        if isinstance(action, SendRequest):
            transfer.answered(liar(action.message))
        elif isinstance(action, Await):
            transfer.answered(liar(b""))
    pytest.fail(f"no end after {STEPS_MAX} steps")
