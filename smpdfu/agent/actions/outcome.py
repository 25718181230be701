"""From how an update ended to what the server hears of it: a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.agent.description.file import UnprovenResult
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.fleet.causes import cause, outcome_of
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.errors import (
    AgentFileError,
    ArtifactError,
    JournalError,
    PackageError,
    PlanError,
    ServerError,
    SigningError,
    SmpdfuError,
)


class Verdict(StrEnum):
    """What becomes of the action. OPEN: it is not finished, and tried again."""

    SUCCESS = "success"
    FAILURE = "failure"
    OPEN = "open"


# Source: "What follows for an agent" of hawkBit's DDI. ``none`` with ``closed`` counts as a success there, so no row
# leads to it.
VERDICTS: Mapping[Outcome, Verdict] = {
    Outcome.DONE: Verdict.SUCCESS,
    Outcome.CURRENT: Verdict.SUCCESS,
    Outcome.REVERTED: Verdict.FAILURE,
    Outcome.REFUSED: Verdict.FAILURE,
    Outcome.FAILED: Verdict.FAILURE,
    Outcome.INCOMPLETE: Verdict.OPEN,
    Outcome.UNREACHABLE: Verdict.OPEN,
}

# Errors that an update of a fleet does not have, or that mean something else for an agent. The first class that fits
# counts; for the others the table of a fleet does (``dfu/fleet/causes``).
_OUTCOMES: tuple[tuple[type[Exception], Outcome, str], ...] = (
    (ServerError, Outcome.INCOMPLETE, "the server"),
    (PackageError, Outcome.REFUSED, "no usable package"),
    (AgentFileError, Outcome.INCOMPLETE, "the agent file"),
    (SigningError, Outcome.INCOMPLETE, "a key file of the agent"),
    (OSError, Outcome.INCOMPLETE, "a file of the gateway"),
)


_HAD_IT = "The device had the package already."


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended. ``cause`` is a short text, the same from release to release; ``sentences`` say why."""

    outcome: Outcome
    cause: str = ""
    sentences: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The first sentence."""
        return self.sentences[0] if self.sentences else ""

    def verdict(self, unproven: UnprovenResult) -> Verdict:
        """What becomes of the action; ``unproven`` is what the agent's file says of updates without a proof."""
        return Verdict(unproven) if self.outcome is Outcome.UNPROVEN else VERDICTS[self.outcome]


def result_of_error(error: SmpdfuError | OSError) -> Result:
    """The result of an attempt that ended with this error."""
    text = f"{error.strerror or error} ({error.filename})" if isinstance(error, OSError) else str(error)
    if isinstance(error, ArtifactError):
        return Result(Outcome.INCOMPLETE if error.temporary else Outcome.REFUSED, "the artifact", (text,))
    if isinstance(error, JournalError):  # another process has the device, or the disk is full: both pass
        return Result(Outcome.INCOMPLETE, cause(error), (text,))
    for kind, outcome, name in _OUTCOMES:
        if isinstance(error, kind):
            return Result(outcome, name, (text,))
    assert isinstance(error, SmpdfuError)
    more = error.findings if isinstance(error, PlanError) else ()
    return Result(outcome_of(error), cause(error), (text, *(one for one in more if one not in text)))


def result_of_installed(installed: Installed, *, changed: bool) -> Result:
    """The result of an update that ended well; ``changed``: by this action."""
    running = installed.state.running
    runs = "" if running is None else f"The application core runs version {running.version}."
    if installed.proven is None:
        return Result(Outcome.UNPROVEN, "only uploaded", ("The images are in the device; what it runs is as before.",))
    if not installed.proven:
        why = "" if installed.proof is None else installed.proof.reason
        first = "The update ended well as far as smpdfu can tell, and nothing proves it." if changed else _HAD_IT
        texts = (first, why, runs)
        return Result(Outcome.UNPROVEN, "unproven", tuple(filter(None, texts)))
    if not changed:
        return Result(Outcome.CURRENT, "", tuple(filter(None, (_HAD_IT, runs))))
    proof = "" if installed.proof is None else installed.proof.reason
    return Result(Outcome.DONE, "", tuple(filter(None, ("The update is done and checked.", runs, proof))))
