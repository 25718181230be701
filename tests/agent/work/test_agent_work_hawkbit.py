"""The same actions, ordered from the real hawkBit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.devices import Devices
from tests.agent.servers.management import HawkbitServer
from tests.agent.work.gateway_bench import Site
from tests.agent.work.test_agent_gateways import (
    second,
    test_a_second_gateway_leaves_an_action_to_the_first,
    test_an_action_that_a_person_ends_by_force_is_forgotten,
    test_another_action_waits_until_the_server_ended_the_first,
    test_who_has_access_to_the_attributes_sees_the_later_claim,
)
from tests.agent.work.test_agent_work import (
    test_a_download_only_action,
    test_a_maintenance_window,
    test_an_agent_that_is_stopped_continues,
    test_an_image_that_the_bootloader_refuses_is_a_failure_with_its_cause,
    test_an_update,
    test_consent,
    test_files_that_are_no_package,
    test_one_action_after_the_other_and_the_same_version_again,
)

__all__ = [
    "second",
    "test_a_download_only_action",
    "test_a_maintenance_window",
    "test_a_second_gateway_leaves_an_action_to_the_first",
    "test_an_action_that_a_person_ends_by_force_is_forgotten",
    "test_an_agent_that_is_stopped_continues",
    "test_an_image_that_the_bootloader_refuses_is_a_failure_with_its_cause",
    "test_an_update",
    "test_another_action_waits_until_the_server_ended_the_first",
    "test_consent",
    "test_files_that_are_no_package",
    "test_one_action_after_the_other_and_the_same_version_again",
    "test_who_has_access_to_the_attributes_sees_the_later_claim",
]


@pytest.fixture
def site(tmp_path: Path, hawkbit_server: HawkbitServer, boards: Devices, free: Iterator[str]) -> Iterator[Site]:
    """A gateway with one device that runs the old version."""
    name = next(free)
    yield Site(tmp_path / "gw-1", hawkbit_server, {name: boards.addresses[name]})
    hawkbit_server.confirmation_flow(enabled=False)
