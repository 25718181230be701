"""Files that belong together are written all or none, and no input is endless."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smpdfu.errors import ImageError, KeyFileError
from smpdfu.image.files import read_bounded, read_firmware, read_key_file, write_files_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_set_is_written_whole(tmp_path: Path) -> None:
    write_files_atomic({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == {"a": b"1", "b": b"2"}


def test_a_set_that_cannot_be_whole_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileNotFoundError) as caught:
        write_files_atomic({tmp_path / "a": b"new", tmp_path / "no" / "b": b"2"})
    assert caught.value.filename == os.fspath(tmp_path / "no" / "b")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_file_up_to_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    assert read_bounded(path, 10) == bytes(10)
    with pytest.raises(ImageError, match="more than"):
        read_bounded(path, 9)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless file here")
def test_endless_input_is_refused() -> None:
    with pytest.raises(KeyFileError, match="1 MiB"):
        read_key_file("/dev/zero")
    with pytest.raises(ImageError, match="256 MiB"):
        read_firmware("/dev/zero")
