"""Several gateways, a server that ends an action, a full disk, and a gateway that has nothing to do."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from smpdfu.agent.actions.claims import CLAIM, Claim, other_in_attributes, other_in_messages
from smpdfu.agent.actions.events import (
    ActionEnded,
    ActionOver,
    ActionTaken,
    AgentEvent,
    ClaimedElsewhere,
    Polled,
    PollFailed,
    RecordDamaged,
    StepBegins,
)
from smpdfu.agent.actions.record import DeviceRecord
from smpdfu.agent.actions.record_files import RecordFiles
from smpdfu.agent.gateway_agent import run_agent
from smpdfu.agent.work.ports import Pace, Ports
from smpdfu.errors import AgentFileError, JournalError
from tests.agent.devices import NEW, NEWER, OLD
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn
from tests.agent.work.gateway_bench import Site, at_step, causes, other_place, refusals
from tests.agent.work.gateway_case import Case

SILENT = "udp:127.0.0.1:9"


@pytest.fixture
def second(site: Site) -> Site:
    """Another gateway that has the same device in its file."""
    return Site(site.folder.with_name("gw-2"), site.server, site.addresses, gateway="gw-2")


@contextmanager
def on_another_computer(monkeypatch: pytest.MonkeyPatch, site: Site) -> Iterator[None]:
    """What runs inside has journals of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("SMPDFU_STATE_HOME", str(site.folder / "home"))
        yield


def test_a_second_gateway_leaves_an_action_to_the_first(
    case: Case, second: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = case.assign()
    case.site.run_until_step("upload app")
    with on_another_computer(monkeypatch, second):
        second.once()
    assert [event.gateway for event in second.of(ClaimedElsewhere)] == ["gw-1"]
    assert causes(second) == ["another gateway"]
    assert not second.of(StepBegins)
    assert any(text.startswith("The action is not finished: The gateway gw-1") for text in case.messages(number))
    case.site.once()
    assert (case.status(number), case.runs(NEW)) == ("finished", True)
    assert not case.site.of(ClaimedElsewhere)


def test_who_has_access_to_the_attributes_sees_the_later_claim(case: Case, second: Site) -> None:
    async def attributes(name: str) -> Mapping[str, str]:
        return await asyncio.to_thread(case.server.attributes, name)

    case.site.attributes_of = attributes
    case.site.once()
    case.known = True
    second.once()  # the device was given to another gateway
    assert case.server.attributes(case.name)[CLAIM].endswith(" gw-2")
    number = case.assign()
    case.site.once()
    assert [event.gateway for event in case.site.of(ClaimedElsewhere)] == ["gw-2"]
    case.site.once()
    assert not case.site.of(StepBegins), "a device of another gateway stays untouched after a start, too"
    second.once()
    assert (case.status(number), case.runs(NEW)) == ("finished", True)


OWN, OTHER = Claim("gw-1", "0123456789abcdef"), Claim("gw-2", "fedcba9876543210")


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([], None),
        ([OWN.message], None),
        ([OWN.message, OTHER.message], OTHER),
        ([OTHER.message, OWN.message], OTHER),
        ([f"  {OTHER.message}\n"], OTHER),
        ([f"He said: {OTHER.message}"], None),
        ([OTHER.message.replace("gw-2", "gw\x1b[2J")], None),
    ],
)
def test_claims_in_messages(messages: list[str], found: Claim | None) -> None:
    assert other_in_messages(messages, OWN) == found


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({}, None),
        ({CLAIM: ""}, None),
        ({CLAIM: OWN.attribute}, None),
        ({CLAIM: OTHER.attribute}, OTHER),
        ({CLAIM: "x"}, Claim("another gateway", "x")),
    ],
)
def test_claims_in_attributes(attributes: dict[str, str], found: Claim | None) -> None:
    assert other_in_attributes(attributes, OWN) == found


def test_every_claim_is_another_one() -> None:
    assert len({Claim.new("gw").id for _ in range(100)}) == 100
    assert other_in_messages([Claim.new("gw").message], Claim.new("gw")) is not None


def test_a_record_that_the_disk_does_not_take_is_no_fault_of_the_server(case: Case) -> None:
    """A folder is where the new record would be."""
    case.site.once()
    case.known = True  # the agent registered it
    (record,) = case.site.folder.glob("state/devices-*/*-*.json")
    record.with_suffix(".new").mkdir()
    number = case.assign()
    found = case.site.once()
    assert (found.unpolled, found.waiting) == ((), (case.name,))
    record.with_suffix(".new").rmdir()
    assert case.site.once().ended == (case.name,)
    assert case.status(number) == "finished"


def test_an_action_that_a_person_ends_by_force_is_forgotten(case: Case) -> None:
    number = case.assign()
    with other_place(case.site, case.name, SILENT):
        case.site.once()
        case.server.cancel(case.name, number)
        case.server.cancel(case.name, number, force=True)
        case.site.once()
    assert [event.cancelled for event in case.site.of(ActionOver)] == [False]
    second = case.assign("newer")
    case.site.once()
    assert (case.status(number), case.status(second)) == ("canceled", "finished")
    assert case.runs(NEWER)
    assert case.site.begun(case.name) == [second]


