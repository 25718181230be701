"""What comes next, as a table: from a record and an offer of the server."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from smpdfu.agent.actions.decide import Next, WhyNot, answer_cancel, next_for, replaces
from smpdfu.agent.actions.record import MAX_PAST, ActionRecord, Answers, DeviceRecord, Message, PastAction, Stage
from smpdfu.agent.ddi.feedback import Execution, Feedback, Finished
from smpdfu.agent.ddi.resources import Artifact, Chunk, Deployment, Handling, MaintenanceWindow

SKIP, ATTEMPT, FORCED = Handling
OPEN, SHUT = MaintenanceWindow
DONE = Message(Answers.DEPLOYMENT, "l", Feedback(Execution.CLOSED, Finished.SUCCESS))
FETCHED = Message(Answers.DEPLOYMENT, "l", Feedback(Execution.DOWNLOADED))
CANCELLED = Message(Answers.DEPLOYMENT, "l", Feedback(Execution.CANCELED))


def record(stage: Stage | None, **how: object) -> DeviceRecord:
    action = None if stage is None else ActionRecord("7", "l", stage, **how)  # type: ignore[arg-type]
    return DeviceRecord("d", action=action)


def offer(
    update: Handling = FORCED,
    download: Handling = FORCED,
    window: MaintenanceWindow | None = None,
    number: str = "7",
) -> Deployment:
    return Deployment(number, download, update, (), window)


@pytest.mark.parametrize(
    ("stage", "offered", "activated", "wanted"),
    [
        (None, offer(), False, Next.TAKE),
        (Stage.TAKEN, offer(), False, Next.FETCH),
        (Stage.TAKEN, offer(ATTEMPT, ATTEMPT), False, Next.FETCH),
        (Stage.TAKEN, offer(SKIP, FORCED, SHUT), False, Next.FETCH),
        (Stage.TAKEN, offer(SKIP, SKIP), False, Next.WAIT_DOWNLOAD),
        (Stage.CHECKED, offer(), False, Next.INSTALL),
        (Stage.CHECKED, offer(ATTEMPT, ATTEMPT), False, Next.INSTALL),
        (Stage.CHECKED, offer(FORCED, SKIP), False, Next.INSTALL),
        (Stage.CHECKED, offer(window=OPEN), False, Next.INSTALL),
        (Stage.CHECKED, offer(SKIP, window=SHUT), False, Next.WAIT_WINDOW),
        (Stage.CHECKED, offer(FORCED, window=SHUT), False, Next.WAIT_WINDOW),
        (Stage.CHECKED, offer(SKIP, window=OPEN), False, Next.WAIT_WINDOW),
        (Stage.CHECKED, offer(SKIP), False, Next.END_FETCHED),
        (Stage.INSTALLING, offer(), False, Next.INSTALL),
        (Stage.INSTALLING, offer(SKIP, window=SHUT), False, Next.WAIT_WINDOW),
        (Stage.INSTALLING, offer(SKIP, window=SHUT), True, Next.INSTALL),
        (Stage.INSTALLING, offer(SKIP), True, Next.INSTALL),
        # another action
        (Stage.TAKEN, offer(number="8"), False, Next.ASK),
        (Stage.INSTALLING, offer(number="8"), True, Next.ASK),
        (Stage.ENDED, offer(number="8"), False, Next.TAKE),
        (Stage.OVER, offer(number="8"), False, Next.TAKE),
        # it ended: whatever the server says now, nothing is installed
        (Stage.OVER, offer(), False, Next.TAKE),
        (Stage.ENDED, offer(), False, Next.NOTHING),
    ],
)
def test_next(stage: Stage | None, offered: Deployment, activated: bool, wanted: Next) -> None:
    assert next_for(record(stage), offered, activated=activated) is wanted


@pytest.mark.parametrize(
    ("stage", "final", "wanted"),
    [
        (Stage.ENDED, DONE, Next.REPEAT),
        (Stage.ENDED, FETCHED, Next.NOTHING),
        (Stage.OVER, CANCELLED, Next.REPEAT),
        (Stage.OVER, None, Next.TAKE),
    ],
)
def test_an_action_that_ended_is_never_done_again(stage: Stage, final: Message | None, wanted: Next) -> None:
    for update, window, activated in product(Handling, (None, *MaintenanceWindow), (False, True)):
        found = next_for(record(stage, final=final), offer(update, window=window), activated=activated)
        assert found is wanted
        assert found not in (Next.INSTALL, Next.FETCH)


@pytest.mark.parametrize("number", ["7", "8"])
@pytest.mark.parametrize("stage", [*Stage])
def test_what_the_server_must_hear_goes_first(stage: Stage, number: str) -> None:
    assert next_for(record(stage, outbox=(DONE,)), offer(number=number), activated=False) is Next.SEND


@pytest.mark.parametrize(
    ("number", "sha256", "wanted"),
    [
        ("7", "a1", Next.PASSED),
        ("7", "b2", Next.TAKE),  # a server that was set up anew
        ("7", None, Next.TAKE),  # the number of a software, as goosebit has it
        ("9", "a1", Next.TAKE),
    ],
)
def test_an_action_of_long_ago_is_not_done_again(number: str, sha256: str | None, wanted: Next) -> None:
    before = DeviceRecord("roof", action=ActionRecord("7", "l", Stage.ENDED, sha256="a1"))
    known = before.with_action(ActionRecord("8", "l", Stage.ENDED))
    assert known.past == (PastAction("7", "a1"),)
    file = Chunk("os", "1", "fw", (Artifact("f.zip", sha256=sha256),))
    assert next_for(known, replace(offer(number=number), chunks=(file,)), activated=False) is wanted


def test_an_action_of_long_ago_that_fetched_nothing_can_begin() -> None:
    known = record(Stage.ENDED).with_action(ActionRecord("8", "l", Stage.ENDED))
    assert next_for(known, offer(), activated=False) is Next.TAKE


def test_only_so_many_past_actions_are_kept() -> None:
    known = record(Stage.ENDED)
    for number in range(100, 150):
        known = known.with_action(ActionRecord(str(number), "l", Stage.ENDED))
    assert len(known.past) == MAX_PAST
    assert known.past[-1].id == "148"


@pytest.mark.parametrize(
    ("stage", "stop_id", "activated", "why_not"),
    [
        (None, "7", False, None),
        (Stage.TAKEN, "7", False, None),
        (Stage.CHECKED, "7", False, None),
        (Stage.INSTALLING, "7", False, None),
        (Stage.INSTALLING, "7", True, WhyNot.ACTIVATED),
        (Stage.INSTALLING, "8", True, None),  # one that did not begin here
        (Stage.ENDED, "7", True, WhyNot.ENDED),
        (Stage.ENDED, "7", False, WhyNot.ENDED),
        (Stage.OVER, "7", False, None),
    ],
)
def test_a_cancellation(stage: Stage | None, stop_id: str, activated: bool, why_not: WhyNot | None) -> None:
    found = answer_cancel(record(stage), stop_id, activated=activated)
    assert (found.why_not, found.accepted) == (why_not, why_not is None)
    assert found.sentence


def test_a_cancellation_of_an_action_that_ended_long_ago() -> None:
    known = record(Stage.ENDED).with_action(ActionRecord("8", "l"))
    assert answer_cancel(known, "7", activated=False).why_not is WhyNot.ENDED


@pytest.mark.parametrize(
    ("file", "other", "replaced"),
    [
        (Artifact("a.zip", 5, sha1="ab" * 20), Artifact("a.zip", 5, sha1="ab" * 20), True),
        (Artifact("a.zip", 5, sha1="ab" * 20), Artifact("a.zip", 5, sha1="cd" * 20), False),
        (Artifact("a.zip", 5, "ab" * 32), Artifact("a.zip", 5, "ab" * 32), False),  # assigned twice
    ],
)
def test_a_server_that_gives_the_same_files_for_any_action(file: Artifact, other: Artifact, replaced: bool) -> None:
    before, offered = (
        Deployment(number, Handling.FORCED, Handling.FORCED, (Chunk("os", "1", "fw", (one,)),))
        for number, one in (("1", file), ("2", other))
    )
    assert replaces(offered, before) is replaced
