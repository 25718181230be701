"""The answer for each device: does it run an image that is asked for, did it, does it not, or is that not known. Pure.

AFFECTED: some part runs such an image, or all that it may run are such images. UNKNOWN: it may, or something about it
is not known. WAS_AFFECTED: it ran one, and what it runs now is known not to be one. NOT_AFFECTED: what it runs is
known, and is none of the images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from smpdfu.dfu.fleet.affected.boards import NOT_KNOWN, Board, Ran, RunEvidence, Runs
from smpdfu.dfu.fleet.affected.question import Catalog, Question
from smpdfu.dfu.fleet.affected.sbom import ImageVerdict
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.errors import AffectedDevicesError, SearchError, UnknownDevicesError

_PARTS = {
    "app": "application",
    "net": "network core's image",
    "external": "half of the application in external flash",
    "mcuboot": "bootloader",
}
_SHOWN = 12  # digits of a hash in a sentence


class AffectedStatus(StrEnum):
    """Whether a device is affected; the worst first."""

    AFFECTED = "affected"
    UNKNOWN = "unknown"
    WAS_AFFECTED = "was-affected"
    NOT_AFFECTED = "not-affected"


@dataclass(frozen=True, slots=True)
class DeviceHistory:
    """A device as logs and journals know it: its names, and the boards at its address, the last one last.

    ``serial`` is the number that a fleet's file gives it. ``problem`` says why its history is not whole; "" if it is.
    """

    name: str
    address: str
    fleets: tuple[str, ...] = ()
    serial: str = ""
    boards: tuple[Board, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """What a part of a device runs: the image, as far as is known, and what it may run instead.

    ``verdict`` is that on all of them. ``found`` are the components that were asked for.
    """

    part: str
    image: ImageRecord
    since: float
    evidence: RunEvidence
    others: tuple[ImageRecord, ...]
    verdict: ImageVerdict
    found: tuple[str, ...] = ()
    sbom: str = ""


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """An image that is asked for, which a part of a device ran from ``since`` until ``until``."""

    part: str
    image: ImageRecord
    since: float
    until: float
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """The answer for one board. Times are in seconds since 1970; None: never.

    ``reason`` is a sentence, ``evidence`` how sure the status is. ``now`` is what its parts run, ``past`` what it ran
    of the images that are asked for. ``seen`` is when it answered last. ``replaced``: since when another board is at
    its address.
    """

    device: DeviceHistory
    status: AffectedStatus
    reason: str
    evidence: RunEvidence
    now: tuple[PartAnswer, ...] = ()
    past: tuple[PastAnswer, ...] = ()
    seen: float | None = None
    replaced: float | None = None
    chip: str = ""


@dataclass(frozen=True, slots=True)
class Affected:
    """The whole answer: the devices, the worst first, what was asked for, and sentences on what could not be read."""

    devices: tuple[DeviceAnswer, ...]
    question: Question
    problems: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many devices have which status; every status."""
        found = Counter(one.status for one in self.devices)
        return {str(status): found[status] for status in AffectedStatus}

    def error(self) -> SearchError | None:
        """The error that says that devices are affected, or that some are not known; None if neither is so."""
        affected, unknown = self.counts[AffectedStatus.AFFECTED], self.counts[AffectedStatus.UNKNOWN]
        if affected:
            return AffectedDevicesError(affected, unknown, len(self.devices))
        return UnknownDevicesError(affected, unknown, len(self.devices)) if unknown else None

    def of(self, status: AffectedStatus) -> tuple[DeviceAnswer, ...]:
        """Return the devices with this status."""
        return tuple(one for one in self.devices if one.status is status)


