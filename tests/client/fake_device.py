"""A device for the client's tests: it behaves, or misbehaves as it is told to."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from smpdfu.client import Client, Patience
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing
from smpdfu.smp.groups import find_request
from smpdfu.smp.groups.image import ImageSlot, ImageUpload, StateRead, StateReply, UploadReply
from smpdfu.smp.groups.os import Echo, EchoReply, Params, ParamsReply, Reset
from smpdfu.smp.message import Empty, MgmtRc, Refusal, Request, Response, decode_map, split_message
from tests.simulated import simulate

T = TypeVar("T")
Answer = Response | Refusal | bytes | None
LONG_S = 30.0  # for tests in which no answer is missing
SHORT_S = 0.05  # for tests in which answers are
IMPATIENT = Patience(reconnect_s=0.1, reset_grace_s=0.05, quiet_s=0.0, ping_s=SHORT_S, pause_s=0.005)


@dataclass
class FakeDevice:
    """Answers in its own way: ``answers`` may hold a function for a kind of request.

    Such a function gives a response, a refusal, a raw body, or None for silence. ``drop`` messages are not
    heard; the first chunk of an upload takes ``erase_s``.
    """

    answers: dict[type[Request[Any]], Callable[[Any], Answer]] = field(default_factory=dict)
    framing: type[Framing] = ConsoleFraming
    drop: int = 0
    heard: list[bytes] = field(default_factory=list)
    wire: bytearray = field(default_factory=bytearray)
    buffer: bytearray = field(default_factory=bytearray)
    sha: bytes | None = None
    total: int = 0
    erasures: int = 0
    stored: bytes = b""
    text: bytes = b""
    erase_s: float = 0.0

    def pipe(self, faults: Faults = NO_FAULTS) -> Pipe:
        return served_pipe(self.serve, faults, name="the fake")

    def client(self, faults: Faults = NO_FAULTS, *, timeout_s: float = LONG_S, attempts: int = 4) -> Client:
        return Client(self.pipe(faults), self.framing(), timeout_s=timeout_s, attempts=attempts, patience=IMPATIENT)

    def requests(self, kind: type[Request[Any]]) -> list[Any]:
        """The requests of ``kind`` that were heard."""
        found = []
        for message in self.heard:
            header, body = split_message(message)
            if find_request(header.op, header.group, header.command) is kind:
                found.append(kind.from_map(decode_map(body)))
        return found

    async def serve(self, pipe: Pipe) -> None:
        framing = self.framing()
        while True:
            data = await pipe.read()
            self.wire += data
            for message in framing.feed(data):
                answers = self.replies(message)
                if self.erasures and len(self.buffer) < 400:
                    await asyncio.sleep(self.erase_s)  # the first chunk
                for answer in answers:
                    await pipe.write(self.text + framing.encode(answer))

    def replies(self, message: bytes) -> list[bytes]:
        """What is sent when ``message`` has come."""
        answer = self.handle(message)
        return [] if answer is None else [answer]

    def handle(self, message: bytes) -> bytes | None:
        self.heard.append(message)
        if self.drop:
            self.drop -= 1
            return None
        header, body = split_message(message)
        kind = find_request(header.op, header.group, header.command)
        assert kind is not None
        request = kind.from_map(decode_map(body))
        act: Callable[[Any], Answer] = self.answers.get(kind, self.answer)
        answer = act(request)
        if answer is None:
            return None
        return header.reply(answer if isinstance(answer, bytes) else answer.to_body())

    def answer(self, request: Request[Any]) -> Answer:
        """As a good device does."""
        if isinstance(request, Echo):
            return EchoReply(request.d)
        if isinstance(request, Params):
            return ParamsReply(384, 4)
        if isinstance(request, Reset):
            return Empty()
        if isinstance(request, ImageUpload):
            return self.upload(request)
        return Refusal(MgmtRc.ENOTSUP)

    def upload(self, request: ImageUpload) -> UploadReply:
        if request.off == 0 and request.len is not None and (not self.total or request.sha != self.sha):
            self.buffer, self.sha, self.total = bytearray(), request.sha, request.len
            self.erasures += 1
        if request.off == len(self.buffer) and self.total:
            self.buffer += request.data
        if not self.total or len(self.buffer) < self.total:
            return UploadReply(len(self.buffer))
        self.stored, self.total = bytes(self.buffer), 0
        self.buffer = bytearray()
        return UploadReply(len(self.stored), hashlib.sha256(self.stored).digest() == self.sha if self.sha else None)


def listing(*slots: ImageSlot) -> Callable[[StateRead], StateReply]:
    return lambda request: StateReply(slots)


def no_match(device: FakeDevice) -> Callable[[ImageUpload], UploadReply]:
    """An upload that does not compare the hash."""
    return lambda request: UploadReply(device.upload(request).off)


def with_client(client: Client, act: Callable[[Client], Awaitable[T]]) -> T:
    async def main() -> T:
        async with client:
            try:
                return await act(client)
            finally:
                assert client._exchange.session.waiting == (), "a request was not closed"

    return simulate(main())


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until ``condition`` holds."""
    for _ in range(10000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


def image(size: int = 3000) -> bytes:
    """The smallest thing that is an MCUboot image: header, payload, one SHA-256 TLV."""
    payload = bytes(number % 251 for number in range(size))
    head = struct.pack("<IIHHII8sI", 0x96F3B83D, 0, 32, 0, size, 0, b"\x01" + bytes(7), 0) + payload
    return head + struct.pack("<HHHH", 0x6907, 40, 0x10, 32) + hashlib.sha256(head).digest()


DATA = image()
HASH = hashlib.sha256(DATA[:-40]).digest()