def test_another_action_waits_until_the_server_ended_the_first(case: Case) -> None:
    first = case.assign()
    with other_place(case.site, case.name, SILENT):
        case.site.once()
        second = case.assign("newer")  # the server cancels the first one for it
        case.site.once()
    case.site.once()
    assert (case.status(first), case.status(second)) == ("canceled", "finished")
    assert case.runs(NEWER)
    assert case.site.begun(case.name) == [second]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_said_and_asks_seldom(case: Case, standing: StandIn, status: int) -> None:
    number = case.assign()
    standing.faults.add(Fault("status", r"GET .*/controller/v1/", times=3, status=status))
    case.site.run_until(lambda: case.status(number) == "finished")
    assert refusals(case.site) == [status] * 3
    denied = next(event for event in case.site.of(PollFailed) if event.denied)
    assert denied.message.endswith("The agent asks again after 0.2 s; to ask at once, restart it")
    assert Pace().denied_s == 900.0
    assert case.runs(NEW)


def without_results(ports: Ports) -> Ports:
    """Ports of an agent that dies between the end in the journal and the result in its record."""
    write = ports.files.write

    def refuse(record: DeviceRecord) -> None:
        if record.action is not None and record.action.final is not None:
            raise JournalError("the record cannot be written: No space left on device")
        write(record)

    ports.files.write = refuse  # type: ignore[method-assign]
    return ports


@pytest.mark.parametrize("damaged", [False, True])
def test_an_end_that_only_the_journal_has_is_the_result_and_no_second_update(
    case: Case, standing: StandIn, damaged: bool
) -> None:
    number = case.assign()
    away = Fault("status", r"POST", times=0)
    standing.faults.add(away)
    case.site.change = without_results
    case.site.then = at_step("check net", lambda: setattr(away, "times", 10_000))
    case.site.run_until(lambda: bool(case.site.of(ActionEnded)))
    standing.faults.clear()
    assert case.status(number) != "finished"
    boots = case.boards.facts()[case.name].boots
    case.site.change = lambda ports: ports
    case.site.then = lambda event: None
    for path in case.site.folder.rglob("devices-*/*.json") if damaged else ():
        path.write_bytes(b"\0" * 100)
    case.site.once()
    assert bool(case.site.of(RecordDamaged)) == damaged
    assert (case.status(number), case.runs(NEW)) == ("finished", True)
    assert case.boards.facts()[case.name].boots == boots
    assert case.site.begun(case.name) == [number]
    assert "An earlier run of the agent saw the end of the update." in case.messages(number)


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, times: int) -> Iterator[list[int]]:
    """The next writes to the disk fail."""
    left = [times]
    real = os.fsync

    def fsync(fd: int) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield left


@pytest.mark.parametrize("times", [1, 2, 3, 5, 8])
def test_a_full_disk_leaves_the_action_open_and_nothing_is_lost(
    case: Case, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    number = case.assign()
    with full_disk(monkeypatch, times) as left:
        case.site.run_until(lambda: case.status(number) == "finished")
    assert left == [0]
    assert case.runs(NEW)
    assert [event.success for event in case.site.of(ActionEnded)] == [True]


def test_a_disk_that_stays_full_is_said(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    number = case.assign()
    with full_disk(monkeypatch, 10_000):
        case.site.run_until(lambda: len(causes(case.site)) > 3)
    assert case.status(number) not in ("finished", "error")
    assert case.runs(OLD)


def test_a_gateway_without_work_opens_no_device_and_writes_nothing(case: Case) -> None:
    case.assign()
    case.site.once()
    case.site.once()
    case.site.events.clear()

    def refuse(*args: Any, **how: Any) -> Any:
        raise AssertionError("an idle gateway does nothing but poll")

    def idle(ports: Ports) -> Ports:
        ports.files.write = refuse  # type: ignore[method-assign]
        return replace(ports, client_for=refuse)

    case.site.change = idle
    case.site.run_until(lambda: len(case.site.of(Polled)) >= 10)
    assert not case.site.of(ActionTaken)
    assert not any(event.changed for event in case.site.of(Polled)[1:])


def test_two_agents_of_one_gateway_do_not_run_together(case: Case) -> None:
    async def act() -> None:
        async with case.site.open() as gateway:
            task = asyncio.create_task(gateway.run())
            files: RecordFiles = gateway._ports.files
            await asyncio.wait([task], timeout=0.2)
            with pytest.raises(JournalError, match="another agent works for this gateway"), files.locked():
                pass
            gateway.stop()
            await task

    asyncio.run(act())


def test_a_second_agent_hears_of_the_first_before_anything_else(case: Case) -> None:
    """Also where both want the same address for their metrics."""

    async def act() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            path = case.site.path
            metrics = f'{path.read_text()}[metrics]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n'
            async with case.site.open():
                path.write_text(metrics)
                with pytest.raises(JournalError, match="another agent works for this gateway"):
                    await run_agent(path)
            with pytest.raises(AgentFileError, match="Address already in use"):
                await run_agent(path)

    asyncio.run(act())


def test_an_error_of_the_caller_ends_the_run_and_leaves_the_device_to_the_next(case: Case) -> None:
    number = case.assign()

    def fail(event: AgentEvent) -> None:
        if isinstance(event, StepBegins) and event.step == "upload app":
            raise KeyError("a defect of the caller")

    case.site.then = fail
    with pytest.raises(KeyError, match="a defect of the caller"):
        case.site.run_until(lambda: False)
    assert case.status(number) not in ("finished", "error")
    case.site.then = lambda event: None
    case.site.once()
    assert (case.status(number), case.runs(NEW)) == ("finished", True)
    assert case.site.begun(case.name) == [number]
