"""A lock for one process at a time: a locked file that names its holder.

The system releases the lock when its holder ends, so a lock never outlives a process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from smpdfu.local.state.own import NO_SPACE, READ_ANYONES, open_own
from smpdfu.untrusted.nesting import load_json

_LOCKED_BYTE = 1 << 30  # Windows forbids reading a locked byte: this one is behind the end of our files
_LONGEST_NOTE = 1 << 16
_TRIES = 5
_PAUSE_S = 0.02  # a process that only looks at the lock holds it for less


class HeldError(Exception):
    """Another process holds the lock. ``note`` is what that process wrote about itself, usually its ``pid``."""

    def __init__(self, note: dict[str, Any]) -> None:
        super().__init__("another process holds the lock")
        self.note = note


class Lock:
    """A lock on the file at ``path``, which it creates if necessary."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Acquire the lock and write our pid into it; a full disk keeps it without a pid.

        Raises ``HeldError``, or ``OSError`` from the file system.
        """
        descriptor = open_own(self.path, os.O_RDWR | os.O_CREAT)
        try:
            _lock_soon(descriptor)
            _write_pid(descriptor)
        except BlockingIOError:
            note = _read_note(descriptor)
            os.close(descriptor)
            raise HeldError(note) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def tell(self, **note: Any) -> None:
        """Replace the note by our pid and ``note``. Raises ``ValueError`` if we do not hold the lock."""
        if self._descriptor is None:
            raise ValueError("only the holder of a lock writes its note")
        _write_note(self._descriptor, **note)

    def release(self) -> None:
        """Release the lock. Does nothing if we do not hold it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def holder(path: Path, *, of_anyone: bool = False) -> dict[str, Any] | None:
    """Return the note of the process that holds the lock at ``path``; None if no process does.

    ``of_anyone``: the lock may be another user's, if we may read its file; nothing is written.
    """
    try:
        descriptor = os.open(path, READ_ANYONES) if of_anyone else open_own(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        lock_file(descriptor)
    except BlockingIOError:
        return _read_note(descriptor)
    finally:
        os.close(descriptor)
    return None


def lock_file(descriptor: int) -> None:
    """Lock an open file until it is closed; others can read it. Raises ``BlockingIOError`` if it is locked."""
    if sys.platform == "win32":
        import msvcrt  # here: only Windows has it

        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
        finally:
            os.lseek(descriptor, position, os.SEEK_SET)
    else:
        import fcntl  # here: Windows does not have it

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_soon(descriptor: int) -> None:
    for _ in range(_TRIES - 1):
        try:
            return lock_file(descriptor)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
    return lock_file(descriptor)


def _write_pid(descriptor: int) -> None:
    try:
        _write_note(descriptor)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise


def _write_note(descriptor: int, **note: Any) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps({"pid": os.getpid(), **note}).encode())


def _read_note(descriptor: int) -> dict[str, Any]:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        note = load_json(os.read(descriptor, _LONGEST_NOTE))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
