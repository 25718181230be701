"""``fs``: files go there and back, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

NAME = "/lfs1/data.bin"
DATA = bytes(at * at % 251 for at in range(20_000))


@pytest.fixture
def here(desk: Desk) -> Path:
    path = desk.folder / "data.bin"
    path.write_bytes(DATA)
    return path


def test_there_and_back(desk: Desk, here: Path) -> None:
    said = desk.json("fs", "upload", here, NAME)
    assert said.pop("seconds") >= 0
    assert said == {
        "file": str(here),
        "name": NAME,
        "bytes": len(DATA),
        "retries": 0,
        "resumed_at": 0,
        "verified": True,
        "hash_type": "sha256",
    }
    back = desk.folder / "back.bin"
    said = desk.json("fs", "download", NAME, back)
    assert (said["file"], said["bytes"], said["verified"]) == (str(back), len(DATA), True)
    assert back.read_bytes() == DATA
    assert sorted(path.name for path in desk.folder.glob("*.bin*")) == ["back.bin", "data.bin"]


def test_people_see_what_happened(desk: Desk, here: Path) -> None:
    assert f"{here} -> {NAME}: 20000 bytes" in desk.call("fs", "upload", here, NAME).out
    assert "same sha256 on both sides" in desk.call("fs", "download", NAME, desk.folder / "x").out


def test_a_folder_as_the_place(desk: Desk, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.json("fs", "upload", here, "/lfs1/")["name"] == NAME
    assert desk.json("fs", "download", NAME, "-o", desk.folder)["file"] == str(here)
    elsewhere = desk.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert desk.json("fs", "download", NAME)["file"] == "data.bin"
    assert (elsewhere / "data.bin").read_bytes() == DATA


def test_stdout_as_the_place(desk: Desk, here: Path) -> None:
    desk.json("fs", "upload", here, NAME)
    assert desk.call("fs", "download", NAME, "-o", "-").raw == DATA
    assert desk.call("fs", "download", NAME, "-o", "-", "--json").refused(2)


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="there is no SIGPIPE here")
def test_a_download_to_stdout_ends_like_any_filter_if_nobody_reads(desk: Desk, here: Path) -> None:
    desk.json("fs", "upload", here, NAME)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "smpdfu", "fs", "download", NAME, "-o", "-", "--to", desk.address]
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE)
    assert (done.returncode, b"error" in done.stderr) == (-signal.SIGPIPE, False)


def test_looks(desk: Desk, here: Path) -> None:
    desk.json("fs", "upload", here, NAME)
    assert desk.json("fs", "stat", NAME) == {"name": NAME, "len": len(DATA)}
    assert str(len(DATA)) in desk.call("fs", "stat", NAME).out
    crc = f"{zlib.crc32(DATA):08x}"
    assert desk.json("fs", "hash", NAME) == {"name": NAME, "type": "crc32", "off": 0, "len": len(DATA), "hash": crc}
    part = desk.json("fs", "hash", NAME, "--type", "sha256", "--off", 10, "--len", 20)
    assert (part["off"], part["len"], part["hash"]) == (10, 20, hashlib.sha256(DATA[10:30]).hexdigest())
    assert crc in desk.call("fs", "hash", NAME).out
    assert desk.json("fs", "types")["types"] == [
        {"name": "crc32", "format": "uint", "size_bytes": 4},
        {"name": "sha256", "format": "bytes", "size_bytes": 32},
    ]
    assert "sha256" in desk.call("fs", "types").out
    assert desk.json("fs", "close") == {"closed": True}


def test_refusals_have_names(desk: Desk, here: Path) -> None:
    assert "FILE_NOT_FOUND" in desk.call("fs", "stat", "/lfs1/none").refused(5)
    assert "FILE_NOT_FOUND" in desk.call("fs", "download", "/lfs1/none", desk.folder / "none").refused(5)
    assert not list(desk.folder.glob("none*"))
    done = desk.call("fs", "upload", here, "/moon/x")
    assert "MOUNT_POINT_NOT_FOUND" in done.refused(5)
    assert "mount point" in done.err
    assert "CHECKSUM_HASH_NOT_FOUND" in desk.call("fs", "hash", NAME, "--type", "md5").refused(5)
    desk.json("fs", "upload", here, NAME)
    assert "OFFSET_LARGER_THAN_FILE" in desk.call("fs", "hash", NAME, "--off", 99_999).refused(5)


def test_files_here_that_cannot_be_read_or_written(desk: Desk, here: Path) -> None:
    assert "No such file" in desk.call("fs", "upload", desk.folder / "none", NAME).refused(3)
    assert desk.call("fs", "upload", desk.folder, NAME).refused(3)
    desk.json("fs", "upload", here, NAME)
    assert "No such file" in desk.call("fs", "download", NAME, desk.folder / "no" / "where").refused(3)
    assert desk.call("fs", "download", NAME, "a", "-o", "b").refused(2)
    assert desk.call("fs", "download", "/", "-o", "").refused(2)


def test_a_pipe_has_no_size(desk: Desk) -> None:
    fifo = desk.folder / "fifo"
    os.mkfifo(fifo)
    assert "its size is unknown" in desk.call("fs", "upload", fifo, NAME).refused(2)


def test_what_is_no_regular_file_is_written_to_directly(desk: Desk, here: Path) -> None:
    desk.json("fs", "upload", here, NAME)
    fifo = desk.folder / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert desk.json("fs", "download", NAME, fifo)["bytes"] == len(DATA)
        assert os.read(reader, len(DATA) + 1) == DATA, "a pipe holds 64 KiB"
    finally:
        os.close(reader)


def test_a_link_is_followed_and_stays(desk: Desk, here: Path) -> None:
    desk.json("fs", "upload", here, NAME)
    real, link = desk.folder / "real", desk.folder / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    desk.json("fs", "download", NAME, link)
    assert link.is_symlink()
    assert real.read_bytes() == DATA


def test_a_part_that_is_a_trap_is_not_written_to(desk: Desk, here: Path) -> None:
    desk.json("fs", "upload", here, NAME)
    victim = desk.folder / "victim"
    victim.write_bytes(b"mine")
    (desk.folder / "back.part").symlink_to(victim)
    assert desk.call("fs", "download", NAME, desk.folder / "back").refused(3)
    assert victim.read_bytes() == b"mine"


def test_two_downloads_into_one_file(desk: Desk, here: Path) -> None:
    import fcntl

    desk.json("fs", "upload", here, NAME)
    with (desk.folder / "back.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another download" in desk.call("fs", "download", NAME, desk.folder / "back").refused(3)


def test_what_is_left_of_a_download_is_used(desk: Desk, here: Path) -> None:
    desk.json("fs", "upload", here, NAME)
    back = desk.folder / "back"
    (desk.folder / "back.part").write_bytes(DATA[:15_000])
    said = desk.json("fs", "download", NAME, back)
    assert (said["resumed_at"], back.read_bytes()) == (15_000, DATA)
    (desk.folder / "back.part").write_bytes(DATA[:15_000])
    assert desk.json("fs", "download", NAME, back, "--no-resume")["resumed_at"] == 0
    (desk.folder / "back.part").write_bytes(bytes(15_000))
    assert desk.json("fs", "download", NAME, back)["resumed_at"] == 0
    assert back.read_bytes() == DATA


def test_the_old_file_stays_until_the_new_one_is_whole(
    desk: Desk, here: Path, port: tuple[Path, subprocess.Popen[str]], started: Callable[..., subprocess.Popen[str]]
) -> None:
    path, _ = port
    big = desk.folder / "big"
    big.write_bytes(DATA * 40)
    assert desk.run("fs", "upload", big, NAME, "--port", path).code == 0
    back = desk.folder / "back"
    back.write_bytes(b"old")
    process = started("fs", "download", NAME, back, "--port", path)
    part = desk.folder / "back.part"
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert back.read_bytes() == b"old"
    kept = part.stat().st_size
    assert 0 < kept < len(DATA) * 40
    done = desk.run("fs", "download", NAME, back, "--port", path, "--json")
    assert (done.code, done.document["resumed_at"]) == (0, kept)
    assert back.read_bytes() == DATA * 40


def test_an_upload_that_was_killed_goes_on(
    desk: Desk, port: tuple[Path, subprocess.Popen[str]], started: Callable[..., subprocess.Popen[str]]
) -> None:
    path, _ = port
    big = desk.folder / "big"
    big.write_bytes(DATA * 40)
    process = started("fs", "upload", big, NAME, "--port", path)
    while True:
        stat = desk.run("virtual", "show", desk.name)  # any look: the file is in the device's folder
        assert stat.code == 0
        found = list((Path(os.environ["SMPDFU_VIRTUAL_HOME"]) / desk.name / "files").glob("*"))
        if found and found[0].stat().st_size > 50_000:
            break
        assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    done = desk.run("fs", "upload", big, NAME, "--port", path, "--json")
    assert done.code == 0, done.err
    assert 50_000 < done.document["resumed_at"] < len(DATA) * 40
    assert desk.run("fs", "hash", NAME, "--type", "sha256", "--port", path, "--json").document["hash"] == (
        hashlib.sha256(DATA * 40).hexdigest()
    )
