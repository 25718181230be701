"""Where a download goes: the port between the HTTP client and the folder of artifacts."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Where a download goes. Each call may raise ``ArtifactError``, which ends the download."""

    @property
    def size_bytes(self) -> int:
        """How many bytes are there already: the download continues behind them."""

    def restart(self) -> None:
        """Forget the bytes that are there: the server sends everything."""

    def write(self, data: bytes) -> None:
        """Append bytes."""
