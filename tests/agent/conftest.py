"""What the tests of the agent share: the servers."""

from __future__ import annotations

from tests.agent.servers.fixtures import operator, server, standing, tag

__all__ = ["operator", "server", "standing", "tag"]
