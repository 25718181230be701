"""``make hawkbit`` leaves no Java behind, however it ends: another program stands for Java here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.agent.servers.hawkbit import ROOT
from tests.deadlines import HANG_S
from tests.processes import is_there

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and parents as Linux has them")
JAVA = """#!/bin/sh
if [ "$1" = -version ]; then echo 'openjdk version "21.0.1"' >&2; exit 0; fi
echo $$ > "{pid}.new"
mv "{pid}.new" "{pid}"
exec sleep 100000
"""


@pytest.fixture
def pid_file(tmp_path: Path) -> Iterator[Path]:
    """Where the program that stands for Java writes its number; it is ended here if nobody else did."""
    java, found = tmp_path / "jdk" / "bin" / "java", tmp_path / "pid"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA.format(pid=found))
    java.chmod(0o755)
    yield found
    with suppress(OSError, ValueError):
        os.kill(int(found.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_server_ends_with_the_program_that_started_it(pid_file: Path, tmp_path: Path, number: int) -> None:
    jar = tmp_path / "server.jar"
    jar.touch()
    environ = {**os.environ, "JAVA_HOME": str(tmp_path / "jdk"), "SMPDFU_HAWKBIT_JAR": str(jar)}
    environ.pop("SMPDFU_HAWKBIT_URL", None)
    order = [sys.executable, "-m", "tests.agent.servers.hawkbit", "1"]
    with subprocess.Popen(order, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        until(pid_file.exists)
        java = int(pid_file.read_text())
        process.send_signal(number)
        said, _ = process.communicate(timeout=HANG_S)
    until(lambda: not is_there(java))
    assert b"Traceback" not in said
    assert process.returncode == (-number if number == signal.SIGKILL else 0)


def until(true: Callable[[], bool]) -> None:
    """Wait for another process."""
    end = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
