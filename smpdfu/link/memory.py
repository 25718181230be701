"""A wire in memory: both ends, and everything that can go wrong on a wire.

Virtual devices use its far end, and tests use it as a bad link. The faults depend on the seed only, so a failure can be
repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from math import inf
from random import Random

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.inbox import Inbox
from smpdfu.link.pipe import Pipe, not_open


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults in one direction of a wire.

    A write travels in pieces of ``split`` bytes (None: whole). With the probabilities ``loss``, ``corruption`` and
    ``duplication`` (0 to 1) a piece is lost, has one bit flipped, comes twice. Each piece takes ``delay_s`` seconds.

    The write number ``cut_after_writes + 1`` and the byte number ``cut_after_bytes + 1`` of a connection cut the wire:
    what came before arrives, and both ends are told. It can be opened again if ``reconnect``, and then counts afresh,
    unless it has been cut ``cuts`` times (None: without end).
    """

    seed: int = 0
    split: int | None = None
    loss: float = 0.0
    corruption: float = 0.0
    duplication: float = 0.0
    delay_s: float = 0.0
    cut_after_writes: int | None = None
    cut_after_bytes: int | None = None
    reconnect: bool = True
    cuts: int | None = None

    def __post_init__(self) -> None:
        if self.split is not None and self.split < 1:
            raise ValueError(f"a piece has at least one byte, not {self.split}")
        for rate in (self.loss, self.corruption, self.duplication):
            if not 0 <= rate <= 1:
                raise ValueError(f"a probability is between 0 and 1, not {rate}")
        for count in (self.delay_s, self.cut_after_writes or 0, self.cut_after_bytes or 0, self.cuts or 0):
            if count < 0:
                raise ValueError(f"a delay or a count is not negative: {count}")


NO_FAULTS = Faults()
GRACE_S = 0.5
"""How long a served device may go on when its host has closed the link."""


def pipe_pair(faults: Faults = NO_FAULTS, *, to_host: Faults | None = None, name: str = "memory") -> tuple[Pipe, Pipe]:
    """A wire: ``(host_end, device_end)``. ``faults`` act in both directions, ``to_host`` replaces them in its own.

    Either end may open first. When one closes, or the wire is cut, the other reads what was sent before and then gets
    LinkLostError; both have to open again to be connected again.
    """
    wire = _Wire(faults, faults if to_host is None else to_host)
    return _End(name, wire, 0), _End(name, wire, 1)


def served_pipe(
    serve: Callable[[Pipe], Coroutine[object, object, None]],
    faults: Faults = NO_FAULTS,
    *,
    to_host: Faults | None = None,
    name: str = "memory",
) -> Pipe:
    """The host's end of a wire whose far end is served in this process.

    Each time it is opened, ``serve(device_end)`` starts as a task, with ``device_end`` open. It should return when
    ``device_end`` is lost, and is cancelled ``GRACE_S`` after the host has closed; when it returns earlier, or fails,
    the link is lost, and the error says why.
    """
    host, device = pipe_pair(faults, to_host=to_host, name=name)
    return _Served(host, device, serve)


class _Served(Pipe):
    def __init__(self, host: Pipe, device: Pipe, serve: Callable[[Pipe], Coroutine[object, object, None]]) -> None:
        super().__init__(host.name, host.max_write)
        self._host = host
        self._device = device
        self._serve = serve
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def _open(self) -> None:
        await self._host.open()
        await self._device.open()
        self._failure = None
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._serve(self._device)
        except Exception as error:  # of the device, not of the wire: the reader gets it
            self._failure = error
        finally:
            await self._device.close()

    async def _close(self) -> None:
        task, self._task = self._task, None
        await self._host.close()
        if task is not None:
            try:
                await asyncio.wait([task], timeout=GRACE_S)  # the device still acts on what was sent
            finally:
                task.cancel()
            await asyncio.wait([task])

    async def _read(self) -> bytes:
        try:
            return await self._host.read()
        except LinkLostError:
            if self._failure is None:
                raise
            raise LinkLostError(f"the device behind {self.name} failed: {self._failure}") from self._failure

    async def _write(self, data: bytes) -> None:
        await self._host.write(data)


