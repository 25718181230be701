"""An event loop in simulated time: its clock jumps to the next timer, whatever the computer's load is."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

import pytest

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


START_S = 1000.0
"""The time at which a simulation begins: clocks of computers do not show 0 either."""


class _Jumping(selectors.DefaultSelector):
    """Passes the time instead of waiting: nothing in a simulation comes from outside."""

    now_s = START_S
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits and no timer is set: nothing would ever happen")
        self.turns += 1
        self.now_s += max(timeout, 0.0)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """For code that talks within this process only. What a thread would do is done at once, and takes no time."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """The simulated time, in seconds."""
        return self._jumping.now_s

    def advance(self, seconds: float) -> None:
        """Set the clock on."""
        self._jumping.now_s += seconds

    @property
    def turns(self) -> int:
        """How often the loop looked for something to do."""
        return self._jumping.turns

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call it here and now."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except BaseException as error:
            done.set_exception(error)
        return done


def simulate(main: Coroutine[Any, Any, T], *, start_s: float = START_S) -> T:
    """``asyncio.run`` in simulated time. AssertionError where a task failed and nobody took notice."""
    unseen: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, SimulatedLoop)
        loop.advance(start_s - loop.time())
        loop.set_exception_handler(lambda _, context: unseen.append(context))
        result = runner.run(main)
    assert not unseen, unseen
    return result


def simulate_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run in this process, on virtual devices in it, do so in simulated time."""
    monkeypatch.setattr(asyncio.events, "new_event_loop", SimulatedLoop)


async def timed(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """What ``work`` gives, and how long it took in simulated seconds."""
    began = now()
    return await work, now() - began


def now() -> float:
    """The simulated time, in seconds."""
    return _running().time()


def turns() -> int:
    """How often the loop has looked for something to do."""
    return _running().turns


def stall(seconds: float) -> None:
    """Let time pass in which nothing is done, as on a computer that does something else."""
    _running().advance(seconds)


def _running() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop
