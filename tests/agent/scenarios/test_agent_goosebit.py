"""``smpdfu agent`` against the real goosebit, which gives only a SHA-1 of a file and has a part of the protocol."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smpdfu.image.keys.keys import load_private
from tests.agent.devices import NEW, NEWER, OLD, Devices, devices
from tests.agent.scenarios.gateway_rig import Gateway
from tests.agent.servers.goosebit.server import GoosebitServer
from tests.deadlines import HANG_S

PACKAGE = "dfu_application.zip"


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devices]:
    """Devices that run the old version."""
    with devices(tmp_path_factory.mktemp("goosebit-boards"), [f"gb-{number}" for number in range(1, 7)]) as found:
        yield found


def gateway(
    folder: Path, server: GoosebitServer, boards: Devices, *names: str, update: str = "", **more: str
) -> Gateway:
    """A gateway with these devices, which goosebit knows."""
    folder.mkdir()
    (folder / "sign.pub.pem").write_bytes(load_private((boards.folder / "signing.pem").read_bytes()).public.to_pem())
    tokens = {name: server.add_target(name) for name in names}
    addresses = {name: boards.addresses[name] for name in names}
    return Gateway.new(
        folder,
        "gw-1",
        server.url,
        addresses,
        target_tokens=tokens,
        update=f'trust = ["sign.pub.pem"]\n{update}',
        **more,
    )


def wait_until(true: Callable[[], bool]) -> None:
    """Look until it is true."""
    end = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def runs(boards: Devices, *names: str) -> list[str]:
    """The version that each device has, in the flash of both cores."""
    facts = boards.facts()
    return [next(one for one in (OLD, NEW, NEWER) if boards.runs(facts[name], one)) for name in names]


def test_updates_and_two_files_that_are_refused(
    goosebit_server: GoosebitServer, boards: Devices, tmp_path: Path
) -> None:
    server, names = goosebit_server, ("gb-1", "gb-2", "gb-3")
    site = gateway(tmp_path / "gw", server, boards, *names, artifacts="allow_sha1 = true")
    site.once()
    assert {server.update_status(name) for name in names} == {"registered"}

    good = boards.package("good")
    assigned = {
        "gb-1": server.upload("good", "2.0.0", {PACKAGE: good}),
        "gb-2": server.upload("damaged", "2.0.0", {PACKAGE: good}, sha1="ab" * 20),
        "gb-3": server.upload("stranger", "2.0.0", {PACKAGE: boards.package("bad")}),
    }
    actions = [server.assign(software, name) for name, software in assigned.items()]
    done = site.once(7).round
    assert (done["ended"], sorted(done["failed"])) == (["gb-1"], ["gb-2", "gb-3"])
    assert [server.update_status(name) for name in names] == ["in_sync", "error", "error"]
    assert runs(boards, *names) == [NEW, OLD, OLD]
    assert "The application core runs version 2.0.0." in server.log("gb-1")
    assert server.device("gb-1")["sw_version"] == "2.0.0"
    assert "the SHA-1 of dfu_application.zip is not the one that the server said" in server.log("gb-2")
    assert "Cause: preflight: untrusted" in server.log("gb-3")

    newer = server.upload("newer", "3.0.0", {PACKAGE: boards.package("newer")})
    actions.append(server.assign(newer, "gb-1"))
    with site.running():
        wait_until(lambda: server.device("gb-1")["sw_version"] == "3.0.0")
    assert server.update_status("gb-1") == "in_sync"
    assert runs(boards, *names) == [NEWER, OLD, OLD]

    events = site.events()
    assert sorted(one["action"] for one in events if one["event"] == "action") == sorted(actions)
    assert sum(one["event"] == "step" and one["number"] == 1 for one in events) == 2, "each is installed once"
    ready = {one["sha256"]: one["checked_by"] for one in events if one["event"] == "package"}
    kept = {path.name for path in (site.folder / "state" / "artifacts").iterdir()}
    assert set(ready.values()) == {"sha1"}
    assert kept >= {hashlib.sha256(boards.package(name)).hexdigest() for name in ("good", "newer")} == set(ready)


def test_other_software_takes_the_place_of_what_was_not_installed(
    goosebit_server: GoosebitServer, boards: Devices, tmp_path: Path
) -> None:
    server, name = goosebit_server, "gb-5"
    site = gateway(tmp_path / "gw", server, boards, name, artifacts="allow_sha1 = true")
    site.once()
    first = server.assign(server.upload("good", "2.0.0", {PACKAGE: boards.package("good")}), name)
    table, there = site.folder / "devices.csv", boards.addresses[name]
    table.write_text(table.read_text().replace(there, "udp:127.0.0.1:9"))
    assert site.once(8).round["waiting"] == [name]
    second = server.assign(server.upload("newer", "3.0.0", {PACKAGE: boards.package("newer")}), name)
    table.write_text(table.read_text().replace("udp:127.0.0.1:9", there))
    assert site.once().round["ended"] == [name]
    assert (runs(boards, name), server.device(name)["sw_version"]) == ([NEWER], "3.0.0")
    events = site.events()
    assert [one["action"] for one in events if one["event"] == "action-over"] == [first]
    assert [(one["action"], one["outcome"]) for one in events if one["event"] == "action-ended"] == [(second, "done")]


def test_a_software_that_comes_again_after_another_one_is_installed_again(
    goosebit_server: GoosebitServer, boards: Devices, tmp_path: Path
) -> None:
    server, name = goosebit_server, "gb-6"
    site = gateway(tmp_path / "gw", server, boards, name, artifacts="allow_sha1 = true", update="no_downgrade = false")
    site.once()
    good, newer = (server.upload(f"{one}-again", one, {PACKAGE: boards.package(one)}) for one in ("good", "newer"))
    for software, version in ((good, NEW), (newer, NEWER), (good, NEW)):
        server.assign(software, name)
        assert site.once().round["ended"] == [name]
        assert runs(boards, name) == [version]
    ended = [(one["action"], one["outcome"]) for one in site.events() if one["event"] == "action-ended"]
    assert len({action for action, _ in ended}) == 2
    assert [outcome for _, outcome in ended] == ["done"] * 3


def test_without_the_switch_the_operator_sees_what_to_do(
    goosebit_server: GoosebitServer, boards: Devices, tmp_path: Path
) -> None:
    site = gateway(tmp_path / "gw", goosebit_server, boards, "gb-4")
    site.once()
    goosebit_server.assign(goosebit_server.upload("good", "2.0.0", {PACKAGE: boards.package("good")}), "gb-4")
    assert site.once(7).round["failed"] == ["gb-4"]
    assert goosebit_server.update_status("gb-4") == "error"
    said = goosebit_server.log("gb-4")
    assert "only a SHA-1" in said
    assert "add allow_sha1 = true to [artifacts] in the agent's file" in said
    assert runs(boards, "gb-4") == [OLD]
