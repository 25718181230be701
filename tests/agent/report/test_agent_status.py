"""The status of an agent: phases by its events, a file that is replaced as a whole, and what a damaged one is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.agent.actions.events import (
    ActionEnded,
    ActionOver,
    ActionTaken,
    ActionWaits,
    AgentBegins,
    AgentEnds,
    AgentEvent,
    ClaimedElsewhere,
    ConfirmationWaits,
    FeedbackGivenUp,
    FeedbackKept,
    FeedbackSent,
    PackageReady,
    Polled,
    PollFailed,
    StepBegins,
)
from smpdfu.agent.report.status import NAME, AgentStatus, DevicePhase, DeviceStatus, StatusBook, read_status, write_data
from smpdfu.agent.report.status_writer import NEWS_S, POLLS_S, status_kept
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.errors import FormatError
from tests.agent.report.test_agent_log import EVENTS

BEGIN = AgentStatus("g", "https://h.example", "DEFAULT", 77, 1000.0, 1000.0, False)


class Clock:
    now = 2000.0

    def __call__(self) -> float:
        return self.now


def book(*devices: str) -> StatusBook:
    return StatusBook(BEGIN, devices, clock=Clock(), hide=lambda text: text.replace("SECRET", "[token]"))


POLLED = Polled("a", False, 300.0)
TAKEN = ActionTaken("a", "42", False)
STEP = StepBegins("a", "42", "upload app", 3, 9)
FETCHED = ActionEnded("a", "42", Outcome.CURRENT, True, "only fetched", "It is fetched.", 0.0)
ENDED = ActionEnded("a", "42", Outcome.DONE, True, "", "Done.", 10.0)


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ((), DevicePhase.NEW),
        ((PollFailed("a", 0, False, "no answer", 60.0),), DevicePhase.NEW),
        ((POLLED,), DevicePhase.IDLE),
        ((POLLED, TAKEN), DevicePhase.FETCHING),
        ((POLLED, TAKEN, PackageReady("a", "42", "ab", 100, "cd", "sha256")), DevicePhase.READY),
        ((TAKEN, STEP), DevicePhase.INSTALLING),
        ((TAKEN, STEP, POLLED), DevicePhase.INSTALLING),
        ((TAKEN, ActionWaits("a", "42", "no answer", "It does not answer.", 60.0)), DevicePhase.WAITING),
        ((TAKEN, STEP, ENDED), DevicePhase.REPORTING),
        ((TAKEN, STEP, ENDED, FeedbackKept("a", "42", "busy", 60.0)), DevicePhase.REPORTING),
        ((TAKEN, STEP, ENDED, FeedbackGivenUp("a", "42", "refused")), DevicePhase.IDLE),
        ((TAKEN, STEP, ENDED, FeedbackSent("a", "42", "proceeding", "none")), DevicePhase.REPORTING),
        ((TAKEN, STEP, ENDED, FeedbackSent("a", "42", "closed", "success")), DevicePhase.IDLE),
        ((TAKEN, FETCHED), DevicePhase.REPORTING),
        ((TAKEN, FETCHED, FeedbackSent("a", "42", "downloaded", "none")), DevicePhase.IDLE),
        ((TAKEN, ActionOver("a", "42", True, "cancelled")), DevicePhase.IDLE),
        ((ConfirmationWaits("a", "42"),), DevicePhase.CONSENT),
        ((ConfirmationWaits("a", "42"), POLLED), DevicePhase.CONSENT),
        ((ConfirmationWaits("a", "42"), POLLED, ConfirmationWaits("a", "42"), POLLED), DevicePhase.CONSENT),
        ((ConfirmationWaits("a", "42"), POLLED, POLLED), DevicePhase.IDLE),
        ((ClaimedElsewhere("a", "other", "2026"),), DevicePhase.ELSEWHERE),
    ],
)
def test_phases(events: tuple[AgentEvent, ...], phase: DevicePhase) -> None:
    found = book("a")
    for one in events:
        found(one)
    assert found.devices["a"].phase is phase


def test_what_a_device_went_through() -> None:
    found = book("a", "b")
    begin: list[AgentEvent] = [POLLED, TAKEN, STEP]
    end: list[AgentEvent] = [ENDED, FeedbackSent("a", "42", "closed", "success")]
    for one in begin:
        found(one)
    assert found.devices["a"] == DeviceStatus(DevicePhase.INSTALLING, 2000.0, "", "42", "upload app", 3, 9)
    for one in [*end, PollFailed("a", 401, True, "bad SECRET", 900.0)]:
        found(one)
    assert found.devices["a"] == DeviceStatus(
        DevicePhase.IDLE, 2000.0, "bad [token]", message="Done.", outcome="done", ended_action="42", ended=2000.0
    )
    assert found.devices["b"] == DeviceStatus()


def test_a_new_run_remembers_the_past_and_no_state() -> None:
    before, after = book("a", "b", "c"), book("a", "b")
    events: list[AgentEvent] = [POLLED, TAKEN, STEP, ENDED, FeedbackSent("a", "42", "closed", "success")]
    for one in events:
        before(one)
    before(ActionTaken("b", "43", False))
    after.remember(before.devices)
    assert after.devices["a"] == DeviceStatus(
        DevicePhase.NEW, 2000.0, message="Done.", outcome="done", ended_action="42", ended=2000.0
    )
    assert after.devices["b"] == DeviceStatus()
    assert list(after.devices) == ["a", "b"]


def test_a_device_of_a_search_appears_when_something_is_known() -> None:
    found = book()
    found(POLLED)
    assert list(found.devices) == ["a"]


@pytest.mark.parametrize(("cancelled", "outcome"), [(True, "cancelled"), (False, "over")])
def test_the_last_result_is_that_of_the_last_action(cancelled: bool, outcome: str) -> None:
    found = book("a")
    for one in (TAKEN, STEP, ENDED, FeedbackSent("a", "42", "closed", "success"), POLLED):
        found(one)
    for two in (ActionTaken("a", "43", False), ActionOver("a", "43", cancelled, "Somebody ended it.")):
        found(two)
    device = found.status().devices["a"]
    assert (device.outcome, device.cause, device.ended_action) == (outcome, "", "43")
    assert device.message == "Somebody ended it."


def test_an_action_that_ended_here_keeps_its_result_if_the_server_ended_it_meanwhile() -> None:
    found = book("a")
    for one in (TAKEN, STEP, ENDED, ActionOver("a", "42", False, "The action is over.")):
        found(one)
    device = found.status().devices["a"]
    assert (device.phase, device.outcome, device.ended_action) == (DevicePhase.IDLE, "done", "42")


def test_the_end() -> None:
    found = book("a")
    found(AgentBegins(1, 0, "g"))
    assert not found.status().ended
    found(AgentEnds(0))
    assert found.status().ended


@given(events=st.lists(EVENTS, max_size=12))
def test_the_file_gives_back_what_was_written(events: list[AgentEvent]) -> None:
    found = book("a")
    for one in events:
        found(one)
    status = found.status()
    assert AgentStatus.from_json(status.to_json()) == status


@pytest.mark.parametrize("now", [-1.0, 1e18, float("inf"), float("nan")])
def test_a_clock_that_tells_no_date_damages_no_file(now: float) -> None:
    found = StatusBook(BEGIN, ["a"], clock=lambda: now, hide=str)
    for one in (POLLED, TAKEN, ENDED):
        found(one)
    assert AgentStatus.from_json(found.status().to_json()).devices["a"].outcome == "done"


def test_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert read_status(folder) is None
    found = book("a")
    found(POLLED)
    write_data(folder, found.status().to_json())
    assert read_status(folder) == found.status()
    assert [one.name for one in folder.iterdir()] == [NAME]


GOOD: dict[str, Any] = json.loads(BEGIN.to_json())


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"devices": []},
        {"pid": "77"},
        {"pid": True},
        {"time": 1e300},
        {"time": "now"},
        {"ended": 0},
        {"gateway": None},
        {"devices": {"a": 3}},
        {"devices": {"a": {"phase": "asleep"}}},
        {"devices": {"a": {"phase": []}}},
        {"devices": {"a": {"polled": "now"}}},
        {"devices": {"a": {"number": 1.5}}},
        {"devices": {"a": {"message": 3}}},
    ],
)
def test_a_damaged_file(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps(GOOD | change))
    with pytest.raises(FormatError):
        read_status(tmp_path)


@given(content=st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    with pytest.raises(FormatError):
        AgentStatus.from_json(content)


def test_what_a_later_release_adds_is_ignored() -> None:
    more = GOOD | {"mood": "good", "devices": {"a": {"phase": "idle", "mood": "good"}}}
    assert AgentStatus.from_json(json.dumps(more).encode()).devices == {"a": DeviceStatus(DevicePhase.IDLE)}


def test_the_file_follows_news_soon_and_polls_seldom(tmp_path: Path) -> None:
    """Time is what the writer sleeps: it hands over after each pause."""
    found = book("a")
    ticks: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        assert seconds == NEWS_S
        go = asyncio.Event()
        ticks.put_nowait(go)
        await go.wait()

    async def phase_after_a_pause(event: AgentEvent) -> tuple[DevicePhase, float | None]:
        found(event)
        (await ticks.get()).set()
        waiting = await ticks.get()
        ticks.put_nowait(waiting)
        status = read_status(tmp_path)
        assert status is not None
        return status.devices["a"].phase, status.devices["a"].polled

    async def run() -> None:
        async with status_kept(found, tmp_path, sleep=sleep):
            assert await phase_after_a_pause(TAKEN) == (DevicePhase.FETCHING, None)
            seen = [await phase_after_a_pause(POLLED) for _ in range(int(POLLS_S / NEWS_S) - 1)]
            assert seen[:-1] == [(DevicePhase.FETCHING, None)] * (len(seen) - 1)
            assert seen[-1] == (DevicePhase.FETCHING, 2000.0)
            found(AgentEnds(0))
        status = read_status(tmp_path)
        assert status is not None
        assert status.ended

    asyncio.run(run())


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def run() -> None:
        async with status_kept(book("a"), tmp_path / "file"):
            await asyncio.sleep(0)

    asyncio.run(run())
