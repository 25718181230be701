"""A lock that one process holds at a time, and that others can ask about."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from smpdfu.local.state.lock import HeldError, Lock, holder, lock_file


def test_a_lock_says_who_has_it(tmp_path: Path) -> None:
    lock, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert holder(lock.path) is None
    with pytest.raises(ValueError, match="only the holder"):
        lock.tell(port="x")
    lock.acquire()
    lock.tell(port="a long name of a port")
    lock.tell(port="p")
    with pytest.raises(HeldError) as held:
        other.acquire()
    assert held.value.note == holder(lock.path) == {"pid": os.getpid(), "port": "p"}
    lock.release()
    assert holder(lock.path) is None
    other.acquire()
    other.release()


def test_a_locked_file_can_be_read_and_written_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    mine, other = (os.open(path, os.O_RDWR) for _ in range(2))
    os.lseek(mine, 2, os.SEEK_SET)
    lock_file(mine)
    assert os.read(mine, 3) == b"345"
    assert path.read_bytes() == b"12345"
    with pytest.raises(BlockingIOError):
        lock_file(other)
    os.close(mine)
    lock_file(other)
    os.close(other)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_gives_the_lock_without_a_note(tmp_path: Path) -> None:
    """Others see that it is held, and who released it can have it again."""
    import resource  # here: Windows does not have it

    lock, (soft, hard) = Lock(tmp_path / "lock"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        lock.acquire()
        with pytest.raises(HeldError) as held:
            Lock(lock.path).acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert held.value.note == {} == holder(lock.path)
    lock.release()
    lock.acquire()
    assert holder(lock.path) == {"pid": os.getpid()}
    lock.release()
