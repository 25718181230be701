"""``doctor``: check whether this computer is ready, and show what to do if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from smpdfu.cli.app.ending import conclude
from smpdfu.cli.app.findings import findings_shown
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.errors import NotReadyError
from smpdfu.local.doctor import system
from smpdfu.local.doctor.checks import Level, examine


def show_findings(out: Output, only: str | None, topics: Sequence[str]) -> None:
    """Examine this computer and show the findings, all or those of one of ``topics``.

    Raises typer.BadParameter for another topic, and NotReadyError if something must be mended first.
    """
    if only not in (None, *topics):
        raise typer.BadParameter(f"--only {only} is wrong. Use one of {', '.join(topics)}")
    found = [one for one in examine(system.System()) if only in (None, one.topic)]
    errors = [one.what for one in found if one.level is Level.ERROR]
    fault = NotReadyError(f"this computer is not ready: {'; '.join(errors)}") if errors else None
    conclude(out, {"findings": [asdict(one) for one in found]}, lambda: findings_shown(found), fault)
