"""Ctrl-C at any moment from the first line of ours on: 130 and one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadlines import HANG_S

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a signal to oneself is POSIX")

# Ctrl-C at the N-th import, or at a line of asyncio's: where it comes is a matter of counting, and not of the clock.
AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return None
from smpdfu.__main__ import main
finder = Finder()
finder.left = {number}
sys.meta_path.insert(0, finder)
main()
"""
AT_CALL = """
import os, signal, sys
import asyncio, {module}
from smpdfu.__main__ import main
original = {place}
def struck(*arguments, **named):
    os.kill(os.getpid(), signal.SIGINT)
    return original(*arguments, **named)
{place} = struck
main()
"""


def struck(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def one_line(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 130 and len(done.stderr.splitlines()) == 1 and "interrupted" in done.stderr


@pytest.mark.parametrize("number", [1, 2, 5, 10, 20, 40, 80, 120, 160])
def test_while_modules_are_imported(number: int) -> None:
    done = struck(AT_IMPORT.format(number=number), "echo", "x", "--to", "udp:127.0.0.1:9")
    assert one_line(done), done


def test_json_has_its_document() -> None:
    done = struck(AT_IMPORT.format(number=5), "list", "--json")
    assert one_line(done), done
    assert json.loads(done.stdout)["error"]["exit_code"] == 130


@pytest.mark.parametrize(
    ("module", "place"),
    [
        ("asyncio", "asyncio.Runner.__init__"),
        ("asyncio", "asyncio.Runner._lazy_init"),
        ("asyncio", "asyncio.Runner.run"),
        ("smpdfu.virtual.store", "smpdfu.virtual.store.open_device"),
        ("smpdfu.cli.serving", "smpdfu.cli.virtual.servings"),
    ],
)
def test_while_a_virtual_device_comes_up(
    module: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(tmp_path))
    assert struck("from smpdfu.__main__ import main; main()", "virtual", "new", "one").returncode == 0
    module = "smpdfu.cli.virtual" if "cli.virtual" in place else module
    done = struck(AT_CALL.format(module=module, place=place), "virtual", "run", "one")
    assert one_line(done), done
