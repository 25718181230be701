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
