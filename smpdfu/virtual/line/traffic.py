"""A model of a wire around any pipe: its speed, its delay, its losses.

Each direction is a line of its own. With a ``baudrate`` a byte takes ten bits' time and bytes queue for the line; then
come the ``latency_s`` and, with an ``interval_s``, the wait for the next connection event. All times count from
the moment of the write, and never from the moment when a timer fired: errors do not add up. A device that answers
tells when its answer was ready (``write_at``), so that only its modelled time counts. The seed alone decides which
pieces are lost, doubled or late.

A stream delivers the bytes of one millisecond at once, and ends a piece at a newline, as a UART does. The
loss of a stream is counted in frames: of a console frame the first line is gone, which makes the rest worthless; of
other streams what was read or written at once.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from smpdfu.errors import LinkLostError
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe
from smpdfu.virtual.line.timers import until

BITS_PER_BYTE = 10
"""8N1: a start bit, eight bits, a stop bit."""
LATE_S = 0.01
"""How much later than the next one something comes that is overtaken."""
_LOOKAHEAD_S = 0.01  # so long before the line is free the next bytes are fetched
_PIECE_S = 0.001
_DROPPED_SHARE = 0.25
_FRAME_MARK = b"\x06"  # the first byte of a console frame


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a wire does, in each direction: see above. ``loss``, ``duplication`` and ``reordering`` are 0 to 1.

    ``corruption`` (0 to 1) is the share of the bytes of a stream that arrive as others, or not at all, as behind an
    on-board debugger whose mass storage disturbs its serial port.
    """

    baudrate: int | None = None
    latency_s: float = 0.0
    interval_s: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    corruption: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.baudrate is not None and self.baudrate < 1:
            raise ValueError(f"a line carries at least 1 bit a second, not {self.baudrate}")
        if self.latency_s < 0 or self.interval_s < 0:
            raise ValueError("nothing arrives before it was sent")
        for share in (self.loss, self.duplication, self.reordering, self.corruption):
            if not 0 <= share <= 1:
                raise ValueError(f"a probability is between 0 and 1, not {share}")

    @property
    def byte_s(self) -> float:
        """The time that a byte takes the line."""
        return 0.0 if self.baudrate is None else BITS_PER_BYTE / self.baudrate

    @property
    def reshuffles(self) -> bool:
        """True if it does what no stream of bytes does."""
        return self.duplication > 0 or self.reordering > 0


NO_TRAFFIC = Traffic()
Arrive = Callable[[bytes, float], None]


