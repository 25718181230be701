"""Servers that forget the result that they took, or everything, and servers that never take a result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smpdfu.agent.actions.events import FeedbackGivenUp
from smpdfu.agent.actions.record import MAX_REFUSED
from tests.agent.devices import NEW, NEWER
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn
from tests.agent.work.gateway_case import Case


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/html", b"<html>Please log in</html>"), ("application/json", b"{}")],
    ids=["portal", "lost"],
)
def test_a_result_that_somebody_took_and_the_server_does_not_have(
    case: Case, standing: StandIn, kind: str, body: bytes
) -> None:
    """The second action changes nothing at the device, so the answer to a poll is the same before and after it."""
    case.assign()
    case.site.once()
    number = case.assign()
    fault = Fault("replace", r"POST .*/feedback", holds=b'"closed"', body=body, content_type=kind)
    standing.faults.add(fault)
    case.site.run_until(lambda: case.status(number) == "finished")
    assert fault.met == 1
    assert case.site.begun(case.name)[1:] == []


def refusing(standing: StandIn, number: str, status: int) -> Fault:
    """The server takes no result of this action."""
    feedback = rf"POST .*deploymentBase/{number}/feedback"
    return standing.faults.add(Fault("status", feedback, holds=b'"closed"', status=status, times=10_000))


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_result_that_the_server_never_takes_does_not_block_the_next_action(
    case: Case, standing: StandIn, status: int
) -> None:
    number = case.assign()
    fault = refusing(standing, number, status)
    case.site.run_until(lambda: bool(case.site.of(FeedbackGivenUp)))
    assert case.runs(NEW)
    assert f"(HTTP {status})" in case.site.of(FeedbackGivenUp)[0].message
    case.server.cancel(case.name, number)
    case.server.cancel(case.name, number, force=True)
    second = case.assign("newer")
    case.site.run_until(lambda: case.status(second) == "finished")
    assert fault.met <= MAX_REFUSED + 4
    assert case.site.begun(case.name) == [number, second]


def test_the_refusals_count_over_many_runs_and_a_later_run_asks_once_more(case: Case, standing: StandIn) -> None:
    number = case.assign()
    fault = refusing(standing, number, 400)
    for _ in range(MAX_REFUSED + 2):
        case.site.once()
    assert case.site.of(FeedbackGivenUp)
    met = fault.met
    case.site.once()
    assert fault.met <= met + 2
    standing.faults.clear()
    case.site.once()
    assert case.status(number) == "finished"
    assert case.site.begun(case.name) == [number]


def test_a_server_that_was_set_up_anew_gives_out_the_id_of_an_action_before_the_last(
    case: Case, standing: StandIn
) -> None:
    first = case.assign()
    case.site.once()
    case.assign("newer")
    case.site.once()
    actions, target = standing.repository.actions, standing.repository.targets[case.name]
    target.actions.clear()
    action = actions[int(case.assign("newer"))]
    action.number = int(first)
    actions[action.number] = action
    case.site.once()
    assert (case.status(first), case.runs(NEWER)) == ("finished", True)


def test_a_server_that_was_set_up_anew_gives_out_the_same_ids(case: Case, standing: StandIn) -> None:
    number = case.assign()
    case.site.once()
    assert case.runs(NEW)
    actions, target = standing.repository.actions, standing.repository.targets[case.name]
    target.actions.clear()
    action = actions[int(case.assign("newer"))]
    action.number = int(number)
    actions[action.number] = action
    case.site.once()
    assert case.status(number) == "finished"
    assert case.runs(NEWER)
    assert case.site.begun(case.name) == [number, number]


@pytest.mark.parametrize("said", [b'"proceeding"', b'"closed"'], ids=["progress", "result"])
@pytest.mark.parametrize("status", [404, 410])
def test_a_server_that_does_not_know_an_action_for_a_while_and_offers_it_still(
    case: Case, standing: StandIn, status: int, said: bytes
) -> None:
    """As a proxy that cannot reach the server says 404. The answer to a poll is the same all the time."""
    number = case.assign()
    fault = Fault("status", r"POST .*/feedback", times=3, holds=said, status=status)
    standing.faults.add(fault)
    case.site.run_until(lambda: case.status(number) == "finished")
    assert fault.met == 3
    assert case.runs(NEW)
    assert case.site.begun(case.name) == [number]


def test_a_server_that_never_knows_the_action_that_it_offers_is_asked_less_and_less(
    case: Case, standing: StandIn
) -> None:
    case.assign()
    standing.faults.add(Fault("status", r"POST .*/feedback", times=1000, status=404))
    case.site.pace = replace(case.site.pace, first_retry_s=0.2, most_retry_s=3600.0)
    polls = 40
    case.site.run_until(lambda: standing.count("GET", f"controller/v1/{case.name}") > polls)
    assert standing.count("GET", "deploymentBase") < polls / 2
