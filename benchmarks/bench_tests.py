"""How long ``make check`` and ``make test`` take: the wall clock of the whole command, and its CPU seconds.

Only in the long form, for they take minutes. A row of tests that fail is no figure: it says that they failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.goals import goal
from benchmarks.rows import NotRun, Result, Row, run

ROOT = Path(__file__).parent.parent
TARGETS = ("make check", "make test")


def results(*, quick: bool) -> Iterator[Result]:
    """A row for each target."""
    for target in TARGETS:
        yield NotRun(goal(target), "only in the long form: it takes minutes") if quick else measure(target)


def measure(target: str) -> Result:
    """Run a target once."""
    begin, before = time.perf_counter(), os.times()
    code = subprocess.run(target.split(), cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode
    seconds, after = time.perf_counter() - begin, os.times()
    if code:
        return NotRun(goal(target), f"it failed after {seconds:.0f} s (exit code {code})")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Row(goal(target), seconds, note=f"{cpu:.0f} s of CPU; load before: {os.getloadavg()[2]:.1f}")


if __name__ == "__main__":
    sys.exit(run(__doc__, results))
