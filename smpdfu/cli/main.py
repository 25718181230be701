"""The app, and the one place that turns an error into words and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from smpdfu import __version__
from smpdfu.cli.helptext import SETTINGS
from smpdfu.cli.options import Interrupted
from smpdfu.cli.show import STDOUT, StdoutGone, note
from smpdfu.cli.tree import COMPLETE_VAR, Tree, wanted_command
from smpdfu.errors import (
    ConnectError,
    DeviceError,
    FleetFileError,
    ImageError,
    JournalError,
    LinkError,
    LinkLostError,
    LocalProtocolError,
    NotReadyError,
    PackageError,
    PassphraseError,
    PlanError,
    ProtocolError,
    RemoteProtocolError,
    ResponseTimeoutError,
    RevertedError,
    SigningError,
    SmpdfuError,
    StepError,
    WrongPassphraseError,
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
    (FleetFileError, 3),
    (LinkError, 4),
    (LocalProtocolError, 2),
    (ProtocolError, 4),
    (DeviceError, 5),
    (PlanError, 6),
    (RevertedError, 7),
    (StepError, 8),
    (JournalError, 8),
)

# What to do next, by class; the first that fits is said.
NEXT: tuple[tuple[type[SmpdfuError], str], ...] = (
    (WrongPassphraseError, "Type it again, or check what --passphrase-env or --passphrase-file leads to."),
    (
        PassphraseError,
        "An encrypted key takes --passphrase-env NAME or --passphrase-file FILE where there is no terminal.",
    ),
    (LinkLostError, "Check the cable or the distance, then run the same command again: it goes on where it stopped."),
    (
        ResponseTimeoutError,
        "Check that the firmware has an SMP server on this wire, the baud rate, --raw if it is a raw UART, and that no "
        "other program holds the port (`smpdfu doctor`); --timeout gives a slow device more time.",
    ),
    (
        RemoteProtocolError,
        "Run it again with --log FILE: `smpdfu decode FILE` shows what was sent; it may be no SMP server, or another "
        "program talks to it.",
    ),
    (NotReadyError, ""),  # its findings have said it
    (ConnectError, "`smpdfu scan` shows what is here to talk to, `smpdfu doctor` what is in the way."),
    (RevertedError, "Nothing needs repair; look at the new image's log, then upload a corrected image."),
)

# What fits better for one kind of address; NAME stands for what is behind its colon.
NEXT_ON_WIRE: Mapping[str, tuple[tuple[type[SmpdfuError], str], ...]] = {
    "virtual": (
        (
            ResponseTimeoutError,
            "`smpdfu virtual show NAME` tells what it runs, `smpdfu virtual log NAME` what it wrote on its console.",
        ),
        (
            ConnectError,
            "`smpdfu virtual list` shows the virtual devices and who has them, `smpdfu virtual new` makes one.",
        ),
        (LinkLostError, "Run the same command again: it goes on where it stopped."),
    ),
    "udp": (
        (LinkLostError, "Check host and port, and that the device's firmware has SMP over UDP; then run it again."),
        (
            ResponseTimeoutError,
            "Check host and port, and that nothing on the way stops UDP; --timeout allows more time.",
        ),
    ),
}

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
    "INVALID_SLOT": "`smpdfu info` shows the images and slots that the device has.",
    "ENOTSUP": "The firmware was built without this command; MCUboot in serial recovery has few.",
    "EMSGSIZE": "The answer does not fit into the device's buffer (`smpdfu params`): ask for less.",
    "RTC_NOT_SET": "`smpdfu datetime --now` sets the clock, to UTC.",
    "INVALID_STAT_NAME": "`smpdfu stat list` shows the names that the device has.",
    "ROOT_KEY_NOT_FOUND": "The firmware has no settings under the first part of this name.",
    "CHECKSUM_HASH_NOT_FOUND": "`smpdfu fs types` shows the kinds of hash that the device can compute.",
    "KEY_NOT_FOUND": "The firmware has no setting of this name, or none with a value.",
    "FILE_NOT_FOUND": "The device has no such file; a name is the whole path on the device, such as /lfs1/log.txt.",
    "FILE_INVALID_NAME": "Give the whole path on the device, such as /lfs1/log.txt.",
    "FILE_OFFSET_LARGER_THAN_FILE": "`smpdfu fs stat` shows how long the file is.",
    "INVALID_FORMAT": "The letters are s n r v b m p i o, or a for all; firmware may add its own.",
    "QUERY_YIELDS_NO_ANSWER": "`smpdfu bootloader` shows what the bootloader tells.",
    "MOUNT_POINT_NOT_FOUND": "The path must begin with a mount point of the firmware, such as /lfs1/.",
}

# The same where the code means something else for a command.
NEXT_ON_REFUSAL_OF = {
    ("img erase", "NO_FREE_SLOT"): "A slot that runs, is pending, or that a revert would need is not erased; see "
    "`smpdfu list`.",
    ("img erase", "FLASH_OPEN_FAILED"): "The device may not have this slot; `smpdfu info` shows those that it has.",
}


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
    _without_closed_streams()
    note.cache_clear()
    try:
        left = build_app(sys.argv[1:])(standalone_mode=False, complete_var=COMPLETE_VAR)
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
    if not sentence or type(error).__name__ == "NoArgsIsHelpError":  # no arguments at all
        typer.echo(sentence, err=True)
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
        name = error.name or ""
        return NEXT_ON_REFUSAL_OF.get((error.command, name)) or NEXT_ON_REFUSAL.get(name, "")
    if isinstance(error, StepError):
        return "Run the same command again: it goes on where it stopped." if error.resumable else ""
    wire, _, name = ((error.address if isinstance(error, LinkError) else None) or "").partition(":")
    for kind, text in NEXT_ON_WIRE.get(wire, ()):
        if isinstance(error, kind):
            return text.replace("NAME", name)
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
    from smpdfu.cli.show import console, print_json
    from smpdfu.untrusted.text import line

    if "--json" in sys.argv[1:]:
        with suppress(OSError, StdoutGone):  # stdout itself may be what failed
            print_json({"error": _document(kind, sentence, next_step, code)})
    console(sys.stderr).print(f"error: {line(sentence)}", style="red", markup=False)
    if next_step:
        console(sys.stderr).print(line(next_step), markup=False)
    sys.exit(code)
