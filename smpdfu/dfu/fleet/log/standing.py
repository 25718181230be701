"""What earlier runs of a fleet have left, by its log: which outcomes stand, and for which board. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from smpdfu.dfu.fleet.description.file import Fleet
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.schedule import Outcome, Schedule


class Standing(NamedTuple):
    """What earlier runs have left: the ``outcomes`` that stand, by device.

    ``counted`` are the devices whose failure, or missing proof, counts. ``ended_at`` says when each outcome was
    reached, in seconds since 1970. ``again`` are the devices that failed and are updated again: last in their wave, so
    that they do not stop it before the others had their turn. ``begun`` are the devices that began and have no end in
    the log, with the time. ``go_on``: no failure of earlier runs counts. ``chips`` are the numbers that chips told, of
    the devices that are not updated again.
    """

    outcomes: dict[str, Outcome]
    counted: set[str]
    ended_at: dict[str, float]
    again: set[str]
    begun: dict[str, float]
    go_on: bool
    chips: dict[str, str]

    def schedule(self, fleet: Fleet, now: float) -> Schedule:
        """Make the schedule of what is left to do; ``now`` is by the same clock as ``ended_at``."""
        ago = {name: now - at for name, at in self.ended_at.items()}
        waves = [
            replace(wave, devices=tuple(sorted(wave.devices, key=self.again.__contains__))) for wave in fleet.waves
        ]
        return Schedule(waves, fleet.limits, self.outcomes, self.counted, ago, begun=self.begun, go_on=self.go_on)


def standing_of(history: History, *, again: bool = False) -> Standing:
    """Find which outcomes stand for the device and the package that they were reached with.

    Devices that did not answer or were interrupted are done again; with ``again``, every device that failed is, and
    none of the failures counts.
    """
    outcomes: dict[str, Outcome] = {}
    counted: set[str] = set()
    ended_at: dict[str, float] = {}
    chips: dict[str, str] = {}
    repeated: set[str] = set()
    begun = {name: course.begun_at for name, course in history.courses.items() if course.begun_at is not None}
    for name, course in history.courses.items():
        end = course.last
        outcome = course.outcome
        if end is None or outcome is None:
            continue
        if not outcome.good if again else outcome.passing:
            repeated.add(name)
            continue
        outcomes[name] = outcome
        ended_at[name] = end.time
        if end.chip is not None:
            chips[name] = end.chip
        if not again and (not outcome.good or outcome is Outcome.UNPROVEN):
            counted.add(name)
    return Standing(outcomes, counted, ended_at, repeated, begun, again, chips)
