"""Actions of a server on virtual devices: what the server says afterwards, and what is in the device's flash."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu.agent.actions.events import (
    ActionEnded,
    ActionOver,
    ActionTaken,
    CancelRefused,
    ConfirmationWaits,
    StepBegins,
)
from smpdfu.dfu.fleet.device_outcome import Outcome
from tests.agent.devices import NEW, NEWER, OLD
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn
from tests.agent.servers.values import Window
from tests.agent.work.gateway_bench import at_step, causes, other_place, slow_wire
from tests.agent.work.gateway_case import Case

SILENT = "udp:127.0.0.1:9"


def test_an_update(case: Case) -> None:
    number = case.assign()
    case.site.once()
    assert case.runs(NEW)
    assert case.status(number) == "finished"
    assert case.server.update_status(case.name) == "in_sync"
    assert case.site.begun(case.name) == [number]
    first = case.site.journal(case.name)[0]
    sha256 = hashlib.sha256(case.boards.package("good")).hexdigest()
    key = {"server": case.server.url, "tenant": case.server.tenant, "id": number}
    assert first["action"] == {**key, "sha256": sha256}
    kinds = [entry.kind for entry in case.server.history(case.name, number)]
    assert [kind for kind in ("download", "downloaded", "running", "finished") if kind in kinds] == [
        "download",
        "downloaded",
        "running",
        "finished",
    ]
    assert kinds.count("finished") == 1
    assert "The application core runs version 2.0.0." in case.messages(number)
    found = case.server.attributes(case.name)
    assert {name: found[name] for name in ("smpdfu_app_version", "smpdfu_gateway", "smpdfu_bootloader")} == {
        "smpdfu_app_version": "2.0.0",
        "smpdfu_gateway": "gw-1",
        "smpdfu_bootloader": "swap-using-move",
    }
    assert found["smpdfu_net_version"] == "2.0.0"
    assert found["smpdfu_claim"].endswith(" gw-1")


def test_one_action_after_the_other_and_the_same_version_again(case: Case) -> None:
    numbers = [case.assign()]
    case.site.once()
    numbers.append(case.assign("newer"))
    case.site.once()
    assert case.runs(NEWER)
    before = case.boards.facts()[case.name].boots
    numbers.append(case.assign("newer"))
    case.site.once()
    assert [case.status(number) for number in numbers] == ["finished"] * 3
    assert case.site.begun(case.name) == numbers[:2]
    assert case.boards.facts()[case.name].boots == before
    assert "The device had the package already." in case.messages(numbers[2])


def test_an_image_that_the_bootloader_refuses_is_a_failure_with_its_cause(case: Case) -> None:
    number = case.assign("bad")
    case.site.once()
    assert case.runs(OLD)
    assert case.status(number) == "error"
    (ended,) = case.site.of(ActionEnded)
    assert (ended.outcome, ended.success) == (Outcome.REVERTED, False)
    assert any(text.startswith("Cause: the device went back") for text in case.messages(number))
    case.site.once()
    assert case.site.begun(case.name) == [number], "it is not tried again"


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({"dfu_application.zip": b"no zip"}, "no usable package"),
        ({"readme.txt": b"text"}, "the artifact"),
        ({"a.zip": b"a", "b.zip": b"b"}, "the artifact"),
    ],
)
def test_files_that_are_no_package(case: Case, files: dict[str, bytes], cause: str) -> None:
    number = case.assign("x", files=files)
    case.site.once()
    assert case.status(number) == "error"
    assert f"Cause: {cause}." in case.messages(number)
    assert case.site.journal(case.name) == []


def test_a_package_of_a_stranger_is_refused_before_the_first_byte(case: Case, keys_dir: Path) -> None:
    case.site.update += f'\ntrust = ["{keys_dir / "dev-sign-p256.pub.pem"}"]'
    number = case.assign()
    case.site.once()
    assert case.status(number) == "error"
    assert any(text.startswith("Cause: preflight: untrusted") for text in case.messages(number))
    assert case.site.journal(case.name) == []
    assert case.runs(OLD)


def test_a_download_only_action(case: Case) -> None:
    number = case.assign(kind="downloadonly")
    case.site.once()
    assert case.status(number) == "downloaded"
    assert case.site.journal(case.name) == []
    assert case.runs(OLD)
    second = case.assign()
    case.site.once()
    assert case.status(second) == "finished"
    assert case.runs(NEW)


def test_a_maintenance_window(case: Case) -> None:
    number = case.assign(window=Window.from_now(3600.0))
    case.site.once()
    case.site.once()
    assert case.status(number) != "finished"
    assert case.messages(number).count("The package is ready. The gateway waits for the maintenance window.") == 1
    assert case.site.journal(case.name) == []
    case.server.cancel(case.name, number)
    case.site.once()
    assert case.status(number) == "canceled"
    second = case.assign(window=Window.from_now(-60.0))
    case.site.once()
    assert (case.status(second), case.runs(NEW)) == ("finished", True)


def test_a_device_that_does_not_answer_is_tried_again_with_few_words(case: Case) -> None:
    number = case.assign()
    with other_place(case.site, case.name, SILENT):
        case.site.run_until(lambda: len(causes(case.site)) >= 4)
        case.site.once()
    assert set(causes(case.site)) == {"cannot connect"}
    assert case.status(number) not in ("finished", "error")
    assert sum(text.startswith("The action is not finished") for text in case.messages(number)) == 1
    case.site.once()
    assert (case.status(number), case.runs(NEW)) == ("finished", True)


def test_a_cancellation_stops_an_upload_before_the_mark(case: Case) -> None:
    number = case.assign()
    with slow_wire(case.site, case.name, 0.1):
        case.site.then = at_step("upload app", lambda: case.server.cancel(case.name, number))
        case.site.run_until(lambda: case.status(number) in ("canceled", "finished"))
    assert (case.status(number), case.runs(OLD)) == ("canceled", True)
    assert [event.cancelled for event in case.site.of(ActionOver)] == [True]
    case.site.then = lambda event: None
    second = case.assign("newer")
    case.site.once()
    assert (case.status(second), case.runs(NEWER)) == ("finished", True)
    assert case.status(number) == "canceled"


def test_a_cancellation_behind_the_mark_is_refused(case: Case) -> None:
    number = case.assign()
    case.site.then = at_step("test app", lambda: case.server.cancel(case.name, number))
    case.site.run_until(lambda: case.status(number) in ("canceled", "finished"))
    assert (case.status(number), case.runs(NEW)) == ("finished", True)
    assert [event.action for event in case.site.of(CancelRefused)] == [number]
    assert case.site.begun(case.name) == [number]


@pytest.mark.parametrize("step", ["upload app", "reset app", "upload net"])
def test_an_agent_that_is_stopped_continues(case: Case, step: str) -> None:
    number = case.assign()
    case.site.run_until_step(step)
    assert case.status(number) not in ("finished", "error")
    case.site.once()
    assert (case.status(number), case.runs(NEW)) == ("finished", True)
    assert case.site.begun(case.name) == [number]
    assert [event.resumed for event in case.site.of(ActionTaken)] == [False, True]


@pytest.mark.parametrize("lost", ["drop-before", "drop-after", "status", "status-after"])
def test_a_result_whose_way_is_bad_arrives_once(case: Case, standing: StandIn, lost: str) -> None:
    number = case.assign()
    fault = Fault(lost, r"POST .*deploymentBase/.*/feedback", times=0)  # type: ignore[arg-type]
    standing.faults.add(fault)

    def lose() -> None:
        fault.times, fault.met = 3, 0

    case.site.then = at_step("check net", lose)
    case.site.run_until(lambda: case.status(number) == "finished")
    standing.faults.clear()
    case.site.once()
    case.site.once()
    assert (case.status(number), case.runs(NEW)) == ("finished", True)
    assert sum(entry.kind == "finished" for entry in case.server.history(case.name, number)) == 1
    assert case.site.begun(case.name) == [number]


def test_a_server_that_is_away_for_the_whole_update_hears_of_it_later(case: Case, standing: StandIn) -> None:
    number = case.assign()
    away = Fault("status", "", times=0, status=503)
    standing.faults.add(away)
    case.site.then = at_step("upload app", lambda: setattr(away, "times", 10_000))
    case.site.run_until(lambda: bool(case.site.of(ActionEnded)))
    assert case.runs(NEW)
    standing.faults.clear()
    assert case.status(number) != "finished"
    case.site.then = lambda event: None
    case.site.once()
    assert case.status(number) == "finished"
    assert case.site.begun(case.name) == [number]


CONFIRMATIONS: list[tuple[str, str]] = [("confirm", "finished"), ("deny", ""), ("wait", "")]


@pytest.mark.parametrize(("word", "end"), CONFIRMATIONS)
def test_consent(case: Case, word: str, end: str) -> None:
    case.site.agent = f'confirmation = "{word}"'
    case.server.confirmation_flow(enabled=True)
    number = case.assign(confirm=True)
    case.site.once()
    case.site.once()
    if end:
        assert (case.status(number), case.runs(NEW)) == (end, True)
        return
    assert case.runs(OLD)
    assert bool(case.site.of(ConfirmationWaits)) == (word == "wait")
    assert case.site.journal(case.name) == []
    if word == "wait":
        case.server.confirm(case.name, number)
        case.site.once()
        assert (case.status(number), case.runs(NEW)) == ("finished", True)


def test_odd_ids_and_clocks_that_jump(case: Case, tmp_path: Path) -> None:
    name = "..roof:1+2@x=\u00fc?#"
    site = case.site
    site.addresses = {name: site.addresses[case.name]}
    clock = itertools.cycle([0.0, -1e9, 1e18, 1_764_000_000.0, 5.0])
    site.change = lambda ports: replace(ports, now=lambda: next(clock))
    case.server.add_target(name)
    software = case.server.upload(f"odd {case.tag}", "1", {"dfu_application.zip": case.boards.package("good")})
    number = case.server.assign(software, name)
    site.once()
    assert [one.status for one in case.server.actions(name) if one.number == number] == ["finished"]
    assert case.runs(NEW)
    assert all(path.is_relative_to(site.folder) for path in tmp_path.rglob("roof*"))


def test_only_so_many_devices_at_a_time(case: Case, free: Iterator[str]) -> None:
    names = [case.name, next(free), next(free)]
    case.site.addresses = {name: case.boards.addresses[name] for name in names}
    case.site.limits = "at_once = 1"
    software = case.server.upload(f"many {case.tag}", "1", {"dfu_application.zip": case.boards.package("good")})
    for name in names:
        case.server.add_target(name)
        case.server.assign(software, name)
    found = case.site.once()
    assert sorted(found.ended) == sorted(names)
    order = [event.device for event in case.site.of(StepBegins)]
    assert len([name for name, _ in itertools.groupby(order)]) == len(names), "one after the other"
