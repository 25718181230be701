"""The app, and the one place that turns an error into words and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from smpdfu import __version__
from smpdfu.cli.options import Interrupted
from smpdfu.cli.show import STDOUT, StdoutGone
from smpdfu.errors import (
    ConnectError,
    DeviceError,
    ImageError,
    JournalError,
    LinkError,
    LinkLostError,
    PackageError,
    PassphraseError,
    PlanError,
    ProtocolError,
    ResponseTimeoutError,
    RevertedError,
    SigningError,
    SmpdfuError,
    StepError,
)

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer does not export it

EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# The contract's exit codes; the first class that fits decides.
EXIT_CODES: tuple[tuple[type[SmpdfuError], int], ...] = (
    (ImageError, 3),
    (SigningError, 3),
    (PackageError, 3),
    (LinkError, 4),
    (ProtocolError, 4),
    (DeviceError, 5),
    (PlanError, 6),
    (RevertedError, 7),
    (StepError, 8),
    (JournalError, 8),
)

# What to do next, by class; the first that fits is said.
NEXT: tuple[tuple[type[SmpdfuError], str], ...] = (
    (
        PassphraseError,
        "An encrypted key takes --passphrase-env NAME or --passphrase-file FILE where there is no terminal.",
    ),
    (LinkLostError, "Check the cable or the distance, then run the same command again: it goes on where it stopped."),
    (
        ResponseTimeoutError,
        "Check that the firmware has an SMP server on this wire, the baud rate, and that no other program holds the "
        "port; --timeout gives a slow device more time.",
    ),
    (ConnectError, "Check the address, the cable and that no other program holds the port."),
    (RevertedError, "Nothing needs repair; look at the new image's log, then upload a corrected image."),
)

# What to do next when the device refuses, by the name of its code.
NEXT_ON_REFUSAL = {
    "NO_FREE_SLOT": "The other slot is pending or a revert would need it: reset or confirm first, see `smpdfu list`.",
    "HASH_NOT_FOUND": "`smpdfu list` shows the hashes that the device knows.",
    "INVALID_HASH": "`smpdfu list` shows the hashes that the device knows.",
    "IMAGE_ALREADY_PENDING": "Let the pending image boot first: `smpdfu reset`.",
    "INVALID_IMAGE_TOO_LARGE": "The image must be smaller than the slot less its trailer: `smpdfu verify --slot-size`.",
    "INVALID_IMAGE_HEADER_MAGIC": "Upload a signed image (`smpdfu sign`); `smpdfu inspect FILE` says what the file is.",
    "INVALID_IMAGE_HEADER": "Upload a signed image (`smpdfu sign`); `smpdfu inspect FILE` says what the file is.",
    "CURRENT_VERSION_IS_NEWER": "The device runs a newer version and was asked to upgrade only.",
    "IMAGE_CONFIRMATION_DENIED": "This device confirms only the image that runs: test it, reset, then confirm.",
    "IMAGE_SETTING_TEST_TO_ACTIVE_DENIED": "The image runs already; there is nothing to test.",
    "ENOTSUP": "The firmware was built without this command.",
}

_ROOMS = ("image", "package", "device", "update", "virtual")


def build_app() -> typer.Typer:
    """The typer app with every command. Each command imports its rooms when it runs, not here."""
    app = typer.Typer(
        name="smpdfu",
        help="Sign, encrypt, pack and update nRF5340 firmware over SMP.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for room in _ROOMS:
        import_module(f"smpdfu.cli.{room}").register(app)
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
    _without_closed_streams()
    try:
        left = build_app()(standalone_mode=False)
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
        _fail(EXIT_UNEXPECTED, text, "Please report this, with what SMPDFU_DEBUG=1 prints.", kind="unexpected")
    sys.exit(left if isinstance(left, int) else 0)


def _usage(error: Any) -> NoReturn:
    """A wrong option or argument: one sentence, as for any other error."""
    sentence = error.format_message().removeprefix("Invalid value: ")
    if not sentence:  # no arguments at all: the help was shown
        sys.exit(EXIT_USAGE)
    path = error.ctx.command_path if error.ctx else "smpdfu"
    _fail(EXIT_USAGE, sentence, f"`{path} --help` shows what it takes.", kind="usage")


def interrupted() -> NoReturn:
    """Leave after Ctrl-C."""
    _fail(EXIT_INTERRUPTED, "interrupted; nothing is half-written, the same command can be run again")


def _without_closed_streams() -> None:
    """Who closes stdout or stderr (``>&-``) does not want to read them."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it lives as long as we do


def _leave_like_a_filter() -> NoReturn:
    """Nobody reads stdout any more (``| head``): end as every filter does."""
    _drop_stdout()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(0)


def _drop_stdout() -> None:
    """Whatever is still in the buffer goes nowhere, so that Python has nothing to complain about at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(error: SmpdfuError) -> int:
    """The contract's exit code of an error."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), EXIT_UNEXPECTED)


def advice(error: SmpdfuError) -> str:
    """What to do next, in one sentence; empty where the error says it all."""
    if isinstance(error, DeviceError):
        return NEXT_ON_REFUSAL.get(error.name or "", "")
    if isinstance(error, StepError):
        return "Run the same command again: it goes on where it stopped." if error.resumable else ""
    return next((text for kind, text in NEXT if isinstance(error, kind)), "")


def error_document(error: SmpdfuError) -> dict[str, object]:
    """What ``--json`` tells about an error."""
    return _document(type(error).__name__, str(error), advice(error), exit_code(error))


def _document(kind: str, message: str, next_step: str, code: int) -> dict[str, object]:
    return {"kind": kind, "message": message, "next": next_step, "exit_code": code}


def _os_sentence(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}" if error.filename else what


def _fail(code: int, sentence: str, next_step: str = "", *, kind: str = "interrupted") -> NoReturn:
    from smpdfu.cli.show import console, harmless, print_json

    if "--json" in sys.argv[1:]:
        with suppress(OSError, StdoutGone):  # stdout itself may be what failed
            print_json({"error": _document(kind, sentence, next_step, code)})
    console(sys.stderr).print(f"error: {harmless(sentence)}", style="red", markup=False)
    if next_step:
        console(sys.stderr).print(harmless(next_step), markup=False)
    sys.exit(code)
