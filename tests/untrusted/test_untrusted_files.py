"""Files that somebody names: bounded in bytes, and a pipe that nobody writes to ends at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from smpdfu.untrusted import files
from smpdfu.untrusted.files import mentions, open_input, open_output, open_stream, read_start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes with names")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_the_beginning_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)) * 1000)
    assert read_start(path, 10) == bytes(range(10))
    assert read_start(path, 1 << 20) == path.read_bytes()
    assert read_start("/dev/zero", 100_000) == bytes(100_000)
    with open_input(path) as file:
        assert file.read(3) == b"\0\1\2"


def test_a_regular_file_takes_one_read_and_one_that_finds_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    read = os.read

    def noted(descriptor: int, size: int) -> bytes:
        sizes.append(size)
        return read(descriptor, size)

    path = tmp_path / "file"
    path.write_bytes(bytes(300_000))
    monkeypatch.setattr(os, "read", noted)
    assert read_start(path, 1 << 20) == bytes(300_000)
    assert len(sizes) == 2
    assert read_start(path, 10) == bytes(10)
    assert sizes[2:] == [10]


@pytest.mark.parametrize("before", [0, 5, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, (2 << 16) - 3, 199_990])
def test_a_word_is_found_wherever_the_pieces_end(tmp_path: Path, before: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(before) + b"the words" + bytes(70_000))
    assert mentions(path, b"the words", 1 << 20)
    assert mentions(path, b"the words", before + 9)
    assert not mentions(path, b"the words", before + 8)
    assert not mentions(path, b"the lords", 1 << 20)


def test_what_is_no_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match="directory") as caught:
            read_start(path, 10)
        assert caught.value.filename in (path, str(path))


def test_a_pipe_without_a_writer_is_not_waited_for(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FIRST_BYTE_S", 0.05)
    with pytest.raises(OSError, match="no program writes to it"):
        read_start(pipe, 10)
    with pytest.raises(OSError, match="no program reads from it"):
        open_output(pipe)


def test_a_stream_is_followed_and_its_begin_is_not_waited_for(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FIRST_BYTE_S", 0.05)
    with pytest.raises(OSError, match="no program writes to it"):
        open_stream(pipe)
    monkeypatch.setattr(files, "FIRST_BYTE_S", 60.0)

    def write() -> None:
        with pipe.open("wb", buffering=0) as writer:
            writer.write(b"first")
            time.sleep(0.2)  # longer than nothing: the reader waits
            writer.write(b"second")

    writer = threading.Thread(target=write)
    writer.start()
    with open_stream(pipe) as stream:
        assert stream.read() == b"firstsecond"
    writer.join()


def test_a_pipe_that_falls_silent_is_given_up(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SILENCE_S", 0.05)
    monkeypatch.setattr(files, "FIRST_BYTE_S", 60.0)
    writer = os.open(pipe, os.O_RDWR)
    try:
        os.write(writer, b"half")
        assert read_start(pipe, 4) == b"half"
        os.write(writer, b"half")
        with pytest.raises(OSError, match="no program writes to it"):
            read_start(pipe, 10)
    finally:
        os.close(writer)


def test_a_pipe_with_a_writer_is_read_to_its_end(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FIRST_BYTE_S", 60.0)
    data = os.urandom(300_000)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    assert read_start(pipe, 1 << 20) == data
    writer.join()


def test_the_pipe_of_a_shell_has_all_the_time(tmp_path: Path) -> None:
    """``<(...)``, and stdin: their writer is there, however late its bytes are."""
    script = (
        "import sys; from smpdfu.untrusted import files; files.FIRST_BYTE_S = files.SILENCE_S = 0.0; "
        "print(files.read_start(sys.argv[1], 100))"
    )
    line = f"{sys.executable} -c '{script}'"
    done = subprocess.run(
        ["bash", "-c", f"{line} <(sleep 0.3; echo late) && (sleep 0.3; echo late) | {line} /dev/stdin"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "b'late\\n'\nb'late\\n'\n", done.stderr
