"""smpdfu's own files: regular files of this user, in folders for this user only, never through a link.

Without this, another user who may write into one of the folders could make smpdfu change other files of its user.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

from smpdfu.local.state.folders import state_home

_FLAGS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # never wait for a pipe in its place
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_OTHERS = 0o077
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How the system says that a disk, a user's share of it, or the longest file has no room left."""
READ_ANYONES = os.O_RDONLY | _FLAGS
"""The flags to open a file of another user, to read: not through a link, and without waiting for a pipe."""


def make_own_folder(path: Path) -> None:
    """Create the folder and its missing parents for this user only. Raises ``OSError``.

    Older releases created folders in ``state_home`` for everybody: their access is restricted. A folder that the user
    named keeps its access.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            if folder.is_symlink():
                raise OSError(errno.ENOENT, "it is a symbolic link to a folder that is not there", str(folder))
            folder.mkdir(mode=0o700, exist_ok=True)
        elif _is_ours(folder):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~_OTHERS)


def _is_ours(folder: Path) -> bool:
    """Return whether smpdfu created this folder."""
    home = state_home()
    if not hasattr(os, "geteuid") or not folder.is_relative_to(home) or folder.is_symlink():
        return False
    named = folder == home and "SMPDFU_STATE_HOME" in os.environ
    found = folder.stat()
    return not named and found.st_uid == os.geteuid() and bool(found.st_mode & _OTHERS)


def open_own(path: Path, flags: int) -> int:
    """Open the file and return its descriptor. If ``flags`` permit creating it, it is for this user only.

    With O_TRUNC, the file is emptied after the checks: what is refused keeps its content. Raises ``OSError`` with one
    sentence for a link, for anything that is not a regular file, for another user's file and for a file with a second
    name (hard link).
    """
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise _refusal(path, "is a symbolic link")
    try:
        descriptor = os.open(path, (flags | _FLAGS) & ~os.O_TRUNC, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise _refusal(path, "is a symbolic link") from None
        if error.errno == errno.ENXIO:
            raise _refusal(path, "is not a regular file") from None
        raise
    why = _why_not(os.fstat(descriptor))
    if why:
        os.close(descriptor)
        raise _refusal(path, why)
    if flags & os.O_TRUNC:
        os.ftruncate(descriptor, 0)
    return descriptor


def keep_names(folder: Path) -> None:
    """Bring the names of the files in a folder to the disk, so that a power cut does not undo them. Raises OSError."""
    if sys.platform == "win32":
        return  # a folder cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why_not(found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        return "belongs to another user"
    return "has a second name" if found.st_nlink > 1 else ""


def _refusal(path: Path, why: str) -> OSError:
    return OSError(errno.EPERM, f"it {why}. smpdfu does not write to it. Move it away and try again", str(path))
