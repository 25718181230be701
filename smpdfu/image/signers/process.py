"""Run a program that is not ours: bounded in time and in what it may write, and never left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO

from smpdfu.errors import KeyFileError, SigningError
from smpdfu.image.signers import Tell
from smpdfu.untrusted.programs import watched, watched_words
from smpdfu.untrusted.text import without_escapes

# The longest signature is RSA-3072 in base64: 512 characters. More than this is not a signature.
MAX_OUTPUT_BYTES = 16 << 10
# How much of stderr is kept for the error, and how much of that is said.
_KEPT_BYTES = 8 << 10
_SAID_CHARACTERS = 400
GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: ``words`` without a shell, ``data`` to stdin. ``name`` stands in errors; the words do not."""

    name: str
    words: tuple[str, ...]
    data: bytes = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    timeout_s: float


def run(job: Job, tell: Tell) -> bytes:
    """What the program wrote to stdout. Raises ``SigningError`` when it fails, hangs or writes too much.

    ``tell`` gets what it writes to stderr while it runs, from another thread.
    """
    with watched() as watch:
        process = _start(job, watch)
        try:
            return _finish(process, job, tell)
        finally:  # a program is not left behind, whatever happened here
            _kill(process)
            process.wait()


def _start(job: Job, watch: int | None) -> subprocess.Popen[bytes]:
    try:
        _check_startable(job)
        return subprocess.Popen(
            watched_words(watch, job.words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(job.environment),
            start_new_session=True,  # so that its children can be stopped with it
            pass_fds=() if watch is None else (watch,),
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise KeyFileError(f"{job.name} cannot be started: {reason}") from None


def _check_startable(job: Job) -> None:
    """Raise what the system says of a program that cannot be started: what starts it for us is a shell."""
    word = job.words[0]
    if "\0" in word or shutil.which(word, path=job.environment.get("PATH", os.defpath)) is not None:
        return  # of the first, Python tells
    if os.sep not in word or not os.path.lexists(word):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _finish(process: subprocess.Popen[bytes], job: Job, tell: Tell) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    output = _Reader(process.stdout, MAX_OUTPUT_BYTES, full=lambda: _kill(process))
    complaints = _Reader(process.stderr, _KEPT_BYTES, heard=lambda chunk: tell(readable(chunk)))
    helpers = (output, complaints, threading.Thread(target=_feed, args=(process.stdin, job.data), daemon=True))
    for helper in helpers:
        helper.start()
    late = False
    try:
        process.wait(job.timeout_s)
    except subprocess.TimeoutExpired:
        late = True
        _kill(process)
        process.wait()
    for helper in helpers:
        helper.join(GRACE_S)  # a grandchild may hold the pipe; it is not waited for without end
    _check(process.returncode, job, output, complaints, late=late)
    return bytes(output.kept)


def _check(code: int, job: Job, output: _Reader, complaints: _Reader, *, late: bool) -> None:
    if output.overflowed:
        raise SigningError(f"{job.name} wrote more than {MAX_OUTPUT_BYTES} bytes: that is not a signature")
    if late:
        raise SigningError(f"{job.name} did not sign within {job.timeout_s:g} s and was stopped{_said(complaints)}")
    if code:
        how = f"was stopped by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise SigningError(f"{job.name} {how}{_said(complaints)}")
    if output.is_alive():
        raise SigningError(f"{job.name} left a program running that still holds its output")
    if not output.kept:
        raise SigningError(f"{job.name} wrote no signature to stdout{_said(complaints)}")


def _said(complaints: _Reader) -> str:
    text = " ".join(readable(bytes(complaints.kept)).split())
    return f": {text[-_SAID_CHARACTERS:]}" if text else ""


_BLANKS = re.compile(r"[^\S\n]+")


def readable(data: bytes) -> str:
    """What a program said, without what would steer a terminal."""
    text = _BLANKS.sub(" ", without_escapes(data.decode("utf-8", "replace")))
    return "".join(letter for letter in text if letter == "\n" or letter.isprintable())


class _Reader(threading.Thread):
    """Empties a pipe so that the program never waits for us; keeps the last (or, with ``full``, the first) bytes."""

    def __init__(
        self,
        pipe: IO[bytes],
        limit: int,
        full: Callable[[], None] | None = None,
        heard: Callable[[bytes], None] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._limit = limit
        self._full = full
        self._heard = heard
        self.kept = bytearray()
        self.overflowed = False

    def run(self) -> None:
        with self._pipe, contextlib.suppress(OSError):
            while chunk := self._pipe.read(4096):
                self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        self.kept += chunk
        if self._heard is not None:
            self._heard(chunk)
        if len(self.kept) <= self._limit:
            return
        if self._full is None:
            del self.kept[: -self._limit]
            return
        del self.kept[self._limit :]
        self.overflowed = True
        self._full()


def _feed(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError), pipe:  # a program need not read what it is given
        view = memoryview(data)
        while view:
            view = view[pipe.write(view) :]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Stop the program and, where there are process groups, what it started."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
