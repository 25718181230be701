"""Limits that the operating system sets for a process."""

from __future__ import annotations

import sys


def allow_open_files(count: int) -> int:
    """Raise this process's limit of open files to ``count``, as far as the system permits; return the new limit."""
    if sys.platform == "win32":
        return count  # Windows has no such limit for sockets
    import resource  # here: Windows has no such module

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def no_core_file() -> None:
    """Let the system write no image of this process if it crashes: it would have the secrets in it."""
    if sys.platform == "win32":
        return
    import resource  # here: Windows has no such module

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
