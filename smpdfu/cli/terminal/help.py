"""``--help`` in plain text under headings: rich draws no better help, and to load it takes longer than all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 110
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}
"""What every command and group is made with."""

Row = tuple[str, str]


class HelpCommand(TyperCommand):
    """A command whose options are listed by panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)


class HelpGroup(TyperGroup):
    """A group whose commands are listed by panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        _write_panels(
            formatter,
            (
                (getattr(one, "rich_help_panel", None) or "Commands", (name, one.get_short_help_str(4 * WIDTH)))
                for name, one in found
                if one is not None and not one.hidden
            ),
        )
        _write_parameters(self, ctx, formatter)


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    """Arguments, then what is the command's own, then what it shares with others."""
    records = ((one, one.get_help_record(ctx)) for one in command.get_params(ctx))
    shown = [(one, record) for one, record in records if record is not None]
    plain = {"argument": "Arguments", "option": "Options"}
    panels = [
        (_panel(one) or plain[one.param_type_name], record)
        for one, record in sorted(shown, key=lambda pair: (pair[0].param_type_name, _panel(pair[0]) is not None))
    ]
    _write_panels(formatter, panels)


def _panel(parameter: Any) -> str | None:
    panel = getattr(parameter, "rich_help_panel", None)
    return panel if isinstance(panel, str) else None


def _write_panels(formatter: Any, rows: Iterable[tuple[str, Row]]) -> None:
    panels: dict[str, list[Row]] = {}
    for panel, row in rows:
        panels.setdefault(panel, []).append(row)
    for panel, found in panels.items():
        with formatter.section(panel):
            formatter.write_dl(found)
