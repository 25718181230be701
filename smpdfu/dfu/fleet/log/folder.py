"""The folder in which a fleet's log is: found by the fleet's id, or by where its file is or was."""

from __future__ import annotations

import json
import zlib
from hashlib import sha256
from pathlib import Path

from smpdfu.dfu.fleet.description.file import Fleet
from smpdfu.image.files import write_file_atomic
from smpdfu.local.state.folders import state_home
from smpdfu.untrusted.files import read_start
from smpdfu.untrusted.nesting import load_json

_NOTE = "fleet.json"
_NOTE_BYTES = 1 << 20
_KEPT = 100  # paths and contents that a note has at most


def folder_of(fleet: Fleet) -> Path:
    """Find the folder of the log: by the ``id``, else by where the file is or was when it had the same content.

    So a copy of the file continues the log of its original.
    """
    home = state_home() / "fleets"
    path = fleet.path.resolve()
    if fleet.id is not None:
        return home / f"id-{fleet.id}"
    notes = {file.parent: _note(file) for file in sorted(home.glob(f"*/{_NOTE}"))}
    for key, value in (("paths", str(path)), ("contents", _content(fleet))):
        found = next((folder for folder, note in notes.items() if value in note[key]), None)
        if found is not None:
            return found
    return home / f"{path.stem}-{zlib.crc32(str(path).encode()):08x}"


def remember(fleet: Fleet, folder: Path) -> None:
    """Note in the fleet's folder which file this is, for ``folder_of``. Raises OSError."""
    if fleet.id is not None:
        return
    note = _note(folder / _NOTE)
    here = {"paths": str(fleet.path.resolve()), "contents": _content(fleet)}
    if all(value in note[key] for key, value in here.items()):
        return
    fresh = {key: [*(one for one in note[key] if one != value), value][-_KEPT:] for key, value in here.items()}
    write_file_atomic(folder / _NOTE, json.dumps(fresh).encode())


def _content(fleet: Fleet) -> str:
    """Hash what is the same in a copy: the file, and which devices its list has."""
    devices = "\n".join(f"{one.name} {one.identity}" for one in fleet.devices.values())
    return sha256(fleet.content + devices.encode()).hexdigest()


def _note(file: Path) -> dict[str, list[str]]:
    try:
        note = load_json(read_start(file, _NOTE_BYTES))
    except (OSError, ValueError):
        note = None
    found = note if isinstance(note, dict) else {}
    return {key: _texts(found.get(key)) for key in ("paths", "contents")}


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
