"""From the error of one device to its outcome, and to a short text by which failures are grouped."""

from __future__ import annotations

from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.errors import (
    DeviceError,
    DeviceTimeoutError,
    JournalError,
    LinkError,
    LinkLostError,
    PlanError,
    ProtocolError,
    RevertedError,
    SmpdfuError,
    StepError,
)

# The first class that fits counts; the order is that of the exit codes of an update.
OUTCOMES: tuple[tuple[type[SmpdfuError], Outcome], ...] = (
    (LinkError, Outcome.UNREACHABLE),
    (ProtocolError, Outcome.UNREACHABLE),
    (DeviceError, Outcome.FAILED),
    (PlanError, Outcome.REFUSED),
    (RevertedError, Outcome.REVERTED),
)


def outcome_of(error: SmpdfuError) -> Outcome:
    """Find the outcome of a device whose update ended with this error."""
    if isinstance(error, DeviceTimeoutError):
        return Outcome.INCOMPLETE if error.step else Outcome.UNREACHABLE
    if isinstance(error, StepError):
        return Outcome.INCOMPLETE if error.resumable else Outcome.FAILED
    return next((outcome for kind, outcome in OUTCOMES if isinstance(error, kind)), Outcome.FAILED)


def cause(error: SmpdfuError) -> str:
    """Name the kind of a failure: a short text, the same for all devices, and from release to release."""
    if isinstance(error, PlanError) and error.codes:
        return f"preflight: {', '.join(dict.fromkeys(error.codes))}"
    inner = error.__cause__
    if isinstance(error, JournalError) and not isinstance(inner, BlockingIOError):
        return "its journal cannot be used"
    if isinstance(inner, SmpdfuError) and isinstance(error, StepError | RevertedError):
        return f"{error.step if isinstance(error, StepError) else 'on trial'}: {_kind(inner)}"
    return _kind(error)


def _kind(error: SmpdfuError) -> str:
    if isinstance(error, DeviceError):
        return f"the device refused {error.command}: {error.name or error.rc}"
    if isinstance(error, LinkLostError) and not error.reached:
        return _KINDS["ConnectError"]
    if isinstance(error, RevertedError) and error.of_network_core:
        return "the network core did not take its image"
    if isinstance(error, RevertedError) and error.partly:
        return "an image of the package was not installed"
    return _KINDS.get(type(error).__name__, type(error).__name__)


NO_ANSWER = "no answer"
_KINDS = {
    "ConnectError": "cannot connect",
    "LinkLostError": "the link was lost",
    "ResponseTimeoutError": NO_ANSWER,
    "TransferTimeoutError": "longer than transfer_timeout_s",
    "DeviceTimeoutError": "longer than device_timeout_s",
    "RemoteProtocolError": "answers that are no SMP",
    "RevertedError": "the device went back to its previous firmware",
    "AbsentError": "the device did not come back after the reset",
    "NotBootedError": "the device did not boot the image",
    "NoEffectError": "the device did not do what it accepted",
    "StepError": "a step failed",
    "PlanError": "preflight",
    "JournalError": "another process has the device",
    "UpdateError": "the health check failed",
}
