"""The limits of an SMP server's build: its buffers, its one worker, the ring of its UART, its times.

As in Zephyr, requests that wait and the answer that is made share one pool of buffers, and one work queue handles a
request at a time. The rules:

    what comes                                    what becomes of it
    --------------------------------------------  ---------------------------------------------------------------------
    a request, and a buffer is free               it takes the buffer and waits for its turn
    a request, and none is free                   it is lost without a word
    its turn, and a second buffer is free         it is handled; both buffers are free when its last answer has left
    its turn, and none is free                    a serial line answers ``rc`` 2, other wires are silent
    bytes while the worker is busy, UART ring     the ring keeps as many as it holds, the others are lost

A pool of one buffer is MCUboot's serial recovery: the answer is written over the request.

Sources: Zephyr, ``subsys/mgmt/mcumgr/smp/src/smp.c`` and ``transport/``; real servers, measured.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from smpdfu.smp.framing import ConsoleFraming, Framing
from smpdfu.virtual.boot.slot import Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.line.timers import until
from smpdfu.virtual.server.application import DEFAULT_OPTIONS, Options
from smpdfu.virtual.server.groups.image import IMAGE_REQUESTS, ConfirmsOthers, ImageGroup
from smpdfu.virtual.server.groups.os import Build
from smpdfu.virtual.server.server import DEFAULT_BUFFERS, Buffers

RESET_DELAY_S = 0.25
"""From the answer to a reset until it happens (CONFIG_MCUMGR_GRP_OS_RESET_MS)."""
REQUEST_S, BYTE_S = 0.5e-3, 0.5e-6
"""Time to handle a request and each of its bytes, flash apart: our estimate for a Cortex-M33 at 64 MHz."""
_FIFO_SIZE = 32  # bytes that a UART without console lines is looked at in one go


@dataclass(frozen=True, slots=True)
class Resources:
    """What a device's SMP server has, and how fast its chip is.

    ``uart_ring``: bytes that its UART keeps while the server is busy; None: all of them. ``time_factor``: how long
    handling and flash take, 1 as on the chip, 0 no time. ``erase_progressively``: pages are erased as the upload
    reaches them, and not all at its first chunk (CONFIG_IMG_ERASE_PROGRESSIVELY). ``allow_erase_pending``: uploads and
    erases are taken while an image is pending (CONFIG_MCUMGR_GRP_IMG_ALLOW_ERASE_PENDING). ``confirms_others``: which
    slots of the images that do not run may be confirmed. ``serves_images``: the application has the image commands;
    firmware that leaves updates to a firmware loader may have none. ``board`` is what the application was built for, as
    ``os info`` tells it; None for the usual one.
    """

    buffers: Buffers = DEFAULT_BUFFERS
    uart_ring: int | None = None
    time_factor: float = 0.0
    erase_progressively: bool = False
    reset_delay_s: float = RESET_DELAY_S
    allow_erase_pending: bool = False
    confirms_others: ConfirmsOthers = ConfirmsOthers.NONE
    serves_images: bool = True
    board: str | None = None

    def __post_init__(self) -> None:
        if self.buffers.count < 1 or self.buffers.size_bytes < 64:
            raise ValueError("a server has at least one buffer of at least 64 bytes")
        if self.buffers.size_bytes > 0xFFFF:
            raise ValueError("a buffer has at most 65535 bytes")
        if self.uart_ring is not None and self.uart_ring < 1:
            raise ValueError(f"a UART keeps at least one byte, not {self.uart_ring}")
        if self.time_factor < 0 or self.reset_delay_s < 0:
            raise ValueError("time does not run backwards")

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what ``dataclasses.asdict`` made of them, of any age. Raises ValueError, TypeError or KeyError."""
        confirms = ConfirmsOthers(found.get("confirms_others", ConfirmsOthers.NONE))
        return cls(**{**found, "buffers": Buffers(**found["buffers"]), "confirms_others": confirms})

    @property
    def application(self) -> Options | None:
        """How the application is built; None for what is usual."""
        if self.serves_images:
            return None
        return replace(DEFAULT_OPTIONS, without=(*DEFAULT_OPTIONS.without, *IMAGE_REQUESTS))

    def build(self, usual: Build) -> Build:
        """What ``os info`` tells of an application that is ``usual`` but for its board."""
        return usual if self.board is None else replace(usual, platform=self.board)

    def image_group(self, images: Sequence[Slots], mode: BootMode) -> ImageGroup:
        """The image commands over ``images``, as this server has them; ``mode`` is the bootloader's."""
        return ImageGroup(
            images,
            mode=mode,
            erase_progressively=self.erase_progressively,
            allow_erase_pending=self.allow_erase_pending,
            confirms_others=self.confirms_others,
        )


