"""``--help`` in plain text under headings: rich draws no better help, and to load it takes longer than all the rest."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from smpdfu.cli.terminal.lazy_typer import CONNECTION

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 110
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}
"""What every command and group is made with."""

Row = tuple[str, str]

_FOLDED = [("--port | --ble | --ip | --to", "The device. `smpdfu help connection` shows all connection options.")]


class HelpCommand(TyperCommand):
    """A command whose options are listed by panel. A metavar of several words takes as many, again and again."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            words = len((parameter.metavar or "").split())
            if words > 1:  # typer has no type for lists of pairs
                parameter.nargs = words

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a usage error that it raises knows of which command."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.ctx = error.ctx or ctx
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Name the arguments as man pages do, ``NAME [NAME] NAME...``, with every release of typer."""
        return ["[OPTIONS]", *(_usage(one) for one in self.get_params(ctx) if one.param_type_name == "argument")]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)
        _write_examples(ctx, formatter)


class HelpGroup(TyperGroup):
    """A group whose commands are listed by panel, and that names the nearest one to a mistyped one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that ``args`` begin with. Raises typer.BadParameter with what may be meant."""
        word = args[0] if args else ""
        if not word or word.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, word) is not None:
            return super().resolve_command(ctx, args)
        raise typer.BadParameter(f"there is no command {word!r}. {self.instead(ctx, word)}".rstrip(), ctx)

    def instead(self, ctx: Any, word: str) -> str:
        """What a person may mean by a word that is no command; empty if nothing is near."""
        names = {name.lower(): name for name in sorted(self.commands, key=lambda name: not self.commands[name].hidden)}
        near = get_close_matches(word.lower(), names, n=1)
        return f"Did you mean `{ctx.command_path} {names[near[0]]}`?" if near else ""

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
        _write_examples(ctx, formatter)


def _usage(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper()).removeprefix("[").removesuffix("]").removesuffix("...")
    return f"{name if argument.required else f'[{name}]'}{'' if argument.nargs == 1 else '...'}"


def examples_of(ctx: Any) -> tuple[Row, ...]:
    """The examples of a command: what to type, and what it does."""
    from smpdfu.cli.terminal.examples import EXAMPLES  # here: only help needs it

    return EXAMPLES.get(ctx.command_path.partition(" ")[2], ())


def _write_examples(ctx: Any, formatter: Any) -> None:
    found = examples_of(ctx)
    if found:
        with formatter.section("Examples"):  # each line as it is: a command that is wrapped cannot be copied
            for typed, meaning in found:
                formatter.write(f"{'':>{formatter.current_indent}}# {meaning}\n")
                formatter.write(f"{'':>{formatter.current_indent}}{typed}\n")


def write_connection(command: Any, ctx: Any, formatter: Any) -> None:
    """The connection options of a command, all of them."""
    _write_panels(formatter, [row for row in parameters(command, ctx) if row[0] == CONNECTION])


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    """Arguments, then what is the command's own, then the connection in short."""
    rows = parameters(command, ctx)
    _write_panels(formatter, [row for row in rows if row[0] != CONNECTION])
    if any(panel == CONNECTION for panel, _ in rows):
        _write_panels(formatter, [(CONNECTION, row) for row in _FOLDED])


def parameters(command: Any, ctx: Any) -> list[tuple[str, Row]]:
    """Panel, then names and help, of each parameter that is not hidden."""
    records = ((one, one.get_help_record(ctx)) for one in command.get_params(ctx))
    shown = [(one, record) for one, record in records if record is not None]
    plain = {"argument": "Arguments", "option": "Options"}
    return [
        (_panel(one) or plain[one.param_type_name], record)
        for one, record in sorted(shown, key=lambda pair: (pair[0].param_type_name, _panel(pair[0]) is not None))
    ]


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
