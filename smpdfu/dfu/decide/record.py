"""What the lines of a journal add up to: how far the latest update of a device has come. ``do/journal`` keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

# How an update ended: as planned; on the previous firmware; so that calling again does not help.
DONE, REVERTED, FAILED = "done", "reverted", "failed"

WAY = "way"
"""What is noted in ``about`` of an update by a firmware loader or serial recovery: ``replacing.way_of``."""
OF_NETWORK = frozenset({"net_address"})
"""What is noted in ``about`` of the network core's image."""
MCUBOOT = "mcuboot"
"""What is noted in ``about`` of the package's MCUboot: its slot and its firmware version."""
B0_BEFORE = "b0_before"
"""What is noted in ``about`` of it: the slot that the device told when the update began."""
ACTION = "action"
"""The key of what ordered an update: the action of a server, for an agent."""
B0_REFUSED = "b0_refused"
"""What is noted in ``past``: the slot whose MCUboot b0 refused, until one was started."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is written about the latest update of a device: ``package`` is its digest, ``steps`` the names done.

    ``end`` is how it ended, ``ended_at`` when, in seconds since 1970; None while it is not finished. ``about`` is what
    was noted of the package when it began, ``past`` the same of the last update that ended as planned. ``absent``: the
    device did not come back in time, and no step was done since. ``clues`` were noted of the bootloader in this update,
    ``past_clues`` in the one before it that noted any. ``left_waiting``: the package's image still waited after a
    reset. ``proof``, ``mcuboot_proof``, ``net_version``, ``hardware`` and ``action``: see ``do/journal``.
    """

    package: str = ""
    steps: frozenset[str] = frozenset()
    end: str | None = None
    ended_at: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    past: Mapping[str, Any] = field(default_factory=dict)
    absent: bool = False
    clues: tuple[Mapping[str, Any], ...] = ()
    past_clues: tuple[Mapping[str, Any], ...] = ()
    proof: Mapping[str, Any] | None = None
    net_version: str | None = None
    hardware: str | None = None
    left_waiting: bool = False
    mcuboot_proof: Mapping[str, Any] | None = None
    action: Mapping[str, Any] | None = None

    @property
    def unfinished(self) -> bool:
        """True if an update was begun and did not end."""
        return bool(self.package) and self.end is None

    def of(self, package: str) -> Record:
        """This record where it is about ``package``, else an empty one."""
        return self if self.package == package else Record(past=self.past, past_clues=self.clues or self.past_clues)

    def on(self, hardware: str | None) -> Record:
        """This record as far as it counts for the device whose chip has this number; None: the device does not tell.

        Of another chip it tells nothing. Where it is not known whether it is the same, the steps of an unfinished
        update count, for the device shows what became of them; what it proves does not.
        """
        if hardware is not None and self.hardware is not None and hardware != self.hardware:
            return Record(past=self.past, past_clues=self.clues or self.past_clues)
        return self if hardware is not None and hardware == self.hardware else self._of_somebody()

    def _of_somebody(self) -> Record:
        """What was noted of the device may be about another one."""
        if not self.unfinished:
            return self
        past_clues = self.clues or self.past_clues
        return replace(self, clues=(), past_clues=past_clues, proof=None, net_version=None, mcuboot_proof=None)

    @property
    def way(self) -> str | None:
        """How the update goes where the upload replaces the application; None: through a slot."""
        way = self.about.get(WAY)
        return way if isinstance(way, str) else None

    @property
    def is_proven(self) -> bool:
        """True if it was noted that the network core took its image."""
        return _value(self.proof) is True

    def after(self, entry: Mapping[str, Any]) -> Record:
        """This record with one entry more."""
        if "update" in entry:
            about = entry.get("about")
            return Record(
                str(entry["update"]),
                about=about if isinstance(about, dict) else {},
                past=self.past,
                past_clues=self.clues or self.past_clues,
                left_waiting=self.left_waiting and self.package == entry["update"],
                action=_mapping(entry.get(ACTION)),
            )
        if entry.get("is") == "done":
            return replace(self, steps=self.steps | {str(entry.get("step"))}, absent=False, left_waiting=False)
        if entry.get("is") == "absent":
            return replace(self, absent=True)
        if entry.get("is") == "waiting":
            return replace(self, left_waiting=True)
        return self._after_end(entry) if "end" in entry else self._after_note(entry)

    def _after_end(self, entry: Mapping[str, Any]) -> Record:
        time_s = entry.get("time")
        # Where the network core did not prove to have taken it, its image tells nothing about the device.
        about = {key: value for key, value in self.about.items() if self.is_proven or key not in OF_NETWORK}
        mcuboot, started = about.pop(MCUBOOT, None), _value(self.mcuboot_proof)
        about.pop(B0_BEFORE, None)
        past = {**self.past, **about} if entry["end"] == DONE else dict(self.past)
        if started is not None and isinstance(mcuboot, list):
            past.pop(B0_REFUSED, None)
            past |= {MCUBOOT: mcuboot} if started else {B0_REFUSED: mcuboot[0]}
        ended_at = time_s if isinstance(time_s, int | float) else None
        return replace(self, end=str(entry["end"]), ended_at=ended_at, past=past)

    def _after_note(self, entry: Mapping[str, Any]) -> Record:
        if "hardware" in entry:
            number = entry["hardware"]
            return replace(self._of_somebody(), hardware=number if isinstance(number, str) else None)
        if isinstance(entry.get("loader"), list):
            return replace(self, clues=(*self.clues, entry))
        if isinstance(entry.get("proof"), dict):
            return replace(self, proof=entry["proof"])
        if isinstance(entry.get("mcuboot_proof"), dict):
            return replace(self, mcuboot_proof=entry["mcuboot_proof"])
        if isinstance(entry.get("net_version"), str):
            return replace(self, net_version=entry["net_version"])
        return replace(self, action=_mapping(entry[ACTION])) if ACTION in entry else self


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None


def _value(proof: Mapping[str, Any] | None) -> object:
    """The value of a proof as it was noted; None where it is not known."""
    return None if proof is None else proof.get("value")


def replay(entries: Iterable[Mapping[str, Any]]) -> Record:
    """What the entries add up to: the record of the last update in them."""
    return reduce(Record.after, entries, Record())
