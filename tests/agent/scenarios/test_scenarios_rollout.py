"""A rollout in three groups over sixty devices behind three gateways, each in a network namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agent.devices import NEW, NEWER, OLD, Devices, devices
from tests.agent.scenarios.gateway_rig import Gateway
from tests.agent.scenarios.namespaces import namespace
from tests.agent.servers.management import HawkbitServer, wait_for
from tests.agent.servers.values import Software

GATEWAYS, DEVICES = 3, 20
TERMINALS = 2
"""Devices of each gateway that are at pseudo terminals."""
LIMIT_S = 900.0


@dataclass
class Site:
    """A gateway and its devices."""

    gateway: Gateway
    devices: Devices


@dataclass
class Fleet:
    """All gateways of a server, at work."""

    server: HawkbitServer
    tag: str
    sites: list[Site]

    def software(self, package: str, version: str) -> Software:
        """A package on the server."""
        files = {"dfu_application.zip": self.sites[0].devices.package(package)}
        return self.server.upload(f"{self.tag}-{package}", version, files)

    def rollout(self, software: Software, *, error: int) -> int:
        """Start a rollout over all devices in three groups, each after all of the one before succeeded."""
        query = f"id=={self.tag}-*"
        return self.server.rollout(f"{self.tag}-{software.version}-{software.ds}", software, query, 3, error=error)

    def wait(self, rollout: int, status: str) -> None:
        """Until the server says that the rollout is paused or finished."""

        def reached() -> bool:
            facts = self.server.rollout_facts(rollout)
            assert facts.status in ("running", status), facts
            return facts.status == status

        wait_for(reached, LIMIT_S, f"the rollout is not {status}")

    def versions(self, version: str) -> dict[str, bool]:
        """Whether each device runs a version in both cores, confirmed, bit for bit."""
        return {
            name: site.devices.runs(facts, version)
            for site in self.sites
            for name, facts in site.devices.facts().items()
        }


@pytest.fixture
def fleet(server: HawkbitServer, tag: str, tmp_path: Path) -> Iterator[Fleet]:
    """Sixty devices that registered themselves, and three agents that run."""
    server.polling_time("00:00:30")
    with ExitStack() as stack:
        sites: list[Site] = []
        for number in range(GATEWAYS):
            folder = tmp_path / f"site-{number}"
            folder.mkdir()
            prefix = stack.enter_context(namespace(str(number), server.url, folder))
            names = [f"{tag}-{number}-{one:02}" for one in range(DEVICES)]
            keys = sites[0].devices.folder if sites else None
            found = stack.enter_context(
                devices(folder / "devices", names, terminals=TERMINALS, keys_from=keys, prefix=prefix)
            )
            url, token = server.url, server.gateway_token()
            gateway = Gateway.new(folder / "g", f"g{number}", url, found.addresses, token=token, prefix=prefix)
            sites.append(Site(gateway, found))
        for site in sites:
            site.gateway.once()
            stack.enter_context(site.gateway.running())
        yield Fleet(server, tag, sites)


def test_groups_follow_each_other_and_a_bad_image_stops_at_the_first(fleet: Fleet) -> None:
    server = fleet.server
    # A bad image: more than a tenth of the first group fails, and the rollout stops there.
    bad = fleet.rollout(fleet.software("bad", NEW), error=10)
    fleet.wait(bad, "paused")
    first, second, third = server.groups(bad)
    wait_for(lambda: _open(server, bad, first.number) == 0, LIMIT_S, "the first group has open actions")
    assert server.groups(bad)[0].status == "error"
    assert (second.status, third.status) == ("scheduled", "scheduled")
    assert all(fleet.versions(OLD).values())
    failed = server.group_targets(bad, first.number)
    assert len(failed) == GATEWAYS * DEVICES // 3
    for name in failed:
        assert [one.status for one in server.actions(name)] == ["error"]
    for name in (*server.group_targets(bad, second.number), *server.group_targets(bad, third.number)):
        assert not any(one.active for one in server.actions(name))

    # A good one: group after group, until the server's account and the flash of all sixty agree.
    for package, version in (("good", NEW), ("newer", NEWER)):
        rollout = fleet.rollout(fleet.software(package, version), error=10)
        fleet.wait(rollout, "finished")
        assert [group.status for group in server.groups(rollout)] == ["finished"] * 3
        assert server.rollout_facts(rollout).counts["finished"] == GATEWAYS * DEVICES
        versions = fleet.versions(version)
        assert all(versions.values()), [name for name, there in versions.items() if not there]
        for name in versions:
            last = server.actions(name)[-1]
            assert (last.status, server.installed(name)) == ("finished", version)
            assert [entry.kind for entry in server.history(name, last.number)].count("finished") == 1
        _in_order(server, rollout)


def _open(server: HawkbitServer, rollout: int, group: int) -> int:
    return sum(server.actions(name)[-1].active for name in server.group_targets(rollout, group))


def _in_order(server: HawkbitServer, rollout: int) -> None:
    """Every action of a group began after the last one of the group before had ended."""
    ends = 0
    for group in server.groups(rollout):
        names = server.group_targets(rollout, group.number)
        times = [server.times(name, server.actions(name)[-1].number) for name in names]
        assert min(begin for begin, _ in times) >= ends, group.name
        ends = max(end for _, end in times)
