"""What a device sees of each server: so that the stand-in is held against the real ones."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.agent.servers.ddi_device import DdiDevice
from tests.agent.servers.management import HawkbitServer, ManagementError
from tests.agent.servers.values import Kind, Software, Window

FILE = bytes(range(256)) * 40


class Device(DdiDevice):
    """A device of ``server``."""

    def __init__(self, server: HawkbitServer, name: str, authorization: str = "") -> None:
        super().__init__(server.url, server.tenant, name, authorization or f"GatewayToken {server.gateway_token()}")
        self.server = server


@pytest.fixture
def device(server: HawkbitServer, tag: str) -> Device:
    """A device that registered itself."""
    found = Device(server, tag)
    found.base()
    return found


@pytest.fixture
def software(server: HawkbitServer, tag: str) -> Software:
    """A file to be installed."""
    return server.upload(tag, "2.0.0", {"app.zip": FILE})


def test_a_first_poll_registers_the_target_and_asks_for_its_attributes(device: Device, tag: str) -> None:
    assert device.server.update_status(tag) == "registered"
    assert device.base()["config"]["polling"]["sleep"] == "00:05:00"
    assert set(device.links()) == {"configData"}
    assert device.ask("PUT", device.path + "/configData", {"mode": "merge", "data": {"app": "1.0.0"}})[0] == 200
    assert device.server.attributes(tag) == {"app": "1.0.0"}
    assert device.links() == {}


@pytest.mark.parametrize("value", ["x" * 129, "Zürich", "{}`"])
def test_attributes_out_of_bounds_are_refused(device: Device, value: str) -> None:
    assert device.ask("PUT", device.path + "/configData", {"data": {"place": value}})[0] == 400


def test_an_unchanged_answer_costs_no_body(device: Device) -> None:
    device.base()
    etag = device.headers["etag"]
    assert device.ask("GET", device.path, If_None_Match=etag) == (304, b"")


def test_who_has_no_token_is_not_let_in(server: HawkbitServer, tag: str) -> None:
    own = server.add_target(tag)
    assert Device(server, tag, f"TargetToken {own}").ask("GET", f"/{server.tenant}/controller/v1/{tag}")[0] == 200
    for wrong in (f"TargetToken {own}x", "GatewayToken no", "Bearer x", f"TargetToken {server.gateway_token()}"):
        assert Device(server, tag, wrong).ask("GET", f"/{server.tenant}/controller/v1/{tag}")[0] == 401


def test_a_forced_action_is_downloaded_and_installed(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    found = device.get(device.links()["deploymentBase"])
    assert (found["id"], found["deployment"]["download"], found["deployment"]["update"]) == (action, "forced", "forced")
    (chunk,) = found["deployment"]["chunks"]
    (artifact,) = chunk["artifacts"]
    assert (chunk["part"], chunk["version"], artifact["size"]) == ("os", "2.0.0", len(FILE))
    path = urlsplit(artifact["_links"]["download-http"]["href"]).path
    assert device.ask("GET", path) == (200, FILE)
    assert device.ask("GET", path, Range="bytes=100-") == (206, FILE[100:])
    assert device.headers["content-range"] == f"bytes 100-{len(FILE) - 1}/{len(FILE)}"
    assert device.ask("GET", path, Range=f"bytes={len(FILE)}-")[0] == 416
    assert device.say(action, "proceeding", "none", "step one") == 200
    assert device.say(action, "closed", "success", "done") == 200
    assert device.say(action, "closed", "success", "done") == 410
    (facts,) = device.server.actions(tag)
    assert (facts.active, facts.status) == (False, "finished")
    assert (device.server.update_status(tag), device.server.installed(tag)) == ("in_sync", "2.0.0")
    kinds = [entry.kind for entry in device.server.history(tag, action)]
    assert kinds == ["running", "retrieved", "download", "running", "finished"]
    assert set(device.links()) == {"installedBase", "configData"}
    assert device.ask("GET", path)[0] == 404


def test_a_failure_closes_the_action_and_the_codes_are_in_the_history(
    device: Device, software: Software, tag: str
) -> None:
    action = device.server.assign(software, tag)
    assert device.say(action, "closed", "failure", "it reverted", "FINDING-7") == 200
    assert device.server.history(tag, action)[-1].messages == ("it reverted", "FINDING-7")
    assert (device.server.actions(tag)[0].status, device.server.update_status(tag)) == ("error", "error")


@pytest.mark.parametrize(
    ("kind", "download", "update"), [("soft", "attempt", "attempt"), ("downloadonly", "forced", "skip")]
)
def test_handling_follows_the_type(
    device: Device, software: Software, tag: str, kind: Kind, download: str, update: str
) -> None:
    device.server.assign(software, tag, kind)
    deployment = device.get(device.links()["deploymentBase"])["deployment"]
    assert (deployment["download"], deployment["update"]) == (download, update)


def test_a_download_is_all_of_a_download_only_action(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag, "downloadonly")
    assert device.say(action, "downloaded", "none") == 200
    assert (device.server.actions(tag)[0].status, device.server.installed(tag)) == ("downloaded", None)
    assert "deploymentBase" not in device.links()


@pytest.mark.parametrize(("start_s", "word", "update"), [(-60, "available", "forced"), (7200, "unavailable", "skip")])
def test_a_maintenance_window_is_told(
    device: Device, software: Software, tag: str, start_s: int, word: str, update: str
) -> None:
    device.server.assign(software, tag, window=Window.from_now(start_s))
    deployment = device.get(device.links()["deploymentBase"])["deployment"]
    assert (deployment["maintenanceWindow"], deployment["update"], deployment["download"]) == (word, update, "forced")


def test_a_cancellation_is_accepted(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    device.server.cancel(tag, action)
    assert "deploymentBase" not in device.links()
    assert device.get(device.links()["cancelAction"])["cancelAction"]["stopId"] == action
    assert device.say(action, "closed", "success", where="cancelAction") == 200
    assert [(one.status, one.active) for one in device.server.actions(tag)] == [("canceled", False)]
    assert device.say(action, "closed", "success") == 410


def test_a_cancellation_is_refused_and_the_action_goes_on(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    device.server.cancel(tag, action)
    assert device.say(action, "rejected", where="cancelAction") == 200
    assert device.say(action, "closed", "success", where="cancelAction") == 405
    assert "deploymentBase" in device.links()
    assert device.say(action, "closed", "success") == 200
    assert device.server.actions(tag)[0].status == "finished"


def test_feedback_of_an_action_that_is_cancelled_counts(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    device.server.cancel(tag, action)
    assert device.say(action, "closed", "success") == 200
    assert device.server.actions(tag)[0].status == "finished"


def test_an_action_that_was_forced_to_end_is_gone(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    device.server.cancel(tag, action)
    device.server.cancel(tag, action, force=True)
    assert device.links() == {"configData": device.links()["configData"]}
    assert device.say(action, "proceeding") == 410


def test_a_second_assignment_cancels_the_first(device: Device, software: Software, tag: str) -> None:
    first = device.server.assign(software, tag)
    second = device.server.assign(device.server.upload(tag, "3.0.0", {"app.zip": FILE[1:]}), tag)
    assert device.get(device.links()["cancelAction"])["cancelAction"]["stopId"] == first
    assert device.say(first, "closed", "success", where="cancelAction") == 200
    assert device.get(device.links()["deploymentBase"])["id"] == second


def test_an_action_waits_for_its_confirmation(device: Device, software: Software, tag: str) -> None:
    device.server.confirmation_flow(enabled=True)
    action = device.server.assign(software, tag, confirm=True)
    assert "deploymentBase" not in device.links()
    assert device.get(device.links()["confirmationBase"])["confirmation"]["update"] == "forced"
    assert device.say(action, "proceeding") == 404
    where = f"{device.path}/confirmationBase/{action}/feedback"
    assert device.ask("POST", where, {"confirmation": "denied", "details": ["not now"]})[0] == 200
    assert "confirmationBase" in device.links()
    assert device.ask("POST", where, {"confirmation": "confirmed"})[0] == 200
    assert device.get(device.links()["deploymentBase"])["id"] == action
    assert device.ask("POST", where, {"confirmation": "confirmed"})[0] == 404


def test_what_is_not_there_is_not_found(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    other = Device(device.server, tag + "-other")
    assert other.say(action, "proceeding") == 404  # not even registered
    other.base()
    assert other.ask("GET", f"{other.path}/deploymentBase/{action}")[0] == 404
    assert device.say("999999999", "proceeding") == 404
    assert device.say("no-number", "proceeding") == 400
    assert device.ask("POST", f"{device.path}/deploymentBase/{action}/feedback", {"status": {}})[0] == 400


@pytest.mark.parametrize(("groups", "ends"), [(2, "finished"), (3, "paused")], ids=["last group", "group before"])
def test_a_rollout_goes_from_group_to_group(
    server: HawkbitServer, software: Software, tag: str, groups: int, ends: str
) -> None:
    """Too many errors pause it; in the last group there is nothing to pause, and it is finished."""
    devices = {name: Device(server, name) for name in (f"{tag}-{number}" for number in range(2 * groups))}
    for name in devices:
        server.add_target(name)
    rollout = server.rollout(tag, software, f"id=={tag}-*", groups, success=100, error=50)
    first, second, *_ = server.groups(rollout)
    assert (first.status, second.status) == ("running", "scheduled")
    for name in server.group_targets(rollout, first.number):
        (action,) = server.actions(name)
        assert devices[name].say(action.number, "closed", "success") == 200
    wait_for_status(server, rollout, 1, "running")
    for name in server.group_targets(rollout, second.number):
        assert devices[name].say(server.actions(name)[-1].number, "closed", "failure") == 200
    wait_for_rollout(server, rollout, ends)
    assert server.rollout_facts(rollout).counts["error"] == 2
    assert [group.status for group in server.groups(rollout)][:3] == ["finished", "error", "scheduled"][:groups]


def wait_for_status(server: HawkbitServer, rollout: int, group: int, status: str) -> None:
    """Until a group of a rollout has a status."""
    server.wait(lambda: server.groups(rollout)[group].status == status, f"group {group} is not {status}")


def wait_for_rollout(server: HawkbitServer, rollout: int, status: str) -> None:
    """Until a rollout has a status."""
    server.wait(lambda: server.rollout_facts(rollout).status == status, f"the rollout is not {status}")


def test_an_operator_cannot_upload_the_same_version_twice(server: HawkbitServer, software: Software, tag: str) -> None:
    with pytest.raises(ManagementError, match=r"^409"):
        server.upload(tag, software.version, {"app.zip": FILE})


@pytest.mark.parametrize("part", ["/", "\\", ";", "%", " "])
def test_some_ids_cannot_be_those_of_devices(server: HawkbitServer, tag: str, part: str) -> None:
    device = Device(server, f"{tag}{part}x")
    assert device.ask("GET", device.path)[0] == 400


@pytest.mark.parametrize(("length", "status"), [(128, 200), (129, 400)])
def test_an_id_of_128_characters_can_register_itself(server: HawkbitServer, tag: str, length: int, status: int) -> None:
    device = Device(server, tag.ljust(length, "x"))
    assert device.ask("GET", device.path)[0] == status


def test_an_id_of_other_letters_is_quoted_in_links(server: HawkbitServer, tag: str) -> None:
    device = Device(server, f"{tag}ü?#")
    assert device.links()["configData"].endswith(f"/{tag}%C3%BC%3F%23/configData")


def test_messages_are_bounded(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    assert device.say(action, "proceeding", "none", *["m"] * 51) == 429
    assert device.say(action, "proceeding", "none", "x" * 600) == 200
    (entry,) = device.server.history(tag, action)[1:]
    assert [len(one) for one in entry.messages] == [512, 88]


def test_what_ends_an_action_is_taken_beyond_the_quota(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    statuses = [device.say(action, "proceeding", "none", "m") for _ in range(1001)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    assert device.say(action, "closed", "success") == 200
    assert device.server.actions(tag)[0].status == "finished"


def test_a_word_of_cancellation_does_not_end_an_action(device: Device, software: Software, tag: str) -> None:
    action = device.server.assign(software, tag)
    assert device.say(action, "canceled") == 200
    assert device.server.actions(tag)[0].active


def test_an_action_that_is_read_after_its_end_forgets_how_it_ended(
    device: Device, software: Software, tag: str
) -> None:
    """So an agent must never do that: a rollout counts the statuses, and one with such an action never ends."""
    action = device.server.assign(software, tag)
    assert device.say(action, "closed", "failure") == 200
    assert device.ask("GET", f"{device.path}/deploymentBase/{action}")[0] == 200
    (facts,) = device.server.actions(tag)
    assert (facts.active, facts.status) == (False, "retrieved")
