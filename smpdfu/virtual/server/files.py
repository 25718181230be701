"""The files of a virtual device: a flat tree in memory, or in a folder of this computer.

This is what a file system on the board's external flash looks like to SMP: paths, sizes and bytes. Blocks, wear and
time are not modelled, and there are no directories but the mount points, for SMP can make none.
"""

from __future__ import annotations

import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

CAPACITY = 1 << 20
"""Bytes that the files may have together, and what stands for their entries."""
FILE_COST = 256
"""Bytes that a file takes besides its own."""


class Full(Exception):  # noqa: N818 - an event of the world and nobody's error
    """There is no room for more bytes."""


class Files(ABC):
    """Files by absolute path. What is written is there at once."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Bytes of the file; None if there is none."""

    @abstractmethod
    def read(self, path: str, off: int, size: int) -> bytes:
        """At most ``size`` bytes from ``off``; nothing behind the end."""

    def clear(self, path: str) -> None:
        """Make the file be there, and empty. Raises ``Full``."""
        self._reserve(FILE_COST if self.size(path) is None else 0)
        self._clear(path)

    def append(self, path: str, data: bytes) -> None:
        """Add ``data`` at the end. Raises ``Full``."""
        self._reserve(len(data))
        self._append(path, data)

    def _reserve(self, size: int) -> None:
        if sum(one + FILE_COST for one in self._sizes()) + size > self._capacity:
            raise Full

    @abstractmethod
    def _clear(self, path: str) -> None: ...

    @abstractmethod
    def _append(self, path: str, data: bytes) -> None: ...

    @abstractmethod
    def _sizes(self) -> Iterable[int]: ...


class MemoryFiles(Files):
    """Files in memory."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__(capacity)
        self._files: dict[str, bytearray] = {}

    def size(self, path: str) -> int | None:
        """As ``Files.size``."""
        return len(self._files[path]) if path in self._files else None

    def read(self, path: str, off: int, size: int) -> bytes:
        """As ``Files.read``."""
        return bytes(self._files[path][off : off + size])

    def _clear(self, path: str) -> None:
        self._files[path] = bytearray()

    def _append(self, path: str, data: bytes) -> None:
        self._files[path] += data

    def _sizes(self) -> Iterable[int]:
        return map(len, self._files.values())


class FolderFiles(Files):
    """Files in ``folder``, which is made when the first comes; a name there is the path, percent-encoded."""

    def __init__(self, folder: Path, capacity: int = CAPACITY) -> None:
        super().__init__(capacity)
        self._folder = folder

    def size(self, path: str) -> int | None:
        """As ``Files.size``."""
        try:
            return self._place(path).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, path: str, off: int, size: int) -> bytes:
        """As ``Files.read``."""
        with self._place(path).open("rb") as file:
            file.seek(min(off, self._capacity))  # what a request says may be more than a file can have
            return file.read(size)

    def _clear(self, path: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._place(path).write_bytes(b"")

    def _append(self, path: str, data: bytes) -> None:
        with self._place(path).open("ab") as file:
            file.write(data)

    def _sizes(self) -> Iterable[int]:
        return (file.stat().st_size for file in self._folder.iterdir()) if self._folder.is_dir() else ()

    def _place(self, path: str) -> Path:
        return self._folder / urllib.parse.quote(path, safe="")