@dataclass(slots=True)
class Judge:
    """Answers a question for one device after the other."""

    question: Question
    catalog: Catalog
    parts: frozenset[str] = field(init=False)
    _companions: Mapping[str, frozenset[str]] = field(init=False)
    _verdicts: dict[str, ImageVerdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts = self.question.parts(self.catalog)
        # A component may be in each image that no SBOM describes; an image has a hash of its own.
        of_others = self.question.others is ImageVerdict.UNLISTED
        self._companions = self.question.companions(self.catalog) if of_others else {}

    def answers(self, device: DeviceHistory) -> list[DeviceAnswer]:
        """Answer for the board that is there now, and for each one before it that may still be affected."""
        if not device.boards:
            return [self._answer(device, Board())]
        old = [self._answer(device, board) for board in device.boards[:-1]]
        there = [one for one in old if one.status is not AffectedStatus.NOT_AFFECTED]
        return [*there, self._answer(device, device.boards[-1])]

    def _answer(self, device: DeviceHistory, board: Board) -> DeviceAnswer:
        now = tuple(self._part(part, runs) for part, runs in sorted(board.runs.items()))
        past = tuple(found for one in board.ran if (found := self._past(one)) is not None)
        status, reason, evidence = self._status(device, board, now, past)
        return DeviceAnswer(device, status, reason, evidence, now, past, board.seen, board.replaced, board.chip)

    def _status(
        self, device: DeviceHistory, board: Board, now: Sequence[PartAnswer], past: Sequence[PastAnswer]
    ) -> tuple[AffectedStatus, str, RunEvidence]:
        affected = [one for one in now if one.verdict is ImageVerdict.AFFECTED]
        reason = self._doubt(device, board, now)
        if affected:
            best = min(affected, key=lambda one: tuple(RunEvidence).index(one.evidence))
            if board.replaced is None:
                return AffectedStatus.AFFECTED, _runs_words(affected), best.evidence
            return AffectedStatus.UNKNOWN, f"it ran it when it was seen last; {_ANOTHER}", RunEvidence.UNKNOWN
        if reason:
            return AffectedStatus.UNKNOWN, reason, RunEvidence.UNKNOWN
        evidence = (
            RunEvidence.UNPROVEN if any(one.evidence is RunEvidence.UNPROVEN for one in now) else RunEvidence.PROVEN
        )
        if past:
            return AffectedStatus.WAS_AFFECTED, f"its {_words(past[-1].part)} is another one since", evidence
        return AffectedStatus.NOT_AFFECTED, "what it runs is known, and is none of the images", evidence

    def _doubt(self, device: DeviceHistory, board: Board, now: Sequence[PartAnswer]) -> str:
        """Say why it is not known whether a board is affected; "" if it is."""
        if device.problem:
            return device.problem
        if not now:
            return "no update of it is recorded"
        for one in now:
            if self._counts(one.part) and one.verdict in (ImageVerdict.UNDECIDED, ImageVerdict.UNLISTED):
                return self._why(one)
        with_it = (self._companions.get(one.image.key, frozenset()) for one in now)
        if missing := sorted(self.parts.union(*with_it) - {one.part for one in now}):
            return f"no update of its {_words(missing[0])} is recorded"
        return ""

    def _counts(self, part: str) -> bool:
        """Whether an image that is not described may be one that is asked for: by its hash, only in the same part."""
        return self.question.others is ImageVerdict.UNLISTED or part in self.parts

    def _part(self, part: str, runs: Runs) -> PartAnswer:
        found = self.question.image(runs.key, self.catalog)
        others = tuple(self._record(part, key) for key in sorted(runs.others))
        return PartAnswer(
            part,
            self._record(part, runs.key),
            runs.since,
            runs.evidence,
            others,
            self._verdict(runs),
            () if found is None or found.verdict is not ImageVerdict.AFFECTED else found.found,
            "" if found is None else found.sbom,
        )

    def _verdict(self, runs: Runs) -> ImageVerdict:
        verdicts = {self._verdict_on(key) for key in runs.keys}
        if verdicts == {ImageVerdict.AFFECTED} or verdicts == {ImageVerdict.CLEAR}:
            return verdicts.pop()
        first = self._verdict_on(runs.key)
        if first is ImageVerdict.AFFECTED and runs.evidence is RunEvidence.UNPROVEN:
            return first
        return (
            ImageVerdict.UNDECIDED
            if ImageVerdict.AFFECTED in verdicts or ImageVerdict.UNDECIDED in verdicts
            else ImageVerdict.UNLISTED
        )

    def _verdict_on(self, key: str) -> ImageVerdict:
        """The verdict on an image, found once: a thousand devices run a few images."""
        found = self._verdicts.get(key)
        if found is None:
            found = self._verdicts[key] = self.question.verdict(key, self.catalog)
        return found

    def _past(self, ran: Ran) -> PastAnswer | None:
        if self._verdict_on(ran.key) is not ImageVerdict.AFFECTED:
            return None
        found = self.question.image(ran.key, self.catalog)
        return PastAnswer(
            ran.part, self._record(ran.part, ran.key), ran.since, ran.until, () if found is None else found.found
        )

    def _record(self, part: str, key: str) -> ImageRecord:
        return self.catalog.images.get(key) or ImageRecord(part, key, "")

    def _why(self, one: PartAnswer) -> str:
        """Say why the verdict on a part is not known."""
        words = _words(one.part)
        if one.image.key == NOT_KNOWN and not any(other.key for other in one.others):
            return f"the hash of its {words} is not recorded: an older release of smpdfu updated it"
        if one.evidence is RunEvidence.UNPROVEN and one.others:
            return f"nothing proves that its {words} is the new one, {_image(one.image)}"
        if one.others:
            return f"its last update did not end as planned: its {words} may be the old or the new one"
        found = self.question.image(one.image.key, self.catalog)
        if found is not None and found.why:
            return found.why
        return f"no SBOM describes its {words}, {_image(one.image)}"


_ANOTHER = "another board is at its address now"


def _runs_words(affected: Sequence[PartAnswer]) -> str:
    parts = " and ".join(f"{_words(one.part)} {_image(one.image)}" for one in affected)
    found = ", ".join(sorted({name for one in affected for name in one.found}))
    unproven = all(one.evidence is not RunEvidence.PROVEN for one in affected)
    return f"it runs the {parts}{f' with {found}' if found else ''}{', as far as is known' if unproven else ''}"


def _image(image: ImageRecord) -> str:
    digits = image.key[:_SHOWN]
    return f"{image.version} ({digits})" if image.version else digits


def _words(part: str) -> str:
    return _PARTS.get(part, f"image {part}")


def catalog_of(packages: Mapping[str, tuple[ImageRecord, ...]], listed: Mapping[str, ImageRecord]) -> Catalog:
    """Make the catalog of all images that are known: those of ``packages``, and those that devices ``listed``."""
    images = dict(listed)
    for records in packages.values():
        images |= {one.key: one for one in records if one.key}
    return Catalog(images, packages)
