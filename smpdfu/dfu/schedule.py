"""Which device of a fleet is next: pure, without a clock. Times are handed in, in seconds.

    phase     what begins                          left when
    --------  -----------------------------------  ------------------------------------------------------------------
    RUNNING   devices of the wave, in their        every device of the wave ended -> SOAKING, or DONE after the last one
              order, ``at_once`` at a time         too many failed -> STOPPED
    SOAKING   nothing                              the soak time is over -> RUNNING with the next wave
    PAUSED    nothing; what began goes on          ``resume`` -> where it was
    STOPPED   nothing; what began goes on          never: whoever goes on in spite of the failures says so anew
    DONE      nothing                              never

A device whose outcome is good is never done again. The wave counts every device that ended in it, in this run or an
earlier one; a wave that has nothing left to do is not soaked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from smpdfu.dfu.fleetfile import Limits, Wave


class Outcome(StrEnum):
    """How it ended for one device. DONE and CURRENT (it had the package already) are good."""

    DONE = "done"
    CURRENT = "current"
    UNPROVEN = "unproven"
    REVERTED = "reverted"
    REFUSED = "refused"
    INCOMPLETE = "incomplete"
    UNREACHABLE = "unreachable"
    FAILED = "failed"

    @property
    def good(self) -> bool:
        """True if the device has the package, as far as it can be known."""
        return self in (Outcome.DONE, Outcome.CURRENT, Outcome.UNPROVEN)

    @property
    def passing(self) -> bool:
        """True if the same call again may end well without anything else being changed."""
        return self in (Outcome.INCOMPLETE, Outcome.UNREACHABLE)


class Phase(StrEnum):
    """See the table above."""

    RUNNING = "running"
    SOAKING = "soaking"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"


class Schedule:
    """The waves of one run. ``known`` are outcomes of earlier runs that stand; those devices are not done again.

    ``counted``: of those, the ones whose failure counts towards the limits.
    """

    def __init__(
        self, waves: Iterable[Wave], limits: Limits, known: Mapping[str, Outcome], counted: Iterable[str] = ()
    ) -> None:
        self.waves, self._limits = tuple(waves), limits
        self.outcomes = dict(known)
        self._counted = {name for name in counted if not known[name].good}
        self.running: set[str] = set()
        self._wave, self._soak_until = 0, None
        self._fresh = False
        self._paused = False
        self.stopped: str | None = None
        self._judge()

    _soak_until: float | None

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        if self.stopped is not None:
            return Phase.STOPPED
        if self._wave >= len(self.waves):
            return Phase.DONE
        if self._paused:
            return Phase.PAUSED
        return Phase.RUNNING if self._soak_until is None else Phase.SOAKING

    @property
    def wave(self) -> Wave | None:
        """The wave that is under way; None after the last."""
        return self.waves[self._wave] if self._wave < len(self.waves) else None

    @property
    def wake_at(self) -> float | None:
        """When the soak time is over; None while nothing hangs on the time."""
        return self._soak_until if self.phase is Phase.SOAKING else None

    def begin(self, now: float) -> list[str]:
        """The devices that begin now."""
        while self.phase in (Phase.RUNNING, Phase.SOAKING):
            if self._soak_until is not None:
                if now < self._soak_until:
                    return []
                self._soak_until, self._wave, self._fresh = None, self._wave + 1, False
                continue
            wave = self.waves[self._wave]
            left = [name for name in wave.devices if name not in self.outcomes]
            if not left:
                last = self._wave + 1 == len(self.waves)
                self._soak_until = now + (wave.soak_s if self._fresh and not last else 0.0)
                continue
            waiting = [name for name in left if name not in self.running]
            chosen = waiting[: max(self._limits.at_once - len(self.running), 0)]
            self.running.update(chosen)
            return chosen
        return []

    def ended(self, name: str, outcome: Outcome) -> None:
        """A device that began has ended."""
        self.running.discard(name)
        self.outcomes[name] = outcome
        self._fresh = True
        if not outcome.good:
            self._counted.add(name)
        self._judge()

    def pause(self) -> None:
        """Nothing begins until ``resume``."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False

    def _judge(self) -> None:
        failed, limit, rate = len(self._counted), self._limits.stop_after_failures, self._limits.stop_at_rate
        if limit is not None and failed >= limit:
            self.stopped = f"{failed} devices failed, and the fleet stops at {limit}"
        wave = self.wave
        if rate is None or wave is None or self.stopped is not None:
            return
        ended = [name for name in wave.devices if name in self.outcomes]
        bad = sum(name in self._counted for name in ended)
        # A share of a few is chance: with fewer than this many ended, a share that is reached could still be missed.
        enough = min(len(wave.devices), max(round(1 / rate), 1) if rate else 1)
        if bad and len(ended) >= enough and bad / len(ended) >= rate:
            self.stopped = f"{bad} of the {len(ended)} devices of wave {wave.name!r} that ended have failed"
