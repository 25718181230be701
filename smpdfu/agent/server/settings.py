"""How the HTTP client behaves: files for TLS, times, bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TlsFiles:
    """Files for TLS, in PEM. ``ca``: the authorities that are trusted instead of the system's.

    ``certificate`` shows the server who we are; ``key`` is its private key, None if it is in the same file.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Times:
    """How long things may take, in seconds.

    ``connect_s``: name, connection and TLS. ``read_s``: silence. ``request_s``: a whole request other than a download.
    A download brings at least ``least_rate`` bytes a second in each ``rate_window_s``, or it ends.
    """

    connect_s: float = 20.0
    read_s: float = 30.0
    request_s: float = 60.0
    least_rate: int = 256
    rate_window_s: float = 60.0
