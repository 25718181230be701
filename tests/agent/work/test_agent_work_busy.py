"""What the server changes while a device of the agent waits for its turn, or is read."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from smpdfu.agent.actions.claims import CLAIM
from smpdfu.agent.actions.events import ActionTaken, AgentEvent, AttributesSent, PackageReady, Polled
from smpdfu.agent.work import keeper
from tests.agent.devices import NEW, OLD
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn
from tests.agent.servers.values import Window
from tests.agent.work.gateway_bench import other_place
from tests.agent.work.gateway_case import Case


def test_a_window_that_closes_before_the_device_has_its_turn(case: Case, standing: StandIn) -> None:
    number = case.assign(window=Window.from_now(-60.0))
    action = next(one for one in standing.repository.target(case.name).actions if str(one.number) == number)

    opened = action.window
    assert opened is not None

    def close(event: AgentEvent) -> None:
        if isinstance(event, PackageReady):
            action.window = replace(opened, schedule=Window.from_now(3600.0).schedule)

    case.site.then = close
    case.site.once()
    assert case.runs(OLD)
    assert case.site.journal(case.name) == []
    assert "The package is ready. The gateway waits for the maintenance window." in case.messages(number)
    action.window = opened
    case.site.then = lambda event: None
    case.site.once()
    assert (case.status(number), case.runs(NEW)) == ("finished", True)


def test_an_action_that_comes_while_the_device_is_read(case: Case, standing: StandIn) -> None:
    case.assign()
    case.site.once()
    standing.repository.target(case.name).wants_attributes = True
    known = len(case.site.of(ActionTaken))
    numbers: list[str] = []

    def assign(event: AgentEvent) -> None:
        if isinstance(event, Polled) and not numbers:  # from here on, the agent waits for the device
            numbers.append(case.assign("newer"))

    case.site.then = assign
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with other_place(case.site, case.name, f"udp:127.0.0.1:{silent.getsockname()[1]}"):
            case.site.run_until(lambda: len(case.site.of(ActionTaken)) > known)
    assert case.site.of(ActionTaken)[-1].action == numbers[0]
    case.site.then = lambda event: None
    case.site.once()
    assert case.status(numbers[0]) == "finished"


def behind(case: Case, standing: StandIn) -> tuple[str, str]:
    """An action that waits for its window, and a second one that the server offers first: it has more weight."""
    first = case.assign(window=Window.from_now(3600.0))
    case.site.once()
    second = case.assign("newer")
    target = standing.repository.target(case.name)
    target.actions.reverse()
    target.actions[-1].status = "running"  # assigned beside the other one, not in its place
    return first, second


def asked(case: Case, number: str) -> int:
    return sum(text.startswith("The server offers action") for text in case.messages(number))


def test_an_action_behind_another_one_is_asked_about_seldom(case: Case, standing: StandIn) -> None:
    first, second = behind(case, standing)
    case.site.pace = replace(case.site.pace, first_retry_s=3600.0, most_retry_s=3600.0)
    known = len(case.site.of(Polled))
    case.site.run_until(lambda: len(case.site.of(Polled)) >= known + 20)
    assert 1 <= asked(case, first) <= 2
    case.server.cancel(case.name, first)
    case.server.cancel(case.name, first, force=True)
    case.site.run_until(lambda: case.status(second) == "finished")
    assert case.site.begun(case.name) == [second]


def test_the_questions_whether_an_action_is_over_have_an_end(
    case: Case, standing: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "MAX_ASKED", 3)
    first, _ = behind(case, standing)
    for _ in range(6):
        case.site.once()
    assert asked(case, first) == 3


def test_a_server_that_takes_no_more_words_of_an_action_does_not_stop_it(case: Case, standing: StandIn) -> None:
    first, second = behind(case, standing)
    quota = Fault(
        "status", rf"POST .*deploymentBase/{first}/feedback", holds=b"The server offers", status=400, times=99
    )
    standing.faults.add(quota)
    action = standing.repository.actions[int(first)]
    assert action.window is not None
    action.window = replace(action.window, schedule=Window.from_now(-60.0).schedule)
    case.site.run_until(lambda: case.status(second) == "finished")
    assert case.status(first) == "finished"
    assert quota.met
    assert case.site.begun(case.name) == [first, second]


def test_attributes_that_are_told_again_do_not_claim_the_device_again(case: Case, standing: StandIn) -> None:
    case.server.add_target(case.name)
    target = standing.repository.target(case.name)
    theirs = f"{'0' * 16} gw-2"

    def claim(event: AgentEvent) -> None:
        if isinstance(event, AttributesSent) and len(case.site.of(AttributesSent)) == 1:
            target.attributes[CLAIM] = theirs
            target.wants_attributes = True

    case.site.then = claim
    case.site.run_until(lambda: len(case.site.of(AttributesSent)) > 1)
    assert target.attributes[CLAIM] == theirs
    assert target.attributes["smpdfu_app_version"] == OLD
