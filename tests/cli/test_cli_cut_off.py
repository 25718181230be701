"""Work that is cut off: a full disk, Ctrl-C, a terminal that asks. Nothing half-made is ever left."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3")


def nothing_is_left(out: Path) -> bool:
    return list(out.parent.iterdir()) == []


# --- a terminal -----------------------------------------------------------------------------------------------------

DOOR = "from smpdfu.__main__ import main; main()"


def environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "300", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class Terminal:
    """``smpdfu`` at work on a terminal of its own."""

    def __init__(self, *words: object) -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-c", DOOR, *map(str, words)]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment(), start_new_session=True
        )
        os.close(slave)
        self.text = ""

    def expect(self, word: str) -> None:
        """Read on until ``word`` was shown."""
        while word not in self.text:
            assert select.select([self.master], [], [], 60)[0], self.text
            self.text += os.read(self.master, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(HANG_S)
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.text += os.read(self.master, 4096).decode()
            except OSError:  # how Linux says that the other side of a terminal is closed
                break
        os.close(self.master)
        return code


def test_on_a_terminal_the_passphrase_is_asked_for_and_not_shown(
    raw: Path, keys: Keys, out: Path, smpdfu: Call
) -> None:
    terminal = Terminal("sign", "-k", keys.protected, *LAYOUT, raw, out)
    terminal.expect("Passphrase of")
    terminal.type(f"{keys.passphrase}\n")
    assert terminal.end() == 0, terminal.text
    assert keys.passphrase not in terminal.text
    assert smpdfu("verify", "-k", keys.signing_public, out).code == 0


def test_a_new_passphrase_is_typed_twice(out: Path) -> None:
    terminal = Terminal("keygen", "-p", "-k", out)
    terminal.expect("New passphrase")
    terminal.type("one\n")
    terminal.expect("again")
    terminal.type("another\n")
    assert terminal.end() == 3
    assert "the two passphrases differ" in terminal.text
    assert nothing_is_left(out)


@pytest.mark.parametrize("new", [False, True])
def test_ctrl_d_at_the_prompt(raw: Path, keys: Keys, out: Path, new: bool) -> None:
    words = ("keygen", "-p", "-k", out) if new else ("sign", "-k", keys.protected, *LAYOUT, raw, out)
    terminal = Terminal(*words)
    terminal.expect("assphrase")
    terminal.expect(": ")
    terminal.type("\x04")
    assert terminal.end() == 3
    assert "you typed no passphrase" in terminal.text
    assert "report" not in terminal.text
    assert nothing_is_left(out)


def test_ctrl_c_at_the_prompt(raw: Path, keys: Keys, out: Path) -> None:
    terminal = Terminal("sign", "-k", keys.protected, *LAYOUT, raw, out)
    terminal.expect("Passphrase of")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert "Traceback" not in terminal.text
    assert nothing_is_left(out)


# --- a full disk, Ctrl-C --------------------------------------------------------------------------------------------


def start(*words: object, limit_bytes: int | None = None, door: str = "main") -> subprocess.Popen[str]:
    """A real process; with a limit, no file that it writes can have more bytes."""

    limit = "" if limit_bytes is None else f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}));"
    code = f"import resource; {limit} from smpdfu.__main__ import {door}; {door}()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize(("door", "code"), [("main", 3), ("imgtool", 1)])
def test_a_full_disk_leaves_no_half_file(raw: Path, out: Path, door: str, code: int) -> None:
    process = start("sign", *LAYOUT, raw, out, limit_bytes=1000, door=door)
    _, err = process.communicate(timeout=HANG_S)
    assert process.returncode == code, err
    assert len(err.splitlines()) == 1
    assert str(out) in err
    assert nothing_is_left(out)


def test_a_full_disk_keeps_the_file_that_was_there(raw: Path, out: Path) -> None:
    out.write_bytes(b"the release of last week")
    process = start("sign", *LAYOUT, raw, out, limit_bytes=1000)
    process.communicate(timeout=HANG_S)
    assert process.returncode == 3
    assert out.read_bytes() == b"the release of last week"
    assert list(out.parent.iterdir()) == [out]


def test_a_full_device(raw: Path, smpdfu: Call) -> None:
    assert "No space left" in smpdfu("sign", *LAYOUT, raw, "/dev/full").refused()


def test_a_folder_that_may_not_be_written_to(raw: Path, tmp_path: Path, smpdfu: Call) -> None:
    assert str(tmp_path) in smpdfu("sign", *LAYOUT, raw, tmp_path / "no" / "such" / "folder.bin").refused()
    assert str(tmp_path) in smpdfu("keygen", "-k", tmp_path / "no" / "key.pem").refused()


@pytest.fixture
def slow_input(tmp_path: Path) -> Iterator[Path]:
    """A file that nobody ever finishes writing."""
    path = tmp_path / "slow"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, bytes(1000))
    yield path
    os.close(writer)


@pytest.mark.parametrize("door", ["main", "imgtool"])
def test_ctrl_c_while_it_works(slow_input: Path, out: Path, door: str) -> None:
    process = start("sign", *LAYOUT, slow_input, out, door=door)
    wait_until_reading(process, slow_input)
    process.send_signal(signal.SIGINT)
    stdout, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted" in err
    assert stdout == ""
    assert nothing_is_left(out)


def wait_until_reading(process: subprocess.Popen[str], path: Path) -> None:
    """Until the process has the file open: it is in the middle of its work then."""
    while process.poll() is None:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                if descriptor.readlink() == path:
                    return
            except OSError:  # closed meanwhile
                continue
    pytest.fail(f"it ended with {process.returncode}")


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["ctrl-c", "full"])
def test_cut_off_at_the_last_moment(
    raw: Path, out: Path, smpdfu: Call, monkeypatch: pytest.MonkeyPatch, moment: str, error: BaseException
) -> None:
    def cut(*_: object) -> None:
        raise error

    monkeypatch.setattr(moment, cut)
    done = smpdfu("sign", *LAYOUT, raw, out)
    monkeypatch.undo()
    assert done.refused(130 if isinstance(error, KeyboardInterrupt) else 3)
    assert nothing_is_left(out)


def test_if_one_output_is_wrong_none_is_written(raw: Path, out: Path, smpdfu: Call) -> None:
    sentence = smpdfu("sign", *LAYOUT, raw, out, "-o", out.with_suffix(".hex")).refused()  # a .hex needs an address
    assert "--hex-addr" in sentence
    assert nothing_is_left(out)