class _Direction:
    """What one direction does to what is written. Its dice roll on over reconnections, or a fault would repeat."""

    def __init__(self, faults: Faults, salt: str) -> None:
        self.faults = faults
        self.cuts = 0
        self._dice = Random(f"{faults.seed} {salt}")

    def damage(self, data: bytes) -> Iterator[bytes]:
        """The pieces that arrive when ``data`` is sent."""
        size = self.faults.split or max(1, len(data))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            lost, corrupt, twice = (self._dice.random() for _ in range(3))
            if lost < self.faults.loss:
                continue
            if corrupt < self.faults.corruption:
                piece = self._flip_bit(piece)
            yield piece
            if twice < self.faults.duplication:
                yield piece

    def _flip_bit(self, piece: bytes) -> bytes:
        number = int.from_bytes(piece, "big") ^ 1 << self._dice.randrange(8 * len(piece))
        return number.to_bytes(len(piece), "big")


class _Lane:
    """One direction during one connection."""

    def __init__(self, direction: _Direction) -> None:
        self.inbox = Inbox()
        self._direction = direction
        faults = direction.faults
        spared = faults.cuts is not None and direction.cuts >= faults.cuts
        self._writes_left = inf if spared or faults.cut_after_writes is None else faults.cut_after_writes
        self._bytes_left = inf if spared or faults.cut_after_bytes is None else faults.cut_after_bytes

    def send(self, data: bytes) -> bool:
        """Put ``data`` on the way; False if that was too much for the wire and cuts it."""
        passing = data[: int(min(self._bytes_left, len(data)))] if self._writes_left else b""
        self._writes_left -= 1
        self._bytes_left -= len(data)
        due = asyncio.get_running_loop().time() + self._direction.faults.delay_s
        for piece in self._direction.damage(passing):
            self.inbox.put(piece, due)
        cut = passing != data
        self._direction.cuts += cut
        return not cut


class _Connection:
    """The wire from one opening until its end. ``lanes[i]`` is what end ``i`` reads."""

    def __init__(self, directions: tuple[_Direction, _Direction]) -> None:
        self.lanes = tuple(_Lane(direction) for direction in directions)
        self.up = True

    def end(self, why: str) -> None:
        self.up = False
        for lane in self.lanes:
            lane.inbox.end(LinkLostError(why))


class _Wire:
    """What both ends share."""

    def __init__(self, to_device: Faults, to_host: Faults) -> None:
        self._directions = (_Direction(to_host, "to host"), _Direction(to_device, "to device"))
        self._reconnect = to_device.reconnect and to_host.reconnect
        self._current: _Connection | None = None
        self._cut = False

    def join(self, name: str) -> _Connection:
        """The connection that is up, or a new one."""
        if self._cut and not self._reconnect:
            raise ConnectError(f"cannot open {name}: its wire was cut", name)
        if self._current is None or not self._current.up:
            self._current = _Connection(self._directions)
        return self._current

    def cut(self, connection: _Connection, why: str) -> None:
        self._cut = True
        connection.end(why)


class _End(Pipe):
    """One end; ``side`` 0 is the host's, 1 the device's."""

    def __init__(self, name: str, wire: _Wire, side: int) -> None:
        super().__init__(name)
        self._wire = wire
        self._side = side
        self._connection: _Connection | None = None

    async def _open(self) -> None:
        self._connection = self._wire.join(self.name)

    async def _close(self) -> None:
        if self._connection is not None:
            self._connection.end(f"{self.name} was closed")
            self._connection.lanes[self._side].inbox.drop()
        self._connection = None

    async def _read(self) -> bytes:
        return await self._joined().lanes[self._side].inbox.get()

    async def _write(self, data: bytes) -> None:
        connection = self._joined()
        if not connection.up:
            raise LinkLostError(f"the link to {self.name} is lost")
        if not connection.lanes[1 - self._side].send(data):
            why = f"the link to {self.name} is lost: its wire was cut"
            self._wire.cut(connection, why)
            raise LinkLostError(why)
        await asyncio.sleep(0)  # a wire takes time: the other end runs meanwhile

    def _joined(self) -> _Connection:
        if self._connection is None:
            raise not_open(self.name)
        return self._connection
