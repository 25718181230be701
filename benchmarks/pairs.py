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

from benchmarks.rows import Goal, Row

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


@dataclass(frozen=True, slots=True)
class Pairs:
    """Runs in turn, ours and the other's; at least one pair."""

    ours: Sequence[Run]
    other: Sequence[Run]

    def ratio(self, read: Callable[[Run], float]) -> float:
        """The median of the ratios ours : other, pair by pair; 0 if the other's is 0."""
        pairs = [(read(mine), read(theirs)) for mine, theirs in zip(self.ours, self.other, strict=True)]
        return statistics.median(mine / theirs if theirs else 0.0 for mine, theirs in pairs)

    @property
    def wall(self) -> float:
        """The ratio of the wall clock."""
        return self.ratio(lambda run: run.wall_s)

    @property
    def cpu(self) -> float:
        """The ratio of the CPU seconds."""
        return self.ratio(lambda run: run.cpu_s)

    def row(self, goal: Goal, note: str = "") -> Row:
        """The row of a goal whose figures are milliseconds: of CPU, if the aim is about that, or of the wall clock."""
        in_cpu = goal.judged == "CPU"
        ours, other = (
            1e3 * statistics.median(run.cpu_s if in_cpu else run.wall_s for run in side)
            for side in (self.ours, self.other)
        )
        return Row(goal, ours, other, self.cpu, self.wall, note)

    def text(self, title: str, other: str) -> str:
        """A line with the medians of the wall clock and the ratios (below 1: we need less)."""
        ours, theirs = (1e3 * statistics.median(run.wall_s for run in side) for side in (self.ours, self.other))
        memory = self.ratio(lambda run: run.peak_kib)
        times = f"{title:<44} ours {ours:7.1f} ms  {other} {theirs:7.1f} ms  ours : {other} {self.wall:5.2f}"
        return f"{times}  CPU {self.cpu:4.2f}" + (f"  peak memory {memory:4.2f}" if memory else "")


def in_turn(ours: Callable[[], Run], other: Callable[[], Run], *, runs: int = RUNS, warm: bool = True) -> Pairs:
    """Run both in turn, A B A B ..., after a warm-up of each, but for what takes seconds."""
    if warm:
        ours(), other()
    pairs = [(ours(), other()) for _ in range(runs)]
    return Pairs([mine for mine, _ in pairs], [theirs for _, theirs in pairs])


def commands(ours: Sequence[str], other: Sequence[str], *, runs: int = RUNS) -> Pairs:
    """Two whole processes in turn."""
    return in_turn(lambda: run(ours), lambda: run(other), runs=runs)


def calls(ours: Callable[[], object], other: Callable[[], object], *, runs: int = RUNS) -> Pairs:
    """Two functions in this process in turn."""
    return in_turn(lambda: timed(ours), lambda: timed(other), runs=runs)


def timed(function: Callable[[], object]) -> Run:
    """One call of a function in this process; its peak memory is not known (0)."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Run(time.perf_counter() - wall, time.process_time() - cpu, 0)
