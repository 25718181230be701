"""Findings about this computer, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smpdfu.cli.terminal.answers import Facts
from smpdfu.cli.terminal.show import cell

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.local.doctor.checks import Finding

_STYLES = {"error": "bold red", "warning": "yellow", "note": "", "ok": "green"}


def findings_shown(found: Sequence[Finding]) -> RenderableType:
    """Show each finding: its level, what is the case, why it matters and what to do."""
    pairs = []
    for one in found:
        pairs.append((cell(f"{one.level:<7}", _STYLES[one.level]), cell(one.what)))
        pairs += [(cell(""), cell(text)) for text in (one.why, one.do) if text]
    return Facts(pairs)
