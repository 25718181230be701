"""docs/gateways.md: a new operator types its commands, one after the other, and both devices run the release."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.agent.scenarios.gateways_page import PAGE, WRITTEN, carry_out, script
from tests.agent.servers.management import HawkbitServer, wait_for
from tests.deadlines import HANG_S
from tests.test_docs import read


@pytest.mark.skipif(sys.platform == "win32", reason="the page is written for a POSIX shell")
def test_from_an_empty_server_to_the_first_rollout(server: HawkbitServer, tmp_path: Path) -> None:
    done = carry_out(tmp_path, server)
    assert done.returncode == 0, done.stdout + done.stderr
    for device in ("roof-1", "roof-2"):
        assert [one.status for one in server.actions(device)] == ["finished"], done.stderr
        assert server.attributes(device)["smpdfu_app_version"] == "2.0.0"
        assert server.attributes(device)["smpdfu_gateway"] == "building-17"
    (rollout,) = (one for one in server.call("GET", "rollouts?limit=50")["content"] if one["name"] == "roofs-2")
    wait_for(lambda: server.rollout_facts(rollout["id"]).status == "finished", HANG_S, "the rollout is finished")


def test_the_page_has_what_the_script_replaces() -> None:
    assert WRITTEN in script(WRITTEN)
    assert script("https://other").count("https://other") == script(WRITTEN).count(WRITTEN)


def test_every_block_of_the_page_is_of_a_known_kind() -> None:
    kinds = {block.words for block in read(PAGE)}
    assert kinds == {("sh",), ("sh", "hawkbit"), ("toml",)}