DEFAULT_RESOURCES = Resources()


class Pool:
    """``count`` buffers, ``free`` of them. Of the ``requests`` that came, ``dropped`` and ``refused`` found none."""

    def __init__(self, count: int) -> None:
        self.count = self.free = count
        self.requests = self.dropped = self.refused = 0

    def take_for_request(self) -> bool:
        """A buffer for a request that comes in; False if it is lost."""
        self.requests += 1
        self.dropped += not self.free
        return self._take()

    def take_for_answer(self) -> bool:
        """A buffer for the answer to a request that has one; False if there is none."""
        if self.count == 1:
            return True
        self.refused += not self.free
        return self._take()

    def give_answer(self) -> None:
        """The answer has left."""
        self.free += self.count > 1

    def give_request(self) -> None:
        """The request is done with."""
        self.free += 1

    def _take(self) -> bool:
        taken = self.free > 0
        self.free -= taken
        return taken


@dataclass(frozen=True, slots=True)
class Handling:
    """How a wire's requests are handled.

    ``handle`` gives the answers to a packet and the seconds that this takes; ``refuse`` those of a server without
    memory, None on a wire that is silent then. ``send`` takes an answer and when it is ready, and tells when it has
    left; ``done`` is called after each packet.
    """

    handle: Callable[[bytes], tuple[list[bytes], float]]
    send: Callable[[bytes, float], Awaitable[float]]
    refuse: Callable[[bytes], list[bytes]] | None
    done: Callable[[], None]


class Worker:
    """The work queue that all wires of a device share: its ``turn`` is held while a request is handled.

    It keeps the device's own time: ``free_at`` is when the last answer had left, by the loop's clock. Buffers are taken
    and given in the order of that time: a busy computer, which is late with everything, does not fill the pool. Belongs
    to one event loop.
    """

    def __init__(self, pool: Pool) -> None:
        self.turn = asyncio.Lock()
        self.free_at = 0.0
        self._pool = pool
        self._coming: deque[tuple[float, Desk, bytes]] = deque()
        self._held = 0

    def come(self, at: float, desk: Desk, packet: bytes) -> None:
        """A packet has come in whole, at this time."""
        self._coming.append((at, desk, packet))
        if not self._held:
            self._let_in(at)

    def start(self, at: float) -> bool:
        """Take up a request that came at this time; True if there is a buffer for its answer."""
        self.free_at = max(self.free_at, at)
        self._let_in(self.free_at)
        return self._pool.take_for_answer()

    def done(self, *, answered: bool) -> None:
        """A request is done with at ``free_at``; ``answered``: with a buffer of the answer's own."""
        self._let_in(math.nextafter(self.free_at, 0.0))  # they came before, and found its buffers taken
        if answered:
            self._pool.give_answer()
        self.give_back(1)
        if not self._held and self._coming:
            self._let_in(self._coming[0][0])

    def give_back(self, requests: int) -> None:
        """Free the buffers of this number of requests."""
        self._held -= requests
        for _ in range(requests):
            self._pool.give_request()

    def forget(self, desk: Desk) -> None:
        """What was on its way to ``desk`` is lost."""
        self._coming = deque(one for one in self._coming if one[1] is not desk)

    def _let_in(self, until_s: float) -> None:
        while self._coming and self._coming[0][0] <= until_s:
            at, desk, packet = self._coming.popleft()
            if self._pool.take_for_request():
                self._held += 1
                desk.put(packet, at)


