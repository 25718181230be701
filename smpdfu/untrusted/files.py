"""Files that others name: a read is limited in bytes, and never waits for a pipe without a writer."""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

FIRST_BYTE_S = 1.0
"""How long a named pipe has for its first byte: whoever writes to it may start a moment later."""
SILENCE_S = 30.0
"""How long it may send nothing afterwards."""
_SILENT = "it is a pipe, and no program writes to it"
_CHUNK_BYTES = 1 << 16
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

StrPath = str | os.PathLike[str]


def open_input(path: StrPath) -> BinaryIO:
    """Open a file for reading, at once: a named pipe without a writer reads as empty, and its reads do not block.

    Raises ``OSError`` with ``path`` in it; so for a folder.
    """
    descriptor = os.open(path, _OPEN)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if hasattr(os, "O_NONBLOCK") and not _is_named_pipe(path, mode):
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def open_stream(path: StrPath) -> BinaryIO:
    """Open a file that may still be written: reads wait for more from a pipe, once its first byte came in time.

    Raises ``OSError`` with ``path`` in it; so for a named pipe that sends nothing for ``FIRST_BYTE_S``.
    """
    file = open_input(path)
    if _is_named_pipe(path, os.fstat(file.fileno()).st_mode):
        if not _has_bytes(file, FIRST_BYTE_S):
            file.close()
            raise OSError(errno.EINVAL, _SILENT, os.fspath(path))
        os.set_blocking(file.fileno(), True)
    return file


def read_start(path: StrPath, limit: int) -> bytes:
    """At most ``limit`` bytes from the beginning of a file; ask for one more than is allowed to see that there is more.

    Raises ``OSError`` with ``path`` in it; so for a named pipe that sends nothing for ``FIRST_BYTE_S``, and later for
    ``SILENCE_S``.
    """
    chunks: list[bytes] = []
    left = limit
    with open_input(path) as file:
        status = os.fstat(file.fileno())
        waits = _is_named_pipe(path, status.st_mode)
        # One read takes all of a regular file: pieces of it would have to be copied together.
        most = status.st_size if stat.S_ISREG(status.st_mode) else 0
        while left > 0:
            if waits and not _has_bytes(file, SILENCE_S if chunks else FIRST_BYTE_S):
                raise OSError(errno.EINVAL, _SILENT, os.fspath(path))
            chunk = os.read(file.fileno(), min(left, max(most, _CHUNK_BYTES)))
            if not chunk:
                break
            chunks.append(chunk)
            left -= len(chunk)
            most = 0
    return b"".join(chunks)


def mentions(path: StrPath, word: bytes, limit: int) -> bool:
    """Return whether ``word`` is in the first ``limit`` bytes of a regular file, which are not held in memory.

    Raises ``OSError`` with ``path`` in it.
    """
    kept = len(word) - 1  # of the piece before: the word may begin in one piece and end in the next
    buffer = bytearray(kept + _CHUNK_BYTES)
    view = memoryview(buffer)
    with open_input(path) as file:
        while limit > 0:
            size = file.raw.readinto(view[kept : kept + limit])  # type: ignore[attr-defined]
            if not size:
                break
            if buffer.find(word, 0, kept + size) >= 0:
                return True
            view[:kept] = bytes(view[size : size + kept])
            limit -= size
    return False


def _has_bytes(file: BinaryIO, seconds: float) -> bool:
    """Whether bytes, or the end, come in time."""
    return bool(select.select([file], [], [], seconds)[0])


def _is_named_pipe(path: StrPath, mode: int) -> bool:
    """Not the pipe of a shell's ``<(...)`` or of stdin, which has a writer."""
    return stat.S_ISFIFO(mode) and not str(Path(path)).startswith(("/dev/fd/", "/proc/", "/dev/stdin"))


def open_output(path: StrPath) -> BinaryIO:
    """Open what is there and no regular file (a pipe, a device) for writing; a pipe without a reader is an error.

    Raises ``OSError`` with ``path`` in it.
    """
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it is a pipe, and no program reads from it", os.fspath(path)) from None
        raise
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")
