"""The journal of a device's updates: what was begun and what was done, so that the next call can go on.

One file per device, only ever appended to, one JSON object a line, on the disk before the next step begins. A line that
a crash cut short is the last one and counts as not written. A damaged line before it counts for nothing, and the rest
does: see ``reading``. The first line of an update names its package, the lines
behind it its steps, and one with ``end`` closes it::

    {"update": "<digest of the package>", "device": "virtual:desk", "about": {"key": "<hex>"}, "time": 1700000000.0,
     "images": [...], "policy": "test-and-confirm", "uploads_run": false, "runs": "<hash>"}
    {"step": "upload app", "is": "begun", "time": ...}
    {"step": "upload app", "is": "done", "time": ...}
    {"step": "reset app", "is": "absent", "time": ...}
    {"loader": ["3.2/pm"], "source": "console", "text": "nRF Connect SDK v3.2.0", "time": ...}
    {"step": "reset app", "is": "waiting", "time": ...}
    {"hardware": "<hex>", "time": ...}
    {"net_version": "1.0.0", "time": ...}
    {"proof": {"value": true, "reason": "...", "source": "console"}, "time": ...}
    {"action": {"server": "https://...", "tenant": "DEFAULT", "id": "17"}, "time": ...}
    {"end": "done", "time": ...}
    {"upload": {"is": "begun", "device": "virtual:desk", "image": {...}, "runs": "<hash>", "hardware": "<hex>"}, ...}
    {"upload": {"is": "installed", "proven": true, "runs": "<hash>"}, "time": ...}

``images`` are those of the package for this device (``ImageRecord``), ``uploads_run`` says whether an image may run
that was only uploaded, ``runs`` is the hash of the application that the device listed before.
``loader`` is a clue to the bootloader, ``net_version`` what the application told of the network core before its reset,
``proof`` whether the network core took its image, ``hardware`` the number of the device's chip, null where it does not
tell one: what was noted before it may be about another device. ``waiting``: the device took the reset, and the image
still waited. ``action`` is what ordered the update, where an agent does it for a server: in the first line, or in one
of its own when another order continues the update. An older tool passes them over, and an older journal has none.

``upload`` is about one image without a package, and about no update: such lines may stand between those of an update,
or behind its end, and an update passes them over. ``uploads`` writes them.

The journal remembers what a device cannot tell (that the network core got its image); where the two disagree the
device is right, see ``plan``.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from smpdfu.dfu.decide.record import Record, replay
from smpdfu.dfu.do.journal.reading import entries_in, read_journal
from smpdfu.errors import JournalError
from smpdfu.local.state.json_lines import as_time
from smpdfu.local.state.lock import lock_file
from smpdfu.local.state.own import keep_names, make_own_folder, open_own

T = TypeVar("T")


class Journal:
    """The journal of one device, open for appending. Every method that writes raises JournalError."""

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> None:
        """Read what is there and make the file if there is none; a line that was cut short is removed.

        ``damaged`` are the numbers of the lines that count for nothing. Raises JournalError when the file cannot be
        read or written, is too large, or another process holds it.
        """
        self.path = Path(path)
        self._clock = clock
        self._writing = threading.Lock()
        try:
            self._fd = _open(self.path)
        except OSError as error:
            raise JournalError(f"the journal {self.path} cannot be opened: {error.strerror or error}") from error
        try:
            entries, end, self.damaged = entries_in(read_journal(self._fd, self.path))
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

    def begin(self, package: str, *, device: str = "", about: Mapping[str, Any] | None = None, **facts: Any) -> None:
        """An update with the package of this digest begins; ``about`` is what a later one will want to know of it.

        ``facts`` is what is noted of it for people: see the module.
        """
        self._append({"update": package, "device": device, **({"about": dict(about)} if about else {}), **facts})

    def begun(self, step: str) -> None:
        """A step begins: from here on the device may have changed."""
        self._append({"step": step, "is": "begun"})

    def done(self, step: str) -> None:
        """A step is done, and the device was seen to have done it."""
        self._append({"step": step, "is": "done"})

    def absent(self, step: str) -> None:
        """The device did not come back in a step."""
        self._append({"step": step, "is": "absent"})

    def waiting(self, step: str) -> None:
        """The device took the reset in a step, and the image still waits for the next boot."""
        self._append({"step": step, "is": "waiting"})

    def note(self, facts: Mapping[str, Any]) -> None:
        """A line of facts: ``loader``, ``hardware``, ``proof``, ``action``, ``upload`` and others, see the module."""
        self._append(dict(facts))

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
            self._write({**entry, "time": round(as_time(self._clock()), 3)})

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


async def off_loop(write: Callable[[T], None], what: T) -> None:
    """Write into a journal while the event loop goes on: a disk takes milliseconds to be sure.

    The line is written, or has failed, before this returns, also when it is cancelled, however often. Raises what
    ``write`` raises; cancelled, it raises CancelledError only.
    """
    writing = asyncio.get_running_loop().run_in_executor(None, write, what)
    cancelled: asyncio.CancelledError | None = None
    while not writing.done():
        try:
            await asyncio.wait([writing])
        except asyncio.CancelledError as stop:
            cancelled = stop
    error = writing.exception()  # read in any case: asyncio reports an error that nobody has read
    if cancelled is not None:
        raise cancelled
    if error is not None:
        raise error


def _write_all(fd: int, data: bytes) -> None:
    while data:  # a full disk takes a part first and refuses the rest
        data = data[os.write(fd, data) :]


def _open(path: Path) -> int:
    make_own_folder(path.parent)
    new = not path.exists()
    fd = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        lock_journal(fd, path)
        if new:
            keep_names(path.parent)
    except BaseException:
        os.close(fd)
        raise
    return fd


def lock_journal(fd: int, path: Path) -> None:
    """Have an open journal alone; JournalError when another process has it."""
    try:
        lock_file(fd)
    except BlockingIOError as error:
        raise JournalError(f"another process is updating this device: it holds {path}") from error
