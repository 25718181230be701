"""Times two commands in turn, A B A B ..., with the ratio pair by pair: it holds when the machine's speed drifts."""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process."""

    wall_s: float
    cpu_s: float


def run(command: Sequence[str]) -> Run:
    """Run a command to its end; raises CalledProcessError when it fails."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def compare(title: str, ours: Sequence[str], peer: Sequence[str], *, runs: int = 5) -> None:
    """Print the medians of both and the median of the ratios peer/ours (above 1: we are faster)."""
    run(ours), run(peer)  # warm-up
    pairs = [(run(ours), run(peer)) for _ in range(runs)]
    wall = statistics.median(theirs.wall_s / mine.wall_s for mine, theirs in pairs)
    cpu = statistics.median(theirs.cpu_s / mine.cpu_s for mine, theirs in pairs)
    mine_s = statistics.median(mine.wall_s for mine, _ in pairs)
    theirs_s = statistics.median(theirs.wall_s for _, theirs in pairs)
    print(f"{title:<46} ours {mine_s:7.3f} s  peer {theirs_s:7.3f} s  peer/ours: wall {wall:5.2f}  CPU {cpu:5.2f}")
