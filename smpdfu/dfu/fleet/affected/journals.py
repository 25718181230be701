"""What the journal of a device says of its updates, by a fleet and by any other call, and of uploads of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.record import DONE, REVERTED
from smpdfu.dfu.decide.steps.actions import Action, Policy
from smpdfu.dfu.do.journal.updates import PARTS, JournalUpdate, JournalUpload, UploadLine
from smpdfu.dfu.fleet.affected.boards import APP, NET, Attempt, Result
from smpdfu.dfu.package.image_record import ImageRecord, hash_text, image_records

_MAX_NAME, _MAX_PARTS = 200, 8
_RESULTS: Mapping[str, Result] = {UploadLine.INSTALLED: Result.INSTALLED, UploadLine.REVERTED: Result.REVERTED}


class _Step(NamedTuple):
    action: str
    part: str
    done: bool


@dataclass(slots=True)
class JournalRecord:
    """What a journal says: the device's address, its updates and uploads, and the images of packages by digest.

    ``partly`` has the images of packages by what older releases noted, of which the network core's has no hash.
    """

    device: str
    attempts: list[Attempt] = field(default_factory=list)
    packages: dict[str, tuple[ImageRecord, ...]] = field(default_factory=dict)
    partly: dict[str, tuple[ImageRecord, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, updates: Sequence[JournalUpdate | JournalUpload], path: Path) -> JournalRecord:
        """Add up what is in the journal ``path``."""
        names = (update.begin.get("device") for update in reversed(updates))
        record = cls(next((name[:_MAX_NAME] for name in names if isinstance(name, str) and name), path.stem))
        for one in updates:
            if isinstance(one, JournalUpload):
                record.attempts.append(_of_upload(one))
            else:
                record.add(one)
        return record

    def add(self, update: JournalUpdate) -> None:
        """Count one update more."""
        begin = update.begin
        digest = str(begin["update"])
        images = image_records(begin.get("images"))
        installed = update.end is not None and update.end.get("end") == DONE
        # Of an update that installed its images, the steps say nothing more; older releases noted no images.
        steps = [] if installed and images is not None else list(map(_step, update.step_entries()))
        if images is not None:
            self.packages[digest] = images
        elif digest:
            self.partly.setdefault(digest, _images_of_old(begin, steps))
        self.attempts.append(_attempt(update, digest, images, steps))


def _attempt(
    update: JournalUpdate, digest: str, images: tuple[ImageRecord, ...] | None, steps: Sequence[_Step]
) -> Attempt:
    begin = update.begin
    sent_only = begin.get("policy") == Policy.UPLOAD_ONLY or (
        images is None and all(one.action == Action.UPLOAD for one in steps)
    )
    ending = None if update.end is None else update.end.get("end")
    result = Result.REVERTED if ending == REVERTED else Result.LEFT
    if ending == DONE and not sent_only:
        result = Result.INSTALLED
    proof = _proof(update)
    began = _time(begin)
    ended = max(began, *map(_time, (*update.notes, update.end or begin)), *map(_time, _entries(update, steps)))
    was = hash_text(begin.get("runs"))
    parts = {one.part for one in images or ()} | {one.part for one in steps}
    return Attempt(
        began,
        ended,
        digest,
        images,
        tuple(sorted(parts)),
        result,
        proven=_is_proven(proof, has_net=NET in parts, listed=bool(was) or images is None),
        either=_either(begin, steps, proof),
        was=was,
        runs=_runs(was, images, steps, result),
        chip=_chip(update),
        seen=ended,
    )


def _of_upload(upload: JournalUpload) -> Attempt:
    """What an upload of one image did: as an update of its part alone."""
    begin, end = upload.begin, upload.end or {}
    image = ImageRecord.from_entry(begin.get("image"))
    result = _RESULTS.get(str(end.get("is")), Result.LEFT)
    ended = max(_time(begin), _time(upload.end or begin))
    chip = begin.get("hardware")
    kept = image is not None and image.part == NET and result is Result.REVERTED  # a network core keeps its image
    parts = () if image is None else _parts_of(begin) or (image.part,)
    return Attempt(
        _time(begin),
        ended,
        images=None if image is None else tuple(replace(image, part=part) for part in parts),
        parts=parts,
        result=result,
        proven=end.get("proven") is True,
        either=None if image is None else frozenset() if kept else frozenset(parts),
        was=hash_text(begin.get("runs")),
        runs=hash_text(end.get("runs")),
        chip=chip if isinstance(chip, str) else "",
        seen=ended,
    )


def _parts_of(begin: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of which one may run a marked image; empty where it is noted which one does."""
    noted = begin.get(PARTS)
    found = noted[:_MAX_PARTS] if isinstance(noted, list) else []
    return tuple(part[:_MAX_NAME] for part in found if isinstance(part, str))


def _entries(update: JournalUpdate, steps: Sequence[_Step]) -> list[Mapping[str, Any]]:
    return list(update.step_entries()) if steps else []


def _images_of_old(begin: Mapping[str, Any], steps: Sequence[_Step]) -> tuple[ImageRecord, ...]:
    """The images by what older releases noted: the application's hash, and the steps for other parts."""
    about = begin.get("about")
    app = hash_text(about.get("app")) if isinstance(about, dict) else ""
    parts = {one.part for one in steps} - ({APP} if app else set())
    found = [ImageRecord(APP, app, "")] if app else []
    return (*found, *(ImageRecord(part, "", "") for part in sorted(parts)))


def _step(entry: Mapping[str, Any]) -> _Step:
    action, _, part = str(entry.get("step")).partition(" ")
    return _Step(action, part[:_MAX_NAME], entry.get("is") == "done")


def _either(begin: Mapping[str, Any], steps: Sequence[_Step], proof: Proof | None) -> frozenset[str]:
    """The parts of which either image may run, if the update did not end as planned."""
    uploads_run = begin.get("uploads_run") is not False
    started = {one.part for one in steps if one.action != Action.UPLOAD or uploads_run}
    settled = {one.part for one in steps if one.action == Action.CONFIRM and one.done}
    kept = {NET} if proof is not None and proof.value is False else set()
    return frozenset(started - settled - kept)


def _runs(was: str, images: Sequence[ImageRecord] | None, steps: Sequence[_Step], result: Result) -> str:
    """The hash of the application that the device listed last; "" where the journal does not show it."""
    found = {one.hash for one in images or () if one.part == APP}
    new = found.pop() if len(found) == 1 else ""
    if result is Result.INSTALLED:
        return new if was else ""  # a device that lists what runs was seen to run it
    if _Step(Action.CONFIRM, APP, done=True) in steps:
        return new
    return was if result is Result.REVERTED else ""


def _is_proven(proof: Proof | None, *, has_net: bool, listed: bool) -> bool:
    if proof is None:
        return listed and not has_net
    return proof.value is True


def _proof(update: JournalUpdate) -> Proof | None:
    noted = [note["proof"] for note in update.notes if isinstance(note.get("proof"), dict)]
    return Proof.from_entry(noted[-1]) if noted else None


def _chip(update: JournalUpdate) -> str:
    noted = [note["hardware"] for note in update.notes if "hardware" in note]
    return noted[-1] if noted and isinstance(noted[-1], str) else ""


def _time(entry: Mapping[str, Any]) -> float:
    return float(entry.get("time", 0.0))
