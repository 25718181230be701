"""The folder with the artifacts of this gateway, each once, under its SHA-256.

``<sha256>`` is a whole file, ``<sha256>.part`` the beginning of one; if the server gives only a SHA-1, the beginning is
``sha1-<sha1>-<size>.part``. A file gets its final name after its size and its hash were right and its bytes are on the
disk, so whoever is killed at any point leaves a whole file or a beginning. The folder belongs to one process at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from smpdfu.agent.artifacts.expected import Expected, expected_of
from smpdfu.agent.artifacts.partial import PartialFile, disk_full, fault_of, hash_of, in_thread
from smpdfu.agent.ddi.counted import counted
from smpdfu.agent.ddi.resources import Artifact
from smpdfu.errors import ArtifactError, ServerLinkError, ServerProtocolError, SmpdfuError
from smpdfu.local.state.lock import HeldError, Lock
from smpdfu.local.state.own import make_own_folder, open_own
from smpdfu.untrusted.text import line

Download = Callable[[Artifact, PartialFile], Awaitable[None]]
"""Brings an artifact, or the rest of it: ``functools.partial(client.download, controller)``."""
KEEP_FREE_BYTES = 16 << 20
"""What stays free on the disk, for journals and records."""
_NAME = re.compile(r"[0-9a-f]{64}(?:\.part)?|sha1-[0-9a-f]{40}-[0-9]{1,20}\.part", re.ASCII)
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
    that is in use. ``allow_sha1``: take files for which the server gives only a SHA-1. ``free_bytes`` tells how much
    room a folder's disk has.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        *,
        allow_sha1: bool = False,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.allow_sha1 = allow_sha1
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
                f"another agent (process {pid}) uses the folder for artifacts {self.folder}; "
                "stop it, or give each agent a folder of its own",
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

        The name of the file is its SHA-256. Downloads it if it is not there, once for all devices that ask at the same
        time, and continues what an earlier process began. Raises ``ArtifactError`` (wrong hash or size, no hash, no
        space) and what ``download`` raises.
        """
        expected = expected_of(artifact, allow_sha1=self.allow_sha1)
        key = expected.key
        with ExitStack() as held:
            held.enter_context(self._in_use(key))
            gate = self._gates.setdefault(key, asyncio.Lock())
            known = self._failed.get(key)
            async with gate:
                failed = self._failed.get(key)
                if failed is not None and failed is not known:  # while this device waited
                    raise copy(failed)
                path = await self._get(artifact, expected, download, held)
            yield path

    @contextmanager
    def _in_use(self, key: str) -> Iterator[None]:
        """As long as this lasts, nobody removes the file."""
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                for table in (self._held, self._gates, self._failed):
                    table.pop(key, None)

    def usage(self) -> Usage:
        """Return what the folder holds. Raises ``ArtifactError`` if it cannot be read."""
        sizes = [size for _, size, _ in self._files()]
        return Usage(len(sizes), sum(sizes), self.limit_bytes)

    async def _get(self, artifact: Artifact, expected: Expected, download: Download, held: ExitStack) -> Path:
        """Find the file or fetch it; ``held`` keeps it in use then."""
        try:
            found = await self._find(expected, held)
            return found or await self._fetch(artifact, expected, download, held)
        except OSError as error:
            raise self._remember(expected.key, fault_of(error, self.folder)) from None
        except _SHARED as error:
            self._remember(expected.key, error)
            raise

    def _remember(self, key: str, error: SmpdfuError) -> SmpdfuError:
        self._failed[key] = error
        return error

    async def _find(self, expected: Expected, held: ExitStack) -> Path | None:
        """Find the whole file: by its name, or by a SHA-1 among those of its size."""
        names = [expected.hash]
        if expected.algorithm != "sha256":
            sizes = {path.name: size for path, size, _ in self._files() if path.suffix != _PART}
            names = [name for name, size in sizes.items() if size == expected.size_bytes]
        for name in names:
            with ExitStack() as one:
                one.enter_context(self._in_use(name))
                if await in_thread(partial(_is_whole, self.folder / name, expected)):
                    held.enter_context(one.pop_all())
                    return self.folder / name
        return None

    async def _fetch(self, artifact: Artifact, expected: Expected, download: Download, held: ExitStack) -> Path:
        has = partial(PartialFile.has, algorithm=expected.algorithm, wanted=expected.hash)
        with PartialFile(self.folder / (expected.key + _PART), expected.size_bytes) as part:
            self._make_room(expected.size_bytes, part.size_bytes)
            begun = part.size_bytes > 0
            await download(artifact, part)
            if begun and not await in_thread(partial(has, part)):
                part.restart()  # its beginning was of another file, or did not reach the disk
                await download(artifact, part)
            if not await in_thread(partial(has, part)):
                part.restart()
                raise _wrong_hash(artifact, expected)
            path = self.folder / await in_thread(partial(part.hash, "sha256"))
            held.enter_context(self._in_use(path.name))
            await in_thread(partial(part.become, path))
        return path

    def _make_room(self, size: int, there: int) -> None:
        """Remove what nobody used for the longest time until ``size`` bytes fit. Raises ``ArtifactError``."""
        if size > self.limit_bytes:
            raise ArtifactError(
                f"the file has {counted(size, 'byte')}, and the folder for artifacts may have {self.limit_bytes}"
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


def _is_whole(path: Path, expected: Expected) -> bool:
    """Whether the file is there as expected; it is marked as used then. One that its name does not fit is removed."""
    try:
        descriptor = open_own(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        whole = os.fstat(descriptor).st_size == expected.size_bytes and hash_of(descriptor, "sha256") == path.name
        if whole and expected.algorithm != "sha256" and hash_of(descriptor, expected.algorithm) != expected.hash:
            return False  # another file of the same size
        if whole:
            os.utime(path)
            return True
    finally:
        os.close(descriptor)
    path.unlink()
    return False


def _wrong_hash(artifact: Artifact, expected: Expected) -> ArtifactError:
    text = f"the {expected.words} of {line(artifact.filename)} is not the one that the server said"
    return ArtifactError(text).because("artifact-hash")


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
