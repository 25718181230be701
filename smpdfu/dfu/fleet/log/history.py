"""The log of a fleet, added up: the state of each device, and how it got there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice
from smpdfu.dfu.fleet.log.events import BEGIN, END, EXCHANGED, RUN, STEP, STOP, LogEvent
from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.dfu.package.images import Core

_GOOD = frozenset(outcome for outcome in Outcome if outcome.good)
RUNNING = "running"
WAITING = "waiting"


@dataclass(slots=True)
class Span:
    """One step of one attempt, in seconds since 1970; ``end`` is None while it is under way."""

    step: str
    begin: float
    end: float | None = None


@dataclass(slots=True)
class Course:
    """What happened to one device, in all runs with the package that it is to have now.

    ``attempts`` counts how often it was begun, ``spans`` are the steps of the last attempt, ``last`` is its end.
    ``begun_at`` is the time of a beginning that has no end in the log: it is under way, or its run was killed.
    """

    device: FleetDevice
    wave: str
    attempts: int = 0
    spans: list[Span] = field(default_factory=list)
    last: LogEvent | None = None
    begun_at: float | None = None
    under_way: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """How the last attempt ended; None before its end."""
        return None if self.last is None else self.last.outcome

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

    @property
    def cause(self) -> str:
        """The text by which a failure is grouped; empty if the device has not failed."""
        if self.last is None or self.last.outcome is None or self.last.outcome.good:
            return ""
        return self.last.cause or str(self.last.outcome)

    @property
    def doubt(self) -> str:
        """Why nothing proves the update of an unproven device; empty for any other one."""
        if self.last is None or self.last.outcome is not Outcome.UNPROVEN:
            return ""
        return (self.last.proof.reason if self.last.proof else "") or "nothing proves it"

    @property
    def was(self) -> str | None:
        """The application's version before the last attempt; None if it is not known."""
        return None if self.last is None else self.last.was

    @property
    def runs(self) -> str | None:
        """The application's version after the last attempt; None if it is not known."""
        return None if self.last is None else self.last.runs

    @property
    def network_core(self) -> str | None:
        """The version of the network core, as far as smpdfu can tell; None if it is not known, or was not updated."""
        return self.last.wanted.get(Core.NET) if self.last is not None and self.last.outcome in _GOOD else None

    @property
    def proven(self) -> bool | None:
        """Whether something proves that the network core took its image; None if it was not updated."""
        return None if self.last is None or self.last.proof is None else self.last.proof.value is True

    @property
    def rate(self) -> float | None:
        """Bytes per second while images were uploaded; None if nothing was."""
        spent = sum(span.end - span.begin for span in self.spans if span.step.startswith("upload") and span.end)
        size = 0 if self.last is None else self.last.size_bytes
        return size / spent if spent > 0 and size else None

    def forget(self) -> None:
        """Begin anew: another device or another package is behind the name, or the device is begun again."""
        self.attempts = 0
        self.spans = []
        self.last = None
        self.begun_at = None
        self.under_way = False


@dataclass(slots=True)
class History:
    """Every device of a fleet, in the fleet's order; ``began`` and ``ended`` are the first and last event's times.

    ``operators`` and ``tools`` are who started the runs, and with which versions of smpdfu, the last one last.
    """

    fleet: Fleet
    courses: dict[str, Course]
    began: float | None = None
    ended: float | None = None
    stopped: str | None = None
    operators: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[LogEvent], fleet: Fleet, digests: Mapping[str, str]) -> History:
        """Add up a log. ``digests`` are the packages' by hardware: what was done with another one does not count."""
        waves = {name: wave.name for wave in fleet.waves for name in wave.devices}
        history = cls(fleet, {name: Course(one, waves[name]) for name, one in fleet.devices.items()})
        for event in events:
            history.add(event, digests)
        return history

    def add(self, event: LogEvent, digests: Mapping[str, str]) -> None:
        """Count one event more; an unknown one only moves the end."""
        self.began = event.time if self.began is None else self.began
        self.ended = event.time
        if event.kind == RUN:
            self.stopped = None
            _note_last(self.operators, event.operator)
            _note_last(self.tools, event.tool)
            for course in self.courses.values():
                course.under_way = False
        elif event.kind == STOP:
            self.stopped = event.reason
        course_of = self.courses.get(event.device)
        if course_of is not None and event.kind in _HOW:
            _HOW[event.kind](course_of, event, digests)

    def counts(self) -> dict[str, int]:
        """How many devices are in which state; only states that occur."""
        return dict(sorted(Counter(course.state for course in self.courses.values()).items()))

    def causes(self, *, unreachable: bool | None = None) -> dict[str, list[str]]:
        """Group the failures: cause -> names of devices, the most frequent first.

        ``unreachable``: only devices that did not answer (True), or only the others (False).
        """

        def cause(course: Course) -> str:
            silent = course.outcome is Outcome.UNREACHABLE
            return course.cause if unreachable is None or silent is unreachable else ""

        return self._grouped(cause)

    def doubts(self) -> dict[str, list[str]]:
        """Group the unproven updates: reason -> names of devices, the most frequent first."""
        return self._grouped(lambda course: course.doubt)

    def _grouped(self, text_of: Callable[[Course], str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for course in self.courses.values():
            if not course.under_way and (text := text_of(course)):
                found.setdefault(text, []).append(course.device.name)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def running(self) -> list[Course]:
        """The devices that are under way."""
        return [course for course in self.courses.values() if course.under_way]


def _note_last(names: list[str], name: str) -> None:
    if name:
        names[:] = [*(one for one in names if one != name), name]


def _is_about(course: Course, event: LogEvent, digests: Mapping[str, str]) -> bool:
    """True if the event is about this very device, and the package that it is to have now."""
    return event.identity == course.device.identity and event.package == digests[course.device.hardware]


def _begin(course: Course, event: LogEvent, digests: Mapping[str, str]) -> None:
    attempts = course.attempts
    if not _is_about(course, event, digests):
        course.forget()
        return
    course.forget()
    course.attempts = attempts + 1
    course.under_way = True
    course.begun_at = event.time


def _step(course: Course, event: LogEvent, digests: Mapping[str, str]) -> None:
    if course.under_way:
        _close(course, event.time)
        course.spans.append(Span(event.step, event.time))


def _end(course: Course, event: LogEvent, digests: Mapping[str, str]) -> None:
    if event.outcome is None or not _is_about(course, event, digests):
        course.forget()
        return
    _close(course, event.time)
    course.under_way = False
    course.begun_at = None
    course.last = event


def _close(course: Course, at: float) -> None:
    if course.spans and course.spans[-1].end is None:
        course.spans[-1].end = at


def _exchanged(course: Course, event: LogEvent, digests: Mapping[str, str]) -> None:
    course.forget()


_HOW = {EXCHANGED: _exchanged, BEGIN: _begin, STEP: _step, END: _end}
"""What each event about a device does to its course; other events do nothing."""
