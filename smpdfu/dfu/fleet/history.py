"""What the log of a fleet adds up to: where each device stands, and how it got there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from smpdfu.dfu.fleet.file import Fleet, FleetDevice
from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.dfu.fleet.standing import EXCHANGED

RUNNING, WAITING = "running", "waiting"


@dataclass(slots=True)
class Span:
    """One step of one attempt, in seconds since 1970; ``end`` is None while it is under way."""

    step: str
    begin: float
    end: float | None = None


@dataclass(slots=True)
class Course:
    """What happened to one device, in all runs with the package that it is to have now.

    ``attempts`` counts how often it was begun; ``spans`` and the other facts are of the last attempt. ``was`` and
    ``runs`` are the application's versions before and after it, ``cause`` and ``message`` are a failure's, ``doubt`` is
    why nothing proves an update.
    """

    device: FleetDevice
    wave: str
    outcome: Outcome | None = None
    attempts: int = 0
    spans: list[Span] = field(default_factory=list)
    seconds: float = 0.0
    bytes: int = 0
    was: str | None = None
    runs: str | None = None
    cause: str = ""
    message: str = ""
    doubt: str = ""
    under_way: bool = False

    @property
    def state(self) -> str:
        """The outcome, or ``running``, or ``waiting``."""
        if self.under_way:
            return RUNNING
        return WAITING if self.outcome is None else str(self.outcome)

    @property
    def step(self) -> str:
        """The step that is under way, or was the last."""
        return self.spans[-1].step if self.spans else ""

    def forget(self) -> None:
        """Another device or another package came behind the name: nothing of what was known counts."""
        blank = Course(self.device, self.wave)
        for one in fields(self):
            setattr(self, one.name, getattr(blank, one.name))

    @property
    def rate(self) -> float | None:
        """Bytes per second while images were uploaded; None if nothing was."""
        spent = sum(span.end - span.begin for span in self.spans if span.step.startswith("upload") and span.end)
        return self.bytes / spent if spent and self.bytes else None


@dataclass(slots=True)
class History:
    """Every device of a fleet, in the fleet's order; ``began`` and ``ended`` are the first and last event's times."""

    fleet: Fleet
    courses: dict[str, Course]
    began: float | None = None
    ended: float | None = None
    stopped: str | None = None

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]], fleet: Fleet, digests: Mapping[str, str]) -> History:
        """Add up a log. ``digests`` are the packages' by hardware: what was done with another one does not count."""
        waves = {name: wave.name for wave in fleet.waves for name in wave.devices}
        history = cls(fleet, {name: Course(one, waves[name]) for name, one in fleet.devices.items()})
        for event in events:
            history.add(event, digests)
        return history

    def add(self, event: Mapping[str, Any], digests: Mapping[str, str]) -> None:
        """One event more; what is not understood is passed over."""
        at, kind = event.get("time"), event["event"]
        if not isinstance(at, int | float):
            return
        self.began, self.ended = self.began or at, at
        if kind == "run":
            self.stopped = None
            for course in self.courses.values():
                course.under_way = False
        elif kind == "stop":
            self.stopped = str(event.get("reason", ""))
        found = self.courses.get(str(event.get("device")))
        if found is not None:
            _HOW.get(kind, _pass)(found, event, at, digests)

    def counts(self) -> dict[str, int]:
        """How many devices are in which state; only states that occur."""
        return dict(sorted(Counter(course.state for course in self.courses.values()).items()))

    def causes(self) -> dict[str, list[str]]:
        """The failures: cause -> names of devices, the most frequent first."""
        found: dict[str, list[str]] = {}
        for course in self.courses.values():
            if course.outcome is not None and not course.outcome.good and not course.under_way:
                found.setdefault(course.cause or str(course.outcome), []).append(course.device.name)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def doubts(self) -> dict[str, list[str]]:
        """Why updates are unproven: reason -> names of devices, the most frequent first."""
        found: dict[str, list[str]] = {}
        for course in self.courses.values():
            if course.outcome is Outcome.UNPROVEN and not course.under_way:
                found.setdefault(course.doubt or "nothing proves it", []).append(course.device.name)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def running(self) -> list[Course]:
        """The devices that are under way."""
        return [course for course in self.courses.values() if course.under_way]


def _is_about(course: Course, event: Mapping[str, Any], digests: Mapping[str, str]) -> bool:
    """The event is about this very device, and the package that it is to have now."""
    same = event.get("identity") == course.device.identity
    return same and event.get("package") == digests[course.device.hardware]


def _begin(course: Course, event: Mapping[str, Any], at: float, digests: Mapping[str, str]) -> None:
    if not _is_about(course, event, digests):
        course.forget()
        return
    course.attempts, course.under_way = course.attempts + 1, True
    course.outcome, course.spans, course.cause, course.message, course.doubt = None, [], "", "", ""


def _step(course: Course, event: Mapping[str, Any], at: float, digests: Mapping[str, str]) -> None:
    if course.under_way:
        _close(course, at)
        course.spans.append(Span(str(event.get("step", "")), at))


def _end(course: Course, event: Mapping[str, Any], at: float, digests: Mapping[str, str]) -> None:
    if not _is_about(course, event, digests):
        course.forget()
        return
    if event.get("outcome") not in list(Outcome):
        return
    _close(course, at)
    course.under_way, course.outcome = False, Outcome(event["outcome"])
    course.seconds = _number(event.get("seconds"))
    course.bytes = int(_number(event.get("bytes")))
    course.was, course.runs = _text(event.get("from")), _text(event.get("to"))
    course.cause, course.message = _text(event.get("cause")) or "", _text(event.get("message")) or ""
    proof = event.get("proof")
    if course.outcome is Outcome.UNPROVEN and isinstance(proof, dict):
        course.doubt = _text(proof.get("reason")) or ""


def _close(course: Course, at: float) -> None:
    if course.spans and course.spans[-1].end is None:
        course.spans[-1].end = at


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _pass(course: Course, event: Mapping[str, Any], at: float, digests: Mapping[str, str]) -> None:
    """An event that we do not know."""


def _exchanged(course: Course, event: Mapping[str, Any], at: float, digests: Mapping[str, str]) -> None:
    course.forget()


_HOW = {EXCHANGED: _exchanged, "begin": _begin, "step": _step, "end": _end}
