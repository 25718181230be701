"""The log of a fleet: one JSON object a line, appended as things happen, for machines and for the next run.

    {"event": "run", "time": 1700000000.0, "fleet": "roofs", "devices": 1000, "operator": "kim", "tool": "0.1.0"}
    {"event": "wave", "wave": "canary", "devices": 5}
    {"event": "look", "wave": "canary", "devices": 5, "silent": 1}
    {"event": "exchanged", "device": "roof-1", "chip": "<hex>", "before": "<hex>"}
    {"event": "begin", "device": "roof-1", "wave": "canary", "package": "<digest>"}
    {"event": "step", "device": "roof-1", "step": "upload app", "number": 1, "of": 9}
    {"event": "end", "device": "roof-1", "outcome": "done", "seconds": 41.2, "bytes": 180000, ...}
    {"event": "pause"} {"event": "resume"} {"event": "stop", "reason": "..."} {"event": "leave", "phase": "done"}

``operator`` is who started the run: ``operator`` in the fleet's file, else the login name. ``tool`` is the version of
smpdfu. ``packages`` in a ``run`` are the images of each package by its digest, see ``ImageRecord``: which devices run
an image is known later, too. ``end`` has the package's digest, the application's versions before and after, the
``proof`` of the network core's image (``value``, ``reason``, ``source``; null without one), and for a failure its
``cause`` (a short stable text by which failures are grouped) and ``message``. ``from_hash`` and ``to_hash`` are the
hashes of the application that the device listed, before and last; ``policy`` is the update's, and ``either`` the parts
of which the previous or the new image may run after a failure. ``begin`` and ``end`` have the device's ``identity``: an
outcome belongs to the device at that place, also if another one gets its name. ``chip`` in an ``end`` is the number of
the device's chip, null if the device does not tell it. ``exchanged`` notes that another board is at the address.
``stop`` has the ``code`` of the rule. What a device does not tell is in its own journal.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from smpdfu.dfu.fleet.log.events import MAX_LINE_BYTES, Fields, LogEvent
from smpdfu.errors import JournalError
from smpdfu.local.state.json_lines import as_time
from smpdfu.local.state.lock import HeldError, Lock
from smpdfu.local.state.own import make_own_folder, open_own

T = TypeVar("T")

MAX_LOG_BYTES = 1 << 30
_SURE = frozenset({"run", "end", "stop", "leave"})
"""Events that are on the disk before anything else happens."""


class FleetLog:
    """The log in ``folder``, open for appending by one process at a time. Methods that write raise JournalError.

    ``watch`` is called with every event that is written; it can be set later.
    """

    def __init__(
        self,
        folder: Path,
        *,
        watch: Callable[[LogEvent], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise JournalError if another process has the log, or if it cannot be written."""
        self.path = log_path(folder)
        self.watch = watch
        self._clock = clock
        self._lock = Lock(folder / "lock")
        try:
            make_own_folder(folder)
            self._lock.acquire()
        except HeldError as error:
            raise _running(error) from error
        except OSError as error:
            raise JournalError(f"smpdfu cannot open the log of the fleet in {folder}: {error.strerror}") from error
        try:
            _cut_to_whole_lines(self.path)
            self._file = os.fdopen(open_own(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")
        except OSError as error:
            self._lock.release()
            raise JournalError(f"smpdfu cannot open {self.path}: {error.strerror}") from error

    def write(self, event: str, **facts: Any) -> None:
        """Append an event."""
        self.write_all([{"event": event, **facts}])

    def write_all(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Append several events, each with its ``event``, in one write."""
        time_s = round(as_time(self._clock()), 3)
        entries = [{"event": one["event"], "time": time_s, **one} for one in events]
        try:
            self._file.write("".join(json.dumps(entry) + "\n" for entry in entries).encode())
            self._file.flush()
            if any(entry["event"] in _SURE for entry in entries):
                os.fsync(self._file.fileno())
        except OSError as error:
            raise JournalError(f"smpdfu cannot write {self.path}: {error.strerror}") from error
        if self.watch is not None:
            for entry in entries:
                if (event := LogEvent.from_entry(entry)) is not None:
                    self.watch(event)

    def close(self) -> None:
        """Close the file and release the lock."""
        try:
            self._file.close()
        except OSError as error:
            raise JournalError(f"smpdfu cannot write {self.path}: {error.strerror}") from error
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def log_path(folder: Path) -> Path:
    """The path of the log in a fleet's folder."""
    return folder / "events.jsonl"


def read_log(
    folder: Path,
    damaged: Callable[[int], None] | None = None,
    *,
    without: Iterable[str] = (),
    fields: Fields | None = None,
) -> Iterator[LogEvent]:
    """Read the events, oldest first; none where there is no log. A line that was cut short counts as not written.

    A damaged line counts for nothing; ``damaged`` is called with its number. Lines that begin as those of the events
    ``without`` do are not read, damaged or not: most lines are steps. ``fields`` as ``LogEvent`` has it.

    Raises JournalError.
    """
    return read_lines(folder, lambda line: LogEvent.from_bytes(line, fields), damaged, without=without)


def read_lines(
    folder: Path,
    read: Callable[[bytes], T | None],
    damaged: Callable[[int], None] | None = None,
    *,
    without: Iterable[str] = (),
) -> Iterator[T]:
    """Return what ``read`` makes of each line, as ``read_log`` does of events. It returns None for a damaged line.

    Raises JournalError.
    """
    skipped = tuple(_beginning(kind) for kind in without)
    path = log_path(folder)
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_LOG_BYTES:
                raise JournalError(f"{path} is larger than {MAX_LOG_BYTES >> 20} MiB: give the fleet a new id")
            for number, piece, begins in _pieces(file, skipped):
                found = read(piece) if begins else None
                if found is not None:
                    yield found
                elif begins and damaged is not None and not _was_cut_short(piece):
                    damaged(number)
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"smpdfu cannot read {path}: {error.strerror}") from error


def _beginning(kind: str) -> bytes:
    """How a line of this event begins, as ``FleetLog`` writes it."""
    return json.dumps({"event": kind}).encode()[:-1] + b","


def _pieces(file: BinaryIO, skipped: tuple[bytes, ...] = ()) -> Iterator[tuple[int, bytes, bool]]:
    """Number of the line, bytes of it, and whether they are its first: no line needs more memory than the longest.

    Lines that begin with one of ``skipped`` are left out. A log is read by blocks: most of its lines are left out.
    """
    number, begins, rest = 0, True, b""
    while block := file.read(MAX_LINE_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        if lines and not begins:  # the end of a line that was too long
            yield number, lines.pop(0) + b"\n", begins
            begins = True
        for at, line in enumerate(lines, number + 1):
            if not line.startswith(skipped):
                yield at, line + b"\n", begins
        number += len(lines)
        if len(rest) > MAX_LINE_BYTES:
            number += begins
            yield number, rest, begins
            begins, rest = False, b""
    if rest:
        yield number + begins, rest, begins


def _was_cut_short(piece: bytes) -> bool:
    return not piece.endswith(b"\n") and len(piece) <= MAX_LINE_BYTES


def repair_log(folder: Path) -> tuple[int, ...]:
    """Move the damaged lines of a log to ``events.damaged`` beside it, and return their numbers.

    Raises JournalError if a process runs the fleet, or if a file cannot be written.
    """
    found: list[int] = []
    path = log_path(folder)
    bad = folder / "events.damaged"
    fresh = folder / "events.new"
    if not path.exists():
        return ()
    try:
        with _locked(folder):
            fresh.unlink(missing_ok=True)
            with (
                os.fdopen(open_own(path, os.O_RDONLY), "rb") as old,
                os.fdopen(open_own(bad, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as aside,
                os.fdopen(open_own(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as new,
            ):
                for number, piece, begins in _pieces(old):
                    if begins:
                        good = LogEvent.from_bytes(piece) is not None
                        found += [] if good else [number]
                    (new if good else aside).write(piece)
                if found and not piece.endswith(b"\n"):
                    aside.write(b"\n")
                for file in (aside, new):
                    file.flush()
                    os.fsync(file.fileno())
            fresh.replace(path)
    except OSError as error:
        raise JournalError(f"smpdfu cannot repair {path}: {error.strerror}") from error
    return tuple(found)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = Lock(folder / "lock")
    try:
        lock.acquire()
    except HeldError as error:
        raise _running(error) from error
    try:
        yield
    finally:
        lock.release()


def _running(error: HeldError) -> JournalError:
    return JournalError(f"process {error.note.get('pid', '?')} is running this fleet")


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
