"""Start-up against smpmgr: ``--help`` to its end, and asking a device for its images up to the first byte on the wire.

The wire is a pseudo terminal on which nobody answers. Every line is ours : smpmgr from one run, the median of the
ratios pair by pair; BENCH_RUNS says how many pairs.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
import tty
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL

from benchmarks.pairs import compare, compare_times, environment

BIN = Path(sys.executable).parent
OURS, PEER = str(BIN / "smpdfu"), str(BIN / "smpmgr")
PATIENCE_S = 60.0


def first_byte_s(command: Sequence[str]) -> float:
    """Seconds from starting ``command`` with a serial port as last word to the first byte on that port."""
    ours, theirs = os.openpty()
    try:
        tty.setraw(theirs)
        words = [word.format(port=os.ttyname(theirs)) for word in command]
        start = time.perf_counter()
        with subprocess.Popen(words, env=environment(), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as process:
            try:
                heard, _, _ = select.select([ours], [], [], PATIENCE_S)
                took = time.perf_counter() - start
            finally:
                process.kill()
        if not heard:
            raise TimeoutError(f"{words} wrote nothing in {PATIENCE_S} s")
        return took
    finally:
        os.close(ours)
        os.close(theirs)


def main() -> None:
    """Print one line a case."""
    print("start-up, against smpmgr (a ratio below 1: we need less; the aim is 0.5)")
    compare("--help", [OURS, "--help"], [PEER, "--help"], peer_name="smpmgr")
    compare_times(
        "list, to the first byte on the wire",
        lambda: first_byte_s([OURS, "list", "--port", "{port}"]),
        lambda: first_byte_s([PEER, "--port", "{port}", "image", "state-read"]),
        peer_name="smpmgr",
    )


if __name__ == "__main__":
    main()
