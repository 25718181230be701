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
earlier one. The soak of a wave that an earlier run finished is what is left of it, if that is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import cast

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

    ``counted``: of those, the ones whose failure counts towards the limits; ``ago``: how many seconds ago they ended.
    """

    def __init__(
        self,
        waves: Iterable[Wave],
        limits: Limits,
        known: Mapping[str, Outcome],
        counted: Iterable[str] = (),
        ago: Mapping[str, float] | None = None,
    ) -> None:
        self.waves, self._limits, self._ago = tuple(waves), limits, ago or {}
        self.outcomes = dict(known)
        self._failed = {name for name in counted if not known[name].good}
        self.running: set[str] = set()
        self.paused = False
        self.stopped: str | None = None
        self._enter(0)

    def _enter(self, number: int) -> None:
        self._wave, self._soak_until, self._fresh = number, cast("float | None", None), False
        names = () if self.wave is None else self.wave.devices
        ended = [name for name in names if name in self.outcomes]
        self._waiting = deque(name for name in names if name not in self.outcomes)
        self._ended, self._bad = len(ended), sum(name in self._failed for name in ended)
        self._judge()

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        if self.stopped is not None:
            return Phase.STOPPED
        if self._wave >= len(self.waves):
            return Phase.DONE
        if self.paused:
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
                self._enter(self._wave + 1)
            elif not self._waiting and not self.running:
                self._soak_until = now + self._soak_s()
            else:
                room = max(self._limits.at_once - len(self.running), 0)
                chosen = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
                self.running.update(chosen)
                return chosen
        return []

    def _soak_s(self) -> float:
        """What is left of the wave's soak; nothing follows the last one."""
        wave = self.waves[self._wave]
        if self._wave + 1 == len(self.waves):
            return 0.0
        since_s = min((self._ago[name] for name in wave.devices if name in self._ago), default=wave.soak_s)
        return wave.soak_s if self._fresh else max(wave.soak_s - max(since_s, 0.0), 0.0)

    def ended(self, name: str, outcome: Outcome) -> None:
        """A device that began has ended; ValueError for another one."""
        if name not in self.running:
            raise ValueError(f"{name} did not begin")
        self.running.discard(name)
        self.outcomes[name] = outcome
        self._fresh, self._ended = True, self._ended + 1
        if not outcome.good:
            self._failed.add(name)
            self._bad += 1
        self._judge()

    def pause(self) -> None:
        """Nothing begins until ``resume``."""
        self.paused = True

    def resume(self) -> None:
        """Go on."""
        self.paused = False

    def _judge(self) -> None:
        failed, limit, rate = len(self._failed), self._limits.stop_after_failures, self._limits.stop_at_rate
        if self.stopped is not None:
            return
        if limit is not None and failed >= limit:
            self.stopped = f"{_devices(failed)} failed; the limit is {limit}"
        wave = self.wave
        if rate is None or wave is None or self.stopped is not None:
            return
        # A share of a few is chance: with fewer than this many ended, a share that is reached could still be missed.
        enough = min(len(wave.devices), max(round(1 / rate), 1) if rate else 1)
        if self._bad and self._ended >= enough and self._bad / self._ended >= rate:
            self.stopped = f"{self._bad} of the {self._ended} devices of wave {wave.name!r} that ended have failed"


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"
