"""A rollout that is followed: what counts as its end, and what changed between two looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smpdfu.agent.management.answers import Counts, Group, Rollout
from smpdfu.agent.management.publication import FailedTarget, RolloutOutcome
from smpdfu.agent.management.states import RolloutEnd, RolloutState, changes
from smpdfu.errors import RolloutFailedError

ROLLOUT = Rollout(7, "night", "running", 9, "name == *", "forced", 2, 20)
FIRST = Group(1, "group-1", "running", 10, Counts(running=9, finished=1), "100", "10")
SECOND = Group(2, "group-2", "scheduled", 10, Counts(notstarted=10), "100", "10")


def state(
    status: str = "running", first: str = "running", second: str = "scheduled", **rollout: object
) -> RolloutState:
    about = replace(ROLLOUT, status=status, **rollout)  # type: ignore[arg-type]  # any field of the class
    return RolloutState(about, (replace(FIRST, status=first), replace(SECOND, status=second)))


GOING_ON = ("creating", "ready", "waiting_for_approval", "starting", "running", "paused", "stopping", "a new word")


@pytest.mark.parametrize("status", GOING_ON)
def test_these_are_no_end(status: str) -> None:
    assert state(status).end is None
    assert state(status).words.startswith(f"rollout night: {status.replace('_', ' ')}")


ENDS = [
    ("finished", "finished", "finished", RolloutEnd.FINISHED),
    ("paused", "error", "scheduled", RolloutEnd.ERROR_THRESHOLD),
    # The last group passed its threshold: hawkBit calls that finished all the same.
    ("finished", "finished", "error", RolloutEnd.ERROR_THRESHOLD),
    ("stopped", "finished", "finished", RolloutEnd.STOPPED),
    ("approval_denied", "ready", "ready", RolloutEnd.DENIED),
    ("deleting", "finished", "finished", RolloutEnd.DELETED),
    ("deleted", "finished", "finished", RolloutEnd.DELETED),
]


@pytest.mark.parametrize(("status", "first", "second", "end"), ENDS)
def test_these_are_ends(status: str, first: str, second: str, end: RolloutEnd) -> None:
    found = state(status, first, second)
    assert found.end is end
    error = RolloutOutcome(found, end).error()
    assert (error is None) is (end is RolloutEnd.FINISHED)
    if error is not None:
        assert isinstance(error, RolloutFailedError)
        assert "night" in str(error)
        assert error.code == f"rollout-{end.name.lower()}"


def test_a_deleted_rollout_is_deleted_whatever_else_it_says() -> None:
    assert state("running", deleted=True).end is RolloutEnd.DELETED


def test_a_group_over_its_threshold_is_no_end_before_the_rollout_pauses() -> None:
    assert state("running", "error").end is None


def test_one_target_is_no_targets() -> None:
    alone = replace(FIRST, total=1, counts=Counts(finished=1))
    assert [event.words for event in changes(None, replace(state(), groups=(alone,)))][1].endswith(
        "running, 1 target: 1 done"
    )


def test_the_first_look_tells_all_and_the_next_only_what_changed() -> None:
    now = state()
    assert [event.words for event in changes(None, now)] == [
        "rollout night: running",
        "group 1 of 2 (group-1): running, 10 targets: 1 done, 9 under way",
        "group 2 of 2 (group-2): scheduled, 10 targets: 10 not started",
    ]
    assert list(changes(now, state())) == []
    moved = replace(now, groups=(replace(FIRST, counts=Counts(running=8, finished=1, error=1)), SECOND))
    assert [event.words for event in changes(now, moved)] == [
        "group 1 of 2 (group-1): running, 10 targets: 1 done, 1 failed, 8 under way"
    ]
    paused = replace(moved, rollout=replace(ROLLOUT, status="paused"))
    (event,) = changes(moved, paused)
    assert event.entry == {"event": "rollout", "name": "night", "status": "paused", "targets": 20}


def test_an_event_of_a_group_has_its_counts() -> None:
    _, event, _ = changes(None, state())
    counts = {"notstarted": 0, "scheduled": 0, "running": 9, "finished": 1, "error": 0, "cancelled": 0}
    about = {"event": "group", "number": 1, "of": 2, "name": "group-1", "status": "running", "targets": 10}
    assert event.entry == about | counts


def test_the_error_says_which_group_and_why() -> None:
    found = state("paused", "error")
    failed = tuple(FailedTarget(f"roof-{at}", at, ("it went back", "older")) for at in range(5))
    text = str(RolloutOutcome(found, RolloutEnd.ERROR_THRESHOLD, failed).error())
    assert "group group-1, more than 10 % failed (1 done, 9 under way)" in text
    assert text.endswith("roof-0: it went back; roof-1: it went back; roof-2: it went back")
    silent = RolloutOutcome(found, RolloutEnd.STOPPED, (FailedTarget("", 5),))
    assert str(silent.error()) == "the rollout night was stopped at the server: action 5: it gave no reason"
