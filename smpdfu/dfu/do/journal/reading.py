"""Read the journal of a device's updates without opening it for writing; ``journal`` has its form.

Nothing here needs the event loop, or what a device is: a search in the journals of many devices starts fast.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from smpdfu.dfu.decide.record import Record, replay
from smpdfu.errors import JournalError
from smpdfu.local.state.folders import state_home
from smpdfu.local.state.json_lines import entry_of
from smpdfu.local.state.own import open_own

MAX_JOURNAL_BYTES = 16 * 1024 * 1024

_UNKNOWN: Mapping[str, Any] = {"update": ""}
"""An update of which the line is damaged that names its package: what follows is about no package that we know."""


def journal_path(place: str) -> Path:
    """Where the journal of the device at this place (``connect.Address.place``) lies."""
    return state_home() / "updates" / journal_name(place)


def journal_name(place: str) -> str:
    """The name of the file of this journal."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", place).strip("_.")[:60]
    return f"{name}-{zlib.crc32(place.encode()):08x}.jsonl"


def read_record(path: str | os.PathLike[str]) -> Record:
    """The latest update in a journal, without opening it for writing; an empty record where there is none.

    Raises JournalError.
    """
    return replay(entries_in(read_file(Path(path)))[0])


def read_file(path: Path) -> bytes:
    """The bytes of a journal; none where there is no journal. Raises JournalError."""
    try:
        fd = open_own(path, os.O_RDONLY)
        try:
            return read_journal(fd, path)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror or error}") from error


def entries_in(data: bytes) -> tuple[list[Mapping[str, Any]], int, tuple[int, ...]]:
    """The entries that count, where the last whole line ends, and the numbers of the damaged ones."""
    lines = data.splitlines(keepends=True)
    found = [entry_of(line) for line in lines]
    damaged = tuple(
        number for number, entry in enumerate(found, 1) if entry is None and lines[number - 1][-1:] == b"\n"
    )
    if found and found[-1] is None:  # cut short, or as good as
        del found[-1], lines[-1]
    return list(counting(lines, found)), sum(map(len, lines)), damaged


def read_journal(fd: int, path: Path) -> bytes:
    """The bytes of an open journal. Raises JournalError if it is too large, or OSError."""
    size = os.fstat(fd).st_size
    if size > MAX_JOURNAL_BYTES:
        raise JournalError(f"the journal {path} is larger than {MAX_JOURNAL_BYTES >> 20} MiB").because(
            "journal-too-large"
        )
    with open(fd, "rb", closefd=False) as file:
        return file.read(size)  # what is appended meanwhile is for the next reader


def counting(lines: Iterable[bytes], entries: Iterable[Mapping[str, Any] | None]) -> Iterator[Mapping[str, Any]]:
    """The entries that count of the ``lines`` of a journal; None is a damaged line."""
    return _counting(
        _UNKNOWN if entry is None and b'"update"' in line else entry for line, entry in zip(lines, entries, strict=True)
    )


def _counting(lines: Iterable[Mapping[str, Any] | None]) -> Iterator[Mapping[str, Any]]:
    """The entries that count. None is a damaged line.

    It may have been the first line of an update. That is so where no other line can be, behind an end, and it shows
    when a step begins that had begun before. From there on the entries are about a package that is not known.
    """
    begun, is_open, in_doubt = set[str](), False, False
    for line in lines:
        in_doubt = in_doubt or line is None
        if line is None and is_open:
            continue
        entry = _UNKNOWN if line is None else line
        step = str(entry.get("step")) if entry.get("is") == "begun" else None
        if step is not None and in_doubt and step in begun:
            begun, in_doubt = set(), False
            yield _UNKNOWN
        if "update" in entry:
            begun, is_open, in_doubt = set(), True, False
        elif "end" in entry:
            is_open = False
        elif step is not None:
            begun.add(step)
        yield entry
