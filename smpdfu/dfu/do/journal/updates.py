"""The updates in a journal, all of them, and the uploads of one image: what a device got, and how that ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from smpdfu.dfu.do.journal.reading import counting, read_file
from smpdfu.local.state.json_lines import entry_of

_STEP = b'{"step":'
_UPDATE = b'{"update":'
_UPLOAD = b'{"upload":'
_TIME = re.compile(rb', "time": ([0-9]{1,12}(?:\.[0-9]{1,6})?)\}\n\Z')
_TIME_BYTES = 31
"""What the longest match of it has."""
UPLOAD = "upload"
"""The key of a line on an upload of one image without a package."""
PARTS = "parts"
"""The key of the parts of which one may run an image that was marked."""


class UploadLine(StrEnum):
    """What such a line says. BEGUN: from here on the image may run; nobody knows until another line settles it."""

    BEGUN = "begun"
    INSTALLED = "installed"
    REVERTED = "reverted"


@dataclass(slots=True)
class JournalUpdate:
    """The lines of one update: its first one, its notes, and its end (None: it did not end).

    ``steps`` are the lines of its steps, some as they are in the file: most readers need none of them.
    """

    begin: Mapping[str, Any]
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    steps: list[bytes | Mapping[str, Any]] = field(default_factory=list)
    end: Mapping[str, Any] | None = None

    def step_entries(self) -> Iterator[Mapping[str, Any]]:
        """Read the lines of the steps."""
        entries = (entry_of(line) if isinstance(line, bytes) else line for line in self.steps)
        return (entry for entry in entries if entry is not None)


@dataclass(slots=True)
class JournalUpload:
    """The lines of one upload of an image without a package: how it began, and its end (None: nobody knows)."""

    begin: Mapping[str, Any]
    end: Mapping[str, Any] | None = None


Known = Callable[[float, float], bool]
"""Whether an update that began and ended at these times is known from elsewhere."""


def read_updates(path: Path, known: Known | None = None) -> list[JournalUpdate | JournalUpload]:
    """Return what is in a journal, oldest first; nothing where there is no journal. Raises JournalError.

    Updates that are ``known`` are left out. An update that an upload interrupted comes in two parts, the upload between
    them.
    """
    return updates_in(read_file(path), known)


def updates_in(data: bytes, known: Known | None = None) -> list[JournalUpdate | JournalUpload]:
    """Return what ``read_updates`` does, of the bytes of a journal. Of updates that are ``known``, it reads the times.

    Lines that begin as a step does are not read. If another line is damaged, all are, and count as ``Journal`` counts
    them.
    """
    last = data.rfind(b"\n", 0, -1) + 1
    if entry_of(data[last:]) is None:  # cut short, or as good as
        data = data[:last]
    lines = (data if known is None else _unknown(data, known)).splitlines(keepends=True)
    entries = [line if line.startswith(_STEP) else entry_of(line) for line in lines]
    if None in entries:
        return _grouped(counting(lines, map(entry_of, lines)))
    return _grouped(entries)


def _unknown(data: bytes, known: Known) -> bytes:
    """The lines of the updates that are not known, and of all uploads: most lines are not even told apart."""
    starts = list(_starts(data))
    has_uploads = b"\n" + _UPLOAD in data
    kept = [data[: starts[0]] if starts else data]
    for start, end in pairwise([*starts, len(data)]):
        update = data[start:end]
        own, uploads = _apart(update) if has_uploads else (update, b"")
        first, last = _time(own, own.find(b"\n") + 1), _time(own, len(own))
        is_known = first is not None and last is not None and known(first, last)
        kept.append(uploads if is_known else update)
    return b"".join(kept)


def _time(update: bytes, end: int) -> float | None:
    """The time in the line that ends there, as ``Journal`` writes it; None for any other line."""
    found = _TIME.search(update, max(0, end - _TIME_BYTES), end)
    return None if found is None else float(found[1])


def _starts(data: bytes) -> Iterator[int]:
    """Where the first line of each update begins."""
    if data.startswith(_UPDATE):
        yield 0
    at = 0
    while at := data.find(b"\n" + _UPDATE, at) + 1:
        yield at


def _apart(update: bytes) -> tuple[bytes, bytes]:
    """The lines of an update, and those of uploads between them."""
    lines = update.splitlines(keepends=True)
    uploads = b"".join(line for line in lines if line.startswith(_UPLOAD))
    return b"".join(line for line in lines if not line.startswith(_UPLOAD)), uploads


def _grouped(entries: Iterable[Mapping[str, Any] | bytes | None]) -> list[JournalUpdate | JournalUpload]:
    found: list[JournalUpdate | JournalUpload] = []
    latest: JournalUpdate | None = None
    for entry in entries:
        if entry is None:
            continue
        if not isinstance(entry, bytes) and isinstance(upload := entry.get(UPLOAD), dict):
            _add_upload(found, {**upload, "time": entry.get("time", 0.0)})
        elif not isinstance(entry, bytes) and "update" in entry:
            found.append(latest := JournalUpdate(entry))
        elif latest is not None:
            if isinstance(between := found[-1], JournalUpload):
                found.append(latest := _continued(latest, between))
            _add(latest, entry)
    return found


def _add(update: JournalUpdate, entry: Mapping[str, Any] | bytes) -> None:
    if isinstance(entry, bytes) or "is" in entry:
        update.steps.append(entry)
    elif "end" in entry:
        update.end = entry
    else:
        update.notes.append(entry)


def _add_upload(found: list[JournalUpdate | JournalUpload], entry: Mapping[str, Any]) -> None:
    last = found[-1] if found else None
    is_open = isinstance(last, JournalUpload) and last.end is None
    if not isinstance(last, JournalUpload) or not is_open:
        found.append(JournalUpload(entry))
    elif entry.get("is") != UploadLine.BEGUN:
        last.end = entry
    elif PARTS not in entry and _hash_of(last.begin) == _hash_of(entry) is not None:  # it is known now which part
        since = {key: last.begin.get(key) for key in ("time", "runs")}
        found[-1] = JournalUpload({**entry, **since})
    else:
        found.append(JournalUpload(entry))


def _hash_of(line: Mapping[str, Any]) -> object:
    image = line.get("image")
    return image.get("hash") or None if isinstance(image, dict) else None


def _continued(update: JournalUpdate, upload: JournalUpload) -> JournalUpdate:
    """The rest of an update behind an upload: since then, the device runs what the upload says."""
    told = upload.end or {}
    since = {"time": (upload.end or upload.begin)["time"], "runs": told.get("runs")}
    return JournalUpdate({**update.begin, **since}, [note for note in update.notes if "hardware" in note])
