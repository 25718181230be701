"""The agent's command line against servers, with virtual devices: what an operator orders, and what becomes of it.

Each test compares the server's own account of a device with the device's real flash.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.devices import NEW, NEWER, OLD, Devices, devices
from tests.agent.scenarios.gateway_rig import Gateway
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.values import Kind, Software, Window

FAILED, UNFINISHED = 7, 8


@pytest.fixture
def roof(tag: str, tmp_path: Path) -> Iterator[Devices]:
    """Two devices: one at a UDP port, one at a pseudo terminal."""
    with devices(tmp_path / "devices", [f"{tag}-1", f"{tag}-2"], terminals=1) as found:
        yield found


@pytest.fixture
def gateway(roof: Devices, server: HawkbitServer, tmp_path: Path) -> Gateway:
    """The gateway of both."""
    return Gateway.new(tmp_path / "gateway", "g1", server.url, roof.addresses, token=server.gateway_token())


@pytest.fixture
def good(roof: Devices, server: HawkbitServer, tag: str) -> Software:
    """Version 2 on the server."""
    return server.upload(tag, NEW, {"dfu_application.zip": roof.package("good")})


def states(server: HawkbitServer, name: str) -> list[str]:
    """The states of a target's actions, oldest first."""
    return [one.status for one in server.actions(name)]


def all_run(roof: Devices, version: str) -> bool:
    """Whether every device runs this version, confirmed, bit for bit in both cores."""
    return all(roof.runs(one, version) for one in roof.facts().values())


def said(server: HawkbitServer, name: str, action: str) -> str:
    """All messages of an action's history."""
    return "\n".join(line for entry in server.history(name, action) for line in entry.messages)


def test_a_device_registers_and_says_what_it_is(server: HawkbitServer, roof: Devices, gateway: Gateway) -> None:
    gateway.once()
    for name, wire in zip(roof.addresses, ("udp", "serial"), strict=True):
        found = server.attributes(name)
        assert server.update_status(name) == "registered"
        assert (found["smpdfu_app_version"], found["smpdfu_gateway"], found["smpdfu_scheme"]) == (OLD, "g1", "staged")
        assert found["smpdfu_wire"] == wire


@pytest.mark.parametrize("kind", ["forced", "soft", "timeforced"])
def test_an_action_is_installed_once(
    server: HawkbitServer, roof: Devices, gateway: Gateway, good: Software, kind: Kind
) -> None:
    gateway.once()
    actions = {name: server.assign(good, name, kind) for name in roof.addresses}
    assert sorted(gateway.once().round["ended"]) == sorted(roof.addresses)
    assert all_run(roof, NEW)
    boots = {name: one.boots for name, one in roof.facts().items()}
    for name, action in actions.items():
        assert states(server, name) == ["finished"]
        assert (server.update_status(name), server.installed(name)) == ("in_sync", NEW)
        assert server.attributes(name)["smpdfu_app_version"] == NEW
        history = server.history(name, action)
        assert [entry.kind for entry in history].count("finished") == 1
        assert f"The application core runs version {NEW}." in history[-1].messages
    assert gateway.once().round["ended"] == []
    assert {name: one.boots for name, one in roof.facts().items()} == boots


def test_a_download_only_action_is_fetched_and_no_more(
    server: HawkbitServer, roof: Devices, gateway: Gateway, good: Software
) -> None:
    for name in roof.addresses:
        server.add_target(name)
        server.assign(good, name, "downloadonly")
    gateway.once()
    assert all_run(roof, OLD)
    for name in roof.addresses:
        assert (states(server, name), server.update_status(name)) == (["downloaded"], "in_sync")


def test_a_maintenance_window_is_waited_for(
    server: HawkbitServer, roof: Devices, gateway: Gateway, good: Software
) -> None:
    first, second = roof.addresses
    server.add_target(first)
    server.add_target(second)
    server.assign(good, first, window=Window.from_now(-60))
    later = server.assign(good, second, window=Window.from_now(7200))
    gateway.once(UNFINISHED)
    facts = roof.facts()
    assert roof.runs(facts[first], NEW)
    assert roof.runs(facts[second], OLD)
    (waiting,) = server.actions(second)
    assert waiting.active
    assert "downloaded" in [entry.kind for entry in server.history(second, later)]  # fetched and checked, not installed


def test_an_action_waits_for_consent(server: HawkbitServer, roof: Devices, gateway: Gateway, good: Software) -> None:
    name, other = roof.addresses
    server.add_target(name)
    server.confirmation_flow(enabled=True)
    action = server.assign(good, name, confirm=True)
    gateway.once(0, UNFINISHED)
    assert states(server, name) == ["wait_for_confirmation"]
    assert all_run(roof, OLD)
    server.confirm(name, action)
    gateway.once()
    assert states(server, name) == ["finished"]
    facts = roof.facts()
    assert roof.runs(facts[name], NEW)
    assert roof.runs(facts[other], OLD)


