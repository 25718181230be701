"""What the server changes while a device of the agent waits for its turn, or is read."""

from __future__ import annotations

import socket
from dataclasses import replace

from smpdfu.agent.actions.claims import CLAIM
from smpdfu.agent.actions.events import ActionTaken, AgentEvent, AttributesSent, PackageReady, Polled
from tests.agent.devices import NEW, OLD
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
