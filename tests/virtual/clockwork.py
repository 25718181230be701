"""An event loop whose clock is ours: it jumps to the next timer instead of waiting, so that times are exact."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits and no timer is set: nothing would ever happen"
        self.now += max(timeout, 0.0)
        return super().select(0)


class ClockworkLoop(asyncio.SelectorEventLoop):
    """For code that uses no sockets."""

    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


def run(main: Coroutine[object, object, T]) -> T:
    """As ``asyncio.run``, in no time."""
    with asyncio.Runner(loop_factory=ClockworkLoop) as runner:
        return runner.run(main)


def stall(seconds: float) -> None:
    """The computer does something else for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockworkLoop)
    loop.jumping.now += seconds


def now() -> float:
    """The time by the loop's clock, in seconds."""
    return asyncio.get_running_loop().time()
