"""What a device sees of goosebit, where it differs from hawkBit."""

from __future__ import annotations

import hashlib

import pytest

from tests.agent.servers.ddi_device import DdiDevice
from tests.agent.servers.goosebit.server import GoosebitServer

FILE = bytes(range(256)) * 40


@pytest.fixture
def device(goosebit_server: GoosebitServer, tag: str) -> DdiDevice:
    """A device that goosebit knows."""
    token = goosebit_server.add_target(tag)
    found = DdiDevice(goosebit_server.url, goosebit_server.tenant, tag, f"TargetToken {token}")
    assert set(found.links()) == {"configData"}
    assert found.ask("PUT", found.path + "/configData", {"data": {"hw_revision": "default"}})[0] == 200
    return found


def test_software_is_offered_until_its_version_is_there(
    device: DdiDevice, goosebit_server: GoosebitServer, tag: str
) -> None:
    assert device.links() == {}
    action = goosebit_server.assign(goosebit_server.upload(tag, "2.0.0", {"app.zip": FILE}), tag)
    found = device.get(device.links()["deploymentBase"])
    (artifact,) = found["deployment"]["chunks"][0]["artifacts"]
    assert (found["id"], found["deployment"]["update"]) == (action, "forced")
    # SHA-1 alone: an agent cannot ask for more.
    assert artifact["hashes"] == {"sha1": hashlib.sha1(FILE, usedforsecurity=False).hexdigest()}
    path = f"{device.path}/download"
    assert artifact["_links"]["download"]["href"] == device.url + path
    assert device.ask("GET", path, Range="bytes=100-") == (206, FILE[100:])
    assert device.say(action, "proceeding", "none", "step one") == 200
    assert goosebit_server.update_status(tag) == "pending"
    assert device.say(action, "closed", "success", "done") == 200
    assert device.say(action, "closed", "success", "again") == 200  # never 410
    assert (goosebit_server.update_status(tag), goosebit_server.log(tag)) == ("in_sync", "step one\ndone\nagain\n")
    assert device.links() == {}


def test_a_failure_ends_the_offer(device: DdiDevice, goosebit_server: GoosebitServer, tag: str) -> None:
    action = goosebit_server.assign(goosebit_server.upload(tag, "2.0.0", {"app.zip": FILE}), tag)
    assert device.say(action, "closed", "failure", "it reverted") == 200
    assert goosebit_server.update_status(tag) == "error"
    assert device.links() == {}


def test_who_has_no_token_is_not_let_in(device: DdiDevice) -> None:
    device.authorization = "TargetToken wrong"
    assert device.ask("GET", device.path)[0] == 401
