"""An event loop whose clock runs as fast as is needed: what takes an hour is done at once, and always the same way."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NoWaiting(selectors.SelectSelector):
    """Passes the time instead of waiting: nothing in a simulation comes from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0
        self.turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits and nothing will ever happen")
        self.turns += 1
        self.passed_s += max(timeout, 0.0)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """``time()`` is the simulated one, in seconds."""

    def __init__(self) -> None:
        self._passing = _NoWaiting()
        super().__init__(self._passing)

    def time(self) -> float:
        return self._passing.passed_s


def simulate(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)
