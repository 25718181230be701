"""``doctor``: check whether this computer is ready, and show what to do if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from smpdfu.cli.app.ending import conclude
from smpdfu.cli.terminal.show import Output, one_line
from smpdfu.errors import NotReadyError
from smpdfu.local.doctor import system
from smpdfu.local.doctor.checks import Finding, Level, examine

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES = {"error": "bold red", "warning": "yellow", "note": "", "ok": "green"}


def show_findings(out: Output, only: str | None, topics: Sequence[str]) -> None:
    """Examine this computer and show the findings, all or those of one of ``topics``.

    Raises typer.BadParameter for another topic, and NotReadyError if something must be mended first.
    """
    if only not in (None, *topics):
        raise typer.BadParameter(f"--only {only} is wrong. Use one of {', '.join(topics)}")
    found = [one for one in examine(system.System()) if only in (None, one.topic)]
    errors = [one.what for one in found if one.level is Level.ERROR]
    fault = NotReadyError(f"this computer is not ready: {'; '.join(errors)}") if errors else None
    conclude(out, {"findings": [asdict(one) for one in found]}, lambda: _shown(found), fault)


def _shown(found: Sequence[Finding]) -> RenderableType:
    from smpdfu.cli.terminal.tables import Facts  # here: it loads rich in 45 ms, which --json does not pay

    pairs = []
    for one in found:
        level = one_line(f"{one.level:<7}")
        level.style = _STYLES[one.level]
        pairs.append((level, one_line(one.what)))
        pairs += [(one_line(""), one_line(text)) for text in (one.why, one.do) if text]
    return Facts(pairs)
