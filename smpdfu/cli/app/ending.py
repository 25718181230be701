"""The end of a command that has an answer and an error: with ``--json``, one document has both."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from smpdfu.cli.app.advice import advice
from smpdfu.cli.terminal.show import Output, print_json, print_json_line, tell
from smpdfu.cli.terminal.streams import StdoutGone
from smpdfu.errors import (
    ActionsFailedError,
    ActionsUnfinishedError,
    AffectedDevicesError,
    AgentFileError,
    ArtifactError,
    DeviceError,
    DeviceTimeoutError,
    DfuNotStartedError,
    DfuRefusedError,
    DfuUnfinishedError,
    EvidenceError,
    FleetFailedError,
    FleetFileError,
    FleetPausedError,
    FleetUnfinishedError,
    FleetUnprovenError,
    ImageError,
    JournalError,
    LinkError,
    LocalProtocolError,
    NoEffectError,
    NotBackError,
    PackageError,
    PlanError,
    ProtocolError,
    PublishError,
    RevertedError,
    RolloutFailedError,
    RolloutUnfinishedError,
    ServerError,
    ServerRefusedError,
    ShellCommandError,
    SigningError,
    SmpdfuError,
    StepError,
    UnknownDevicesError,
    UnprovenError,
)

if TYPE_CHECKING:
    from rich.console import RenderableType


class Leave(Exception):  # noqa: N818 - it may be no error
    """The end of a command whose answer is printed: nothing is said any more."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


EXIT_UNEXPECTED = 1
EXIT_INCOMPLETE = 8
# The exit codes of the contract. The first class that fits decides.
EXIT_CODES: tuple[tuple[type[SmpdfuError], int], ...] = (
    (ImageError, 3),
    (SigningError, 3),
    (PackageError, 3),
    (EvidenceError, 3),
    (FleetFileError, 3),
    (AgentFileError, 3),
    (ArtifactError, 3),
    (LinkError, 4),
    (ServerRefusedError, 5),
    (ServerError, 4),
    (LocalProtocolError, 2),
    (ProtocolError, 4),
    (DeviceError, 5),
    (DfuRefusedError, 5),
    (DfuNotStartedError, 7),
    (DfuUnfinishedError, 8),
    (ShellCommandError, 5),
    (PlanError, 6),
    (RevertedError, 7),
    (NoEffectError, 5),
    (NotBackError, 4),
    (StepError, 8),
    (DeviceTimeoutError, 8),
    (JournalError, 8),
    (UnprovenError, 9),
    (FleetPausedError, 8),
    (FleetUnfinishedError, 8),
    (FleetFailedError, 7),
    (FleetUnprovenError, 9),
    (AffectedDevicesError, 10),
    (UnknownDevicesError, 11),
    (ActionsFailedError, 7),
    (ActionsUnfinishedError, 8),
    (PublishError, 6),
    (RolloutFailedError, 7),
    (RolloutUnfinishedError, 8),
)


def exit_code(error: SmpdfuError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, ArtifactError) and error.temporary:  # such as a full disk: the same command may succeed later
        return EXIT_INCOMPLETE
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), EXIT_UNEXPECTED)


def error_document(error: SmpdfuError) -> dict[str, object]:
    """Return the JSON document of an error."""
    return document(type(error).__name__, str(error), advice(error), exit_code(error))


def document(kind: str, message: str, next_step: str, code: int) -> dict[str, object]:
    return {"kind": kind, "message": message, "next": next_step, "exit_code": code}


def report_failure(code: int, sentence: str, next_step: str = "", *, kind: str = "interrupted") -> None:
    """Print how a command ends without its answer: for people on stderr, with ``--json`` as a document, too."""
    if "--json" in sys.argv[1:]:
        with suppress(OSError, StdoutGone):  # stdout itself may be what failed
            print_json({"error": document(kind, sentence, next_step, code)})
    tell(f"error: {sentence}", style="red")
    if next_step:
        tell(next_step)


def conclude(
    out: Output, answer: dict[str, Any], render: Callable[[], RenderableType], error: SmpdfuError | None
) -> None:
    """Print the answer, then end with the exit code of ``error`` if there is one."""
    out.emit(answer if error is None else answer | {"error": error_document(error)}, render)
    if error is not None:
        fail(out, error)


def conclude_events(out: Output, answer: dict[str, Any], error: SmpdfuError | None) -> None:
    """As ``conclude`` for a command that printed events, each on a line: with ``--json``, the answer is the last line.

    Without ``--json``, stdout has the events only.
    """
    if out.json:
        print_json_line(answer if error is None else answer | {"error": error_document(error)})
    if error is not None:
        fail(out, error)


def fail(out: Output, error: SmpdfuError) -> NoReturn:
    """End with the exit code of ``error``. With ``--json``, the printed document has the error already."""
    if not out.json:
        raise error
    raise Leave(exit_code(error))
