"""The log of an agent: one line an event, whatever is in it; and nothing that is no news."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.agent.actions.events import (
    ActionEnded,
    ActionTaken,
    ActionWaits,
    AgentBegins,
    AgentEvent,
    ClaimedElsewhere,
    ConfirmationWaits,
    FeedbackKept,
    Polled,
    PollFailed,
    SentBytes,
)
from smpdfu.agent.description.authentication import Credentials
from smpdfu.agent.description.file import LogForm
from smpdfu.agent.report.log import MAX_VALUE, EventLog
from smpdfu.dfu.fleet.device_outcome import Outcome

NOW = 1_700_000_000.0
SECRET = "0123456789abcdef"


def lines(*events: AgentEvent, form: LogForm = LogForm.TEXT) -> list[str]:
    stream = io.StringIO()
    log = EventLog(stream, form, hide=Credentials(gateway_token=SECRET).hide, clock=lambda: NOW)
    for one in events:
        log(one)
    return stream.getvalue().split("\n")[:-1]


ENDED = ActionEnded("roof-1", "42", Outcome.REFUSED, False, "preflight: hardware", "It is for another board.", 41.234)


def test_a_line_of_text() -> None:
    assert lines(ENDED) == [
        "2023-11-14T22:13:20Z ERROR action-ended device=roof-1 action=42 outcome=refused success=false "
        'cause="preflight: hardware" message="It is for another board." seconds=41.2'
    ]


def test_a_line_of_json() -> None:
    (line,) = lines(ENDED, form=LogForm.JSON)
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20Z",
        "level": "error",
        "event": "action-ended",
        "device": "roof-1",
        "action": "42",
        "outcome": "refused",
        "success": False,
        "cause": "preflight: hardware",
        "message": "It is for another board.",
        "seconds": 41.2,
    }


@pytest.mark.parametrize(
    ("now", "shown"),
    [(1e18, "9999-12-31T23:59:59Z"), (-1e9, "1970-01-01T00:00:00Z"), (float("nan"), "1970-01-01T00:00:00Z")],
)
def test_a_clock_that_tells_no_date_stops_no_line(now: float, shown: str) -> None:
    stream = io.StringIO()
    EventLog(stream, LogForm.TEXT, hide=str, clock=lambda: now)(ENDED)
    assert stream.getvalue().startswith(f"{shown} ERROR action-ended")


def test_what_is_no_news_has_no_line() -> None:
    down = PollFailed("a", 0, False, "no answer", 60.0)
    later = PollFailed("a", 0, False, "no answer", 120.0)
    other = PollFailed("a", 503, False, "busy", 60.0)
    quiet, news = Polled("a", False, 300.0), Polled("a", True, 300.0)
    sent = SentBytes("a", "1", "upload app", 10, 20)
    assert lines(quiet, sent, news) == []
    found = [line.split()[2] for line in lines(down, later, other, quiet, quiet, news, down)]
    assert found == ["poll-failed", "poll-failed", "poll", "poll-failed"]
    assert len(lines(down, PollFailed("b", 0, False, "no answer", 60.0))) == 2


def test_a_confirmation_that_waits_is_said_once() -> None:
    first, second = ConfirmationWaits("a", "42"), ConfirmationWaits("a", "43")
    assert len(lines(first, first, second, second)) == 2


def test_another_gateway_is_said_once_for_an_action() -> None:
    """The agent sees its claim at each attempt."""
    found, again = ClaimedElsewhere("a", "g2", ""), ActionTaken("a", "43", resumed=False)
    shown = [line.split()[2] for line in lines(found, found, found, again, found, found)]
    assert shown == ["claimed-elsewhere", "action", "claimed-elsewhere"]


def test_a_new_action_can_wait_again() -> None:
    waits = ActionWaits("roof-1", "42", "no answer", "The device does not answer.", 60.0)
    kept = FeedbackKept("roof-1", "42", "busy", 60.0)
    assert [line.split()[2] for line in lines(waits, waits, kept, kept, ENDED, waits, kept)] == [
        "action-waits",
        "feedback-kept",
        "action-ended",
        "action-waits",
        "feedback-kept",
    ]


def test_a_stream_that_is_gone_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    log = EventLog(Gone(), LogForm.TEXT, hide=str, clock=lambda: NOW)
    log(AgentBegins(3, 0, "g"))


_TEXTS = st.text(max_size=30) | st.just(f"GatewayToken {SECRET}") | st.text(min_size=600, max_size=700)
_OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": _TEXTS,
    "int": st.integers(0, 10**12),
    "float": st.floats(0, 1e9),
    "bool": st.booleans(),
    "Outcome": st.sampled_from(Outcome),
}
EVENTS = st.one_of(
    [st.builds(kind, **{one.name: _OF_TYPE[str(one.type)] for one in fields(kind)}) for kind in get_args(AgentEvent)]
)


@given(event=EVENTS)
def test_any_event_is_one_printable_line_without_a_token(event: AgentEvent) -> None:
    for form in LogForm:
        found = lines(event, form=form)
        assert len(found) <= 1
        for line in found:
            assert line.isprintable()
            assert SECRET not in line
        if form is LogForm.JSON:
            for line in found:
                entry = json.loads(line)
                assert entry["event"] == event.NAME
                assert all(len(one) <= MAX_VALUE for one in entry.values() if isinstance(one, str))


@pytest.mark.parametrize("kind", get_args(AgentEvent))
def test_no_event_has_a_field_that_the_line_uses_itself(kind: Any) -> None:
    assert not {one.name for one in fields(kind)} & {"time", "level", "event"}
