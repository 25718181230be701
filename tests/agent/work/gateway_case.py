"""One device of a gateway, with its server and its flash: the fixtures ``site`` and ``case``."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.devices import Devices, devices
from tests.agent.servers.management import HawkbitServer
from tests.agent.work.gateway_bench import Site

NAMES = [f"d{number:02}" for number in range(40)]


class Case:
    """One device, its server and its flash."""

    def __init__(self, site: Site, boards: Devices) -> None:
        self.site, self.boards = site, boards
        (self.name,) = site.addresses
        self.server = site.server
        self.known = False
        self.tag = secrets.token_hex(3)  # the server may be that of many tests

    def assign(
        self, what: str = "good", kind: str = "forced", *, files: dict[str, bytes] | None = None, **how: object
    ) -> str:
        """An action with a package of the bench, or with these files."""
        known = len(self.server.actions(self.name)) if self.known else 0
        found = files or {"dfu_application.zip": self.boards.package(what)}
        if not self.known:
            self.server.add_target(self.name)
            self.known = True
        software = self.server.upload(f"{self.name}-{what}-{known}-{self.tag}", f"{what}-{known}", found)
        return self.server.assign(software, self.name, kind, **how)  # type: ignore[arg-type]

    def status(self, number: str) -> str:
        """What the server says of an action."""
        return next(one.status for one in self.server.actions(self.name) if one.number == number)

    def messages(self, number: str) -> list[str]:
        """All messages of an action."""
        return [text for entry in self.server.history(self.name, number) for text in entry.messages]

    def runs(self, version: str) -> bool:
        """Whether both cores have this version, bit for bit."""
        return self.boards.runs(self.boards.facts()[self.name], version)


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devices]:
    """Many devices; each test takes its own."""
    with devices(tmp_path_factory.mktemp("boards"), NAMES) as found:
        yield found


@pytest.fixture(scope="module")
def free() -> Iterator[str]:
    """The names of devices that no test had."""
    return iter(NAMES)


@pytest.fixture
def site(tmp_path: Path, operator: HawkbitServer, boards: Devices, free: Iterator[str]) -> Site:
    """A gateway with one device that runs the old version."""
    name = next(free)
    operator.polling_time("00:00:00")
    return Site(tmp_path / "gw-1", operator, {name: boards.addresses[name]})


@pytest.fixture
def case(site: Site, boards: Devices) -> Case:
    return Case(site, boards)
