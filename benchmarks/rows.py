"""What a benchmark found for a goal (a row, or why there is none), the table of all rows, and their JSON.

A goal compares our figure with another's (a peer, a floor such as a bare Python, or our own window of one), or judges
our figure alone. ``benchmarks.goals`` has all goals. A bench gives one ``Row`` or ``NotRun`` for each of its goals::

    yield Row(goal("sign 1 MiB, hex to hex, whole process"), ours=80.0, other=900.0, cpu=0.09, wall=0.1)
    yield NotRun(goal("real server in QEMU, 384 bytes"), "there is no qemu-system-arm")
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Judged = Literal["CPU", "wall", "ours"]
"""What the aim is about: the ratio of the CPU seconds, of the wall clock (also of speeds), or our figure itself."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table before it was measured.

    ``unit`` is that of the figures, ours and the other one, and ``other`` says whose that is ("" if there is none).
    """

    name: str
    bench: str
    aim: float
    judged: Judged
    unit: str
    other: str = ""
    at_least: bool = False

    @property
    def aim_text(self) -> str:
        """The aim for people: "at most 0.6 (CPU)"."""
        unit = self.unit if self.judged == "ours" else f"({self.judged})"
        return f"at {'least' if self.at_least else 'most'} {self.aim:.3g} {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured for a goal.

    ``ours`` and ``other`` are medians in the unit of the goal; ``cpu`` and ``wall`` are the medians of the ratios
    ours : other, pair by pair (of speeds, too: 2 is twice as fast). ValueError if the value that the aim is about is
    missing.
    """

    goal: Goal
    ours: float
    other: float | None = None
    cpu: float | None = None
    wall: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self._judged_value() is None:
            raise ValueError(f"{self.goal.name}: the aim is about {self.goal.judged}, which the row does not have")

    def _judged_value(self) -> float | None:
        return {"CPU": self.cpu, "wall": self.wall, "ours": self.ours}[self.goal.judged]

    @property
    def value(self) -> float:
        """What is compared with the aim."""
        value = self._judged_value()
        assert value is not None
        return value

    @property
    def met(self) -> bool:
        """Whether the aim is met, as measured: nothing is rounded."""
        return self.value >= self.goal.aim if self.goal.at_least else self.value <= self.goal.aim


@dataclass(frozen=True, slots=True)
class NotRun:
    """A goal that was not measured, and why. It does not count as met."""

    goal: Goal
    reason: str


Result = Row | NotRun


# --- the table ------------------------------------------------------------------------------------------------------

NAME, FIGURE, OTHER, RATIO, AIM = 50, 13, 25, 6, 21


def figure(value: float, unit: str) -> str:
    """A number with its unit, in three digits or more."""
    digits = 0 if value == round(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 3
    return f"{value:.{digits}f} {unit}".rstrip()


def ratio(value: float | None) -> str:
    """A ratio in three digits, or a dash."""
    return "-" if value is None else f"{value:#.3g}".rstrip(".")


def lines(results: Iterable[Result]) -> list[str]:
    """The table, with one line a goal, a line for each note, and a summary."""
    results = list(results)
    head = f"{'what':<{NAME}} {'ours':>{FIGURE}}  {'compared with':<{OTHER}} {'CPU':>{RATIO}} {'wall':>{RATIO}}  "
    made = [f"{head}{'aim':<{AIM}} met"]
    for result in results:
        made += row_lines(result) if isinstance(result, Row) else not_run_lines(result)
    return [*made, summary(results)]


def row_lines(row: Row) -> list[str]:
    """The line of a row, and that of its note."""
    goal = row.goal
    other = goal.other if row.other is None else f"{goal.other} {figure(row.other, goal.unit)}"
    line = (
        f"{goal.name:<{NAME}} {figure(row.ours, goal.unit):>{FIGURE}}  {other:<{OTHER}} {ratio(row.cpu):>{RATIO}} "
        f"{ratio(row.wall):>{RATIO}}  {goal.aim_text:<{AIM}} {'yes' if row.met else 'NO'}"
    )
    return [line, f"    {row.note}"] if row.note else [line]


def not_run_lines(result: NotRun) -> list[str]:
    """The line of a goal that was not measured, and the reason."""
    gap = NAME + FIGURE + OTHER + 2 * RATIO + 6
    return [f"{result.goal.name:<{gap}} {result.goal.aim_text:<{AIM}} not run", f"    {result.reason}"]


def summary(results: Sequence[Result]) -> str:
    """How many goals are met."""
    rows = [result for result in results if isinstance(result, Row)]
    met = sum(row.met for row in rows)
    counts = f"{met} of {len(results)} goals are met, {len(rows) - met} are not"
    return f"{counts}, {len(results) - len(rows)} were not run (a goal that was not run is not met)"


# --- JSON -----------------------------------------------------------------------------------------------------------


def document(results: Iterable[Result], *, quick: bool) -> dict[str, Any]:
    """All results for scripts, with what machine they are from."""
    machine = {"python": platform.python_version(), "system": platform.platform(), "processors": os.cpu_count()}
    return {
        "time": time.time(),
        "quick": quick,
        **machine,
        "load": os.getloadavg()[0],
        "rows": [entry(result) for result in results],
    }


def entry(result: Result) -> dict[str, Any]:
    """A result as JSON has it."""
    goal = result.goal
    about = {
        "name": goal.name,
        "bench": goal.bench,
        "aim": goal.aim,
        "direction": "at least" if goal.at_least else "at most",
        "judged": goal.judged,
        "unit": goal.unit,
        "compared_with": goal.other,
    }
    if isinstance(result, NotRun):
        return about | {"not_run": result.reason, "met": False}
    found = {"ours": result.ours, "other": result.other, "cpu": result.cpu, "wall": result.wall, "note": result.note}
    return about | found | {"value": result.value, "met": result.met}


def from_entry(told: dict[str, Any], goal: Goal) -> Result:
    """The result of a goal that ``entry`` wrote."""
    if "not_run" in told:
        return NotRun(goal, told["not_run"])
    return Row(goal, told["ours"], told["other"], told["cpu"], told["wall"], told["note"])


# --- the command line of a bench ------------------------------------------------------------------------------------


def options(description: str | None) -> argparse.ArgumentParser:
    """The options that every bench has; it may add its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form: fewer runs, smaller cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows into a file, for scripts")
    return parser


def run(about: str | None, results: Callable[..., Iterable[Result]]) -> int:
    """Run a script that only prints its rows: ``about`` is its docstring, ``results`` takes ``quick``."""
    chosen = options(about).parse_args()
    tell(results(quick=chosen.quick), chosen)
    return 0


def tell(results: Iterable[Result], chosen: argparse.Namespace) -> None:
    """Print the table of what a bench found, and write the JSON that its options ask for."""
    found = list(results)
    print("\n".join(lines(found)), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(document(found, quick=chosen.quick), indent=2) + "\n")
