"""All goals in one table, from one run: ``make bench``, and ``make bench-quick`` for the short form.

Each bench is a process of its own, one after the other: what it prints comes first, and at the end the table of
``benchmarks.goals`` says which goals are met. A goal that is not met is a result. A bench that fails, or that gives no
row for one of its goals, is an error, and then the exit code is 1. ``--only NAME``, also repeated, runs some of the
benches, and leaves out the goals of the others.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.goals import GOALS
from benchmarks.rows import Goal, NotRun, Result, from_entry, options, tell

FOLDER = Path(__file__).parent
WITH_GOALS = tuple(dict.fromkeys(goal.bench for goal in GOALS))
"""The benches that give rows, in the order of the table. The short form runs no others."""


def benches() -> list[str]:
    """The names of all benches: first those with goals, in the order of the table."""
    found = sorted(path.stem for path in FOLDER.glob("bench_*.py"))
    return list(dict.fromkeys([*WITH_GOALS, *found]))


def run(name: str, folder: Path, *, quick: bool) -> int:
    """Run a bench in a process of its own, which writes its rows into ``folder``; its exit code."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    if name in WITH_GOALS:
        command += ["--json", str(folder / f"{name}.json"), *(["--quick"] if quick else [])]
    print(f"--- {name}", flush=True)
    begin = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    print(f"--- {name}: {time.monotonic() - begin:.0f} s\n", flush=True)
    return code


def results(folder: Path, codes: dict[str, int]) -> Iterator[Result]:
    """The result of each goal of the benches that ran."""
    for goal in GOALS:
        if goal.bench in codes:
            path = folder / f"{goal.bench}.json"
            told = json.loads(path.read_text())["rows"] if path.exists() else []
            entries = {one["name"]: one for one in told}
            yield from_entry(entries[goal.name], goal) if goal.name in entries else lost(goal, codes[goal.bench])


def lost(goal: Goal, code: int) -> NotRun:
    """A goal for which its bench gave no row."""
    return NotRun(goal, f"{goal.bench} gave no row (exit code {code})")


def main(words: Sequence[str] | None = None) -> int:
    """Run the benches and print the table; 1 if a bench fails."""
    parser = options(__doc__)
    parser.add_argument("--only", action="append", choices=benches(), help="run this bench")
    chosen = parser.parse_args(words)
    names = chosen.only or (WITH_GOALS if chosen.quick else benches())
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        codes = {name: run(name, Path(folder), quick=chosen.quick) for name in names}
        found = list(results(Path(folder), codes))
    tell(found, chosen)
    print(f"{time.monotonic() - begin:.0f} s")
    without_row = {one.goal.bench for one in found if one == lost(one.goal, codes[one.goal.bench])}
    failed = [name for name, code in codes.items() if code or name in without_row]
    if failed:
        print(f"these benches failed, or gave no row for a goal: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
