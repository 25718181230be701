"""What the tests of the agent share: the servers, and a gateway with one device."""

from __future__ import annotations

from tests.agent.servers.fixtures import goosebit_server, hawkbit_server, operator, server, standing, tag
from tests.agent.work.gateway_case import boards, case, free, site

__all__ = [
    "boards",
    "case",
    "free",
    "goosebit_server",
    "hawkbit_server",
    "operator",
    "server",
    "site",
    "standing",
    "tag",
]
