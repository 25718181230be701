"""The man page, made from the words of ``--help``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from smpdfu import __version__
from smpdfu.cli.terminal.help import examples_of, parameters
from smpdfu.cli.terminal.lazy_typer import CONNECTION


def man_page(root: Any) -> str:
    """The page smpdfu(1) in troff with the man macros; ``root`` is the context of the whole tree of commands."""
    about = root.command.help
    lines = [
        f'.TH SMPDFU 1 "" "smpdfu {escaped(__version__)}" "User Commands"',
        *(".SH NAME", rf"smpdfu \- {escaped(_lower(about))}"),
        *(".SH SYNOPSIS", r".B smpdfu", r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGS\fR]"),
        *(".SH DESCRIPTION", escaped(about)),
    ]
    listed = [ctx for ctx in _below(root) if not ctx.command.hidden]
    for group, found in groupby(listed, key=lambda ctx: str(ctx.command.rich_help_panel)):
        lines.append(f".SH {escaped(group.upper())} COMMANDS")
        for ctx in found:
            lines += _command(ctx)
    lines.append(".SH CONNECTION OPTIONS")
    device = next(ctx for ctx in listed if ctx.info_name == "list")
    lines += _rows([row for panel, row in parameters(device.command, device) if panel == CONNECTION])
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text as one line that troff reads as it is."""
    line = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{line}" if line.startswith((".", "'")) else line


def _command(ctx: Any) -> Iterator[str]:
    """A command, its options, its examples, then the commands under it."""
    usage = " ".join(ctx.command.collect_usage_pieces(ctx))
    yield f".SS {escaped(f'{ctx.command_path} {usage}')}"
    yield "\n.PP\n".join(escaped(paragraph) for paragraph in re.split(r"\n\s*\n", ctx.command.help or r"\&"))
    yield from _rows([row for panel, row in parameters(ctx.command, ctx) if panel != CONNECTION])
    for typed, meaning in examples_of(ctx):
        yield from (".PP", f"Example: {escaped(meaning)}", ".PP", ".nf", escaped(typed), ".fi")
    if hasattr(ctx.command, "commands"):
        for one in _below(ctx):
            yield from _command(one)


def _below(ctx: Any) -> list[Any]:
    commands = ((name, ctx.command.get_command(ctx, name)) for name in ctx.command.list_commands(ctx))
    return [one.make_context(name, [], parent=ctx, resilient_parsing=True) for name, one in commands]


def _rows(rows: list[tuple[str, str]]) -> Iterator[str]:
    for names, text in rows:
        yield from (".TP", rf"\fB{escaped(names)}\fR", escaped(text) or r"\&")


def _lower(text: str) -> str:
    return text[0].lower() + text[1:].rstrip(".")
