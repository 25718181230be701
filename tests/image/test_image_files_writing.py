"""Files are written whole or not at all, where they belong, with the modes that they should have."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from smpdfu.image.files import (
    write_file_atomic,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and special files are POSIX")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_files_are_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    write_file_atomic(path, b"one")
    write_file_atomic(str(path), b"two")
    assert (path.read_bytes(), names(tmp_path)) == (b"two", ["out.bin"])
    with pytest.raises(FileExistsError) as caught:
        write_file_atomic(path, b"three", overwrite=False)
    assert caught.value.filename == str(path)
    assert (path.read_bytes(), names(tmp_path)) == (b"two", ["out.bin"])
    write_file_atomic(tmp_path / "new.bin", b"new", overwrite=False)
    assert names(tmp_path) == ["new.bin", "out.bin"]


def test_pieces_are_written_in_their_order(tmp_path: Path) -> None:
    path, pieces = tmp_path / "out.bin", (b"head", bytes(100_000), b"", b"tail")
    write_file_atomic(path, pieces)
    assert path.read_bytes() == b"".join(pieces)


@posix
def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(source: str, target: str) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_file_atomic(tmp_path / "a", b"x")
    assert calls == ["file", "rename", "folder"]


@posix
@pytest.mark.parametrize(("umask", "expected"), [(0, [0o644, 0o600]), (0o027, [0o640, 0o600])])
def test_modes_follow_the_umask(tmp_path: Path, umask: int, expected: list[int]) -> None:
    before = os.umask(umask)
    try:
        write_file_atomic(tmp_path / "a", b"")
        write_file_atomic(tmp_path / "b", b"", mode=0o600)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "b")] == expected


@posix
def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_file_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@posix
def test_what_is_no_regular_file_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    """A pipe of our own stands for /dev/null: broken code must not get the chance to replace the real one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file_atomic(pipe, b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["pipe"]


class Failing:
    """A system call that fails as a full disk does."""

    def __init__(self, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen"])
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_no_half_file(
    tmp_path: Path, call: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.bin"
    if there:
        path.write_bytes(b"before")
    monkeypatch.setattr(os, call, Failing)
    with pytest.raises(OSError, match="No space left") as caught:
        write_file_atomic(path, b"x" * 100)
    monkeypatch.undo()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert names(tmp_path) == (["out.bin"] if there else [])
    assert not there or path.read_bytes() == b"before"


@pytest.mark.parametrize("target", ["missing/out.bin", "."])
def test_an_impossible_place_is_named(tmp_path: Path, target: str) -> None:
    with pytest.raises(OSError, match="directory") as caught:
        write_file_atomic(tmp_path / target, b"x")
    assert caught.value.filename == str(tmp_path / target)


@pytest.mark.parametrize("there", [False, True])
def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    path = tmp_path / "key.pem"
    if there:
        path.write_bytes(b"before")
    monkeypatch.setattr(os, "link", no_links)
    if there:
        with pytest.raises(FileExistsError):
            write_file_atomic(path, b"after", overwrite=False)
    else:
        write_file_atomic(path, b"after", overwrite=False)
    assert (path.read_bytes(), names(tmp_path)) == (b"before" if there else b"after", ["key.pem"])
