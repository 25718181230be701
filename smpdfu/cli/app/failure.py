"""The one place that turns an error into words and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NoReturn

from smpdfu.cli.app.advice import advice
from smpdfu.cli.app.command import Interrupted
from smpdfu.cli.app.ending import EXIT_UNEXPECTED, Leave, exit_code, report_failure
from smpdfu.cli.app.quick import command_path
from smpdfu.cli.app.tree import COMPLETION_OPTIONS
from smpdfu.cli.terminal import interruption
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.interrupt import EXIT_INTERRUPTED
from smpdfu.cli.terminal.streams import STDOUT, StdoutGone
from smpdfu.errors import SmpdfuError

EXIT_USAGE = 2


def leave_with(error: BaseException) -> NoReturn:
    """Say what failed and what to do, and leave with the contract's exit code."""
    match error:
        case SystemExit():
            raise error
        case Leave():
            sys.exit(error.code)
        case StdoutGone():
            _leave_like_a_filter()
        case SmpdfuError():
            _fail(exit_code(error), str(error), advice(error), kind=type(error).__name__)
        case Interrupted() | KeyboardInterrupt():
            _fail(EXIT_INTERRUPTED, f"interrupted. {interruption.words()}")
        case OSError():
            if error.filename == STDOUT:
                _drop_stdout()
            _fail(3, _os_sentence(error), kind="OSError")
        case Exception():
            if _is_usage(error):
                _usage(error)
            if os.environ.get("SMPDFU_DEBUG"):  # else a person never sees a traceback
                raise error
            text = f"unexpected {type(error).__name__}: {error}"
            _fail(EXIT_UNEXPECTED, text, "Please report this with the output of SMPDFU_DEBUG=1.", kind="unexpected")
    raise error


def _is_usage(error: Exception) -> bool:
    """True for typer's error about a wrong option or argument, whose class typer does not export."""
    return "typer" in sys.modules and isinstance(error, typer.BadParameter.__mro__[1])


def _usage(error: Any) -> NoReturn:
    """A wrong option or argument: one sentence, as for any other error."""
    sentence = _no_such_option(error) or error.format_message().removeprefix("Invalid value: ")
    if not sentence or type(error).__name__ == "NoArgsIsHelpError":  # no arguments at all
        sys.stderr.write(f"{sentence}\n")
        sys.exit(EXIT_USAGE)
    if (option := getattr(error, "option_name", "")) in COMPLETION_OPTIONS:
        _fail(EXIT_USAGE, f"{option} must be the first word.", f"Write {option} directly after smpdfu.", kind="usage")
    path = error.ctx.command_path if error.ctx else command_path(sys.argv[1:])
    _fail(EXIT_USAGE, sentence, f"`{path} --help` shows the options.", kind="usage")


def _no_such_option(error: Any) -> str:
    """The sentence about a mistyped option, as for a mistyped command; empty for any other error."""
    possible = getattr(error, "possibilities", None)
    if possible is None and type(error).__name__ != "NoSuchOption":
        return ""
    near = get_close_matches(error.option_name, possible or (), n=1, cutoff=0.0)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    return f"there is no option {error.option_name!r}.{hint}"


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
