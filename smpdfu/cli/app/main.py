"""The app, and the one place that turns an error into words and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated, Any, NoReturn

import typer

from smpdfu import __version__
from smpdfu.cli.app.advice import advice
from smpdfu.cli.app.command import Interrupted
from smpdfu.cli.app.ending import EXIT_UNEXPECTED, exit_code, report_failure
from smpdfu.cli.app.tree import COMPLETE_VAR, COMPLETION_OPTIONS, Tree, wanted_command
from smpdfu.cli.terminal import interruption
from smpdfu.cli.terminal.help import SETTINGS
from smpdfu.cli.terminal.interrupt import EXIT_INTERRUPTED
from smpdfu.cli.terminal.show import STDOUT, StdoutGone, note
from smpdfu.cli.terminal.streams import escape_on_stdout, replace_closed_streams
from smpdfu.errors import SmpdfuError

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer does not export it

EXIT_USAGE = 2


def build_app(words: Sequence[str] | None = None) -> typer.Typer:
    """The typer app with every command, or with what the arguments ``words`` need of it.

    Each command imports its rooms when it runs, not here.
    """
    app = Tree(
        None if words is None else wanted_command(words),
        name="smpdfu",
        help="Sign, encrypt, pack and update nRF5340 firmware over SMP.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=SETTINGS,
    )
    app.callback()(_root)
    app.furnish()
    return app


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


def run() -> NoReturn:
    """Run the command line and leave with the contract's exit code."""
    replace_closed_streams()
    escape_on_stdout()
    note.cache_clear()
    try:
        if os.environ.get(COMPLETE_VAR) or any(word.startswith(COMPLETION_OPTIONS) for word in sys.argv[1:3]):
            from smpdfu.cli.app.shell_scripts import answer  # here: only a shell asks for it

            if answer(sys.argv[1:]):
                sys.exit(0)
        left = build_app(sys.argv[1:])(prog_name="smpdfu", standalone_mode=False, complete_var=COMPLETE_VAR)
    except StdoutGone:
        _leave_like_a_filter()
    except SmpdfuError as error:
        _fail(exit_code(error), str(error), advice(error), kind=type(error).__name__)
    except (Interrupted, KeyboardInterrupt):
        interrupted()
    except UsageError as error:
        _usage(error)
    except OSError as error:
        if error.filename == STDOUT:
            _drop_stdout()
        _fail(3, _os_sentence(error), kind="OSError")
    except Exception as error:  # a person never sees a traceback; SMPDFU_DEBUG=1 shows it
        if os.environ.get("SMPDFU_DEBUG"):
            raise
        text = f"unexpected {type(error).__name__}: {error}"
        _fail(EXIT_UNEXPECTED, text, "Please report this with the output of SMPDFU_DEBUG=1.", kind="unexpected")
    sys.exit(left if isinstance(left, int) else 0)


def _usage(error: Any) -> NoReturn:
    """A wrong option or argument: one sentence, as for any other error."""
    sentence = _no_such_option(error) or error.format_message().removeprefix("Invalid value: ")
    if not sentence or type(error).__name__ == "NoArgsIsHelpError":  # no arguments at all
        typer.echo(sentence, err=True)
        sys.exit(EXIT_USAGE)
    if (option := getattr(error, "option_name", "")) in COMPLETION_OPTIONS:
        _fail(EXIT_USAGE, f"{option} must be the first word.", f"Write {option} directly after smpdfu.", kind="usage")
    path = error.ctx.command_path if error.ctx else "smpdfu"
    _fail(EXIT_USAGE, sentence, f"`{path} --help` shows the options.", kind="usage")


def _no_such_option(error: Any) -> str:
    """The sentence about a mistyped option, as for a mistyped command; empty for any other error."""
    possible = getattr(error, "possibilities", None)
    if possible is None and type(error).__name__ != "NoSuchOption":
        return ""
    near = get_close_matches(error.option_name, possible or (), n=1, cutoff=0.0)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    return f"there is no option {error.option_name!r}.{hint}"


def interrupted() -> NoReturn:
    """Leave after Ctrl-C."""
    _fail(EXIT_INTERRUPTED, f"interrupted. {interruption.words()}")


def _leave_like_a_filter() -> NoReturn:
    """End as a filter does if nobody reads stdout any more (``| head``)."""
    _drop_stdout()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(0)


def _drop_stdout() -> None:
    """Discard the buffer of stdout, so that Python reports no error when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _os_sentence(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


def _fail(code: int, sentence: str, next_step: str = "", *, kind: str = "interrupted") -> NoReturn:
    report_failure(code, sentence, next_step, kind=kind)
    sys.exit(code)
