"""The updates in a journal, all of them: which packages a device got, and how that ended."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from smpdfu.dfu.do.journal.reading import counting, read_journal
from smpdfu.errors import JournalError
from smpdfu.local.state.json_lines import entry_of
from smpdfu.local.state.own import open_own

_STEP = b'{"step":'
_UPDATE = b'{"update":'
_TIME = re.compile(rb', "time": ([0-9]{1,12}(?:\.[0-9]{1,6})?)\}\n\Z')


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


Known = Callable[[float, float], bool]
"""Whether an update that began and ended at these times is known from elsewhere."""


def read_updates(path: Path, known: Known | None = None) -> list[JournalUpdate]:
    """Return the updates in a journal, oldest first; none where there is no journal. Raises JournalError.

    Updates that are ``known`` are left out.
    """
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
    return updates_in(data, known)


def updates_in(data: bytes, known: Known | None = None) -> list[JournalUpdate]:
    """Return the updates in the bytes of a journal, but those that are ``known``: of these, only the times are read.

    Lines that begin as a step does are not read. If another line is damaged, all are, and count as ``Journal`` counts
    them.
    """
    lines = data.splitlines(keepends=True)
    if lines and entry_of(lines[-1]) is None:  # cut short, or as good as
        del lines[-1]
    if known is not None:
        lines = list(_unknown(lines, known))
    entries = [line if line.startswith(_STEP) else entry_of(line) for line in lines]
    if None in entries:
        return _grouped(counting(lines, map(entry_of, lines)))
    return _grouped(entries)


def _unknown(lines: Sequence[bytes], known: Known) -> Iterator[bytes]:
    """The lines of the updates that are not known."""
    starts = [number for number, line in enumerate(lines) if line.startswith(_UPDATE)]
    yield from lines[: starts[0] if starts else None]
    for start, end in pairwise([*starts, len(lines)]):
        times = [_TIME.search(lines[at]) for at in (start, end - 1)]
        first, last = (None if found is None else float(found[1]) for found in times)
        if first is None or last is None or not known(first, last):
            yield from lines[start:end]


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
