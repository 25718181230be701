"""How many requests may be in flight, how far apart, and when one is overdue: decided by evidence, without a clock.

A ``Window`` is told what happens and when, in seconds of any clock. Its rules:

    what is seen                          what follows
    ------------------------------------  ---------------------------------------------------------------------------
    the beginning                         one in flight; then larger sizes, each on trial
    a size on trial pays: in flight by    it is kept, and the next one is tried: up to the device's buffers less one,
    round trip grows by ``PAYS``          for the answer needs one; two, and later, where it does not tell. That is
                                          twice the size as long as round trips are no longer than with one in flight
                                          and nothing has failed, else one more
    it does not pay after ``SAMPLES``     back to where it came from; tried again after ``HOLD`` answers, then twice as
                                          many, ...
    round trips no longer than with one   the device is idle between requests, so more than it has buffers can be on
    in flight, answers one by one         the wire: one more at a time is tried, up to twice its buffers less one, as
                                          round trips stay flat and sends are ``SHORTEST_GAP_S`` apart. Not if answers
                                          come in bunches, for then requests do, too
    several in flight, and round trips    sends are ``EVEN`` of a round trip's share apart: never a burst. Not if
    that timers can divide                answers come in bunches, and where buffers allow a burst not by less than
                                          ``SHORTEST_GAP_S``
    a fault: the device is behind, has    down by one at once; silence: down to half. The size is barred, for the
    no buffer, or is silent               longer the sooner and the more often it failed (``BARS``)
    a fault with one in flight            nothing: that is the wire's
    more faults with several in flight    one in flight from here on, until the wire fails as often: the receiver loses
    than ``SPARED`` and those that the    bytes while it is busy (a small UART, flash that stops the processor)
    wire explains
    ``STRETCH`` answers with several in   back to where it came from, as on trial: what paid then does not any more
    flight come no faster than one by
    one
    the answer comes after all            the fault is taken back; round trips as long are waited for from now on
    trials have cost what was gained,     no size that failed, nor any beyond the buffers, is tried any more
    and ``BUDGET`` of the whole time

    When an answer is overdue: twice the mean round trip, the mean and four deviations, or half as long again as the
    longest of late, whichever is more; not less than ``FLOOR`` of the user's timeout, and not more than that. It
    doubles with every silence in a row. On trial a shorter floor will do: to ask once too often costs little.

Sources: RFC 6298 for round trips; measured behaviour of Zephyr's and MCUboot's servers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from statistics import median

PAYS = 1.04
SAMPLES = 12
HOLD = 64
EVEN = 0.8
SPARED = 1
"""Faults with several in flight that are put down to chance."""
STRETCH = 32
BARS = (8, 16, 256, 1024)
"""Answers for which a size is barred: it failed after a good run, then at once for the first, second, ... time."""
BUDGET = 0.03
SHORTEST_GAP_S = 0.002
"""Timers, hosts and adapters are not more regular than to keep such a gap."""
FLOOR, TRIAL_FLOOR = 1 / 20, 1 / 100
_MOST = 8  # more ended servers for good
_UNTOLD, _PROOF = 2, 16
_GOOD_RUN = 8
_FLAT = 1.2
_BUNCH = 1 / 8  # of the time between answers that are spread evenly
_IDLE_TRIP_S = 0.012  # below, sends cannot be spread over a round trip
_TIMER_S = 0.0005  # a timer is later than it should be
_PEAK_FADES = 1 - 1 / 1024
_KEPT = 16


class Fault(Enum):
    """What went wrong with a request."""

    BEHIND = "behind"
    """The device has not got what was sent before, or has no buffer."""
    SILENCE = "silence"
    """Nothing came back in time."""


class RoundTrips:
    """How long answers take. ``ceiling_s`` is the user's timeout."""

    def __init__(self, ceiling_s: float) -> None:
        self._ceiling_s = ceiling_s
        self._mean = self._deviation = self._peak = 0.0
        self.shortest_s = ceiling_s
        self._silences = 0

    @property
    def mean_s(self) -> float:
        """The smoothed round trip, 0 before the first."""
        return self._mean

    def add(self, trip_s: float) -> None:
        """One request went out once and was answered after ``trip_s``."""
        if self._mean:
            self._deviation += (abs(trip_s - self._mean) - self._deviation) / 4
            self._mean += (trip_s - self._mean) / 8
        else:
            self._mean, self._deviation = trip_s, trip_s / 2
        self._peak = max(self._peak * _PEAK_FADES, trip_s)
        self.shortest_s = min(self.shortest_s, trip_s)
        self._silences = 0

    def add_late(self, trip_s: float) -> None:
        """An answer that had been given up took ``trip_s``: the next one may, too."""
        self._peak = max(self._peak, trip_s)
        self._silences = 0

    def add_silence(self) -> None:
        """An answer is overdue: wait twice as long for the next."""
        self._silences += 1

    @property
    def late_s(self) -> float:
        """When an answer is late, in seconds after the request."""
        return min(self._mean + max(4 * self._deviation, self._mean / 2), self._ceiling_s) or self._ceiling_s

    def overdue_s(self, *, on_trial: bool = False) -> float:
        """When to give up an answer, in seconds after the request."""
        if not self._mean:
            return self._ceiling_s
        floor_s = self._ceiling_s * (TRIAL_FLOOR if on_trial else FLOOR)
        wait_s = max(self._mean + 4 * self._deviation, 2 * self._mean, 1.5 * self._peak, floor_s)
        return min(wait_s * float(1 << min(self._silences, 16)), self._ceiling_s)


