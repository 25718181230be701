"""Ctrl-C and SIGTERM end a command that runs until somebody stops it; a second Ctrl-C does not wait."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smpdfu.cli.app import stop_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
# A command whose end hangs: its event loop is free, and what it waits for never comes.
HANGS = """
import asyncio
from smpdfu.cli.app.stop_signals import stopped_by_signals
from smpdfu.cli.terminal.interruption import leaves

async def main():
    stop = asyncio.Event()
    with leaves("All is safe."), stopped_by_signals(stop.set):
        print("ready", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(1e6)

asyncio.run(main())
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [(), ("--json",)], ids=["people", "json"])
def test_ctrl_c_once_more_ends_a_command_that_does_not_end(
    tmp_path: Path, first: signal.Signals, words: tuple[str, ...]
) -> None:
    program = [sys.executable, "-c", HANGS, *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    errors = tmp_path / "stderr"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(program, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == "stopping\n"
        while process.poll() is None:  # a signal that comes too soon is taken for the same key
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        left = process.stdout.read()
    assert process.returncode == 130
    assert errors.read_text() == "error: interrupted. All is safe.\n"
    assert (json.loads(left)["error"]["exit_code"] == 130) if words else (left == "")


@pytest.mark.parametrize(
    ("apart_s", "number", "calls"),
    [
        (1e9, signal.SIGINT, ["stop"]),
        (-1.0, signal.SIGINT, ["stop", "end"]),
        (-1.0, signal.SIGTERM, ["stop", "stop"]),
    ],
    ids=["the same key", "a second key", "a service manager"],
)
def test_what_counts_as_a_second_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, apart_s: float, number: signal.Signals, calls: list[str]
) -> None:
    async def main() -> list[str]:
        called: asyncio.Queue[str] = asyncio.Queue()
        monkeypatch.setattr(stop_signals, "_APART_S", apart_s)
        monkeypatch.setattr(stop_signals, "_end_at_once", lambda: called.put_nowait("end"))
        with stop_signals.stopped_by_signals(lambda: called.put_nowait("stop")):
            found: list[str] = []
            for _ in range(2):
                os.kill(os.getpid(), number)
                await asyncio.sleep(0.01)  # it comes through a pipe of the loop
            while len(found) < len(calls):
                found.append(await called.get())
            return found + [called.get_nowait() for _ in range(called.qsize())]

    assert asyncio.run(main()) == calls
