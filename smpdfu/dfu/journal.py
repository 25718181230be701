"""The journal of a device's updates: what was begun and what was done, so that the next call can go on.

One file per device, only ever appended to, one JSON object a line, on the disk before the next step begins. A line that
a crash cut short is the last one and counts as not written. The first line of an update names its package, the lines
behind it its steps, and one with ``end`` closes it::

    {"update": "<digest of the package>", "device": "virtual:desk", "about": {"key": "<hex>"}, "time": 1700000000.0}
    {"step": "upload app", "is": "begun", "time": ...}
    {"step": "upload app", "is": "done", "time": ...}
    {"step": "reset app", "is": "absent", "time": ...}
    {"end": "done", "time": ...}

The journal remembers what a device cannot tell (that the network core got its image); where the two disagree the
device is right, see ``plan``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from smpdfu.errors import JournalError
from smpdfu.local.folders import state_home
from smpdfu.local.lock import lock_file
from smpdfu.local.own import make_own_folder, open_own

MAX_JOURNAL_BYTES = 16 * 1024 * 1024

# How an update ended: as planned; on the previous firmware; so that calling again does not help.
DONE, REVERTED, FAILED = "done", "reverted", "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """What is written about the latest update of a device: ``package`` is its digest, ``steps`` the names done.

    ``end`` is how it ended, ``ended_at`` when, in seconds since 1970; None while it is not finished. ``about`` is what
    was noted of the package when it began, ``past`` the same of the last update that ended as planned. ``absent``: the
    device was waited for in vain, and no step was done since.
    """

    package: str = ""
    steps: frozenset[str] = frozenset()
    end: str | None = None
    ended_at: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    past: Mapping[str, Any] = field(default_factory=dict)
    absent: bool = False

    @property
    def unfinished(self) -> bool:
        """True if an update was begun and did not end."""
        return bool(self.package) and self.end is None

    def of(self, package: str) -> Record:
        """This record where it is about ``package``, else an empty one."""
        return self if self.package == package else Record(past=self.past)

    def after(self, entry: Mapping[str, Any]) -> Record:
        """This record with one entry more."""
        if "update" in entry:
            about = entry.get("about")
            return Record(str(entry["update"]), about=about if isinstance(about, dict) else {}, past=self.past)
        if entry.get("is") == "done":
            return replace(self, steps=self.steps | {str(entry.get("step"))}, absent=False)
        if entry.get("is") == "absent":
            return replace(self, absent=True)
        if "end" not in entry:
            return self
        time_s = entry.get("time")
        past = {**self.past, **self.about} if entry["end"] == DONE else self.past
        ended_at = time_s if isinstance(time_s, int | float) else None
        return replace(self, end=str(entry["end"]), ended_at=ended_at, past=past)


def replay(entries: Iterable[Mapping[str, Any]]) -> Record:
    """What the entries add up to: the record of the last update in them."""
    return reduce(Record.after, entries, Record())


class Journal:
    """The journal of one device, open for appending. Every method that writes raises JournalError."""

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> None:
        """Read what is there and make the file if there is none; a line that was cut short is removed.

        Raises JournalError when the file cannot be read or written, is damaged, or another process holds it.
        """
        self.path = Path(path)
        self._clock, self._writing = clock, threading.Lock()
        try:
            self._fd = _open(self.path)
        except OSError as error:
            raise JournalError(f"the journal {self.path} cannot be opened: {error.strerror or error}") from error
        try:
            entries, end = _read(self._fd, self.path)
            os.ftruncate(self._fd, end)
            os.lseek(self._fd, end, os.SEEK_SET)
        except OSError as error:
            os.close(self._fd)
            raise JournalError(f"the journal {self.path} cannot be read: {error.strerror or error}") from error
        except JournalError:
            os.close(self._fd)
            raise
        self._record = replay(entries)

    @property
    def record(self) -> Record:
        """The latest update, as written so far."""
        return self._record

    def begin(self, package: str, *, device: str = "", about: Mapping[str, Any] | None = None) -> None:
        """An update with the package of this digest begins; ``about`` is what a later one will want to know of it."""
        self._append({"update": package, "device": device, **({"about": dict(about)} if about else {})})

    def begun(self, step: str) -> None:
        """A step begins: from here on the device may have changed."""
        self._append({"step": step, "is": "begun"})

    def done(self, step: str) -> None:
        """A step is done, and the device was seen to have done it."""
        self._append({"step": step, "is": "done"})

    def absent(self, step: str) -> None:
        """The device did not come back in a step."""
        self._append({"step": step, "is": "absent"})

    def end(self, outcome: str) -> None:
        """The update ended: ``DONE``, ``REVERTED`` or ``FAILED``."""
        self._append({"end": outcome})

    def close(self) -> None:
        """Give the file back, when a line that another thread writes is written; safe to call twice."""
        with self._writing:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # every line is on the disk already
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, entry: dict[str, Any]) -> None:
        with self._writing:
            self._write({**entry, "time": round(self._clock(), 3)})

    def _write(self, entry: dict[str, Any]) -> None:
        start = None
        try:
            start = os.lseek(self._fd, 0, os.SEEK_CUR)
            _write_all(self._fd, (json.dumps(entry) + "\n").encode())
            os.fsync(self._fd)
        except OSError as error:
            self._take_back(start)
            raise JournalError(f"the journal {self.path} cannot be written: {error.strerror or error}") from error
        self._record = self._record.after(entry)

    def _take_back(self, start: int | None) -> None:
        """Remove what a failed write left; where even that fails, the next reader drops the line that was cut short."""
        with suppress(OSError):
            if start is not None:
                os.ftruncate(self._fd, start)
                os.lseek(self._fd, start, os.SEEK_SET)


def _write_all(fd: int, data: bytes) -> None:
    while data:  # a full disk takes a part first and refuses the rest
        data = data[os.write(fd, data) :]


def read_record(path: str | os.PathLike[str]) -> Record:
    """The latest update in a journal, without opening it for writing; an empty record where there is none.

    Raises JournalError.
    """
    try:
        fd = open_own(Path(path), os.O_RDONLY)
        try:
            return replay(_read(fd, Path(path))[0])
        finally:
            os.close(fd)
    except FileNotFoundError:
        return Record()
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> int:
    make_own_folder(path.parent)
    new = not path.exists()
    fd = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        _lock(fd, path)
        if new and sys.platform != "win32":  # the name must survive a power cut, too
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(fd: int, path: Path) -> None:
    try:
        lock_file(fd)
    except BlockingIOError as error:
        raise JournalError(f"another process is updating this device: it holds {path}") from error


def _read(fd: int, path: Path) -> tuple[list[dict[str, Any]], int]:
    """The entries, and where the last whole one ends."""
    if os.fstat(fd).st_size > MAX_JOURNAL_BYTES:
        raise JournalError(f"the journal {path} is larger than {MAX_JOURNAL_BYTES >> 20} MiB: move it away")
    with open(fd, "rb", closefd=False) as file:
        data = file.read()
    entries: list[dict[str, Any]] = []
    end = 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is None:
            if number < len(lines):
                raise JournalError(f"line {number} of the journal {path} is damaged: move the file away")
            break
        entries.append(entry)
        end += len(line)
    return entries, end


def _entry(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def journal_path(device: str) -> Path:
    """Where the journal of the device with this address lies."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", device).strip("_.")[:60]
    return state_home() / "updates" / f"{name}-{zlib.crc32(device.encode()):08x}.jsonl"
