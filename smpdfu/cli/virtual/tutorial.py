"""``smpdfu tutorial``: the first commands, one after the other, on a virtual board."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.terminal.show import Output, print_line

if TYPE_CHECKING:
    from smpdfu.cli.virtual.demo import Demo

_QUESTION = "Press Enter to run it, s and Enter to skip it, q and Enter to stop: "


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, "tutorial")(tutorial)


def tutorial(
    out: Output,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the virtual board.")] = "desk",
    run: Annotated[bool, typer.Option("--run", help="Run all commands without asking.")] = False,
) -> None:
    """Learn the first commands on a virtual board. You need no hardware.

    In a terminal, each command runs after you press Enter. Otherwise the tutorial prints all commands and runs none.
    It uses only the virtual board NAME and the folder NAME-demo in the current folder.
    """
    from smpdfu.cli.virtual.demo import Demo, Step  # `smpdfu --help` imports this module, and needs none of that

    demo = Demo(name)
    steps = list(demo.steps)
    if not demo.is_made:
        try:
            demo.check()
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
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
        raise typer.Exit(done.returncode)


def _program(words: Sequence[str]) -> list[str]:
    """The words that start ``smpdfu``; -P: no module of the current folder may take its place."""
    return [sys.executable, "-P", "-m", *words]


def _conclude(demo: Demo) -> None:
    print_line("To repeat the tutorial, remove the board and its folder first:")
    print_line(f"   smpdfu virtual delete {demo.name}")
    print_line(f"   rm -r {demo.folder}")
