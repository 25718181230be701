"""``smpdfu tutorial``: the first commands, one after the other, on a virtual board."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence

from smpdfu.cli.app.ending import Leave
from smpdfu.cli.terminal.show import Output, print_line
from smpdfu.cli.virtual.demo import Demo, Step
from smpdfu.cli.virtual.refused_name import refused_name

_QUESTION = "Press Enter to run it, s and Enter to skip it, q and Enter to stop: "


def run_tutorial(out: Output, name: str, *, run: bool) -> None:
    """Print the commands, and run those that a person wants, or all if ``run``.

    Raises typer.BadParameter if there is no such demo and none can be made, and Leave if a command fails.
    """
    demo = Demo(name)
    steps = list(demo.steps)
    if not demo.is_made:
        try:
            demo.check()
        except ValueError as error:
            raise refused_name(name, error) from None
        steps.insert(0, Step(f"smpdfu virtual new {name} --demo", "Create a virtual board and two releases for it."))
    if out.json:
        out.emit({"commands": [{"command": step.command, "does": step.sentence} for step in steps]}, str)
        return
    ask = sys.stdin.isatty() and not run
    for number, step in enumerate(steps, 1):
        print_line(f"{number}. {step.sentence}")
        print_line(f"   {step.command}")
        answer = _answer() if ask else ""
        if answer == "q":
            break
        if (run or ask) and answer != "s":
            _run(step.command)
        print_line("")
    if run or ask:
        _conclude(demo)


def _answer() -> str:
    """What the person typed: "" to run the command, "s" or "q"; the end of the input counts as "q"."""
    sys.stdout.flush()
    try:
        return input(_QUESTION).strip().lower()[:1]
    except EOFError:
        print_line("")
        return "q"


def _run(line: str) -> None:
    """Run one of our own commands in a process of its own; leave with its exit code if it fails."""
    sys.stdout.flush()
    done = subprocess.run(_program(shlex.split(line)), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Leave(done.returncode)


def _program(words: Sequence[str]) -> list[str]:
    """The words that start ``smpdfu``; -P: no module of the current folder may take its place."""
    return [sys.executable, "-P", "-m", *words]


def _conclude(demo: Demo) -> None:
    print_line("To repeat the tutorial, remove the board and its folder first:")
    print_line(f"   smpdfu virtual delete {demo.name}")
    print_line(f"   rm -r {demo.folder}")
