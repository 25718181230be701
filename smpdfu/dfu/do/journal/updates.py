"""The updates in a journal, all of them: which packages a device got, and how that ended."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smpdfu.dfu.do.journal.journal import counting, read_journal
from smpdfu.errors import JournalError
from smpdfu.local.state.json_lines import entry_of
from smpdfu.local.state.own import open_own

_STEP = b'{"step":'


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


def read_updates(path: Path) -> list[JournalUpdate]:
    """Return the updates in a journal, oldest first; none where there is no journal. Raises JournalError."""
    try:
        fd = open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror or error}") from error
    try:
        data = read_journal(fd, path)
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror or error}") from error
    finally:
        os.close(fd)
    return updates_in(data)


def updates_in(data: bytes) -> list[JournalUpdate]:
    """Return the updates in the bytes of a journal.

    Lines that begin as a step does are not read. If another line is damaged, all are, and count as ``Journal`` counts
    them.
    """
    lines = data.splitlines(keepends=True)
    if lines and entry_of(lines[-1]) is None:  # cut short, or as good as
        del lines[-1]
    entries = [line if line.startswith(_STEP) else entry_of(line) for line in lines]
    if None in entries:
        return _grouped(counting(lines, map(entry_of, lines)))
    return _grouped(entries)


def _grouped(entries: Iterable[Mapping[str, Any] | bytes | None]) -> list[JournalUpdate]:
    found: list[JournalUpdate] = []
    for entry in entries:
        if entry is None:
            continue
        if not isinstance(entry, bytes) and "update" in entry:
            found.append(JournalUpdate(entry))
        elif found:
            _add(found[-1], entry)
    return found


def _add(update: JournalUpdate, entry: Mapping[str, Any] | bytes) -> None:
    if isinstance(entry, bytes) or "is" in entry:
        update.steps.append(entry)
    elif "end" in entry:
        update.end = entry
    else:
        update.notes.append(entry)
