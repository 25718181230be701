"""``agent doctor``: check whether a gateway is ready for its agent, and show what to do if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from smpdfu.agent.gateway_doctor import examine_gateway
from smpdfu.cli.app.ending import conclude
from smpdfu.cli.app.findings import findings_shown
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output
from smpdfu.errors import NotReadyError
from smpdfu.local.doctor.checks import Level


async def show_findings(file: Path, out: Output, only: str | None, topics: Sequence[str]) -> None:
    """Examine the gateway and show the findings, all or those of one of ``topics``.

    Raises typer.BadParameter for another topic, NotReadyError if something must be mended first, AgentFileError or
    OSError.
    """
    if only not in (None, *topics):
        raise typer.BadParameter(f"--only {only} is wrong. Use one of {', '.join(topics)}")
    with out.waiting("Checking the gateway ..."):
        found = await examine_gateway(file, topics=topics if only is None else (only,))
    errors = [one.what for one in found if one.level is Level.ERROR]
    fault = NotReadyError(f"this gateway is not ready: {'; '.join(errors)}") if errors else None
    conclude(out, {"findings": [asdict(one) for one in found]}, lambda: findings_shown(found), fault)
