"""Times two things in turn, A B A B ..., with the ratio pair by pair: it holds when the machine's speed drifts."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

RUNS = int(os.environ.get("BENCH_RUNS", "9"))


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process."""

    wall_s: float
    cpu_s: float
    peak_kib: int


# A process inherits the peak memory of the one that starts it: so a bare interpreter starts and measures each run.
_STARTER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (1, 2)]
start = time.perf_counter()
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)
wall = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def environment() -> dict[str, str]:
    """Ours, in which both sides may keep their compiled modules, as an installed program does."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: Sequence[str]) -> Run:
    """Run a command (the first word is a path) to its end; raises CalledProcessError when it fails."""
    starter = [sys.executable, "-S", "-E", "-c", _STARTER, *command]
    told = subprocess.run(starter, env=environment(), check=True, capture_output=True).stdout
    code, wall_s, cpu_s, peak_kib = json.loads(told)
    if code:
        raise subprocess.CalledProcessError(code, command)
    return Run(wall_s, cpu_s, peak_kib)


def compare(
    title: str, ours: Sequence[str], peer: Sequence[str], *, runs: int = RUNS, peer_name: str = "imgtool"
) -> None:
    """Print the medians of two commands and the medians of the ratios ours : peer (below 1: we need less)."""
    run(ours), run(peer)  # warm-up
    pairs = [(run(ours), run(peer)) for _ in range(runs)]
    cpu = statistics.median(mine.cpu_s / theirs.cpu_s for mine, theirs in pairs)
    memory = statistics.median(mine.peak_kib / theirs.peak_kib for mine, theirs in pairs)
    wall = [(mine.wall_s, theirs.wall_s) for mine, theirs in pairs]
    print(f"{_line(title, wall, peer_name)}  CPU {cpu:4.2f}  peak memory {memory:4.2f}")


def compare_calls(title: str, ours: Callable[[], object], peer: Callable[[], object], *, runs: int = RUNS) -> None:
    """The same of two functions in this process; time only."""
    compare_times(title, lambda: _seconds(ours), lambda: _seconds(peer), runs=runs)


def compare_times(
    title: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    *,
    runs: int = RUNS,
    peer_name: str = "imgtool",
) -> None:
    """The same of two functions that do one run and tell its seconds."""
    ours(), peer()  # warm-up
    print(_line(title, [(ours(), peer()) for _ in range(runs)], peer_name))


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _line(title: str, pairs: Sequence[tuple[float, float]], peer_name: str) -> str:
    ours, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    return f"{title:<44} ours {ours * 1e3:7.1f} ms  {peer_name} {peer * 1e3:7.1f} ms  ours : {peer_name} {ratio:5.2f}"
