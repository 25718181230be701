"""A device's sense of time: how long it has been running, and the calendar once somebody has set it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

_EPOCH = datetime(1970, 1, 1)


class Rtc:
    """Counts from ``boot`` on, by the clock ``now`` (seconds). A reset forgets the calendar: no battery keeps it.

    ``booted_at`` is when that was on ``now``, ``offset_s`` how far the calendar is ahead of it; None: it is not set.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.booted_at = now()
        self.offset_s: float | None = None

    def boot(self) -> None:
        """Start at 0, without a calendar."""
        self.booted_at = self._now()
        self.offset_s = None

    @property
    def uptime_s(self) -> float:
        """Seconds since the boot; never less than 0, whatever is done to the computer's clock."""
        return max(self._now() - self.booted_at, 0.0)

    def read(self) -> datetime | None:
        """What the calendar shows, without zone; None until it is set. OverflowError after the year 9999."""
        return None if self.offset_s is None else _EPOCH + timedelta(seconds=self._now() + self.offset_s)

    def set(self, when: datetime) -> None:
        """Make the calendar show ``when``, which has no zone."""
        self.offset_s = (when - _EPOCH).total_seconds() - self._now()
