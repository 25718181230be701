"""The folder with the artifacts of this gateway, each once, under its SHA-256."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from smpdfu.agent.ddi.resources import Artifact


@dataclass(frozen=True)
class Usage:
    """What the folder holds: whole artifacts and beginnings of others."""

    files: int
    size_bytes: int
    limit_bytes: int


class PartialFile:
    """The beginning of an artifact on disk, to which a download appends. It is a ``Sink`` of ``server/client.py``."""

    size_bytes: int = 0

    def restart(self) -> None:
        """Forget the bytes that are there."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Append bytes. Raises ``ArtifactError`` for more bytes than the server said, and for a full disk."""
        raise NotImplementedError


Download = Callable[[Artifact, PartialFile], Awaitable[None]]
"""Brings an artifact, or the rest of it: ``functools.partial(client.download, controller)``."""


class ArtifactCache:
    """The folder. One agent owns it: ``with ArtifactCache(...) as cache`` locks it, or raises ``ArtifactError``."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        raise NotImplementedError

    def __enter__(self) -> ArtifactCache:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    def hold(self, artifact: Artifact, download: Download) -> AbstractAsyncContextManager[Path]:
        """Give the path of an artifact, whole and checked, for as long as the ``async with`` lasts.

        Downloads it if it is not there, once for all devices that ask at the same time, and continues what an earlier
        process began. Raises ``ArtifactError`` (wrong hash or size, no SHA-256, no space) and what ``download`` raises.
        """
        raise NotImplementedError

    def usage(self) -> Usage:
        """Return what the folder holds."""
        raise NotImplementedError


def check_artifact(artifact: Artifact) -> None:
    """Raise ``ArtifactError`` for an artifact that cannot be used at all: no SHA-256, no size, no link."""
    raise NotImplementedError
