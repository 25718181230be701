"""The agent's command line against a server whose answers get lost, and devices that are updated once all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.devices import NEW, OLD, Devices, devices
from tests.agent.scenarios.gateway_rig import Gateway
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn

NOT_ANSWERED, FAILED, UNFINISHED = 4, 7, 8
NAME = "roof-1"


@pytest.fixture
def roof(tmp_path: Path) -> Iterator[Devices]:
    """One device."""
    with devices(tmp_path / "devices", [NAME]) as found:
        yield found


@pytest.fixture
def gateway(roof: Devices, operator: HawkbitServer, tmp_path: Path) -> Gateway:
    """Its gateway, which the server knows."""
    found = Gateway.new(tmp_path / "g", "g1", operator.url, roof.addresses, token=operator.gateway_token())
    found.once()
    return found


def _order(operator: HawkbitServer, roof: Devices, package: str = "good") -> str:
    return operator.assign(operator.upload("fw", NEW, {"dfu_application.zip": roof.package(package)}), NAME)


def _ends(operator: HawkbitServer, gateway: Gateway, limit: int = 6) -> list[str]:
    """Rounds of the agent until its action is over at the server; the states of all actions."""
    for _ in range(limit):
        gateway.once(0, NOT_ANSWERED, FAILED, UNFINISHED)
        if not any(action.active for action in operator.actions(NAME)):
            break
    return [action.status for action in operator.actions(NAME)]


CLOSED = b'"closed"'
FAULTS = {
    "the result is refused": Fault("status", "feedback", 1, CLOSED, status=503),
    "the result arrives, and its answer is lost": Fault("drop-after", "feedback", 1, CLOSED),
    "the result is lost": Fault("drop-before", "feedback", 1, CLOSED),
    "the result is taken with an error": Fault("status-after", "feedback", 1, CLOSED, status=500),
    "too many requests": Fault("status", "feedback", 1, CLOSED, status=429, retry_after="1"),
    "the poll is lost": Fault("drop-before", "GET /DEFAULT/controller/v1/[^/]*$", 1),
    "the deployment is lost": Fault("drop-after", "GET .*deploymentBase", 1),
    "the package is cut off": Fault("cut", "GET .*artifacts", 1, length=5000),
    "the package is lost": Fault("drop-before", "GET .*artifacts", 1),
    "a page in place of a poll": Fault("replace", "GET /DEFAULT/controller/v1/[^/]*$", 1, body=b"<html>login</html>"),
}


def _cases() -> Iterator[object]:
    for name, fault in FAULTS.items():
        yield pytest.param(fault, "good", id=name)
        if fault.holds:
            yield pytest.param(fault, "bad", id=f"{name}, of a failure")


@pytest.mark.parametrize(("fault", "package"), list(_cases()))
def test_what_gets_lost_is_made_up_for(
    operator: HawkbitServer, standing: StandIn, roof: Devices, gateway: Gateway, fault: Fault, package: str
) -> None:
    boots = roof.facts()[NAME].boots
    action = _order(operator, roof, package)
    fault.met = 0
    standing.faults.add(fault)
    wanted, version = {"good": ("finished", NEW), "bad": ("error", OLD)}[package]
    assert _ends(operator, gateway) == [wanted]
    assert fault.met == 1
    facts = roof.facts()[NAME]
    assert roof.runs(facts, version)
    assert facts.boots - boots == {"good": 2, "bad": 1}[package]  # installed once
    assert [entry.kind for entry in operator.history(NAME, action)].count(wanted) == 1


def test_a_package_is_resumed_where_it_was_cut(
    operator: HawkbitServer, standing: StandIn, roof: Devices, gateway: Gateway
) -> None:
    _order(operator, roof)
    standing.faults.add(Fault("cut", "GET .*artifacts", 1, length=5000))
    assert _ends(operator, gateway) == ["finished"]
    asked = [
        one.range for one in standing.seen if "artifacts" in one.path and one.method == "GET" and "rest" not in one.path
    ]
    assert asked[0] == ""
    assert asked[1].startswith("bytes=")
    assert asked[1] != "bytes=0-"
