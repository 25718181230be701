"""The beginning of an artifact on disk, to which a download appends."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from smpdfu.agent.ddi.counted import counted
from smpdfu.errors import ArtifactError
from smpdfu.local.state.own import NO_SPACE, keep_names, open_own

_PIECE_BYTES = 1 << 20
_Result = TypeVar("_Result")


class PartialFile:
    """A ``Sink`` of ``server/sink.py``: the file at ``path``, which shall have ``whole_bytes`` at its end.

    What an earlier process left there stays, unless it is more than that. Raises ``OSError`` if it cannot be opened.
    """

    def __init__(self, path: Path, whole_bytes: int) -> None:
        self.path = path
        self.whole_bytes = whole_bytes
        self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        self.size_bytes = os.lseek(self._descriptor, 0, os.SEEK_END)
        if self.size_bytes > whole_bytes:
            self.restart()

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def restart(self) -> None:
        """Forget the bytes that are there. Raises ``ArtifactError``."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise fault_of(error, self.path.parent) from None
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append bytes. Raises ``ArtifactError`` for more bytes than the server said, and for a full disk."""
        if self.size_bytes + len(data) > self.whole_bytes:
            raise ArtifactError(
                f"the file is larger than the server said: more than {counted(self.whole_bytes, 'byte')}"
            ).because("artifact-size")
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._descriptor, view)
                self.size_bytes += written
                view = view[written:]
        except OSError as error:
            raise fault_of(error, self.path.parent) from None

    def has(self, algorithm: str, wanted: str) -> bool:
        """Whether the file is whole and has this hash, as it is read back. Raises ``OSError``."""
        return self.size_bytes == self.whole_bytes and self.hash(algorithm) == wanted

    def hash(self, algorithm: str) -> str:
        """Return a hash of what is there, as it is read back. Raises ``OSError``."""
        try:
            return hash_of(self._descriptor, algorithm)
        finally:
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def become(self, path: Path) -> None:
        """Bring the bytes to the disk, then give the file its final name. Raises ``OSError``."""
        os.fsync(self._descriptor)
        self._close()  # Windows renames no open file
        os.replace(self.path, path)
        keep_names(path.parent)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def hash_of(descriptor: int, algorithm: str) -> str:
    """Return the hash of an open file from its beginning, in lower-case hex. Raises ``OSError``."""
    found = hashlib.new(algorithm, usedforsecurity=algorithm != "sha1")
    os.lseek(descriptor, 0, os.SEEK_SET)
    while piece := os.read(descriptor, _PIECE_BYTES):
        found.update(piece)
    return found.hexdigest()


def fault_of(error: OSError, folder: Path) -> ArtifactError:
    """Return our error for one of the file system."""
    if error.errno in NO_SPACE:
        return disk_full(folder)
    where = error.filename or folder
    why = error.strerror or type(error).__name__
    return ArtifactError(f"smpdfu cannot use {where}: {why}", temporary=True).because("artifacts-folder")


def disk_full(folder: Path) -> ArtifactError:
    """Return the error for a disk without room."""
    text = f"no space is left on the disk of the folder for artifacts, {folder}"
    return ArtifactError(text, temporary=True).because("disk-full", folder=str(folder))


async def in_thread(work: Callable[[], _Result]) -> _Result:
    """Do blocking work in a thread. A cancellation waits until the thread is done: nothing goes on behind it."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()  # it is nobody's any more
        raise