def test_the_gateway_can_consent(server: HawkbitServer, roof: Devices, tmp_path: Path, good: Software) -> None:
    name, _ = roof.addresses
    token, consents = server.gateway_token(), 'confirmation = "confirm"'
    gateway = Gateway.new(tmp_path / "g", "g1", server.url, roof.addresses, token=token, agent=consents)
    server.add_target(name)
    server.confirmation_flow(enabled=True)
    server.assign(good, name, confirm=True)
    gateway.once()
    assert states(server, name) == ["finished"]
    assert roof.runs(roof.facts()[name], NEW)


def test_a_cancellation_before_the_first_step_is_accepted(
    server: HawkbitServer, roof: Devices, gateway: Gateway, good: Software
) -> None:
    name, _ = roof.addresses
    server.add_target(name)
    action = server.assign(good, name, window=Window.from_now(7200))
    gateway.once(UNFINISHED)
    server.cancel(name, action)
    gateway.once()
    assert states(server, name) == ["canceled"]
    assert all_run(roof, OLD)


def test_a_second_action_replaces_the_first(
    server: HawkbitServer, roof: Devices, gateway: Gateway, good: Software, tag: str
) -> None:
    gateway.once()
    for name in roof.addresses:
        server.assign(good, name)
    newer = server.upload(tag, NEWER, {"dfu_application.zip": roof.package("newer")})
    for name in roof.addresses:
        server.assign(newer, name)
    gateway.once()
    assert all_run(roof, NEWER)
    for name in roof.addresses:
        assert (states(server, name), server.installed(name)) == (["canceled", "finished"], NEWER)


def test_one_release_follows_another(
    server: HawkbitServer, roof: Devices, gateway: Gateway, good: Software, tag: str
) -> None:
    newer = server.upload(tag, NEWER, {"dfu_application.zip": roof.package("newer")})
    gateway.once()
    for software, version in ((good, NEW), (newer, NEWER)):
        for name in roof.addresses:
            server.assign(software, name)
        gateway.once()
        assert all_run(roof, version)
        assert {server.installed(name) for name in roof.addresses} == {version}


def test_an_image_that_the_bootloader_refuses_fails_and_leaves_the_old_one(
    server: HawkbitServer, roof: Devices, gateway: Gateway, tag: str
) -> None:
    bad = server.upload(tag, NEW, {"dfu_application.zip": roof.package("bad")})
    gateway.once()
    actions = {name: server.assign(bad, name) for name in roof.addresses}
    assert sorted(gateway.once(FAILED).round["failed"]) == sorted(roof.addresses)
    assert all_run(roof, OLD)
    for name, action in actions.items():
        assert (states(server, name), server.update_status(name)) == (["error"], "error")
        last = server.history(name, action)[-1]
        assert last.kind == "error"
        assert "Cause: the device went back to its previous firmware." in last.messages


@pytest.mark.parametrize("data", [b"", b"no package", b"PK\x03\x04 cut off"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_package_fails_and_says_so(
    server: HawkbitServer, roof: Devices, gateway: Gateway, tag: str, data: bytes
) -> None:
    if server.name == "hawkbit" and not data:
        pytest.skip("hawkBit takes no empty file")
    name, _ = roof.addresses
    server.add_target(name)
    action = server.assign(server.upload(tag, NEW, {"dfu_application.zip": data}), name)
    gateway.once(FAILED)
    assert states(server, name) == ["error"]
    cause = "no usable package" if data else "the artifact"
    assert f"Cause: {cause}." in said(server, name, action)
    assert all_run(roof, OLD)


def test_a_package_of_a_stranger_is_refused_with_its_finding(
    server: HawkbitServer, roof: Devices, tmp_path: Path, good: Software
) -> None:
    name, _ = roof.addresses
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes((Path(__file__).parents[3] / "keys" / "dev-sign-p256.pub.pem").read_bytes())
    token, trust = server.gateway_token(), f'trust = ["{stranger}"]'
    gateway = Gateway.new(tmp_path / "g", "g1", server.url, roof.addresses, token=token, update=trust)
    server.add_target(name)
    action = server.assign(good, name)
    gateway.once(FAILED)
    assert states(server, name) == ["error"]
    assert "Cause: preflight: untrusted" in said(server, name, action)
    assert all_run(roof, OLD)
    assert roof.facts()[name].boots == 1


def test_target_tokens_are_enough(server: HawkbitServer, roof: Devices, tmp_path: Path, good: Software) -> None:
    tokens = {name: server.add_target(name) for name in roof.addresses}
    gateway = Gateway.new(tmp_path / "g", "g1", server.url, roof.addresses, target_tokens=tokens)
    for name in roof.addresses:
        server.assign(good, name)
    gateway.once()
    assert all_run(roof, NEW)
    assert all(states(server, name) == ["finished"] for name in roof.addresses)
    assert not any(token in gateway.log() for token in tokens.values())
