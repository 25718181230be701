"""How many requests may be in flight, how far apart, and when one is overdue: decided by evidence, without a clock.

A ``Window`` is told what happens and when, in seconds of any clock. Its rules:

    what is seen                          what follows
    ------------------------------------  ---------------------------------------------------------------------------
    the beginning                         one in flight; where bytes may get lost, until probes are answered
                                          (``Hearing``). Then larger sizes, each on trial, if what a short request
                                          takes as well, which several share, is worth ``TRIAL_TRIPS`` in the end.
                                          The first is as many as can share it, up to the device's buffers less one
    a size on trial pays: in flight by    it is kept, and the next one is tried: up to the device's buffers less one,
    round trip grows by ``PAYS``          for the answer needs one; two, and later, where it does not tell. That is
                                          twice the size as long as round trips are no longer than with one in flight
                                          and nothing has failed, else one more
    it does not pay after ``SAMPLES``,    back to where it came from; tried again after ``HOLD`` answers, then twice as
    or is slower after ``FEW_SAMPLES``    many, ...; four times as many where it was slower
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
    a fault that costs less than several  it does not count against several in flight, even if they cause it. Not where
    gained since the last one             bytes may get lost: there it only decides whether ``SPARED`` holds
    (``WORTH``)
    more faults that count than           the receiver loses bytes while it is busy (a small UART, flash that stops the
    ``SPARED``, and than those that the   processor): one in flight from here on, until the wire fails as often (and,
    wire explains                         where bytes may get lost, probes are answered)
    ``STRETCH`` answers with several in   back to where it came from, as on trial: what paid then does not any more
    flight come no faster than one by
    one
    the answer comes after all            the fault is taken back; round trips as long are waited for from now on
    trials have cost what was gained,     no size that failed, nor any beyond the buffers, is tried any more
    and ``BUDGET`` of the whole time

Sources: measured behaviour of Zephyr's and MCUboot's servers.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from smpdfu.smp.transfer.hearing import Hearing, Losses
from smpdfu.smp.transfer.sizes import STRETCH, Before, Size
from smpdfu.smp.transfer.trips import RoundTrips, median

PAYS = 1.04
SAMPLES, FEW_SAMPLES, UNSTEADY_SAMPLES = 12, 4, 8
UNSTEADY = 1.5
HOLD = 64
EVEN = 0.8
SPARED = 1
"""Faults with several in flight that are put down to chance."""
WORTH = 2
"""A fault is the price of several in flight if these gained as many times what it costs since the last one."""
BARS = (8, 16, 256, 1024)
"""Answers for which a size is barred: it failed after a good run, then at once for the first, second, ... time."""
BUDGET, PROBE_BUDGET = 0.03, 0.02
SHORTEST_GAP_S = 0.002
"""Timers, hosts and adapters are not more regular than to keep such a gap."""
TRIAL_TRIPS = 4
"""Round trips that it may cost to find out that several in flight do not pay."""
_MOST = 8  # more ended servers for good
_UNTOLD, _PROOF = 2, 16
_GOOD_RUN = 8
_FLAT = 1.2
_BUNCH = 1 / 8  # of the time between answers that are spread evenly
_IDLE_TRIP_S = 0.012  # below, sends cannot be spread over a round trip
_TIMER_S = 0.0005  # a timer is later than it should be


class Fault(Enum):
    """What went wrong with a request."""

    BEHIND = "behind"
    """The device has not got what was sent before."""
    FULL = "full"
    """The device has no buffer for it."""
    SILENCE = "silence"
    """Nothing came back in time."""


class Window:
    """The requests in flight to one device: ``size`` may be. ``buffers``: what the device says it has, None: nothing.

    ``bound`` is the user's own limit; ``timeout_s`` the user's timeout, in seconds; ``least_trip_s`` the shortest round
    trip of any request yet, 0 if that is not known. ``probes``: where bytes may get lost while the device works, so
    many in a row prove that they do not (see ``Hearing``); 0 elsewhere. While ``asks`` is True, one is to be sent
    behind the next chunk. ValueError if ``bound`` or ``timeout_s`` is not positive.
    """

    def __init__(
        self,
        buffers: int | None = None,
        *,
        bound: int | None = None,
        timeout_s: float = 2.5,
        probes: int = 0,
        least_trip_s: float = 0.0,
    ) -> None:
        if timeout_s <= 0 or (bound is not None and bound < 1):
            raise ValueError(f"a window of {bound} and a timeout of {timeout_s} s let nothing pass")
        room = _UNTOLD if buffers is None else max(1, buffers - 1)
        reach = room if buffers is None or buffers < 2 else 2 * buffers - 1
        self._most = min(reach, _MOST, bound or _MOST)
        self._room = min(room, self._most)
        self.size = 1
        self.asks = False
        self._hearing = Hearing(probes)
        self._least_trip_s = least_trip_s
        self.trips = RoundTrips(timeout_s)
        self._sizes = [Size() for _ in range(max(self._most, 2) + 2)]
        if buffers is None:
            self._sizes[2].barred_until = _PROOF
        self._on_trial = False
        self._base = 1  # the size from which the one on trial was reached
        self._answers = self._bunched = self._excesses = self._beyond_from = 0
        self._began: float | None = None
        self._sent_at = self._chosen_at = self._moved_at = -1e9
        self._faulty_since: float | None = None
        self._spent_s = self._gained_s = self._gained_before_s = self._alone_s = 0.0
        self._before: Before | None = None
        self._losses = Losses()

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
        grown = self.size / self._base if self._on_trial else 1  # and round trips with it, if requests queue
        return self.trips.overdue_s(on_trial=self._on_trial, grown=grown)

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
        self._losses.answered(self.size)
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
            self._losses.alone_faults += sent_at >= self._chosen_at
            return  # the wire's fault
        if sent_at < self._chosen_at:
            return  # one that is paid for
        here = self._sizes[size]
        self._before = Before(size, here.failures, here.barred_until, replace(self._hearing), replace(self._losses))
        paid = not self._hearing.full and self._gained_since_s >= WORTH * self.overdue_s()
        self._losses.many_faults += kind is not Fault.FULL and not paid
        if here.run >= _GOOD_RUN and size <= self._room:
            here.failures = 0
        else:
            here.failures += 1
            self._faulty_since = self._moved_at
        here.barred_until = self._answers + BARS[min(here.failures, len(BARS) - 1)]
        if size > self._room:
            self._beyond_from = self._answers + (BARS[2] << self._excesses)
            self._excesses += 1
        left = min(size // 2 if kind is Fault.SILENCE else size - 1, self._room)
        if self._loses_bytes:
            left = 1
            self._doubt()
        self._gained_before_s = self._gained_s
        self._choose(left, self._sent_at + 1e-9)

    def late(self, trip_s: float) -> None:
        """An answer that was given up has come, ``trip_s`` after its request: there was no fault."""
        self.trips.add_late(trip_s)
        before, self._before, self._faulty_since = self._before, None, None
        if before is not None:
            there = self._sizes[before.size]
            there.failures, there.barred_until = before.failures, before.barred_until
            self._hearing, self._losses = before.hearing, before.losses
            self._beyond_from = self._answers
            self._choose(before.size, self._sent_at + 1e-9)

    def answer_lost(self) -> None:
        """An answer never came, though the device has what it was for: the wire loses messages."""
        self._losses.answers += 1

    # --- probes ------------------------------------------------------------------------------------------------------

    def probe_gap_s(self, *, page: bool) -> float:
        """How long after the chunk the probe is sent; ``page``: the chunk ends one."""
        return self._hearing.phase(page=page, spread=self._can_spread) * self.trips.mean_s

    @property
    def wants_page(self) -> bool:
        """Must a probe, and nothing else, go behind the next chunk that ends a page of flash?"""
        return self.size > 1 and self._hearing.wants_page

    @property
    def queues(self) -> bool:
        """Do requests wait in the device, so that what is sent now is not what it works on?"""
        return not self._flat(self.trips.mean_s)

    def probe_heard(self, *, page: bool) -> None:
        """The probe was answered; ``page``: the chunk before it ended one."""
        self.asks = False
        self._hearing.heard(page=page)

    def probe_missed(self, cost_s: float, *, page: bool) -> None:
        """It was not, but the chunk was; ``cost_s`` later it was given up."""
        self.asks = False
        self._spent_s += cost_s
        self._hearing.missed(self._answers, page=page, wire=self._losses.by_wire)
        self._choose(1, self._sent_at + 1e-9)

    # --- which size --------------------------------------------------------------------------------------------------

    def _judge(self, now: float, left: int) -> None:
        size, here = self.size, self._sizes[self.size]
        if size == 1 and here.trips:  # of few, the shortest: a probe may have delayed another
            self._alone_s = median(here.trips) if len(here.trips) >= FEW_SAMPLES else min(here.trips)
        if size == 1 and here.trips and not self._hearing.proven:
            self.asks = self._may_ask(now, left)
            return
        if not self._is_known(here):
            return
        if self._on_trial:
            if not self._pays(size):
                costs = len(here.trips) >= FEW_SAMPLES and self._costs(size)
                if costs or len(here.trips) >= SAMPLES:
                    self._disappoint(here, 2 if costs else 0)
                    self._choose(self._base, now)
                return
            self._on_trial = False
        elif size > 1 and self._slowed(here):
            self._disappoint(here)
            self._choose(1, now)
            return
        larger = self._larger(size) if size < self._most else size
        above = self._sizes[larger]
        if larger > size and self._answers >= above.barred_until and self._affords(larger, now, left):
            above.trips.clear()
            self._choose(larger, now)
            self._on_trial, self._base = True, size

    def _is_known(self, here: Size) -> bool:
        """Have enough answers come with as many in flight, or, with one, about as fast as to a short request?"""
        count = len(here.trips)
        if self.size > 1 or count >= UNSTEADY_SAMPLES:
            return count >= 2
        shortest_s = min(here.trips, default=0.0) if count >= 2 else self._least_trip_s
        return count > 0 and max(here.trips) <= UNSTEADY * shortest_s

    def _disappoint(self, size: Size, more: int = 0) -> None:
        """Bar a size that does not pay, for twice as long each time; ``more``: as often twice as long again."""
        size.barred_until = self._answers + (HOLD << min(size.disappointments + more, 4))
        size.disappointments += 1

    def _costs(self, size: int) -> bool:
        """Are answers slower than with as many in flight as before?"""
        return PAYS * size * self._below_s < self._base * median(self._sizes[size].trips)

    @property
    def _below_s(self) -> float:
        """The usual round trip of the size from which the one on trial was reached."""
        return self._alone_s if self._base == 1 else median(self._sizes[self._base].trips or (0.0,))

    def _slowed(self, here: Size) -> bool:
        """Do answers come no faster than they did with one in flight?"""
        moves = here.moves
        return len(moves) > STRETCH and (moves[-1] - moves[0]) * PAYS >= STRETCH * self._alone_s > 0

    @property
    def _gained_since_s(self) -> float:
        """What several in flight gained since the last fault, in seconds."""
        return self._gained_s - self._gained_before_s

    @property
    def _loses_bytes(self) -> bool:
        """Do more faults come with several in flight than chance and the wire explain?"""
        spared = SPARED if not self._hearing.full or self._gained_since_s >= WORTH * self.overdue_s() else 0
        return self._losses.unexplained > spared

    def _doubt(self) -> None:
        """The device may not hear while it works: if that can be tested, what failed until now does not count."""
        if self._hearing.full:
            self._hearing.doubt(wire=self._losses.by_wire)
            self._losses.forget_many()

    def _larger(self, size: int) -> int:
        """What may be tried after ``size``."""
        step = min(self._sharers if size == 1 else 2 * size, self._room)
        if step <= size + 1 or any(one.barred_until for one in self._sizes):
            return size + 1
        return step if size == 1 or self._flat(median(self._sizes[size].trips)) else size + 1

    @property
    def _sharers(self) -> int:
        """How many requests can share what a short one takes as well, before the device or the wire is busy."""
        own_s = self._alone_s - self._least_trip_s
        return int(self._alone_s / own_s) if 0 < own_s < self._alone_s else 1

    def _pays(self, size: int) -> bool:
        here, below = median(self._sizes[size].trips), self._below_s
        few = len(self._sizes[size].trips) < FEW_SAMPLES
        if (size > self._room or few) and not self._flat(here):
            return False
        return size * below >= PAYS * self._base * here

    def _flat(self, trip_s: float) -> bool:
        return trip_s <= _FLAT * self._alone_s

    def _affords(self, size: int, now: float, left: int) -> bool:
        """May ``size`` be tried, with ``left`` requests to come?"""
        if not self._hearing.full and self._loses_bytes:
            return False
        if size > self._room:
            below = self._sizes[size - 1]
            spread = self._can_spread and self._gap_s(size) >= SHORTEST_GAP_S
            calm = self._answers >= self._beyond_from and below.run >= 2 * size
            if not (spread and calm and self.trips.steady and self._flat(median(below.trips))):
                return False
        elif not self._sizes[size].failures:
            return left >= size and (self.size > 1 or self._promises(left))
        return self._spent_s + 3 * self.trips.mean_s <= self._gained_s + BUDGET * self._whole_s(now, left)

    def _promises(self, left: int) -> bool:
        """May several in flight gain more, in ``left`` requests, than to try it costs?

        What a short request takes as well is waiting, which several in flight share. The rest is the device's or the
        wire's own time, which they do not.
        """
        return left * min(self._least_trip_s or self._alone_s, self._alone_s) >= TRIAL_TRIPS * self._alone_s

    def _may_ask(self, now: float, left: int) -> bool:
        """Is a probe worth it, now?"""
        due = self._hearing.may_ask(self._answers, wire=self._losses.by_wire)
        if self._most < 2 or left < 2 or not due or self._answers < self._sizes[2].barred_until:
            return False
        if not self._promises(left):
            return False
        spent_s = self._spent_s + self.trips.mean_s
        return not self._hearing.missed_before or spent_s <= self._gained_s + PROBE_BUDGET * self._whole_s(now, left)

    def _whole_s(self, now: float, left: int) -> float:
        """About how long everything takes."""
        return now - (self._began or 0.0) + left * self.trips.mean_s / self.size

    def _choose(self, size: int, now: float) -> None:
        self.size, self._on_trial, self._chosen_at = max(size, 1), False, now
        self._sizes[self.size].run = 0
        self._sizes[self.size].moves.clear()
