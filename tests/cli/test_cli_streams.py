"""Where the answer goes when stdout is full, closed, or nobody reads it any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SMPDFU = (sys.executable, "-m", "smpdfu")
IMGTOOL = (sys.executable, "-c", "import smpdfu.__main__; smpdfu.__main__.imgtool()")
KEYINFO = (*SMPDFU, "keyinfo", "-k")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell and /dev/full")


def shell(redirection: str, *arguments: str | Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with its stdout sent elsewhere by the shell."""
    line = ["sh", "-c", f'"$@" {redirection}', "sh", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=root)


@pytest.mark.parametrize("json", [(), ("--json",)], ids=["table", "json"])
def test_a_full_stdout_is_one_sentence(root: Path, keys_dir: Path, json: tuple[str, ...]) -> None:
    done = shell(">/dev/full", *KEYINFO, keys_dir / "dev-sign-p256.pub.pem", *json, root=root)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "error: stdout: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("json", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_nobody_who_reads(root: Path, keys_dir: Path, json: tuple[str, ...], closed: str) -> None:
    done = shell(closed, *KEYINFO, keys_dir / "dev-sign-p256.pub.pem", *json, root=root)
    assert (done.returncode, "Traceback" in done.stderr, "error" in done.stderr) == (0, False, False)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("-m smpdfu keygen -p -k new.pem", 3),
        ("-m smpdfu getpub -k -", 3),
        ("-m smpdfu decode -", 3),
        ("-m smpdfu raw 0 0 --write --json-payload @- --to virtual:none", 2),
        ("-m smpdfu tutorial", 0),
        ("-c import\tsmpdfu.__main__;smpdfu.__main__.imgtool() keygen -k new.pem", 2),
    ],
)
def test_a_closed_stdin_has_nothing_to_read(tmp_path: Path, line: str, code: int) -> None:
    done = shell("<&-", sys.executable, *line.split(" "), root=tmp_path)
    assert ("unexpected" in done.stderr, "Traceback" in done.stderr) == (False, False), done.stderr
    assert done.returncode == code, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("json", [(), ("--json",)], ids=["table", "json"])
def test_when_the_reader_ends_so_do_we_like_any_filter(root: Path, keys_dir: Path, json: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [*KEYINFO, str(keys_dir / "dev-sign-p256.pub.pem"), *json],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=root,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == -signal.SIGPIPE
    assert b"Traceback" not in said
    assert b"error" not in said


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", r"bild-\xfc-\u6587.pem"), ("cp1252", r"bild-ü-\u6587.pem"), ("utf-8", "bild-ü-文.pem")],
)
def test_a_name_that_stdout_cannot_show_is_escaped(tmp_path: Path, keys_dir: Path, encoding: str, shown: str) -> None:
    """On Windows a pipe has a code page; the answer must not be lost for one character."""
    (tmp_path / "bild-ü-文.pem").write_bytes((keys_dir / "dev-sign-p256.pub.pem").read_bytes())
    words = [*KEYINFO, "bild-ü-文.pem"]
    done = subprocess.run(
        words, capture_output=True, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    )
    assert (done.returncode, b"unexpected" in done.stderr) == (0, False)
    assert shown in done.stdout.decode(encoding)


@pytest.mark.parametrize(
    "line", ["--version", "help list", "help connection", "help --man", "virtual dump desk --address 0 --size 4096"]
)
def test_text_that_is_no_table_ends_like_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(tmp_path))
    if "desk" in line:
        subprocess.run([*SMPDFU, "virtual", "new", "desk"], check=True, capture_output=True)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        unread = subprocess.run([*SMPDFU, *line.split()], stdout=stdout, stderr=subprocess.PIPE)
    assert (unread.returncode, unread.stderr) == (-signal.SIGPIPE, b"")
    full = shell(">/dev/full", *SMPDFU, *line.split(), root=tmp_path)
    assert (full.returncode, full.stderr) == (3, "error: stdout: No space left on device\n")


@pytest.mark.parametrize(
    ("line", "unbuffered"),
    [("version", ""), ("version", "1"), ("--help", ""), ("--help", "1"), ("keygen --help", ""), ("dumpinfo -h", "")],
)
def test_imgtool_names_a_full_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = shell(">/dev/full", *IMGTOOL, *line.split(), root=tmp_path)
    assert (done.returncode, done.stderr.replace("stdout: ", "")) == (1, "Error: No space left on device\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_imgtool_is_silent_where_nobody_reads_it(monkeypatch: pytest.MonkeyPatch, unbuffered: str) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        done = subprocess.run([*IMGTOOL, "--help"], stdout=stdout, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")
