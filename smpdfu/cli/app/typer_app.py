"""The commands for typer: it reads what ``quick.py`` leaves to it, such as ``--help`` and every mistake."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from smpdfu import __version__
from smpdfu.cli.app import tree
from smpdfu.cli.app.command import Parameter, declared, perform
from smpdfu.cli.app.groups import Group
from smpdfu.cli.terminal.help import SETTINGS, HelpCommand, HelpGroup
from smpdfu.cli.terminal.lazy_typer import Declaration


class TreeGroup(HelpGroup):
    """The commands in the order of the table."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return [name for name in tree.names() if name in self.commands]

    def instead(self, ctx: Any, word: str) -> str:
        """What a person may mean by a word that is no command."""
        if word.lower() in tree.OTHER_WORDS:
            return "`smpdfu update PACKAGE` updates both cores; `smpdfu upload IMAGE --confirm` installs one image."
        return super().instead(ctx, word)


def build_app(words: Sequence[str] | None = None) -> typer.Typer:
    """The typer app with every command, or with what the arguments ``words`` need of it.

    Words that call no command of ours get all names and summaries, without options: that is what ``--help`` shows.
    """
    app = typer.Typer(
        cls=TreeGroup,
        name="smpdfu",
        help="Sign, encrypt, pack and update nRF5340 firmware over SMP.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=SETTINGS,
    )
    app.callback()(_root)
    if words is None:
        fill(app, tree.registered(), _listing)
    elif wanted := tree.wanted_command(words):
        fill(app, tree.registered(wanted), _listing)
    else:
        for name in tree.names():
            text = tree.COMMANDS[name].summary if name in tree.COMMANDS else ""
            app.command(name, help=text, **_listing(name))(_nothing)
    return app


def run_words(words: Sequence[str]) -> int:
    """Have typer read and run ``words``, the arguments of ``smpdfu``; a shell may ask with them what could follow."""
    if os.environ.get(tree.COMPLETE_VAR) or any(word.startswith(tree.COMPLETION_OPTIONS) for word in words[:2]):
        from smpdfu.cli.app.shell_scripts import answer  # here: only a shell asks for it

        if answer(words):
            return 0
    left = build_app(words)(list(words), prog_name="smpdfu", standalone_mode=False, complete_var=tree.COMPLETE_VAR)
    return left if isinstance(left, int) else 0


def commands_for(words: Sequence[str] | None = None) -> Any:
    """The same as click's command, which can be called."""
    return get_command(build_app(words))


def fill(app: typer.Typer, group: Group, listing: Callable[[str], dict[str, Any]] = lambda _: {}) -> None:
    """Add what is declared in ``group`` to a typer app; ``listing`` says how ``--help`` lists a name."""
    for name, function in group.commands.items():
        app.command(name, cls=HelpCommand, context_settings=SETTINGS, **listing(name))(_flat(function))
    for name, below in group.groups.items():
        inner = typer.Typer(help=below.summary, no_args_is_help=True)
        fill(inner, below)
        app.add_typer(inner, name=name, cls=HelpGroup, **listing(name))


def _listing(name: str) -> dict[str, Any]:
    """How ``--help`` lists a command: under its heading, or not at all."""
    return {"rich_help_panel": tree.COMMANDS[name].group} if name in tree.COMMANDS else {"hidden": True}


def _flat(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function for typer: it takes the fields of the dataclass parameters one by one."""
    call = declared(function)
    flat = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=_typers(one))
        for one in call.parameters
    ]

    def run(**values: Any) -> None:
        perform(call, values)

    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    run.__annotations__ = {one.name: one.annotation for one in flat}
    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]  # the documented way to give one
    return run


def _typers(parameter: Parameter) -> Any:
    """The hint of a parameter with typer's declaration in place of ours."""
    found = getattr(parameter.hint, "__metadata__", (None,))[0]
    if not isinstance(found, Declaration):
        return parameter.hint
    kind: Any = parameter.hint.__origin__
    make = typer.Option if found.is_option else typer.Argument
    return Annotated[kind, make(*found.names, **found.settings)]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Sign, encrypt, pack and update nRF5340 firmware over SMP."""


def _nothing() -> None: ...
