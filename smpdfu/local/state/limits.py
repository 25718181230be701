"""What the system grants a process."""

from __future__ import annotations

import sys


def allow_open_files(count: int) -> int:
    """Raise this process's own limit of open files to ``count``, as far as the system lets it; what is granted now."""
    if sys.platform == "win32":
        return count  # there is no such limit for sockets there
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return count
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
