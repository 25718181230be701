"""From an error or a result to what the server hears: success, failure, or that the action is open."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from smpdfu.agent.actions.outcome import VERDICTS, Result, Verdict, result_of_error, result_of_installed
from smpdfu.agent.description.file import UnprovenResult
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.errors import (
    AbsentError,
    AgentFileError,
    ArtifactError,
    ConnectError,
    DeviceError,
    DeviceTimeoutError,
    ImageError,
    JournalError,
    KeyFileError,
    LinkLostError,
    NoEffectError,
    PackageError,
    PlanError,
    RemoteProtocolError,
    ResponseTimeoutError,
    RevertedError,
    ServerLinkError,
    ServerProtocolError,
    ServerRefusedError,
    SmpdfuError,
    StepError,
    UpdateError,
)
from tests.dfu.conftest import IDLE

OPEN, FAILURE, SUCCESS = Verdict.OPEN, Verdict.FAILURE, Verdict.SUCCESS


@pytest.mark.parametrize(
    ("error", "outcome", "verdict", "cause"),
    [
        (ConnectError("c"), Outcome.UNREACHABLE, OPEN, "cannot connect"),
        (LinkLostError("c"), Outcome.UNREACHABLE, OPEN, "the link was lost"),
        (ResponseTimeoutError("echo", 2.5, 4), Outcome.UNREACHABLE, OPEN, "no answer"),
        (RemoteProtocolError("c"), Outcome.UNREACHABLE, OPEN, "answers that are no SMP"),
        (DeviceError(1, 2, "img upload", name="NO_FREE_SLOT"), Outcome.FAILED, FAILURE, "the device refused"),
        (PlanError("it is older", ("it is older",), ("downgrade",)), Outcome.REFUSED, FAILURE, "preflight: downgrade"),
        (RevertedError("it went back"), Outcome.REVERTED, FAILURE, "the device went back to its previous firmware"),
        (AbsentError("away", "reset app", resumable=True), Outcome.INCOMPLETE, OPEN, "the device did not come back"),
        (StepError("s", "upload app", resumable=True), Outcome.INCOMPLETE, OPEN, "a step failed"),
        (StepError("s", "upload app", resumable=False), Outcome.FAILED, FAILURE, "a step failed"),
        (NoEffectError("s", "test app"), Outcome.FAILED, FAILURE, "the device did not do what it accepted"),
        (DeviceTimeoutError(1.0, "upload app"), Outcome.INCOMPLETE, OPEN, "longer than device_timeout_s"),
        (ImageError("i"), Outcome.FAILED, FAILURE, "ImageError"),
        (UpdateError("ill"), Outcome.FAILED, FAILURE, "the health check failed"),
        (PackageError("no package"), Outcome.REFUSED, FAILURE, "no usable package"),
        (ArtifactError("wrong hash"), Outcome.REFUSED, FAILURE, "the artifact"),
        (ArtifactError("full", temporary=True), Outcome.INCOMPLETE, OPEN, "the artifact"),
        (JournalError("full"), Outcome.INCOMPLETE, OPEN, "its journal cannot be used"),
        (ServerLinkError("gone"), Outcome.INCOMPLETE, OPEN, "the server"),
        (ServerRefusedError("no", 404), Outcome.INCOMPLETE, OPEN, "the server"),
        (ServerProtocolError("html"), Outcome.INCOMPLETE, OPEN, "the server"),
        (AgentFileError("f"), Outcome.INCOMPLETE, OPEN, "the agent file"),
        (KeyFileError("k"), Outcome.INCOMPLETE, OPEN, "a key file of the agent"),
        (OSError(errno.ENOSPC, "No space left on device", "/a"), Outcome.INCOMPLETE, OPEN, "a file of the gateway"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error(error: SmpdfuError | OSError, outcome: Outcome, verdict: Verdict, cause: str) -> None:
    found = result_of_error(error)
    assert (found.outcome, found.verdict(UnprovenResult.SUCCESS)) == (outcome, verdict)
    assert found.cause.startswith(cause)
    assert found.message


def test_another_process_that_has_the_device_is_waited_for() -> None:
    error = JournalError("process 7 is updating the device")
    error.__cause__ = BlockingIOError()
    assert result_of_error(error) == Result(Outcome.INCOMPLETE, "another process has the device", (str(error),))


def test_every_finding_is_told() -> None:
    error = PlanError("refused: it is older; and more", ("it is older", "the slot is too small"), ("downgrade", "size"))
    assert result_of_error(error).sentences == ("refused: it is older; and more", "the slot is too small")
    assert result_of_error(error).cause == "preflight: downgrade, size"


def test_a_cause_names_each_finding_once() -> None:
    error = PlanError("both are refused", ("the one", "the other"), ("untrusted", "untrusted"))
    assert result_of_error(error).cause == "preflight: untrusted"


def test_every_outcome_has_a_verdict() -> None:
    assert set(VERDICTS) | {Outcome.UNPROVEN} == set(Outcome)


STATE: DeviceState = IDLE
PROVEN = Proof(True, "The bootloader's console showed the copy.")
DOUBT = Proof(None, "Nothing was heard on the console.")


@pytest.mark.parametrize(
    ("proven", "proof", "changed", "outcome"),
    [
        (True, PROVEN, True, Outcome.DONE),
        (True, None, True, Outcome.DONE),
        (True, PROVEN, False, Outcome.CURRENT),
        (False, DOUBT, True, Outcome.UNPROVEN),
        (False, DOUBT, False, Outcome.UNPROVEN),
        (None, None, True, Outcome.UNPROVEN),
    ],
)
def test_a_good_end(proven: bool | None, proof: Proof | None, changed: bool, outcome: Outcome) -> None:
    found = result_of_installed(Installed(True, proven, STATE, (), proof), changed=changed)
    assert found.outcome is outcome
    for policy in UnprovenResult:
        wanted = Verdict(policy) if outcome is Outcome.UNPROVEN else SUCCESS
        assert found.verdict(policy) is wanted
    if proven is False:
        assert DOUBT.reason in found.sentences
    if proven is not None:
        assert "The application core runs version 1.0.0." in found.sentences


def test_a_device_that_does_not_tell_what_it_runs() -> None:
    silent = replace(STATE, slots=())
    found = result_of_installed(Installed(True, True, silent, ()), changed=True)
    assert found.sentences == ("The update is done and checked.",)
