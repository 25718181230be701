"""What each board has run, by the updates that a log and a journal have of it. Pure.

An update says for sure what runs if it ended as planned and something proves it, or if the device listed the
application. Else it leaves several images that may run:

    the update                              of a part of its package runs
    --------------------------------------  ------------------------------------------------------------------
    ended as planned, proven                the new image
    ended as planned, nothing proves it     the new image, as far as is known; perhaps the previous one
    went back                               what the device listed
    did not end, or failed                  what it ran before; if the new image may have been started, either
    only uploaded                           what it ran before
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from smpdfu.dfu.package.image_record import ImageRecord

APP, NET, OTHER = "app", "net", "other"
"""Parts of a device, as ``PackageImage.part`` has them; that module takes long to import."""
NOT_KNOWN = ""
"""Stands for the key of an image that is not known."""


class RunEvidence(StrEnum):
    """How sure it is which image runs.

    PROVEN: the device listed it, or proved it. UNPROVEN: it runs as far as is known, and nothing proves it. UNKNOWN: it
    is one of several images, or not known.
    """

    PROVEN = "proven"
    UNPROVEN = "unproven"
    UNKNOWN = "unknown"


class Result(StrEnum):
    """How an update ended, as far as it matters for what runs. LEFT: in any other way, or not at all."""

    INSTALLED = "installed"
    REVERTED = "reverted"
    LEFT = "left"


@dataclass(slots=True)  # not frozen: there are many, and a frozen one takes four times as long to make
class Attempt:
    """One update of a board. Times are in seconds since 1970; ``seen`` is when the board answered last in it, or None.

    ``package`` is its digest. ``images`` are those of the package, None where only the digest is known; then ``parts``
    are the parts that it had. ``proven``: something proves each image. ``either`` are the parts of which the new image
    may have been started; None: not noted, so all. ``was`` and ``runs`` are the hashes of the application that the
    board listed before and last, ``chip`` the number of its chip; each may be empty.
    """

    began: float
    ended: float
    package: str = ""
    images: tuple[ImageRecord, ...] | None = None
    parts: tuple[str, ...] = ()
    result: Result = Result.LEFT
    proven: bool = False
    either: frozenset[str] | None = frozenset()
    was: str = ""
    runs: str = ""
    chip: str = ""
    seen: float | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Another board is at the address since this time; ``chip`` is the number of its chip."""

    ended: float
    chip: str = ""


Event = Attempt | Exchanged


@dataclass(slots=True)  # not frozen, as an Attempt
class Runs:
    """What one part of a board runs: the image of this key (``ImageRecord.key``), as far as is known since ``since``.

    ``others`` are the keys of what it may run instead.
    """

    key: str
    since: float
    evidence: RunEvidence
    others: frozenset[str] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        """All that it may run."""
        return self.others | {self.key}


@dataclass(slots=True)  # not frozen, as an Attempt
class Ran:
    """What one part of a board ran, and when: the first and the last time of which it is known."""

    part: str
    key: str
    since: float
    until: float


