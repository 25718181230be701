"""Programs that are not ours: they end with us, however we end, and learn no secret of ours."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smpdfu.untrusted.programs import environment, watched, watched_words, withhold
from tests.processes import is_there

ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")

# A signer as ``smpdfu sign`` runs it: it starts a program of its own, writes both numbers down and never ends.
SIGNER = "sleep 600 & echo $! $$ > {pids}.part; mv {pids}.part {pids}; sleep 600"
SCRIPT = """
import sys
from smpdfu.image.signers.process import Job, run

words = ("/bin/sh", "-c", sys.argv[1])
run(Job("the program sh", words, b"digest" * 100, {"PATH": "/usr/bin:/bin"}, 600), lambda text: None)
"""


def numbers_in(path: Path) -> list[int]:
    while not path.exists():
        time.sleep(0.01)
    return list(map(int, path.read_text().split()))


@ON_POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT])
def test_a_program_that_signs_ends_with_us(tmp_path: Path, number: signal.Signals) -> None:
    """A test that hangs here has found a program that is left behind."""
    pids = tmp_path / "pids"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, SIGNER.format(pids=pids)], stderr=subprocess.DEVNULL)
    found = numbers_in(pids)
    assert all(map(is_there, found))
    process.send_signal(number)
    process.wait()
    while any(map(is_there, found)):
        time.sleep(0.01)


@ON_POSIX
def test_no_shell_reads_the_words() -> None:
    words = ("printf", "%s|", "a b", "$HOME", "", "; exit 3", "'\"\\")
    with watched() as watch:
        assert watch is not None
        done = subprocess.run(watched_words(watch, words), stdout=subprocess.PIPE, pass_fds=(watch,), check=True)
    assert done.stdout == b"a b|$HOME||; exit 3|'\"\\|"


@ON_POSIX
def test_it_reads_what_it_is_given_and_its_code_is_its_own() -> None:
    with watched() as watch:
        assert watch is not None
        words = watched_words(watch, ("/bin/sh", "-c", "cat; exit 5"))
        done = subprocess.run(words, input=b"digest", stdout=subprocess.PIPE, pass_fds=(watch,), check=False)
    assert (done.stdout, done.returncode) == (b"digest", 5)


def test_without_descriptors_in_the_file_system_there_is_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpdfu.untrusted.programs.os.path.exists", lambda path: False)
    assert watched_words(7, ("sign", "it")) == ("sign", "it")
    assert watched_words(None, ("sign",)) == ("sign",)


def test_what_held_a_secret_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OUR_PIN", "HARMLESS"):
        monkeypatch.setenv(name, "1")
    assert "OUR_PIN" in environment({})
    withhold("OUR_PIN")
    found = environment({"MORE": "2"})
    assert [found.get(name) for name in ("OUR_PIN", "HARMLESS", "MORE")] == [None, "1", "2"]
