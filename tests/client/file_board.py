"""A device with files, for the tests of their transfers."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from smpdfu.client import Client, Patience
from smpdfu.client.files import FileResult, download_file, upload_file
from smpdfu.link.memory import NO_FAULTS, Faults, served_pipe
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing
from smpdfu.smp.groups.os import Params, ParamsReply
from smpdfu.smp.message import Request
from smpdfu.virtual.line.traffic import Traffic, TrafficPipe
from smpdfu.virtual.server.files import MemoryFiles
from smpdfu.virtual.server.groups.fs import FsGroup
from smpdfu.virtual.server.server import Buffers, Server
from tests.simulated import simulate

T = TypeVar("T")
NAME = "/lfs1/data.bin"
BUFFER = 384
LONG_S, SHORT_S = 30.0, 0.05
IMPATIENT = Patience(reconnect_s=1.0, quiet_s=0.0, ping_s=SHORT_S, pause_s=0.005)


def content(size: int) -> bytes:
    """Bytes that differ from place to place."""
    return bytes((at * at + at // 251) % 251 for at in range(size))


class Sizes:
    """The one command of the os group that matters here."""

    def __init__(self, buffers: int) -> None:
        self.buffers = buffers

    def on_params(self, request: Params) -> ParamsReply:
        """The buffers."""
        return ParamsReply(BUFFER, self.buffers)


@dataclass
class Board:
    """A device with files. ``lose``: numbers of messages, from 0, whose answers get lost. ``latency_s``: each way."""

    group: type[FsGroup] = FsGroup
    without: tuple[type[Request[Any]], ...] = ()
    lose: set[int] = field(default_factory=set)
    deaf: Callable[[bytes], bool] = lambda message: False
    files: MemoryFiles = field(default_factory=MemoryFiles)
    heard: int = 0
    buffers: int = 4
    latency_s: float = 0.0
    framing: Callable[[], Framing] = ConsoleFraming
    window_max: int | None = None

    def __post_init__(self) -> None:
        self.fs = self.group(self.files, BUFFER)
        self.server = Server([Sizes(self.buffers), self.fs], Buffers(BUFFER, self.buffers), without=self.without)

    async def serve(self, pipe: Pipe) -> None:
        if not self.latency_s:
            return await self._serve(pipe)
        wire = TrafficPipe(pipe, Traffic(latency_s=self.latency_s), console=True)
        wire.start()
        try:
            await self._serve(wire)
        finally:
            await wire.stop()

    async def _serve(self, pipe: Pipe) -> None:
        framing = self.framing()
        while True:
            for message in framing.feed(await pipe.read()):
                if self.deaf(message):
                    continue
                answers = self.server.answers(message)
                self.heard += 1
                if self.heard - 1 not in self.lose:
                    for answer in answers:
                        await pipe.write(framing.encode(answer))

    def run(self, act: Callable[[Client], Awaitable[T]], faults: Faults = NO_FAULTS, *, timeout_s: float = LONG_S) -> T:
        async def main() -> T:
            pipe = served_pipe(self.serve, faults, name="the board")
            client = Client(
                pipe,
                self.framing(),
                timeout_s=timeout_s,
                attempts=6,
                patience=IMPATIENT,
                window_max=self.window_max,
            )
            async with client:
                return await act(client)

        return simulate(main())

    def up(self, data: bytes, faults: Faults = NO_FAULTS, **how: Any) -> FileResult:
        timeout_s = LONG_S if faults == NO_FAULTS and not self.lose else SHORT_S
        return self.run(lambda client: upload_file(client, io.BytesIO(data), NAME, **how), faults, timeout_s=timeout_s)

    def down(self, faults: Faults = NO_FAULTS) -> tuple[FileResult, bytes]:
        target = io.BytesIO()
        timeout_s = LONG_S if faults == NO_FAULTS else SHORT_S
        result = self.run(lambda client: download_file(client, NAME, target), faults, timeout_s=timeout_s)
        return result, target.getvalue()

    def put(self, data: bytes) -> None:
        self.files.clear(NAME)
        self.files.append(NAME, data)

    @property
    def stored(self) -> bytes:
        return self.files.read(NAME, 0, 1 << 30)
