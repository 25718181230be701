"""One run of ``smpdfu``: read the command line, run the command, leave with its exit code.

``--version`` needs no command, and a command that succeeds needs nothing of what is said of failures.
"""

from __future__ import annotations

import sys

from smpdfu import __version__
from smpdfu.cli.terminal.streams import escape_on_stdout, failed_stdout, replace_closed_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line and leave with the contract's exit code."""
    replace_closed_streams()
    escape_on_stdout()
    try:
        left = _run(sys.argv[1:])
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too
        _leave_with(error)
    sys.exit(left)


def _run(words: list[str]) -> int:
    if words == ["--version"]:
        try:
            sys.stdout.write(f"{__version__}\n")
            sys.stdout.flush()
        except OSError as error:
            raise failed_stdout(error) from None
        return 0
    from smpdfu.cli.app.quick import run_words  # here: the version needs no command

    return run_words(words)


def _leave_with(error: BaseException) -> NoReturn:
    from smpdfu.cli.app.failure import leave_with  # here: success needs no words for failures

    leave_with(error)


def interrupted() -> NoReturn:
    """Leave after Ctrl-C."""
    _leave_with(KeyboardInterrupt())
