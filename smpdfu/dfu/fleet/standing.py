"""What earlier runs of a fleet left, by its log: which outcomes stand, and for which board. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from smpdfu.dfu.fleet.file import Fleet
from smpdfu.dfu.fleet.schedule import Outcome, Schedule
from smpdfu.dfu.package.package import Package

EXCHANGED = "exchanged"
"""The event of a board that has another number than the one that an outcome belongs to."""
_OUTCOMES = frozenset(Outcome)


class Standing(NamedTuple):
    """What earlier runs left: the ``outcomes`` that stand, by device, ``counted``: those of them whose failure, or want
    of a proof, counts.

    ``ended_at`` is when each of them was reached, in seconds since 1970. ``again`` are the devices that failed and are
    done once more: last in their wave, so that they do not stop it before the others had their turn. ``begun`` are the
    devices that began and of which no end was written, with the time; ``go_on``: no failure of earlier runs counts.
    ``chips`` are the numbers that the chips of devices told which are not done again.
    """

    outcomes: dict[str, Outcome]
    counted: set[str]
    ended_at: dict[str, float]
    again: set[str]
    begun: dict[str, float]
    go_on: bool
    chips: dict[str, str]

    def schedule(self, fleet: Fleet, now: float) -> Schedule:
        """What is left to do; ``now`` by the same clock."""
        ago = {name: now - at for name, at in self.ended_at.items()}
        waves = [
            replace(wave, devices=tuple(sorted(wave.devices, key=self.again.__contains__))) for wave in fleet.waves
        ]
        return Schedule(waves, fleet.limits, self.outcomes, self.counted, ago, begun=self.begun, go_on=self.go_on)


def standing(
    events: Iterable[Mapping[str, Any]], fleet: Fleet, packages: Mapping[str, Package], *, again: bool = False
) -> Standing:
    """Add up a log.

    An outcome stands for the device and the package it was reached with. What may pass by itself is done again;
    ``again``: every failure is, and none counts.
    """
    known: dict[str, Outcome] = {}
    ended_at, begun, chips = dict[str, float](), dict[str, float](), dict[str, str]()
    digests = {hardware: package.digest for hardware, package in packages.items()}
    for entry in events:
        device = fleet.devices.get(str(entry.get("device")))
        if device is None or entry["event"] not in ("begin", "end", EXCHANGED):
            continue
        # With another package or another device behind the name, nothing of what was known counts.
        same = entry.get("package") == digests[device.hardware] and entry.get("identity") == device.identity
        for one in (known, begun, chips):
            one.pop(device.name, None)
        if same and entry["event"] == "begin":
            begun[device.name] = entry["time"]
        elif same and str(entry.get("outcome")) in _OUTCOMES:
            known[device.name] = Outcome(entry["outcome"])
            ended_at[device.name] = entry["time"]
            if isinstance(entry.get("chip"), str):
                chips[device.name] = entry["chip"]
    stay = {name: one for name, one in known.items() if (one.good if again else not one.passing)}
    counted = set[str]() if again else {name for name, one in stay.items() if not one.good or one is Outcome.UNPROVEN}
    ended = {name: ended_at[name] for name in stay}
    told = {name: chips[name] for name in stay if name in chips}
    return Standing(stay, counted, ended, set(known) - set(stay), begun, again, told)
