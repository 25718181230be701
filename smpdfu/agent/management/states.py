"""A rollout as it is followed: what changed, how it ended, and in what words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from smpdfu.agent.ddi.counted import counted
from smpdfu.agent.management.answers import Counts, Group, Rollout


class RolloutEnd(StrEnum):
    """How a rollout ended, or what it will not leave without a person."""

    FINISHED = "finished"
    ERROR_THRESHOLD = "error threshold"
    STOPPED = "stopped"
    DENIED = "denied"
    DELETED = "deleted"


_ENDS = {
    "stopped": RolloutEnd.STOPPED,
    "approval_denied": RolloutEnd.DENIED,
    "deleting": RolloutEnd.DELETED,
    "deleted": RolloutEnd.DELETED,
}
_WAITS = {
    "creating": "the server divides the targets into groups",
    "ready": "it waits for its start",
    "waiting_for_approval": "it waits for an approval at the server",
    "paused": "somebody paused it at the server; it continues when somebody resumes it there",
}


@dataclass(frozen=True, slots=True)
class RolloutState:
    """A rollout with its groups, at one time."""

    rollout: Rollout
    groups: tuple[Group, ...] = ()

    @property
    def end(self) -> RolloutEnd | None:
        """How it ended; None while it goes on.

        hawkBit pauses a rollout whose group passes its error threshold. If that is the last group, the rollout is
        finished all the same (``JpaRolloutExecutor``), so the groups decide.
        """
        status = "deleted" if self.rollout.deleted else self.rollout.status
        if status in ("finished", "paused") and self.failed_groups:
            return RolloutEnd.ERROR_THRESHOLD
        return RolloutEnd.FINISHED if status == "finished" else _ENDS.get(status)

    @property
    def failed_groups(self) -> tuple[Group, ...]:
        """The groups that passed their error threshold."""
        return tuple(group for group in self.groups if group.status == "error")

    @property
    def words(self) -> str:
        """What the rollout does, in one line."""
        said = f"rollout {self.rollout.name}: {self.rollout.status.replace('_', ' ')}"
        waits = _WAITS.get(self.rollout.status) if self.end is None else None
        return f"{said}, {waits}" if waits else said


@dataclass(frozen=True, slots=True)
class RolloutEvent:
    """A change: of the rollout itself, or of ``group``. ``number`` is that of the group, from 1."""

    state: RolloutState
    group: Group | None = None
    number: int = 0

    @property
    def entry(self) -> dict[str, Any]:
        """The change for a program."""
        rollout = self.state.rollout
        if self.group is None:
            return {"event": "rollout", "name": rollout.name, "status": rollout.status, "targets": rollout.total}
        about = {"event": "group", "number": self.number, "of": len(self.state.groups)}
        return about | group_entry(self.group)

    @property
    def words(self) -> str:
        """The change for people, in one line."""
        if self.group is None:
            return self.state.words
        group = self.group
        told = counts_words(group.counts)
        where = f"group {self.number} of {len(self.state.groups)} ({group.name})"
        targets = counted(group.total, "target")
        return f"{where}: {group.status}, {targets}{': ' if told else ''}{told}"


def changes(before: RolloutState | None, now: RolloutState) -> Iterator[RolloutEvent]:
    """What changed between two looks; at the first look, all of it."""
    if before is None or (before.rollout.status, before.end) != (now.rollout.status, now.end):
        yield RolloutEvent(now)
    known = {group.id: group for group in before.groups} if before is not None else {}
    for number, group in enumerate(now.groups, 1):
        if known.get(group.id) != group:
            yield RolloutEvent(now, group, number)


def group_entry(group: Group) -> dict[str, Any]:
    """A group for a program."""
    return {"name": group.name, "status": group.status, "targets": group.total} | asdict(group.counts)


_COUNT_WORDS = {
    "finished": "done",
    "error": "failed",
    "running": "under way",
    "cancelled": "cancelled",
    "scheduled": "scheduled",
    "notstarted": "not started",
}


def counts_words(counts: Counts) -> str:
    """Counts in words, those that are not 0."""
    found = asdict(counts)
    return ", ".join(f"{found[name]} {word}" for name, word in _COUNT_WORDS.items() if found[name])
