"""goosebit has hawkBit's device API and not its management API: ``publish`` says so, and writes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smpdfu.agent.management.access import ManagementAccess, password_login
from smpdfu.agent.management.publish import publish
from smpdfu.errors import ServerError, ServerProtocolError, ServerRefusedError
from tests.agent.publish.publish_packages import maker, package_file
from tests.agent.servers.goosebit.server import GoosebitServer


def test_goosebit_has_no_management_api(goosebit_server: GoosebitServer, tmp_path: Path) -> None:
    access = ManagementAccess(goosebit_server.url, password_login("admin@goosebit.local", "admin"))
    with pytest.raises(ServerError) as caught:
        asyncio.run(publish([package_file(tmp_path, maker())], access))
    assert isinstance(caught.value, ServerRefusedError | ServerProtocolError)
    assert caught.value.code in ("publish-address", "web-page")
