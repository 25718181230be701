"""What the tests of the agent share: the servers."""

from __future__ import annotations

from tests.agent.servers.fixtures import goosebit_server, hawkbit_server, operator, server, standing, tag

__all__ = ["goosebit_server", "hawkbit_server", "operator", "server", "standing", "tag"]
