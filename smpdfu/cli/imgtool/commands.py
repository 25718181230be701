"""``smpdfu-imgtool``: our signer behind the command line of imgtool 2.5.0, for build systems that call it by path.

Names, defaults, files, stdout and exit codes are imgtool's, and so are the few sentences it writes to stdout: they are
part of what others parse. Where imgtool ends in a traceback, one sentence and exit code 1 stand instead. What differs
is in ``docs/reference/imgtool-differences.md``. argparse and not typer: builds start this program often, and it must
start fast; so this file also imports little, and each command's own file does the work.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from smpdfu.cli.imgtool.parser import EXIT_USAGE, UsageError, parse
from smpdfu.cli.terminal.streams import escape_on_stdout, replace_closed_streams
from smpdfu.errors import ImageError, SmpdfuError
from smpdfu.untrusted import text as door

if TYPE_CHECKING:
    from argparse import Namespace

SPOKEN_VERSION = "2.5.0"  # the imgtool whose command line this is

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def run() -> NoReturn:
    """Run the command line and leave with imgtool's exit code."""
    replace_closed_streams()
    escape_on_stdout()
    try:
        command, arguments = parse(sys.argv[1:])
        sys.exit(ACTIONS[command](command, arguments))
    except UsageError as error:
        _fail(EXIT_USAGE, str(error))
    except ImageError as error:
        from smpdfu.cli.imgtool.refusals import of_image

        _fail(EXIT_USAGE, of_image(error, arguments))
    except SmpdfuError as error:
        _fail(EXIT_FAILED, str(error))
    except KeyboardInterrupt:
        _fail(EXIT_INTERRUPTED, "interrupted. No file is incomplete. Run the same command again.")
    except BrokenPipeError:  # nobody reads stdout any more: imgtool says nothing, too
        sys.exit(EXIT_FAILED)
    except OSError as error:
        what = error.strerror or str(error)
        _fail(EXIT_FAILED, f"{error.filename}: {what}" if error.filename else what)
    except Exception as error:  # a build's log never gets a traceback; SMPDFU_DEBUG=1 shows it
        if os.environ.get("SMPDFU_DEBUG"):
            raise
        _fail(
            EXIT_FAILED,
            f"unexpected {type(error).__name__}: {error}. Please report this with the output of SMPDFU_DEBUG=1",
        )


def _fail(code: int, sentence: str) -> NoReturn:
    sys.stderr.write(f"Error: {door.line(sentence)}\n")
    sys.exit(code)


def _sign(_: str, arguments: Namespace) -> int:
    from smpdfu.cli.imgtool.sign import sign

    return sign(arguments)


def _verify(_: str, arguments: Namespace) -> int:
    from smpdfu.cli.imgtool.verify import verify

    return verify(arguments)


def _dumpinfo(_: str, arguments: Namespace) -> int:
    from smpdfu.cli.imgtool.dumpinfo import dumpinfo

    return dumpinfo(arguments)


def _key(command: str, arguments: Namespace) -> int:
    from smpdfu.cli.imgtool.keys import ACTIONS as KEY_ACTIONS

    return KEY_ACTIONS[command](arguments)


def _version(_: str, arguments: Namespace) -> int:
    sys.stdout.write(f"{SPOKEN_VERSION}\n")
    return 0


ACTIONS: Mapping[str, Callable[[str, Namespace], int]] = {
    "create": _sign,
    "dumpinfo": _dumpinfo,
    "sign": _sign,
    "verify": _verify,
    "version": _version,
    **dict.fromkeys(("getpriv", "getpub", "getpubhash", "keygen", "keyinfo"), _key),
}
