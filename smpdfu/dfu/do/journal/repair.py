"""Journals that are damaged: find them, name their lines, and give them another name. Delete that of a device."""

from __future__ import annotations

import os
from pathlib import Path

from smpdfu.dfu.do.journal.journal import lock_journal
from smpdfu.dfu.do.journal.reading import MAX_JOURNAL_BYTES
from smpdfu.errors import JournalError
from smpdfu.local.state.json_lines import entry_of
from smpdfu.local.state.own import open_own


def is_damaged(path: Path) -> bool:
    """True if a journal has damaged lines, or is too large to be read. Raises JournalError where it cannot be read."""
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            data = file.read(MAX_JOURNAL_BYTES + 1)
        if len(data) > MAX_JOURNAL_BYTES:
            return True
        return any(entry_of(line) is None for line in data.splitlines(keepends=True) if line[-1:] == b"\n")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror or error}") from error


def damaged_line(number: int, path: Path) -> str:
    """What to say about a damaged line of a journal or a log."""
    return f"line {number} of {path} is damaged; smpdfu ignores it and reads the other lines"


def set_aside(path: Path) -> Path | None:
    """Give a journal another name, so that the next one is new; the new name, None where there is no journal.

    Raises JournalError when another process holds it, or it cannot be renamed.
    """
    number = 1
    while (old := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    try:
        _check_free(path)
        path.rename(old)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be set aside: {error.strerror or error}") from error
    return old


def remove(path: Path) -> None:
    """Delete a journal, if there is one: its device does not exist any more.

    Raises JournalError when another process holds it, or it cannot be deleted.
    """
    try:
        _check_free(path)
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be deleted: {error.strerror or error}") from error


def _check_free(path: Path) -> None:
    """Raise JournalError if another process holds the journal, or OSError if it cannot be opened."""
    fd = open_own(path, os.O_RDWR)
    try:
        lock_journal(fd, path)
    finally:
        os.close(fd)
