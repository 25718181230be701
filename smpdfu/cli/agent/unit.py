"""``agent unit``: the agent as a service of systemd."""

from __future__ import annotations

import sys
from pathlib import Path

from smpdfu.agent.service_unit import service_unit
from smpdfu.cli.terminal.show import Output, print_json, print_line


def print_unit(path: Path, out: Output) -> None:
    """Print the unit. Raises AgentFileError or OSError."""
    program = _program()
    text = service_unit(path, program)
    if Path(program[0]).is_relative_to("/home") or Path(program[0]).is_relative_to("/root"):
        out.warn(f"the service cannot read {program[0]}: install smpdfu outside of a home folder, as in /opt/smpdfu")
    if out.json:
        print_json({"unit": text})
        return
    for line in text.splitlines():
        print_line(line)


def _program() -> list[str]:
    """The words that start this smpdfu with ``agent run``."""
    beside = Path(sys.executable).with_name("smpdfu")
    found = [str(beside)] if beside.exists() else [sys.executable, "-m", "smpdfu"]
    return [*found, "agent", "run"]
