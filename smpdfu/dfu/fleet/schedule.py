"""Which device of a fleet is next. Pure and without a clock: the caller gives the time, in seconds.

    phase     what begins                          left when
    --------  -----------------------------------  ------------------------------------------------------------------
    RUNNING   devices of the wave, in their        every device of the wave ended -> SOAKING, or DONE after the last one
              order, ``at_once`` at a time         too many failed, one is unproven and that stops, or the wave ended
                                                   and did not succeed (``Limits.needed``) -> STOPPED
    SOAKING   nothing                              the soak time is over -> RUNNING with the next wave
    PAUSED    nothing; what began is finished      ``resume`` -> where it was
    STOPPED   nothing; what began is finished      never: to continue in spite of failures is another schedule
    DONE      nothing                              never

A device whose outcome is good is never updated again. A wave counts every device that ended in it, in this run or an
earlier one. If an earlier run finished a wave, only the rest of its soak time is left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum

from smpdfu.dfu.fleet.description.file import Limits, Unproven, Wave
from smpdfu.dfu.fleet.device_outcome import Outcome as Outcome
from smpdfu.dfu.fleet.stops import Stop, StopCode


class Phase(StrEnum):
    """A state of the table above."""

    RUNNING = "running"
    SOAKING = "soaking"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"


class Schedule:
    """The waves of one run. ``known`` are the outcomes of earlier runs that stand: those devices are not updated again.

    ``counted`` are those of them whose failure, or missing proof, counts towards the limits. ``ago`` says how many
    seconds ago they ended. ``begun`` are the devices that an earlier run began and did not see end, with the time in
    seconds since 1970. ``go_on``: devices that failed in earlier runs are updated again.
    """

    def __init__(
        self,
        waves: Iterable[Wave],
        limits: Limits,
        known: Mapping[str, Outcome],
        counted: Iterable[str] = (),
        ago: Mapping[str, float] | None = None,
        *,
        begun: Mapping[str, float] | None = None,
        go_on: bool = False,
    ) -> None:
        self.waves = tuple(waves)
        self._limits = limits
        self._ago = ago or {}
        self.outcomes = dict(known)
        self.begun = begun or {}
        self.go_on = go_on
        counts = set(counted)
        self._failed = {name for name in counts if not known[name].good}
        self._away = {name for name in counts if known[name] is Outcome.UNREACHABLE}
        self._unproven = {name for name in counts if known[name] is Outcome.UNPROVEN}
        self.running: set[str] = set()
        self.paused = False
        self.stopped: Stop | None = None
        self._enter(0)

    def _enter(self, number: int) -> None:
        self._wave = number
        self._soak_until: float | None = None
        self._fresh = False
        names = () if self.wave is None else self.wave.devices
        ended = [name for name in names if name in self.outcomes]
        self._waiting = deque(name for name in names if name not in self.outcomes)
        self._ended = len(ended)
        self._bad = sum(name in self._failed for name in ended)
        self._silent_here = sum(name in self._away for name in ended)
        self._judge()

    @property
    def phase(self) -> Phase:
        """The state of the run, see ``Phase``."""
        if self.stopped is not None:
            return Phase.STOPPED
        if self._wave >= len(self.waves):
            return Phase.DONE
        if self.paused:
            return Phase.PAUSED
        return Phase.RUNNING if self._soak_until is None else Phase.SOAKING

    @property
    def wave(self) -> Wave | None:
        """The present wave; None after the last one."""
        return self.waves[self._wave] if self._wave < len(self.waves) else None

    @property
    def wake_at(self) -> float | None:
        """When the soak time is over; None if the schedule does not wait for a time."""
        return self._soak_until if self.phase is Phase.SOAKING else None

    @property
    def waiting(self) -> tuple[str, ...]:
        """The devices of the wave that have not begun."""
        return tuple(self._waiting)

    def settle(self, now: float) -> None:
        """Leave waves whose devices have all ended and whose soak time is over."""
        while self.phase in (Phase.RUNNING, Phase.SOAKING):
            if self._soak_until is not None:
                if now < self._soak_until:
                    return
                self._enter(self._wave + 1)
            elif not self._waiting and not self.running:
                self._soak_until = now + self._soak_s()
            else:
                return

    def begin(self, now: float) -> list[str]:
        """Choose the devices that begin now."""
        self.settle(now)
        if self.phase is not Phase.RUNNING:
            return []
        room = max(self._limits.at_once - len(self.running), 0)
        chosen = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        self.running.update(chosen)
        return chosen

    def _soak_s(self) -> float:
        """The rest of the wave's soak time; 0 for the last wave."""
        wave = self.waves[self._wave]
        if self._wave + 1 == len(self.waves):
            return 0.0
        since_s = min((self._ago[name] for name in wave.devices if name in self._ago), default=wave.soak_s)
        return wave.soak_s if self._fresh else max(wave.soak_s - max(since_s, 0.0), 0.0)

    def silent(self, names: Iterable[str]) -> None:
        """End waiting devices that do not answer, before they begin."""
        away = set(names)
        self._waiting = deque(name for name in self._waiting if name not in away)
        self.running |= away
        for name in away:
            self.ended(name, Outcome.UNREACHABLE)

    def ended(self, name: str, outcome: Outcome) -> None:
        """Note the end of a device. Raises ValueError if it has not begun."""
        if name not in self.running:
            raise ValueError(f"{name} did not begin")
        self.running.discard(name)
        self.outcomes[name] = outcome
        self._fresh = True
        self._ended += 1
        if not outcome.good:
            self._failed.add(name)
            self._bad += 1
        if outcome is Outcome.UNREACHABLE:
            self._away.add(name)
            self._silent_here += 1
        if outcome is Outcome.UNPROVEN:
            self._unproven.add(name)
        self._judge()

    def pause(self) -> None:
        """Begin no device until ``resume``."""
        self.paused = True

    def resume(self) -> None:
        """Continue after ``pause``."""
        self.paused = False

    def _judge(self) -> None:
        if self.stopped is None:
            self.stopped = self._too_many_failed() or self._unproven_stops() or self._rate() or self._wave_failed()

    def _excused(self, silent: int) -> int:
        """How many of ``silent`` devices are no failures; those in earlier waves use up ``max_unreachable`` first."""
        if self._limits.skip_unreachable:
            return silent
        return min(silent, max(self._limits.max_unreachable - (len(self._away) - silent), 0))

    def _too_many_failed(self) -> Stop | None:
        limit = self._limits.stop_after_failures
        failed = len(self._failed) - self._excused(len(self._away))
        if limit is None or failed < limit:
            return None
        return self._with_silent(Stop(StopCode.FAILURES, failed, limit), len(self._away))

    def _unproven_stops(self) -> Stop | None:
        if not self._unproven or self._limits.unproven is not Unproven.STOP:
            return None
        return Stop(StopCode.UNPROVEN, len(self._unproven))

    def _rate(self) -> Stop | None:
        rate = self._limits.stop_at_rate
        wave = self.wave
        if rate is None or wave is None:
            return None
        excused = self._excused(self._silent_here)
        ended = self._ended - excused
        bad = self._bad - excused
        # The share of a few devices is chance: with so few ended, the whole wave could still stay below the limit.
        enough = min(len(wave.devices), max(round(1 / rate), 1) if rate else 1)
        if not bad or self._ended < enough or bad / ended < rate:
            return None
        return self._with_silent(Stop(StopCode.RATE, bad, of=ended, wave=wave.name), self._silent_here)

    def _wave_failed(self) -> Stop | None:
        """Stop if the wave ended without success; the last wave need not succeed, because none follows."""
        wave = self.wave
        if wave is None or self._waiting or self.running or self._wave + 1 == len(self.waves):
            return None
        excused = self._excused(self._silent_here)
        good = sum(self.outcomes[name].good for name in wave.devices)
        needed = self._limits.needed(len(wave.devices) - excused)
        if excused and not self._limits.skip_unreachable and self._limits.wave_success != 0:
            needed = max(needed, 1)  # a device that does not answer does not show that the package works
        if good >= needed:
            return None
        stop = Stop(StopCode.WAVE, good, needed, len(wave.devices), wave.name)
        return self._with_silent(stop, self._silent_here)

    def _with_silent(self, stop: Stop, silent: int) -> Stop:
        """Add the devices that do not answer, if they count."""
        if not silent or self._limits.skip_unreachable:
            return stop
        away = len(self._away)
        return replace(stop, silent=silent, max_unreachable=away if away > self._limits.max_unreachable else None)
