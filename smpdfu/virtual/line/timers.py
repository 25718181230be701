"""Timers that are on time: what is modelled to the millisecond must not be a millisecond late."""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Callable
from typing import TYPE_CHECKING


async def until(when: float) -> None:
    """Wait until the loop's clock shows ``when``; returns at once if it does."""
    rest_s = when - asyncio.get_running_loop().time()
    if rest_s > 0:
        await asyncio.sleep(rest_s)


def loop_time() -> float:
    """The time by the event loop's clock; 0 where none runs, and so nobody waits."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are late by some 0.1 ms instead of up to 1 ms, where the system can do that.

    epoll(7) counts in whole milliseconds, and asyncio rounds up to the next one.
    """
    return asyncio.SelectorEventLoop(_PreciseSelector()) if _PreciseSelector is not None else asyncio.new_event_loop()


_PreciseSelector: Callable[[], selectors.BaseSelector] | None = None
if TYPE_CHECKING or hasattr(selectors, "EpollSelector"):

    class _Epoll(selectors.EpollSelector):
        """Sleeps in select(2), which counts microseconds, with the one descriptor that stands for all the others."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                try:
                    select.select((self.fileno(),), (), (), timeout)
                except InterruptedError:
                    return []
                timeout = 0
            return super().select(timeout)

    _PreciseSelector = _Epoll
