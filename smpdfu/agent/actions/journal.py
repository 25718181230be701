"""What the journal of a device says of an action: the witness that outlives every crash of the agent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smpdfu.agent.actions.outcome import Result
from smpdfu.dfu.decide.record import ACTION, DONE, REVERTED
from smpdfu.dfu.decide.steps.actions import Action
from smpdfu.dfu.do.journal.updates import JournalUpdate, read_updates
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.dfu.package.image_record import image_records
from smpdfu.dfu.package.images import Role

FILE = "sha256"
"""The key of an action in a journal with the SHA-256 of its file; earlier releases did not write it."""
_SEEN = "An earlier run of the agent saw the end of the update."


@dataclass(frozen=True, slots=True)
class Told:
    """What a journal says of one action.

    ``begun``: the update began. ``activated``: the device may have booted the new image since. ``result``: how it
    ended; None while it did not.
    """

    begun: bool = False
    activated: bool = False
    result: Result | None = None


NOTHING = Told()


def told_of(path: Path, action: Mapping[str, str], files: Collection[str] = ()) -> Told:
    """Read what the journal at ``path`` says of ``action``: its server, tenant and id. Raises JournalError.

    ``files`` are the SHA-256 of the files that the action has now, () if they are not known. A server that was set up
    anew gives out the same ids again: an update with another file is none of this action.
    """
    updates = [one for one in read_updates(path) if isinstance(one, JournalUpdate)]
    if not updates or not _is_of(_action_of(updates[-1]), action, files):
        return NOTHING
    last = updates[-1]
    return Told(True, _activated(last), None if last.end is None else _result(last, str(last.end.get("end"))))


def net_version_in(path: Path) -> str | None:
    """The version of the network core's image, if the latest update that ended as planned brought one and proved it.

    Raises JournalError.
    """
    updates = [one for one in read_updates(path) if isinstance(one, JournalUpdate)]
    if not updates or updates[-1].end is None or updates[-1].end.get("end") != DONE:
        return None
    images = image_records(updates[-1].begin.get("images")) or ()
    found = next((one.version for one in images if one.part == str(Role.NET)), None)
    return found if found and _proven(updates[-1], "proof") else None


def _is_of(found: object, action: Mapping[str, str], files: Collection[str]) -> bool:
    if not isinstance(found, Mapping):
        return False
    file = found.get(FILE)
    same_file = file is None or not files or file in files
    return same_file and {key: value for key, value in found.items() if key != FILE} == dict(action)


def _action_of(update: JournalUpdate) -> object:
    found = update.begin.get(ACTION)
    for note in update.notes:
        found = note.get(ACTION) if ACTION in note else found
    return found


def _activated(update: JournalUpdate) -> bool:
    """As ``rules.activates``, of the steps that began."""
    runs = update.begin.get("uploads_run") is True
    names = (str(one.get("step")) for one in update.step_entries() if one.get("is") == "begun")
    return any(runs or name.partition(" ")[0] != Action.UPLOAD for name in names)


def _result(update: JournalUpdate, end: str) -> Result:
    if end == REVERTED:
        why = "It saw that the device went back to its previous firmware."
        return Result(Outcome.REVERTED, "the device went back to its previous firmware", (f"{_SEEN} {why}",))
    if end != DONE:
        why = "It saw a step fail, and repeating does not help."
        return Result(Outcome.FAILED, "a step failed", (f"{_SEEN} {why}",))
    missing = [name for name in _proofs_needed(update) if not _proven(update, name)]
    if missing:
        return Result(Outcome.UNPROVEN, "unproven", (_SEEN, "Nothing proves it."))
    return Result(Outcome.DONE, "", (_SEEN, "The update is done and checked."))


def _proofs_needed(update: JournalUpdate) -> list[str]:
    parts = {one.part for one in image_records(update.begin.get("images")) or ()}
    needed = ["proof"] if str(Role.NET) in parts else []
    needed += ["mcuboot_proof"] if str(Role.MCUBOOT) in parts else []
    noted = [name for name in ("proof", "mcuboot_proof") if name not in needed and _noted(update, name)]
    return needed + noted


def _noted(update: JournalUpdate, name: str) -> Mapping[str, Any] | None:
    found = [note[name] for note in update.notes if isinstance(note.get(name), dict)]
    return found[-1] if found else None


def _proven(update: JournalUpdate, name: str) -> bool:
    proof = _noted(update, name)
    return proof is not None and proof.get("value") is True
