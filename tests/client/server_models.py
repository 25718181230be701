"""Models of the classes of SMP servers and of the wires to them, for uploads in simulated time.

What a server does with an upload request is the fake device's; here is when, and what gets lost on the way.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from smpdfu.client import Client, Patience, UploadResult, image_hash
from smpdfu.errors import LinkLostError
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import UNLIMITED, Pipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.image import ImageSlot, ImageUpload, StateRead, StateReply
from smpdfu.smp.groups.os import Params, ParamsReply
from smpdfu.smp.message import MgmtRc, Refusal, split_message
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.client.fake_device import Answer, FakeDevice
else:
    from fake_device import Answer, FakeDevice


@dataclass(frozen=True)
class Server:
    """``buffers`` of ``buf_size`` bytes, one for the answer; when they are full it says rc 2, or nothing if ``mute``.

    A request takes ``service_s``; every ``page`` bytes of the image ``page_s`` more, the first chunk ``erase_s``. A
    ``ring`` of so many bytes is all that it hears while it works. It takes multiples of ``unit`` bytes.

    ``deaf_for_s``: the end of every write of a page in which it hears nothing at all, for flash stops the processor.
    ``byte_s``: what each byte of a request takes to decode, and ``hear_s`` to receive, which is the same processor's
    time: one that is bound by it is no faster with more in flight. ``jitter``: how much longer the same may take, as a
    share, drawn anew for each request: a starved machine. ``parse_s``: by how much each byte that comes while it works
    delays the answer at hand, as the parser of the next request is another thread of the same busy processor.
    """

    buffers: int = 4
    buf_size: int = 384
    service_s: float = 0.001
    mute: bool = False
    erase_s: float = 1.0
    page: int = 4096
    page_s: float = 0.0
    ring: int | None = None
    unit: int = 1
    tells: bool = True
    deaf_for_s: float = 0.0
    byte_s: float = 0.0
    hear_s: float = 0.0
    jitter: float = 0.0
    parse_s: float = 0.0


@dataclass(frozen=True)
class Wire:
    """``delay_s`` each way, ``bytes_per_s``; ``loss``, ``duplication``, ``reordering`` of writes, with probabilities.

    With ``interval_s`` bytes travel at the times of a radio: ``per_event`` packets each way at each.
    """

    framing: type[Framing] = ConsoleFraming
    delay_s: float = 0.0
    bytes_per_s: float | None = None
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    interval_s: float | None = None
    per_event: int = 6
    max_write: int = UNLIMITED
    seed: int = 1


class _Lane:
    """One direction of the wire."""

    def __init__(self, wire: Wire, deliver: Callable[[bytes], None], salt: str) -> None:
        self._wire, self._deliver = wire, deliver
        self._free_at = 0.0
        self._events: dict[int, int] = {}
        self._on_the_way: list[tuple[float, int, bytes]] = []
        self._number = 0
        self._dice = Random(f"{wire.seed} {salt}")

    def send(self, data: bytes) -> None:
        dice, wire = self._dice, self._wire
        lost, twice, late = dice.random() < wire.loss, dice.random() < wire.duplication, dice.random()
        at = self._arrival(len(data))
        if lost:
            return
        if late < wire.reordering:
            at += 3 * (wire.delay_s or 0.01)
        for due in (at, at + 1e-4) if twice else (at,):
            self._number += 1
            heapq.heappush(self._on_the_way, (due, self._number, data))  # the loop's own order is not that of sending
            asyncio.get_running_loop().call_at(due, self._next)

    def _next(self) -> None:
        self._deliver(heapq.heappop(self._on_the_way)[2])

    def _arrival(self, size: int) -> float:
        now, wire = asyncio.get_running_loop().time(), self._wire
        if wire.interval_s is not None:
            event = max(int(now / wire.interval_s) + 1, max(self._events, default=0))
            while self._events.get(event, 0) >= wire.per_event:
                event += 1
            self._events = {event: self._events.get(event, 0) + 1}
            return event * wire.interval_s
        if wire.bytes_per_s is None:
            return now + wire.delay_s
        self._free_at = max(now, self._free_at) + size / wire.bytes_per_s
        return self._free_at + wire.delay_s


class SimulatedPipe(Pipe):
    """The host's end of ``wire``, with ``server`` at the other end."""

    def __init__(self, server: Server, wire: Wire) -> None:
        super().__init__("the model", wire.max_write)
        self.server, self.wire = server, wire
        self.device = FakeDevice(framing=wire.framing)
        self.device.answers[Params] = lambda request: (
            ParamsReply(server.buf_size, server.buffers) if server.tells else Refusal(MgmtRc.ENOTSUP)
        )
        self.device.answers[ImageUpload] = self._upload
        self.device.answers[StateRead] = lambda request: StateReply(
            (ImageSlot(slot=1, hash=image_hash(self.device.stored)),) if self.device.stored else ()
        )
        self.overflows = self.most_inside = 0
        self._inbox = Inbox()
        self._framing = wire.framing()
        self._inside: list[bytes] = []
        self._kept = bytearray()
        self._deaf_from = self._deaf_until = -1.0
        self._heard_s = 0.0
        self._ready: asyncio.TimerHandle | None = None
        self._at_work: list[bytes] = []
        self._to_device = _Lane(wire, self._arrive, "to device")
        self._to_host = _Lane(wire, self._host_hears, "to host")

    # --- the pipe ----------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._inbox = Inbox()

    async def _close(self) -> None:
        self._inbox.end(LinkLostError("closed"))

    async def _read(self) -> bytes:
        return await self._inbox.get()

    async def _write(self, data: bytes) -> None:
        self._to_device.send(data)

    def _host_hears(self, data: bytes) -> None:
        self._inbox.put(data)

    # --- the server --------------------------------------------------------------------------------------------------

    def _upload(self, request: ImageUpload) -> Answer:
        before = len(self.device.buffer)
        whole = request.off + len(request.data) == self.device.total
        if self.server.unit > 1 and not whole and request.off == before:
            request = replace(request, data=request.data[: len(request.data) // self.server.unit * self.server.unit])
        return self.device.upload(request)

    def _arrive(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self._heard_s += self.server.hear_s * len(data)
        self._delay(self.server.parse_s * len(data))
        if self._deaf_from <= now < self._deaf_until:
            self.overflows += 1
            return
        if self.server.ring is not None and self._inside:
            room = max(self.server.ring - len(self._kept), 0)
            self.overflows += len(data) > room
            self._kept += data[:room]
            return
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        for message in self._framing.feed(data):
            if len(self._inside) >= max(1, self.server.buffers - 1):
                self.overflows += 1
                if not self.server.mute:
                    header = split_message(message).header
                    self._to_host.send(self._framing.encode(header.reply(Refusal(MgmtRc.ENOMEM).to_body())))
                continue
            self._inside.append(message)
            self.most_inside = max(self.most_inside, len(self._inside))
            if len(self._inside) == 1:
                self._work()

    def _work(self) -> None:
        before, erasures = len(self.device.buffer), self.device.erasures
        answers = self.device.replies(self._inside[0])
        server = self.server
        pages = len(self.device.buffer) // server.page - before // server.page
        heard_s, self._heard_s = self._heard_s, 0.0
        busy_s = server.service_s + server.byte_s * len(self._inside[0]) + heard_s
        luck = Random(f"{self.wire.seed} server {before}").random()  # the same for the same chunk in every upload
        busy_s = busy_s * (1 + server.jitter * luck) + server.page_s * max(pages, 0)
        if pages > 0:
            self._deaf_until = asyncio.get_running_loop().time() + busy_s
            self._deaf_from = self._deaf_until - server.deaf_for_s
        if self.device.erasures > erasures:
            busy_s += server.erase_s
        self._at_work = answers
        self._ready = asyncio.get_running_loop().call_later(busy_s, self._done, answers)

    def _delay(self, by_s: float) -> None:
        """What is at work takes longer."""
        if self._ready is not None and by_s:
            late = asyncio.get_running_loop().call_at(self._ready.when() + by_s, self._done, self._at_work)
            self._ready.cancel()
            self._ready = late

    def _done(self, answers: list[bytes]) -> None:
        self._ready = None
        for answer in answers:
            wire = self._framing.encode(answer)
            for start in range(0, len(wire), self.wire.max_write):
                self._to_host.send(wire[start : start + self.wire.max_write])
        self._inside.pop(0)
        if self._inside:
            self._work()
        elif self._kept:
            kept = bytes(self._kept)
            self._kept.clear()
            self._feed(kept)


@dataclass
class Outcome:
    """An upload to a model: ``seconds`` of simulated time."""

    result: UploadResult
    pipe: SimulatedPipe
    strays: int
    links: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.result.seconds


def upload(
    data: bytes, server: Server, wire: Wire, *, window_max: int | None = None, timeout_s: float = 2.5
) -> Outcome:
    """Upload ``data`` in simulated time; the device holds it in the end."""

    async def main() -> Outcome:
        pipe = SimulatedPipe(server, wire)
        client = Client(pipe, wire.framing(), timeout_s=timeout_s, patience=Patience(), window_max=window_max)
        links: list[str] = []
        client.trace = lambda trace: links.append(trace.text) if trace.kind == "link" else None
        async with client:
            result = await client.upload(data)
        assert pipe.device.stored == data
        return Outcome(result, pipe, client.strays, links)

    return simulate(main())


__all__ = [
    "DatagramFraming",
    "GattFraming",
    "Outcome",
    "RawFraming",
    "Server",
    "SimulatedPipe",
    "Wire",
    "upload",
]
