"""``smpdfu help`` and ``smpdfu version``."""

from __future__ import annotations

import platform
import sys
from typing import Annotated, Any

from smpdfu import __version__
from smpdfu.cli.app import completion
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts, print_text

_ANY_DEVICE_COMMAND = "list"


def register(app: Group) -> None:
    """Add the commands to ``app``."""
    command(app, "help")(show_help)
    command(app, "version")(version)


def show_help(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help="A command, such as `fleet run`; or `connection`.",
            autocompletion=completion.commands,
        ),
    ] = None,
    man: Annotated[bool, typer.Option("--man", help="Print the man page of all commands, for `| man -l -`.")] = False,
) -> None:
    """Show the help of a command, of `connection`, or the man page."""
    if man:
        from smpdfu.cli.app.man_page import man_page

        print_text(man_page(context_of(None)))
    elif words == ["connection"]:
        print_text(connection_help() + "\n")
    else:
        ctx = context_of((words or [""])[0])
        for word in words or []:
            ctx = below(ctx, word)
        print_text(ctx.get_help() + "\n")


def context_of(wanted: str | None) -> Any:
    """The context of ``smpdfu`` itself; ``wanted``: see ``commands_for``."""
    from smpdfu.cli.app.typer_app import commands_for

    return commands_for(None if wanted is None else [wanted]).make_context("smpdfu", [], resilient_parsing=True)


def below(ctx: Any, word: str) -> Any:
    """The context of a command under that of its group. Raises typer's usage error for one that is not there."""
    if not hasattr(ctx.command, "commands"):
        raise typer.BadParameter(f"`{ctx.command_path}` has no command {word!r} under it")
    ctx.resilient_parsing = False  # so that a mistyped name is refused
    found = ctx.command.resolve_command(ctx, [word])[1]
    return found.make_context(word, [], parent=ctx, resilient_parsing=True)


def connection_help() -> str:
    """Return the help of the connection options."""
    from smpdfu.cli.terminal.help import write_connection

    ctx = below(context_of(_ANY_DEVICE_COMMAND), _ANY_DEVICE_COMMAND)
    formatter = ctx.make_formatter()
    formatter.write_text(
        "Every command for a device takes one of --port, --ble, --ip, --to and -c. Without one, the environment "
        "variable SMPDFU_TO names the device, else the table [connection] of smpdfu.toml."
    )
    write_connection(ctx.command, ctx, formatter)
    text: str = formatter.getvalue()
    return text.rstrip("\n")


def version(out: Output) -> None:
    """Show the version of smpdfu, and of Python."""
    found = {"version": __version__, "python": platform.python_version(), "system": sys.platform}
    out.emit(found, lambda: facts(list(found.items())))
