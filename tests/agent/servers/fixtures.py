"""The servers as fixtures: each test that takes ``server`` runs against every server that can be had."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.agent.servers.goosebit.server import GoosebitServer, goosebit
from tests.agent.servers.hawkbit import NotThereError, hawkbit
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.serve import StandIn, stand_in


@pytest.fixture
def standing() -> Iterator[StandIn]:
    """The stand-in with its switches for faults."""
    with stand_in() as server:
        yield server


@pytest.fixture
def operator(standing: StandIn) -> HawkbitServer:
    """An operator of the stand-in."""
    return HawkbitServer("stand-in", standing.url)


@pytest.fixture
def tag() -> str:
    """Letters that make names of this test its own, on a server that many tests share."""
    return "t" + secrets.token_hex(4)


@pytest.fixture(scope="session")
def hawkbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HawkbitServer]:
    """The real hawkBit, one for all tests of this worker."""
    try:
        with hawkbit(tmp_path_factory.mktemp("hawkbit")) as found:
            yield found
    except NotThereError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def goosebit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoosebitServer]:
    """The real goosebit, one for all tests of this worker."""
    try:
        with goosebit(tmp_path_factory.mktemp("goosebit") / "server") as found:
            yield found
    except NotThereError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["stand-in", "hawkbit"])
def server(request: pytest.FixtureRequest) -> Iterator[HawkbitServer]:
    """A server with hawkBit's interfaces: the stand-in, and the real one."""
    which = {"stand-in": "operator", "hawkbit": "hawkbit_server"}[request.param]
    found: HawkbitServer = request.getfixturevalue(which)
    found.gateway_token()
    yield found
    with suppress(OSError):  # a test may have ended the server
        found.confirmation_flow(enabled=False)
        found.polling_time("00:05:00")
