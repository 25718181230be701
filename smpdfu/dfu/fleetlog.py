"""The log of a fleet: one JSON object a line, appended as things happen, for machines and for the next run.

    {"event": "run", "time": 1700000000.0, "fleet": "roofs", "devices": 1000}
    {"event": "wave", "wave": "canary", "devices": 5}
    {"event": "begin", "device": "roof-1", "wave": "canary", "package": "<digest>"}
    {"event": "step", "device": "roof-1", "step": "upload app", "number": 1, "of": 9}
    {"event": "end", "device": "roof-1", "outcome": "done", "seconds": 41.2, "bytes": 180000, ...}
    {"event": "pause"} {"event": "resume"} {"event": "stop", "reason": "..."} {"event": "leave", "phase": "done"}

``end`` has the package's digest, what ran before and after, and for a failure its ``cause`` (a short stable text by
which failures are grouped), ``message`` and ``exit_code``. What a device cannot tell is in its own journal.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from smpdfu.errors import JournalError
from smpdfu.local.lock import HeldError, Lock
from smpdfu.local.own import make_own_folder, open_own

MAX_LOG_BYTES = 1 << 30
_SURE = frozenset({"run", "end", "stop", "leave"})
"""Events that are on the disk before the next thing happens."""


class FleetLog:
    """The log in ``folder``, open for appending by one process at a time. Every method that writes raises JournalError.

    ``watch`` is called with every event, too; it can be set later.
    """

    def __init__(
        self,
        folder: Path,
        *,
        watch: Callable[[Mapping[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises JournalError when another process has it, or it cannot be written."""
        self.path, self.watch, self._clock = log_path(folder), watch, clock
        self._lock = Lock(folder / "lock")
        try:
            make_own_folder(folder)
            self._lock.acquire()
        except HeldError as error:
            raise JournalError(f"process {error.note.get('pid', '?')} is running this fleet") from error
        except OSError as error:
            raise JournalError(f"the log of the fleet in {folder} cannot be opened: {error.strerror}") from error
        try:
            _cut_to_whole_lines(self.path)
            self._file = os.fdopen(open_own(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")
        except OSError as error:
            self._lock.release()
            raise JournalError(f"{self.path} cannot be opened: {error.strerror}") from error

    def write(self, event: str, **facts: Any) -> None:
        """Append an event."""
        entry = {"event": event, "time": round(self._clock(), 3), **facts}
        try:
            self._file.write((json.dumps(entry) + "\n").encode())
            self._file.flush()
            if event in _SURE:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalError(f"{self.path} cannot be written: {error.strerror}") from error
        if self.watch is not None:
            self.watch(entry)

    def close(self) -> None:
        """Give it back."""
        try:
            self._file.close()
        except OSError as error:
            raise JournalError(f"{self.path} cannot be written: {error.strerror}") from error
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def log_path(folder: Path) -> Path:
    """Where the log of a fleet's folder lies."""
    return folder / "events.jsonl"


def read_log(folder: Path) -> Iterator[dict[str, Any]]:
    """The events, oldest first; none where there is no log. A line that was cut short counts as not written.

    Raises JournalError.
    """
    path = log_path(folder)
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_LOG_BYTES:
                raise JournalError(f"{path} is larger than {MAX_LOG_BYTES >> 20} MiB: move it away")
            for line in file:
                if line.endswith(b"\n"):
                    yield _entry(line, path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error


def _entry(line: bytes, path: Path) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        raise JournalError(f"a line of {path} is damaged: move the file away")
    return entry


def _cut_to_whole_lines(path: Path) -> None:
    """Remove what a crash left of a last line."""
    try:
        descriptor = open_own(path, os.O_RDWR)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(end - 4096, 0)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            end = start + at + 1
            if at >= 0:
                break
            end = start
        if end < size:
            file.truncate(end)
