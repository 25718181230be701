"""``doctor``: check whether this computer is ready, and show what to do if not."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.terminal.show import Output
from smpdfu.errors import NotReadyError
from smpdfu.untrusted.text import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from smpdfu.local.doctor.checks import Finding

TOPICS = ("serial", "bluetooth")
_STYLES = {"error": "bold red", "warning": "yellow", "note": "", "ok": "green"}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    command(app, "doctor")(doctor)


def doctor(
    out: Output,
    only: Annotated[
        str | None, typer.Option("--only", metavar="TOPIC", help="Check only this topic: serial or bluetooth.")
    ] = None,
) -> None:
    """Check this computer: ports, permissions, programs, Bluetooth. It changes nothing."""
    from smpdfu.local.doctor.checks import Level, examine
    from smpdfu.local.doctor.system import System

    if only not in (None, *TOPICS):
        raise typer.BadParameter(f"--only {only} is wrong. Use one of {', '.join(TOPICS)}")
    found = [one for one in examine(System()) if only in (None, one.topic)]
    errors = [one.what for one in found if one.level is Level.ERROR]
    fault = NotReadyError(f"this computer is not ready: {'; '.join(errors)}") if errors else None
    conclude(out, {"findings": [asdict(one) for one in found]}, lambda: _shown(found), fault)


def _shown(found: Sequence[Finding]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lines = []
    for one in found:
        lines.append(Text.assemble((f"{one.level:<8}", _STYLES[one.level]), line(one.what)))
        lines += [Text(line(f"{'':<8}{text}")) for text in (one.why, one.do) if text]
    return Group(*lines)
