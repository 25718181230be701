"""The folder with the artifacts of this gateway, each once, under its SHA-256.

``<sha256>`` is a whole file, ``<sha256>.part`` the beginning of one. A file gets its final name after its size and its
SHA-256 were right and its bytes are on the disk, so whoever is killed at any point leaves a whole file or a beginning.
The folder belongs to one process at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from smpdfu.agent.artifacts.partial import PartialFile, disk_full, fault_of, in_thread, sha256_of
from smpdfu.agent.ddi.resources import Artifact
from smpdfu.errors import ArtifactError, ServerLinkError, ServerProtocolError, SmpdfuError
from smpdfu.local.state.lock import HeldError, Lock
from smpdfu.local.state.own import make_own_folder, open_own
from smpdfu.untrusted.text import line

Download = Callable[[Artifact, PartialFile], Awaitable[None]]
"""Brings an artifact, or the rest of it: ``functools.partial(client.download, controller)``."""
KEEP_FREE_BYTES = 16 << 20
"""What stays free on the disk, for journals and records."""
_NAME = re.compile(r"[0-9a-f]{64}(?:\.part)?")
_PART = ".part"
_SHARED = (ArtifactError, ServerLinkError, ServerProtocolError)


@dataclass(frozen=True)
class Usage:
    """What the folder holds: whole artifacts and beginnings of others."""

    files: int
    size_bytes: int
    limit_bytes: int


class ArtifactCache:
    """The folder. One agent owns it: ``with ArtifactCache(...) as cache`` locks it, or raises ``ArtifactError``.

    ``limit_bytes`` is how large it may become: the artifacts that nobody used for the longest time go first, and none
    that is in use. ``free_bytes`` tells how much room a folder's disk has.
    """

    def __init__(self, folder: Path, limit_bytes: int, *, free_bytes: Callable[[Path], int] | None = None) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._free_bytes = free_bytes or _free_bytes
        self._lock = Lock(folder / "lock")
        self._held: Counter[str] = Counter()
        self._gates: dict[str, asyncio.Lock] = {}
        self._failed: dict[str, SmpdfuError] = {}

    def __enter__(self) -> ArtifactCache:
        try:
            make_own_folder(self.folder)
            self._lock.acquire()
        except HeldError as error:
            pid = error.note.get("pid", "?")
            raise ArtifactError(
                f"another agent (process {pid}) uses the folder for artifacts {self.folder}; give each its own",
                temporary=True,
            ).because("artifacts-locked", folder=str(self.folder)) from None
        except OSError as error:
            raise fault_of(error, self.folder) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @asynccontextmanager
    async def hold(self, artifact: Artifact, download: Download) -> AsyncIterator[Path]:
        """Give the path of an artifact, whole and checked, for as long as the ``async with`` lasts.

        Downloads it if it is not there, once for all devices that ask at the same time, and continues what an earlier
        process began. Raises ``ArtifactError`` (wrong hash or size, no SHA-256, no space) and what ``download`` raises.
        """
        sha256, size = check_artifact(artifact)
        self._held[sha256] += 1  # from here on, nobody removes it
        gate = self._gates.setdefault(sha256, asyncio.Lock())
        try:
            known = self._failed.get(sha256)
            async with gate:
                failed = self._failed.get(sha256)
                if failed is not None and failed is not known:  # while this device waited
                    raise copy(failed)
                path = await self._get(artifact, sha256, size, download)
            yield path
        finally:
            self._held[sha256] -= 1
            if not self._held[sha256]:
                for table in (self._held, self._gates, self._failed):
                    table.pop(sha256, None)

    def usage(self) -> Usage:
        """Return what the folder holds. Raises ``ArtifactError`` if it cannot be read."""
        sizes = [size for _, size, _ in self._files()]
        return Usage(len(sizes), sum(sizes), self.limit_bytes)

    async def _get(self, artifact: Artifact, sha256: str, size: int, download: Download) -> Path:
        path = self.folder / sha256
        try:
            if await in_thread(lambda: _is_whole(path, sha256, size)):
                return path
            return await self._fetch(artifact, path, download)
        except OSError as error:
            raise self._remember(sha256, fault_of(error, self.folder)) from None
        except _SHARED as error:
            self._remember(sha256, error)
            raise

    def _remember(self, sha256: str, error: SmpdfuError) -> SmpdfuError:
        self._failed[sha256] = error
        return error

    async def _fetch(self, artifact: Artifact, path: Path, download: Download) -> Path:
        sha256, size = check_artifact(artifact)
        with PartialFile(path.with_name(path.name + _PART), size) as part:
            self._make_room(size, part.size_bytes)
            begun = part.size_bytes > 0
            await download(artifact, part)
            if begun and not await in_thread(lambda: part.has(sha256)):
                part.restart()  # its beginning was of another file, or did not reach the disk
                await download(artifact, part)
            if not await in_thread(lambda: part.has(sha256)):
                part.restart()
                raise _wrong_hash(artifact)
            await in_thread(lambda: part.become(path))
        return path

    def _make_room(self, size: int, there: int) -> None:
        """Remove what nobody used for the longest time until ``size`` bytes fit. Raises ``ArtifactError``."""
        if size > self.limit_bytes:
            raise ArtifactError(
                f"the file has {size} bytes, and the folder for artifacts may have {self.limit_bytes}"
            ).because("artifacts-limit")
        files = sorted(self._files(), key=lambda one: one[2])
        used = sum(one[1] for one in files) - there
        for path, found, _ in files:
            full = used + size > self.limit_bytes
            if not full and self._free_bytes(self.folder) >= size - there + KEEP_FREE_BYTES:
                return
            if not self._held[path.name.removesuffix(_PART)]:
                with suppress(OSError):
                    path.unlink()
                    used -= found
        if used + size > self.limit_bytes:
            raise ArtifactError("the artifacts in use fill the folder for artifacts", temporary=True).because(
                "artifacts-limit"
            )
        if self._free_bytes(self.folder) < size - there + KEEP_FREE_BYTES:
            raise disk_full(self.folder)

    def _files(self) -> list[tuple[Path, int, int]]:
        """Path, size in bytes and time of the last use of each file that is ours."""
        found = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found.append((Path(entry.path), status.st_size, status.st_mtime_ns))
        except OSError as error:
            raise fault_of(error, self.folder) from None
        return found


def check_artifact(artifact: Artifact) -> tuple[str, int]:
    """Return SHA-256 and size of an artifact. Raises ``ArtifactError`` for one that cannot be used at all."""
    if artifact.sha256 is None:
        raise ArtifactError("the server gives no SHA-256 of the file, so smpdfu cannot check it").because(
            "artifact-no-hash"
        )
    if artifact.size_bytes is None:
        raise ArtifactError("the server does not say how large the file is").because("artifact-no-size")
    if artifact.size_bytes == 0:
        raise ArtifactError("the file at the server is empty").because("artifact-size")
    if not artifact.links:
        raise ArtifactError("the server gives no link to the file").because("artifact-link")
    return artifact.sha256, artifact.size_bytes


def _is_whole(path: Path, sha256: str, size: int) -> bool:
    """Whether the file is there with this size and hash; it is marked as used then. A wrong one is removed."""
    try:
        descriptor = open_own(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(descriptor).st_size == size and sha256_of(descriptor) == sha256:
            os.utime(path)
            return True
    finally:
        os.close(descriptor)
    path.unlink()
    return False


def _wrong_hash(artifact: Artifact) -> ArtifactError:
    return ArtifactError(f"the SHA-256 of {line(artifact.filename)} is not the one that the server said").because(
        "artifact-hash"
    )


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