@dataclass(slots=True)
class Board:
    """A board: what its parts run by ``part``, what they ``ran``, when it answered last, and who took its place when.

    ``attempts`` counts the updates of which something is noted.
    """

    runs: dict[str, Runs] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)
    seen: float | None = None
    replaced: float | None = None
    chip: str = ""
    attempts: int = 0

    def begin(self, attempt: Attempt) -> None:
        """An update begins: the board may have listed what it runs."""
        self.chip = attempt.chip or self.chip
        if attempt.was:
            self._sure(APP, attempt.was, attempt.began)

    def add(self, attempt: Attempt, known: Mapping[str, tuple[ImageRecord, ...]]) -> None:
        """Count one update more, at its end; ``known`` has the images of packages by their digests."""
        self.attempts += 1
        self.chip = attempt.chip or self.chip
        if attempt.seen is not None:
            self.seen = attempt.seen if self.seen is None else max(self.seen, attempt.seen)
        before = self.runs.get(APP)
        if attempt.runs:
            self._sure(APP, attempt.runs, attempt.ended)
        for part, keys in self._keys(attempt, known).items():
            if part == APP and attempt.runs:
                if attempt.result is Result.LEFT and _open(attempt, part):
                    self._either(part, keys | _all(before), attempt.ended)
            elif attempt.result is Result.INSTALLED:
                self._new(part, keys, attempt)
            elif _open(attempt, part):
                self._either(part, keys, attempt.ended)

    def _keys(self, attempt: Attempt, known: Mapping[str, tuple[ImageRecord, ...]]) -> dict[str, frozenset[str]]:
        """The images of each part of the package: several where each is for another slot."""
        images = known.get(attempt.package) if attempt.images is None else attempt.images
        if images is None:
            return {part: frozenset({NOT_KNOWN}) for part in attempt.parts or (APP, *self.runs)}
        found: dict[str, frozenset[str]] = {}
        for one in images:
            found[one.part] = found.get(one.part, frozenset()) | {one.key}
        return found

    def _sure(self, part: str, key: str, at: float) -> None:
        since = self._since(part, key, at)
        self.runs[part] = Runs(key, since, RunEvidence.PROVEN)

    def _new(self, part: str, keys: frozenset[str], attempt: Attempt) -> None:
        """One of the images of a package for a part was installed."""
        before = self.runs.get(part)
        at = attempt.ended
        key = before.key if before is not None and before.key in keys else min(keys)
        others = keys - {key}
        if key == NOT_KNOWN:
            evidence = RunEvidence.UNKNOWN
        elif attempt.proven:
            evidence = RunEvidence.PROVEN if not others else RunEvidence.UNKNOWN
        else:
            was_sure = before is not None and before.key == key and before.evidence is RunEvidence.PROVEN
            evidence = RunEvidence.PROVEN if was_sure else RunEvidence.UNPROVEN
            others |= frozenset() if was_sure else _all(before) - {key}
        self.runs[part] = Runs(key, self._since(part, key, at), evidence, others)

    def _either(self, part: str, keys: frozenset[str], at: float) -> None:
        before = self.runs.get(part)
        key = NOT_KNOWN if before is None else before.key
        since = at if before is None else before.since
        others = (_all(before) | keys) - {key}
        evidence = RunEvidence.UNKNOWN if others or before is None else before.evidence
        self.runs[part] = Runs(key, since, evidence, others)

    def _since(self, part: str, key: str, at: float) -> float:
        """Since when a part runs an image, if it does now; what it ran before is noted."""
        before = self.runs.get(part)
        if before is None:
            return at
        if before.key == key:
            return before.since
        if before.key != NOT_KNOWN:
            self.ran.append(Ran(part, before.key, before.since, at))
        return at


def boards_of(events: Iterable[Event], known: Mapping[str, tuple[ImageRecord, ...]]) -> list[Board]:
    """Add up what is noted of one address: the boards that were there, the one that is there now last.

    ``known`` has the images of packages by their digests, for logs that have only these. Of events at the same time,
    the first of ``events`` comes first.
    """
    boards = [Board()]
    for _, begins, event in sorted(_moments(events), key=lambda one: one[0]):
        here = boards[-1]
        if _is_another(event, here):
            here.replaced = event.ended if isinstance(event, Exchanged) else event.began
            boards.append(here := Board(chip=event.chip))
        if isinstance(event, Attempt) and begins:
            here.begin(event)
        elif isinstance(event, Attempt):
            here.add(event, known)
        elif event.chip:
            here.chip, here.seen = event.chip, event.ended
    return boards


def _is_another(event: Event, here: Board) -> bool:
    if isinstance(event, Exchanged):
        return event.chip != here.chip and here.attempts > 0
    return bool(event.chip and here.chip) and event.chip != here.chip


def _moments(events: Iterable[Event]) -> Iterator[tuple[float, bool, Event]]:
    """When something happened: the beginning (True) and the end of each update."""
    for event in events:
        if isinstance(event, Attempt):
            yield event.began, True, event
        yield event.ended, False, event


def _open(attempt: Attempt, part: str) -> bool:
    return attempt.either is None or part in attempt.either


def _all(runs: Runs | None) -> frozenset[str]:
    return frozenset({NOT_KNOWN}) if runs is None else runs.keys
