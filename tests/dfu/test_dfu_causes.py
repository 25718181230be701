"""Failures of one kind have one cause, whatever they say of themselves."""

from __future__ import annotations

import pytest

from smpdfu.dfu.fleet.causes import cause
from smpdfu.errors import (
    DeviceError,
    JournalError,
    LinkLostError,
    ResponseTimeoutError,
    RevertedError,
    SmpdfuError,
    StepError,
    UpdateError,
)


def caused(error: SmpdfuError, inner: Exception) -> SmpdfuError:
    error.__cause__ = inner
    return error


def unreached() -> LinkLostError:
    error = LinkLostError("no program listens at UDP port 1337 of roof-7")
    error.reached = False
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (JournalError("no space"), "its journal cannot be used"),
        (caused(JournalError("held"), BlockingIOError()), "another process has the device"),
        (caused(RevertedError("back"), UpdateError("exit 1")), "on trial: the health check failed"),
        (caused(RevertedError("back"), ResponseTimeoutError("echo", 1.0)), "on trial: no answer"),
        (RevertedError("back"), "the device went back to its previous firmware"),
        (RevertedError("refused", ran=False, of_network_core=True), "the network core did not take its image"),
        (caused(StepError("x", "upload app", resumable=True), LinkLostError("x")), "upload app: the link was lost"),
        (unreached(), "cannot connect"),
        (caused(StepError("x", "check app", resumable=True), DeviceError(1, 3, "image list")), "check app: the device"),
    ],
)
def test_failures_of_one_kind_have_one_cause(error: SmpdfuError, says: str) -> None:
    assert cause(error).startswith(says)
