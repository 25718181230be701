"""The health command: it and all that it started end with us, however we end; and with its time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from smpdfu.client import Client
from smpdfu.dfu.do.health import command
from smpdfu.errors import UpdateError
from smpdfu.untrusted.programs import withhold
from tests.deadlines import HANG_S
from tests.processes import is_there

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")

# Starts a grandchild that is in no way asked to end, and writes both process ids down.
LINE = "sleep 600 & echo $! $$ > {pids}.part; mv {pids}.part {pids}; {rest}"
SCRIPT = """
import asyncio, sys
from smpdfu.dfu.do.health import command

class Closed:
    async def __aexit__(self, *error): pass
    async def __aenter__(self): return self

asyncio.run(command(sys.argv[1], "virtual:none", timeout_s=600)(Closed()))
"""


class Closed(Client):
    """A client whose link is closed already."""

    def __init__(self) -> None:
        pass

    async def __aenter__(self) -> Closed:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


def run(line: str, timeout_s: float = HANG_S) -> None:
    async def check() -> None:
        await command(line, "virtual:none", timeout_s=timeout_s)(Closed())

    asyncio.run(check())


def pids_in(path: Path) -> list[int]:
    while not path.exists():
        time.sleep(0.01)
    return list(map(int, path.read_text().split()))


def wait_until_gone(pids: list[int]) -> None:
    """Without end: a test that hangs here has found that they are left behind."""
    while any(map(is_there, pids)):
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT])
def test_the_group_ends_with_us(tmp_path: Path, number: signal.Signals) -> None:
    pids = tmp_path / "pids"
    line = LINE.format(pids=pids, rest="sleep 600")
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, line], stderr=subprocess.DEVNULL)
    found = pids_in(pids)
    assert all(map(is_there, found))
    process.send_signal(number)
    process.wait()
    wait_until_gone(found)


def test_the_whole_group_is_killed_when_the_time_runs_out(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    allowed_s = 1
    while not pids.exists():  # on a busy computer it starts late
        with pytest.raises(UpdateError, match=f"did not end within {allowed_s} s"):
            run(LINE.format(pids=pids, rest="sleep 600"), timeout_s=allowed_s)
        allowed_s *= 2
    wait_until_gone(pids_in(pids))


def test_what_a_command_left_on_purpose_stays(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    run(LINE.format(pids=pids, rest="exit 0"))
    grandchild, shell = pids_in(pids)
    assert not is_there(shell)
    time.sleep(0.2)  # time for a wrong kill
    assert is_there(grandchild)
    os.kill(grandchild, signal.SIGKILL)


def test_nothing_of_ours_is_left(tmp_path: Path) -> None:
    group = tmp_path / "group"
    run(f"ps -o pgid= -p $$ > {group}")
    number = int(group.read_text())
    with suppress(ProcessLookupError):  # what says that nobody is in the group any more
        while True:
            os.killpg(number, 0)
            time.sleep(0.01)


def test_the_command_is_as_a_shell_has_it(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    run(f"""echo "$SMPDFU_TO" '"$1"' "it's" $# > {seen}; read -r x; echo "$? [$x]" >> {seen}""")
    assert seen.read_text() == 'virtual:none "$1" it\'s 0\n1 []\n'
    for code in (1, 7):
        with pytest.raises(UpdateError, match=f"exit code {code}"):
            run(f"exit {code}")


def test_no_descriptor_is_left_open() -> None:
    run("true")
    before = os.listdir("/dev/fd")
    for _ in range(3):
        run("true")
    assert len(os.listdir("/dev/fd")) == len(before)


def test_no_secret_of_ours_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_KEY", "-----BEGIN")
    monkeypatch.setenv("HARMLESS", "1")
    withhold("TRUSTED_KEY")
    seen = tmp_path / "seen"
    run(f"env > {seen}")
    assert ("TRUSTED_KEY" in seen.read_text(), "HARMLESS" in seen.read_text()) == (False, True)