class Desk:
    """The requests of one wire in the order in which they came, one at a time.

    ``idle`` is called whenever nothing waits any more. An answer is ready so long after its request as the chip works
    on it, by the loop's clock: the time that this computer takes does not count.
    """

    def __init__(self, worker: Worker, handling: Handling) -> None:
        self.busy = False
        self.idle: Callable[[], None] = lambda: None
        self._worker = worker
        self._handling = handling
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._news = asyncio.Event()
        self._lives = 0

    def accept(self, packet: bytes, at: float) -> None:
        """A packet has come in whole, at this time."""
        self._worker.come(at, self, packet)

    def put(self, packet: bytes, at: float) -> None:
        """A packet that came at this time has got its buffer."""
        self._waiting.append((packet, at))
        self.busy = True
        self._news.set()

    def forget(self) -> None:
        """The device was reset: nothing of what waits is answered any more."""
        self._lives += 1
        self._worker.forget(self)
        self._worker.give_back(len(self._waiting))
        self._waiting.clear()

    async def work(self) -> None:
        """Handle what comes, until cancelled; LinkLostError when an answer cannot leave."""
        try:
            while True:
                while self._waiting:
                    await self._take_turn(*self._waiting.popleft())
                self.busy = False
                self.idle()
                if not self._waiting:
                    self._news.clear()
                    await self._news.wait()
        finally:
            self.forget()

    async def _take_turn(self, packet: bytes, at: float) -> None:
        life = self._lives
        has_room = False
        try:
            async with self._worker.turn:
                if life == self._lives:
                    has_room = self._worker.start(at)
                    await (self._answer(packet, life) if has_room else self._refuse(packet))
        finally:
            self._worker.done(answered=has_room)

    async def _answer(self, packet: bytes, life: int) -> None:
        try:
            answers, cost_s = self._handling.handle(packet)
            self._worker.free_at += cost_s
            await until(self._worker.free_at)
            if life == self._lives:
                await self._send(answers)
        finally:
            self._handling.done()

    async def _refuse(self, packet: bytes) -> None:
        if self._handling.refuse is not None:
            await self._send(self._handling.refuse(packet))

    async def _send(self, answers: list[bytes]) -> None:
        for answer in answers:
            self._worker.free_at = await self._handling.send(answer, self._worker.free_at)


class Receiver:
    """From bytes to requests: a UART's ring, the framing, and packets that no buffer is long enough for.

    ``limit`` gives the longest message that the server takes that runs now: bootloader and application have their own.
    ``shell`` is called with the text in between, if there is a shell that reads it.
    """

    def __init__(
        self,
        framing: Framing,
        limit: Callable[[], int],
        ring: int | None,
        desk: Desk,
        shell: Callable[[str], object] | None = None,
    ) -> None:
        self._framing = framing
        self._limit = limit
        self._ring = ring
        self._desk = desk
        self._shell = shell
        self._held = bytearray()
        self._at = 0.0
        self.lost = 0
        desk.idle = self._empty_ring

    def receive(self, data: bytes, at: float) -> None:
        """Bytes have come in, at this time."""
        self._at = at
        if self._ring is None:
            self._feed(data)
            return
        for piece in self._pieces(data):
            if self._desk.busy:
                kept = piece[: self._ring - len(self._held)]
                self._held += kept
                self.lost += len(piece) - len(kept)
            else:
                self._feed(piece)

    def _empty_ring(self) -> None:
        held = bytes(self._held)
        self._held.clear()
        if held:
            self.receive(held, asyncio.get_running_loop().time())

    def _feed(self, data: bytes) -> None:
        for packet in self._framing.feed(data):
            if len(packet) <= self._limit():
                self._desk.accept(packet, self._at)
        typed = self._framing.take_text()
        if typed and self._shell is not None:
            self._shell(typed)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Short enough that the server is seen to be busy soon after a request is complete."""
        if self._shell is not None:
            yield data  # a shell judges a read by its beginning
        elif isinstance(self._framing, ConsoleFraming):
            yield from (line for line in data.splitlines(keepends=True) if line)
        else:
            yield from (data[at : at + _FIFO_SIZE] for at in range(0, len(data), _FIFO_SIZE))
