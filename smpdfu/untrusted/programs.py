"""Programs that are not ours: what they learn of our environment, and that they end with us."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

_withheld: set[str] = set()


def withhold(name: str) -> None:
    """From now on no program gets the variable ``name``: a secret was read from it."""
    _withheld.add(name.upper() if sys.platform == "win32" else name)  # there all variables are upper case


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """What a program gets: our variables but for those with secrets, and ``more``."""
    inherited = {name: value for name, value in os.environ.items() if name not in _withheld}
    return {**inherited, **more}


# A process beside the program, in its group: it waits for a line from us. An end without a line, however we ended
# (SIGTERM, SIGHUP, SIGKILL, a crash), makes it kill the group. A parent-death signal would reach the program alone, and
# only on Linux.
_WATCHED = """exec 3<"$1"
shift
{ read -r line <&3 || kill -KILL 0; } </dev/null >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""


@contextmanager
def watched() -> Iterator[int | None]:
    """A descriptor for a program that is started inside by ``watched_words`` and ``pass_fds``, None on Windows.

    At the end, the watcher learns that we are done with the program. If an exception ends this, such as a cancellation
    while the program starts, the watcher learns nothing and ends the program and its group.
    """
    if sys.platform == "win32":
        yield None
        return
    reading, writing = os.pipe()
    try:
        yield reading
        with suppress(BrokenPipeError):
            os.write(writing, b"\n")
    finally:
        os.close(reading)
        os.close(writing)


def watched_words(watch: int | None, words: tuple[str, ...]) -> tuple[str, ...]:
    """``words`` for a program that is to end with us, in a session of its own. No shell reads them.

    A system without /dev/fd has no watch: the words are as they were.
    """
    file = f"/dev/fd/{watch}"
    if watch is None or not os.path.exists(file):
        return words
    return ("/bin/sh", "-c", _WATCHED, "sh", file, *words)