@dataclass(slots=True)
class _Size:
    """What is known of one number in flight. ``run``: answers since it was last chosen, or failed."""

    trips: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    moves: deque[float] = field(default_factory=lambda: deque(maxlen=STRETCH + 1))
    run: int = 0
    failures: int = 0
    disappointments: int = 0
    barred_until: int = 0


@dataclass(frozen=True, slots=True)
class _Before:
    """What a fault changed, for when it proves to be none."""

    size: int
    failures: int
    barred_until: int
    faults: int


class Window:
    """The requests in flight to one device: ``size`` may be. ``buffers``: what the device says it has, None: nothing.

    ``bound`` is the user's own limit; ``timeout_s`` the user's timeout, in seconds. ValueError if either is not
    positive.
    """

    def __init__(self, buffers: int | None = None, *, bound: int | None = None, timeout_s: float = 2.5) -> None:
        if timeout_s <= 0 or (bound is not None and bound < 1):
            raise ValueError(f"a window of {bound} and a timeout of {timeout_s} s let nothing pass")
        room = _UNTOLD if buffers is None else max(1, buffers - 1)
        reach = room if buffers is None or buffers < 2 else 2 * buffers - 1
        self._most = min(reach, _MOST, bound or _MOST)
        self._room = min(room, self._most)
        self.size = 1
        self.trips = RoundTrips(timeout_s)
        self._sizes = [_Size() for _ in range(max(self._most, 2) + 2)]
        if buffers is None:
            self._sizes[2].barred_until = _PROOF
        self._on_trial = False
        self._base = 1  # the size from which the one on trial was reached
        self._answers = self._bunched = self._excesses = self._beyond_from = 0
        self._began: float | None = None
        self._sent_at = self._chosen_at = self._moved_at = -1e9
        self._faulty_since: float | None = None
        self._spent_s = self._gained_s = self._alone_s = 0.0
        self._before: _Before | None = None
        # With one in flight, and with several: answers and faults.
        self._alone_answers = self._alone_faults = self._many_answers = self._many_faults = 0

    # --- when to send -------------------------------------------------------------------------------------------------

    def send_at(self) -> float:
        """The earliest time of the next send."""
        if not self._can_spread:
            return self._sent_at
        gap_s = self._gap_s(self.size)
        if self.size > self._room:
            gap_s = max(gap_s, SHORTEST_GAP_S)
        return self._sent_at + (gap_s if gap_s >= SHORTEST_GAP_S else 0.0)

    @property
    def _can_spread(self) -> bool:
        return self.trips.shortest_s >= _IDLE_TRIP_S and 4 * self._bunched <= self._answers

    def _gap_s(self, size: int) -> float:
        return EVEN * self.trips.mean_s / size - _TIMER_S if size > 1 else 0.0

    def overdue_s(self) -> float:
        """Silence, in seconds, after which an answer is given up for now."""
        return self.trips.overdue_s(on_trial=self._on_trial)

    def sent(self, now: float) -> None:
        """A request goes out."""
        if self._began is None:
            self._began = self._moved_at = now
        self._sent_at = now

    # --- what came back ----------------------------------------------------------------------------------------------

    def answered(self, now: float, sent_at: float, *, left: int, again: bool = False) -> None:
        """The device moved on with the answer to what was sent at ``sent_at``; ``left`` requests are to come.

        ``again``: it was sent more than once, so that its round trip says nothing.
        """
        self._answers += 1
        here = self._sizes[self.size]
        here.run += 1
        here.moves.append(now)
        if self.size == 1:
            self._alone_answers += 1
        else:
            self._many_answers += 1
        if self._faulty_since is not None:
            self._spent_s += max(0.0, now - self._faulty_since - self.trips.mean_s)
            self._faulty_since = None
        self._bunched += self.size > 1 and now - self._moved_at < _BUNCH * self.trips.mean_s / self.size
        self._moved_at = now
        if not again:
            self.trips.add(now - sent_at)
            self._gained_s += max(0.0, self._alone_s - self.trips.mean_s / self.size)
            if sent_at >= self._chosen_at:
                here.trips.append(now - sent_at)
        self._judge(now, left)

    def fault(self, sent_at: float, kind: Fault) -> None:
        """Something went wrong with what was sent at ``sent_at``."""
        if kind is Fault.SILENCE:
            self.trips.add_silence()
        size = self.size
        if size == 1:
            self._alone_faults += sent_at >= self._chosen_at
            return  # the wire's fault
        if sent_at < self._chosen_at:
            return  # one that is paid for
        here = self._sizes[size]
        self._before = _Before(size, here.failures, here.barred_until, self._many_faults)
        self._many_faults += 1
        if here.run >= _GOOD_RUN and size <= self._room:
            here.failures = 0
        else:
            here.failures += 1
            self._faulty_since = self._moved_at
        here.barred_until = self._answers + BARS[min(here.failures, len(BARS) - 1)]
        if size > self._room:
            self._beyond_from = self._answers + (BARS[2] << self._excesses)
            self._excesses += 1
        left = min(size - 1 if kind is Fault.BEHIND else size // 2, self._room)
        self._choose(1 if self._loses_bytes else left, self._sent_at + 1e-9)

    def late(self, trip_s: float) -> None:
        """An answer that was given up has come, ``trip_s`` after its request: there was no fault."""
        self.trips.add_late(trip_s)
        before, self._before, self._faulty_since = self._before, None, None
        if before is not None:
            there = self._sizes[before.size]
            there.failures, there.barred_until = before.failures, before.barred_until
            self._many_faults = before.faults
            self._beyond_from = self._answers
            self._choose(before.size, self._sent_at + 1e-9)

    # --- which size --------------------------------------------------------------------------------------------------

    def _judge(self, now: float, left: int) -> None:
        size, here = self.size, self._sizes[self.size]
        if len(here.trips) < 2:
            return
        if self._on_trial:
            if not self._pays(size):
                if len(here.trips) >= SAMPLES:
                    here.barred_until = self._answers + (HOLD << here.disappointments)
                    here.disappointments = min(here.disappointments + 1, 4)
                    self._choose(self._base, now)
                return
            self._on_trial = False
        elif size > 1 and self._slowed(here):
            here.barred_until = self._answers + (HOLD << here.disappointments)
            here.disappointments = min(here.disappointments + 1, 4)
            self._choose(1, now)
            return
        if size == 1:
            self._alone_s = median(here.trips)
        larger = self._larger(size)
        above = self._sizes[larger]
        if size < self._most and self._answers >= above.barred_until and self._affords(larger, now, left):
            above.trips.clear()
            self._choose(larger, now)
            self._on_trial, self._base = True, size

    def _slowed(self, here: _Size) -> bool:
        """Do answers come no faster than they did with one in flight?"""
        moves = here.moves
        return len(moves) > STRETCH and (moves[-1] - moves[0]) * PAYS >= STRETCH * self._alone_s > 0

    @property
    def _loses_bytes(self) -> bool:
        """Do more faults come with several in flight than chance and the wire explain?"""
        explained = 2 * self._many_answers * self._alone_faults / max(self._alone_answers, 1)
        return self._many_faults > SPARED + explained

    def _larger(self, size: int) -> int:
        """What may be tried after ``size``."""
        double = min(2 * size, self._room)
        smooth = self._flat(median(self._sizes[size].trips)) and not any(one.barred_until for one in self._sizes)
        return double if smooth and double > size else size + 1

    def _pays(self, size: int) -> bool:
        here, below = median(self._sizes[size].trips), median(self._sizes[self._base].trips or (0.0,))
        if size > self._room and not self._flat(here):
            return False
        return size * below >= PAYS * self._base * here

    def _flat(self, trip_s: float) -> bool:
        return trip_s <= _FLAT * self._alone_s

    def _affords(self, size: int, now: float, left: int) -> bool:
        """May ``size`` be tried, with ``left`` requests to come?"""
        if self._loses_bytes:
            return False
        if size > self._room:
            below = self._sizes[size - 1]
            spread = self._can_spread and self._gap_s(size) >= SHORTEST_GAP_S
            calm = self._answers >= self._beyond_from and below.run >= 2 * size
            if not (spread and calm and self._flat(median(below.trips))):
                return False
        elif not self._sizes[size].failures:
            return left >= size
        whole_s = now - (self._began or 0.0) + left * self.trips.mean_s / self.size
        return self._spent_s + 3 * self.trips.mean_s <= self._gained_s + BUDGET * whole_s

    def _choose(self, size: int, now: float) -> None:
        self.size, self._on_trial, self._chosen_at = max(size, 1), False, now
        self._sizes[self.size].run = 0
        self._sizes[self.size].moves.clear()
