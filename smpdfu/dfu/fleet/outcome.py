"""How a run over a fleet ended, what is left to do, and what the next run would do about it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.dfu.fleet.description.file import Fleet, Wave
from smpdfu.dfu.fleet.schedule import Outcome, Phase, Schedule
from smpdfu.dfu.fleet.stops import Stop
from smpdfu.errors import FleetError, FleetFailedError, FleetUnfinishedError, FleetUnprovenError


class Ending(StrEnum):
    """What became of a fleet as a whole.

    COMPLETE: every device has its package. UNPROVEN: so, and nothing proves at least one of the updates. UNFINISHED:
    the next run may change something. FAILED: some devices lack their package, and the next run does not try them.
    """

    COMPLETE = "complete"
    UNPROVEN = "unproven"
    UNFINISHED = "unfinished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FleetOutcome:
    """The end of a run: ``phase`` in which it ended, ``outcomes`` by device, ``stopped``: why it began no further one.

    ``ending`` is that of the whole fleet. ``only_unproven``: no failure stands, and at least one unproven update does.
    """

    fleet: Fleet
    phase: Phase
    outcomes: Mapping[str, Outcome]
    stopped: Stop | None
    ending: Ending
    only_unproven: bool

    @classmethod
    def of(cls, fleet: Fleet, phase: Phase, run: Schedule, next_run: Schedule) -> FleetOutcome:
        """Read it from the schedules of this run and of the next one, which is used up by this."""
        ending = ending_of(fleet, next_run)
        stand = next_run.outcomes.values()
        only_unproven = all(one.good for one in stand) and Outcome.UNPROVEN in stand
        return cls(fleet, phase, dict(run.outcomes), run.stopped, ending, only_unproven)

    @property
    def left(self) -> tuple[str, ...]:
        """The devices without an outcome."""
        return tuple(name for name in self.fleet.devices if name not in self.outcomes)

    @property
    def counts(self) -> dict[str, int]:
        """How many devices have which outcome; only outcomes that occur."""
        return dict(sorted(Counter(str(one) for one in self.outcomes.values()).items()))

    def error(self, *, require_proof: bool = False) -> FleetError | None:
        """The error that says that the fleet is not complete; None if it is.

        Unproven updates are an error only with ``require_proof``.
        """
        total = len(self.fleet.devices)
        if require_proof and self.only_unproven and self.ending is not Ending.UNFINISHED:
            unproven = sum(one is Outcome.UNPROVEN for one in self.outcomes.values())
            return FleetUnprovenError(self.fleet.path, unproven, total)
        if self.ending in (Ending.COMPLETE, Ending.UNPROVEN):
            return None
        kind = FleetUnfinishedError if self.ending is Ending.UNFINISHED else FleetFailedError
        good = sum(one.good for one in self.outcomes.values())
        return kind(self.fleet.path, total - good, total)


def ending_of(fleet: Fleet, next_run: Schedule) -> Ending:
    """What became of the fleet; ``next_run`` is what the same call would begin with, and is used up by this."""
    next_run.begin(math.inf)  # every soak time is over some time
    left = set(fleet.devices) - set(next_run.outcomes)
    if left and next_run.stopped is None:
        return Ending.UNFINISHED
    if left or not all(one.good for one in next_run.outcomes.values()):
        return Ending.FAILED
    if any(one is Outcome.UNPROVEN for one in next_run.outcomes.values()):
        return Ending.UNPROVEN
    return Ending.COMPLETE


@dataclass(frozen=True, slots=True)
class PlannedWave:
    """A wave of the next run: ``left`` are the devices to be done, ``needed`` how many of all must have their package
    for the next wave to begin."""

    wave: Wave
    left: tuple[str, ...]
    needed: int


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What the next run would do, without a device being asked; ``stopped``: why it would begin none."""

    fleet: Fleet
    waves: tuple[PlannedWave, ...]
    stopped: Stop | None

    @classmethod
    def of(cls, fleet: Fleet, schedule: Schedule) -> FleetPlan:
        """Read it from the schedule of the next run."""
        waves = (
            PlannedWave(
                wave,
                tuple(name for name in wave.devices if name not in schedule.outcomes),
                0 if wave is fleet.waves[-1] else fleet.limits.needed(len(wave.devices)),
            )
            for wave in fleet.waves
        )
        return cls(fleet, tuple(waves), schedule.stopped)
