"""A server as a process that never outlives the one that started it, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

STARTS_S = 3600.0
"""Ends a start that hangs, and nothing else. hawkBit needs 20 s of a quiet core. Beside many other test runs on two
cores (a load of 20, and niced), a start took over 900 s. If the process of a server ends, this is noticed at once."""
_ENDS_S = 30.0
_LAUNCH = f"""
import ctypes, os, sys
PR_SET_PDEATHSIG = 1  # prctl(2); the kernel keeps it across execv
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, {int(signal.SIGTERM)}, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the program that wanted this server has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def server_process(
    order: Sequence[str], folder: Path, log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``order`` in ``folder`` while inside, with its output in ``log``. On Linux it also ends with this process."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_launcher(), *order],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _launcher() -> tuple[str, ...]:
    """What becomes the program behind it, on Linux after it asked the kernel for SIGTERM when this process dies."""
    return (sys.executable, "-I", "-c", _LAUNCH, str(os.getpid())) if sys.platform == "linux" else ()


def end_in_order_when_told() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that closes, end this process as Ctrl-C does."""
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
