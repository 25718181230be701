"""A model of a device that takes uploads, for the tests of the upload's rules."""

from __future__ import annotations

import hashlib
from collections import deque

from smpdfu.errors import DeviceError, LinkLostError, ResponseTimeoutError
from smpdfu.smp.groups.image import ImageUpload, UploadReply
from smpdfu.smp.message import MgmtRc
from smpdfu.smp.transfer.chunks import Chunk
from smpdfu.smp.transfer.upload import State, Upload

DATA = bytes(range(256)) * 12 + b"the end"
SILENCE = ResponseTimeoutError("img upload", 2.5)
GONE = LinkLostError("the cable is out")


class FakeTarget:
    """What a server does with upload requests: as Zephyr does, without the flash."""

    def __init__(self, *, tells_match: bool = True, unit: int = 1) -> None:
        self.buffer = bytearray()
        self.sha: bytes | None = None
        self.len = 0
        self.erasures = 0
        self.requests: list[ImageUpload] = []
        self.stored = b""
        self.tells_match = tells_match
        self.unit = unit

    def take(self, request: ImageUpload) -> UploadReply:
        self.requests.append(request)
        if request.off == 0 and request.len is not None:
            if not self.len or request.sha is None or request.sha != self.sha:
                self.buffer, self.sha, self.len = bytearray(), request.sha, request.len
                self.erasures += 1
        elif not self.len:
            return UploadReply(0)
        if request.off == len(self.buffer):
            whole = request.off + len(request.data) == self.len
            self.buffer += request.data if whole else request.data[: len(request.data) // self.unit * self.unit]
        if len(self.buffer) < self.len:
            return UploadReply(len(self.buffer))
        self.stored, sha = bytes(self.buffer), self.sha
        reply = UploadReply(len(self.stored), self._match(sha))
        self.forget()
        return reply

    def forget(self) -> None:
        """A reset, or the end of an upload: what is in RAM is gone."""
        self.buffer, self.sha, self.len = bytearray(), None, 0

    def _match(self, sha: bytes | None) -> bool | None:
        whole = sha is not None and len(sha) == 32
        return hashlib.sha256(self.stored).digest() == sha if self.tells_match and whole else None


def run(upload: Upload, target: FakeTarget, limit: int = 10000) -> list[Chunk]:
    """Drive ``upload`` over a good wire; the chunks as they were sent."""
    sent = []
    while upload.state is not State.DONE:
        chunk = upload.next_chunk()
        if chunk is None:
            upload.settle(complete=target.stored == DATA)
            continue
        sent.append(chunk)
        assert len(sent) <= limit
        upload.answered(chunk, target.take(chunk.request))
    assert upload.next_chunk() is None
    return sent


def next_of(upload: Upload) -> Chunk:
    chunk = upload.next_chunk()
    assert chunk is not None
    return chunk


def begun(window: int = 1, target: FakeTarget | None = None) -> tuple[Upload, FakeTarget]:
    """An upload whose first chunk is answered."""
    upload, target = Upload(DATA, message_max=380, window=window), target or FakeTarget()
    chunk = next_of(upload)
    upload.answered(chunk, target.take(chunk.request))
    assert upload.state is State.FLOW
    return upload, target


def run_anything(upload: Upload) -> list[Chunk]:
    target = FakeTarget()
    return run(upload, target)


def run_some(upload: Upload, target: FakeTarget, count: int) -> None:
    for _ in range(count):
        chunk = next_of(upload)
        upload.answered(chunk, target.take(chunk.request))


class FakeWire:
    """The chunks on the way, and the answers that may still come though nobody waits for them."""

    def __init__(self, upload: Upload, target: FakeTarget) -> None:
        self.upload, self.target = upload, target
        self.chunks: deque[Chunk] = deque()
        self.sent: set[Chunk] = set()
        self.late: list[tuple[Chunk, UploadReply]] = []

    def send_all(self) -> None:
        while (chunk := self.upload.next_chunk()) is not None:
            self.chunks.append(chunk)
            self.sent.add(chunk)

    def step(self, event: str) -> None:
        """Let ``event`` happen to the oldest chunk in flight, or to another."""
        upload, target = self.upload, self.target
        if event == "late" and self.late:
            upload.answered(*self.late.pop())
        elif event == "hurry":
            upload.hurry()
        elif not self.chunks or event == "silence":
            for chunk in self.chunks:
                self.late.append((chunk, target.take(chunk.request)))
            self.chunks.clear()
            upload.silence(SILENCE)
        elif event.startswith("link lost"):
            self.chunks.clear()
            self.late.clear()
            if event == "link lost, reset":
                target.forget()
            upload.link_lost(GONE)
        else:
            self._happen(event, self.chunks.pop() if event == "overtakes" else self.chunks.popleft())

    def _happen(self, event: str, chunk: Chunk) -> None:
        upload, target = self.upload, self.target
        if event == "request lost":
            upload.lost(chunk, SILENCE)
        elif event == "busy":
            upload.refused(chunk, DeviceError(None, MgmtRc.ENOMEM, "img upload"))
        else:
            reply = target.take(chunk.request)
            if event == "answer lost":
                upload.lost(chunk, SILENCE)
            else:
                upload.answered(chunk, reply)
            if event == "twice":
                self.late.append((chunk, target.take(chunk.request)))
