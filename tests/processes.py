"""Processes that a test looks at from outside."""

from __future__ import annotations

import os
from pathlib import Path


def is_there(pid: int) -> bool:
    """Whether a process runs; a zombie, which nobody has taken away yet, does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):  # it may end between two looks, and between opening and reading
        return False
