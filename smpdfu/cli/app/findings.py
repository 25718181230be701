"""Findings about this computer, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smpdfu.cli.terminal.show import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.local.doctor.checks import Finding

_STYLES = {"error": "bold red", "warning": "yellow", "note": "", "ok": "green"}


def findings_shown(found: Sequence[Finding]) -> RenderableType:
    """Show each finding: its level, what is the case, why it matters and what to do."""
    from smpdfu.cli.terminal.tables import Facts  # here: it loads rich in 45 ms, which --json does not pay

    pairs = []
    for one in found:
        level = one_line(f"{one.level:<7}")
        level.style = _STYLES[one.level]
        pairs.append((level, one_line(one.what)))
        pairs += [(one_line(""), one_line(text)) for text in (one.why, one.do) if text]
    return Facts(pairs)
