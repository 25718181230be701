"""How long answers take, and when an answer is overdue.

An answer is overdue after the largest of these: twice the mean round trip; the mean plus four deviations; 1.5 times the
longest recent one. The limits are ``FLOOR`` of the user's timeout and that timeout itself. With few round trips, it is
more than twice the mean. Every silence in a row doubles it. On trial, the lower limit is smaller, because one request
too many costs little.

Source: RFC 6298.
"""

from __future__ import annotations

from collections.abc import Iterable

FLOOR, TRIAL_FLOOR = 1 / 20, 1 / 100
_PEAK_FADES = 1 - 1 / 1024


def median(trips_s: Iterable[float]) -> float:
    """The median of at least one value. The module ``statistics`` loads 10 other modules, which every command pays."""
    ordered = sorted(trips_s)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class RoundTrips:
    """The round trips of answers. ``ceiling_s`` is the user's timeout, in seconds."""

    def __init__(self, ceiling_s: float) -> None:
        self._ceiling_s = ceiling_s
        self._mean = self._deviation = self._peak = 0.0
        self._count = 0
        self.shortest_s = ceiling_s
        self._silences = 0

    @property
    def mean_s(self) -> float:
        """The smoothed round trip, 0 before the first."""
        return self._mean

    def add(self, trip_s: float) -> None:
        """Note a request that was sent once and answered after ``trip_s``."""
        self._count += 1
        if self._mean:
            self._deviation += (abs(trip_s - self._mean) - self._deviation) / 4
            self._mean += (trip_s - self._mean) / 8
        else:
            self._mean, self._deviation = trip_s, trip_s / 2
        self._peak = max(self._peak * _PEAK_FADES, trip_s)
        self.shortest_s = min(self.shortest_s, trip_s)
        self._silences = 0

    def add_late(self, trip_s: float) -> None:
        """Note that an overdue answer took ``trip_s``: the next one may, too."""
        self._peak = max(self._peak, trip_s)
        self._silences = 0

    def add_silence(self) -> None:
        """Note an overdue answer: wait twice as long for the next one."""
        self._silences += 1

    @property
    def steady(self) -> bool:
        """True if answers take about the same time."""
        return 4 * self._deviation <= self._mean

    @property
    def late_s(self) -> float:
        """The time after which an answer is late, in seconds after the request."""
        return min(self._mean + max(4 * self._deviation, self._mean / 2), self._ceiling_s) or self._ceiling_s

    @property
    def echo_s(self) -> float:
        """The time after which the answer to a probe is late, in seconds after the answer to the chunk before it."""
        return self._mean + self._deviation / 2

    def overdue_s(self, *, on_trial: bool = False, grown: float = 1.0) -> float:
        """Return when an answer is overdue, in seconds after the request. ``grown``: how many times more in flight."""
        if not self._mean:
            return self._ceiling_s
        floor_s = self._ceiling_s * (TRIAL_FLOOR if on_trial else FLOOR)
        few = 4 / self._count  # few round trips show little of how they vary
        usual_s = max(self._mean + 4 * self._deviation, (2 + few) * self._mean, 1.5 * self._peak)
        wait_s = max(grown * usual_s, floor_s)
        return min(wait_s * float(1 << min(self._silences, 16)), self._ceiling_s)