class TrafficPipe(Pipe):
    """``inner`` as it is behind such a wire; usable at either end. ``console``: it carries console frames.

    ``open`` opens ``inner``; where that is open already, ``start`` and ``stop`` are enough. ValueError if a stream is
    asked to duplicate or to reorder, or anything else to corrupt. ``arrived_at`` is when that arrived which was read
    last.
    """

    def __init__(self, inner: Pipe, traffic: Traffic, *, console: bool = False) -> None:
        super().__init__(inner.name, inner.max_write)
        if inner.ordered and traffic.reshuffles:
            raise ValueError(f"{inner.name} is a stream of bytes: it does not duplicate or reorder")
        if traffic.corruption and not inner.ordered:
            raise ValueError(f"{inner.name} carries datagrams: a damaged one does not arrive")
        self.ordered = inner.ordered
        self.in_flight_max = inner.in_flight_max
        self._inner = inner
        self._traffic = traffic
        self._console = console
        self._inbox = Inbox()
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._arrivals: deque[float] = deque()
        self._in = self._out = self._lane("in", self._arrive)
        self.arrived_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to carry."""
        self._inbox = Inbox()
        self._outbox = asyncio.Queue()
        self._arrivals.clear()
        self._in = self._lane("in", self._arrive, console=self._console)
        self._out = self._lane("out", lambda piece, _: self._outbox.put_nowait(piece))
        self._tasks = [asyncio.create_task(self._fetch()), asyncio.create_task(self._deliver())]

    def _lane(self, salt: str, arrive: Arrive, *, console: bool = False) -> _Lane:
        return _Lane(self._traffic, salt, arrive, trickles=self.ordered, console=console)

    async def stop(self) -> None:
        """Carry no more; what is on its way is lost, and who waits gets LinkLostError."""
        tasks, self._tasks = self._tasks, []
        self._in.clear()
        self._out.clear()
        self._inbox.end(LinkLostError(f"{self.name} was closed"))
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _open(self) -> None:
        await self._inner.open()
        self.start()

    async def _close(self) -> None:
        await self.stop()
        await self._inner.close()

    async def write_at(self, data: bytes, at: float) -> float:
        """Write what was ready at a time that may be past; returns when the line is free again, at that time."""
        # As a UART that is polled: the sender goes on when the last byte is on the line.
        self._out.send(data, at)
        await until(self._out.free_at)
        return self._out.free_at

    async def _read(self) -> bytes:
        data = await self._inbox.get()
        self.arrived_at = self._arrivals.popleft()
        return data

    async def _write(self, data: bytes) -> None:
        await self.write_at(data, asyncio.get_running_loop().time())

    def _arrive(self, piece: bytes, at: float) -> None:
        self._arrivals.append(at)
        self._inbox.put(piece)

    async def _fetch(self) -> None:
        try:
            while True:
                data = await self._inner.read()
                self._in.send(data, asyncio.get_running_loop().time())
                await until(self._in.free_at - _LOOKAHEAD_S)
        except Exception as error:  # a lost link, or our mistake: the reader gets it
            self._inbox.end(error)

    async def _deliver(self) -> None:
        try:
            while True:
                data = await self._outbox.get()
                for start in range(0, len(data), self.max_write):
                    await self._inner.write(data[start : start + self.max_write])
        except Exception as error:  # a lost link, or our mistake: the reader gets it
            self._inbox.end(error)


def arrived_at(pipe: Pipe) -> float:
    """When that arrived which was read last, by the clock of the event loop."""
    return pipe.arrived_at if isinstance(pipe, TrafficPipe) else asyncio.get_running_loop().time()


class _Lane:
    """One direction. ``arrive`` is called with each piece when it is due, ``free_at`` is when the line is free."""

    def __init__(self, traffic: Traffic, salt: str, arrive: Arrive, *, trickles: bool, console: bool = False) -> None:
        self.free_at = 0.0
        self._traffic = traffic
        self._arrive = arrive
        self._dice = Random(f"{traffic.seed} {salt}")
        self._cut = _Frames(self._is_lost).cut if console and traffic.loss else self._whole
        self._trickles = trickles and traffic.baudrate is not None
        self._on_way: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, data: bytes, at: float) -> None:
        """Put ``data``, which is there since ``at``, on the line, behind what is on it."""
        self.free_at = max(self.free_at, at)
        for part, lost in self._cut(self._corrupt(data)):
            for piece in self._pieces(part):
                self.free_at += len(piece) * self._traffic.byte_s
                if not lost:
                    self._route(piece)
        self._set_timer()

    def clear(self) -> None:
        """Forget what is on its way."""
        self._on_way.clear()
        self._set_timer()

    def _whole(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        yield data, self._is_lost()

    def _corrupt(self, data: bytes) -> bytes:
        """Replace or drop single bytes. One in four of the bad ones is dropped."""
        share, dice = self._traffic.corruption, self._dice
        if not share:
            return data
        damaged = bytearray()
        for byte in data:
            if dice.random() >= share:
                damaged.append(byte)
            elif dice.random() >= _DROPPED_SHARE:
                damaged.append(byte ^ dice.randrange(1, 256))
        return bytes(damaged)

    def _is_lost(self) -> bool:
        return self._traffic.loss > 0 and self._dice.random() < self._traffic.loss

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """What passes within a millisecond, or until a newline; a datagram, or without a rate, all of it."""
        if not self._trickles:
            yield data
            return
        size = max(1, int(_PIECE_S / self._traffic.byte_s))
        start = 0
        while start < len(data):
            newline = data.find(b"\n", start, start + size)
            end = start + size if newline < 0 else newline + 1
            yield data[start:end]
            start = end

    def _route(self, piece: bytes) -> None:
        traffic = self._traffic
        due = self.free_at
        if traffic.interval_s:
            due = (math.floor(due / traffic.interval_s) + 1) * traffic.interval_s
        due += traffic.latency_s
        if traffic.reordering and self._dice.random() < traffic.reordering:
            due += LATE_S + 2 * traffic.latency_s
        copies = 1 + (traffic.duplication > 0 and self._dice.random() < traffic.duplication)
        for _ in range(copies):
            heapq.heappush(self._on_way, (due, self._count, piece))
            self._count += 1

    def _set_timer(self) -> None:
        if self._timer is not None:
            if self._on_way and self._timer.when() <= self._on_way[0][0]:
                return
            self._timer.cancel()
            self._timer = None
        if self._on_way:
            self._timer = asyncio.get_running_loop().call_at(self._on_way[0][0], self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._on_way and self._on_way[0][0] <= now:
            due, _, piece = heapq.heappop(self._on_way)
            self._arrive(piece, due)
        self._set_timer()


class _Frames:
    """Cuts a stream of console lines so that the first line of each frame has a fate of its own."""

    def __init__(self, is_lost: Callable[[], bool]) -> None:
        self._is_lost = is_lost
        self._starts = True
        self._losing = False

    def cut(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """The lines in ``data``, in pieces as they came, and whether they are lost."""
        for line in data.splitlines(keepends=True):
            if self._starts:
                self._losing = line.startswith(_FRAME_MARK) and self._is_lost()
            self._starts = line.endswith(b"\n")
            yield line, self._losing
