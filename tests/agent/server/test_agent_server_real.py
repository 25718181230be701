"""The client of DDI and the folder of artifacts against real servers: hawkBit, and the stand-in that is held to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from smpdfu.agent.artifacts.cache import ArtifactCache
from smpdfu.agent.artifacts.partial import PartialFile
from smpdfu.agent.ddi.answers import Reaction, reaction
from smpdfu.agent.ddi.config_data import ConfigData, Mode
from smpdfu.agent.ddi.feedback import Confirmation, ConfirmationFeedback, Execution, Feedback, Finished
from smpdfu.agent.ddi.polling import interval_of
from smpdfu.agent.ddi.resources import Artifact, Handling, MaintenanceWindow
from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.server.client import DdiClient
from smpdfu.errors import ServerRefusedError
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.values import Software, Window

FILE = random.Random(5).randbytes(500_000)


class Watched:
    """A sink that notes when it begins anew."""

    def __init__(self, sink: PartialFile, restarts: list[int]) -> None:
        self._sink = sink
        self._restarts = restarts

    @property
    def size_bytes(self) -> int:
        return self._sink.size_bytes

    def restart(self) -> None:
        self._restarts.append(0)
        self._sink.restart()

    def write(self, data: bytes) -> None:
        self._sink.write(data)


Work = Callable[[DdiClient], Awaitable[None]]


@pytest.fixture
def software(server: HawkbitServer, tag: str) -> Software:
    return server.upload(tag, "1.0.0", {"app.zip": FILE})


def run(server: HawkbitServer, work: Work, token: Token | None = None) -> None:
    async def main() -> None:
        shown = token or Token.of_gateway(server.gateway_token())
        async with DdiClient(ServerAddress(server.url, server.tenant), lambda _: shown) as client:
            await work(client)

    asyncio.run(main())


def status_of(error: ServerRefusedError) -> tuple[int, Reaction]:
    return error.status, reaction(error.status, error.server_code)


def test_a_target_registers_tells_its_attributes_and_polls_cheaply(server: HawkbitServer, tag: str) -> None:
    async def work(client: DdiClient) -> None:
        base = await client.get_base(tag)
        assert base.config_data is not None
        assert interval_of(base.sleep) >= 30
        assert await client.get_base(tag) is base  # 304
        await client.put_config_data(tag, ConfigData({"hardware": "nrf5340dk", "h\u00f6he": "3"}), base.config_data)
        assert server.attributes(tag) == {"hardware": "nrf5340dk", "h?he": "3"}
        await client.put_config_data(tag, ConfigData({"h?he": ""}, Mode.REMOVE))
        assert server.attributes(tag) == {"hardware": "nrf5340dk"}
        await client.put_config_data(tag, ConfigData({"version": "2"}, Mode.REPLACE))
        assert server.attributes(tag) == {"version": "2"}

    run(server, work)


def test_an_action_goes_through_its_phases(server: HawkbitServer, software: Software, tag: str, tmp_path: Path) -> None:
    async def work(client: DdiClient) -> None:
        await client.get_base(tag)
        action = server.assign(software, tag)
        base = await client.get_base(tag)
        assert base.deployment is not None
        found = await client.get_deployment(tag, base.deployment)
        assert (found.id, found.download, found.update) == (action, Handling.FORCED, Handling.FORCED)
        assert found.maintenance_window is None
        await client.send_feedback(tag, action, Feedback(Execution.DOWNLOAD), base.deployment)
        with ArtifactCache(tmp_path, 1 << 20) as cache:
            (artifact,) = found.artifacts
            async with cache.hold(artifact, partial(client.download, tag)) as path:
                assert path.read_bytes() == FILE
        await client.send_feedback(tag, action, Feedback(Execution.DOWNLOADED))
        for number in (1, 2):
            step = Feedback(Execution.PROCEEDING, details=(f"step {number}",), progress=(number, 2))
            await client.send_feedback(tag, action, step)
        again = await client.get_deployment(tag, base.deployment, history=10)
        assert again.history is not None
        assert {"step 1", "step 2"} <= set(again.history.messages)
        await client.send_feedback(tag, action, Feedback(Execution.CLOSED, Finished.SUCCESS, ("done",)))
        with pytest.raises(ServerRefusedError) as raised:
            await client.send_feedback(tag, action, Feedback(Execution.CLOSED, Finished.SUCCESS, ("done",)))
        assert status_of(raised.value) == (410, Reaction.OVER)
        base = await client.get_base(tag)
        assert base.deployment is None
        assert base.installed is not None
        assert (await client.get_installed(tag, base.installed)).id == action

    run(server, work)
    assert server.update_status(tag) == "in_sync"


def test_a_broken_download_is_continued_by_range(
    server: HawkbitServer, software: Software, tag: str, tmp_path: Path
) -> None:
    async def work(client: DdiClient) -> None:
        await client.get_base(tag)
        server.assign(software, tag)
        base = await client.get_base(tag)
        (artifact,) = (await client.get_deployment(tag, str(base.deployment))).artifacts
        (tmp_path / f"{artifact.sha256}.part").write_bytes(FILE[:123_456])
        sizes: list[int] = []

        async def download(wanted: Artifact, sink: PartialFile) -> None:
            sizes.append(sink.size_bytes)
            await client.download(tag, wanted, Watched(sink, sizes))

        with ArtifactCache(tmp_path, 1 << 20) as cache:
            async with cache.hold(artifact, download) as path:
                assert path.read_bytes() == FILE
        assert sizes == [123_456]  # it never began anew

    run(server, work)


def test_a_cancellation_is_accepted(server: HawkbitServer, software: Software, tag: str) -> None:
    async def work(client: DdiClient) -> None:
        await client.get_base(tag)
        action = server.assign(software, tag)
        link = (await client.get_base(tag)).deployment
        server.cancel(tag, action)
        base = await client.get_base(tag)
        assert base.deployment is None
        cancel = await client.get_cancel(tag, str(base.cancel))
        assert cancel.stop_id == action
        with pytest.raises(ServerRefusedError) as raised:
            await client.get_deployment(tag, str(link))
        assert status_of(raised.value) == (404, Reaction.UNKNOWN)
        await client.send_cancel_feedback(tag, cancel.id, Feedback(Execution.CLOSED, Finished.SUCCESS), base.cancel)

    run(server, work)
    assert [(one.status, one.active) for one in server.actions(tag)] == [("canceled", False)]


def test_a_confirmation_is_given(server: HawkbitServer, software: Software, tag: str) -> None:
    async def work(client: DdiClient) -> None:
        await client.get_base(tag)
        server.confirmation_flow(enabled=True)
        action = server.assign(software, tag, confirm=True)
        link = (await client.get_base(tag)).confirmation
        waiting = await client.get_confirmation(tag, str(link))
        assert waiting is not None
        assert waiting.id == action
        await client.confirm(tag, action, ConfirmationFeedback(Confirmation.CONFIRMED, ("yes",)), link)
        base = await client.get_base(tag)
        assert (await client.get_deployment(tag, str(base.deployment))).id == action

    run(server, work)


def test_a_maintenance_window_is_read(server: HawkbitServer, software: Software, tag: str) -> None:
    async def work(client: DdiClient) -> None:
        await client.get_base(tag)
        server.assign(software, tag, window=Window.from_now(7200))
        found = await client.get_deployment(tag, str((await client.get_base(tag)).deployment))
        assert found.maintenance_window is MaintenanceWindow.UNAVAILABLE
        assert (found.download, found.update) == (Handling.FORCED, Handling.SKIP)

    run(server, work)


def test_wrong_tokens_and_ids_are_refused_in_words(server: HawkbitServer, software: Software, tag: str) -> None:
    async def unauthorised(client: DdiClient) -> None:
        with pytest.raises(ServerRefusedError, match="does not accept the token") as raised:
            await client.get_base(tag)
        assert status_of(raised.value)[1] is Reaction.CREDENTIALS
        assert "wrong-token" not in f"{raised.value!r} {vars(raised.value)}"

    async def work(client: DdiClient) -> None:
        await client.get_base(tag)
        for controller in (f"{tag}/x", f"{tag}\\x"):
            with pytest.raises(ServerRefusedError) as raised:
                await client.get_base(controller)
            assert status_of(raised.value) == (400, Reaction.REFUSED)
        await client.get_base(f"{tag}\u00fc?#")
        with pytest.raises(ServerRefusedError) as raised:
            await client.send_feedback(tag, "999999999", Feedback(Execution.DOWNLOAD))
        assert status_of(raised.value) == (404, Reaction.UNKNOWN)

    server.gateway_token()
    run(server, unauthorised, Token.of_gateway("wrong-token"))
    run(server, work)


def test_a_full_history_is_a_quota_and_the_end_is_taken(operator: HawkbitServer, tag: str) -> None:
    """Against the stand-in only: hawkBit 1.1.0 does the same, and takes two minutes for 1,001 statuses."""

    async def fill(client: DdiClient, action: str) -> None:
        for _ in range(1001):
            await client.send_feedback(tag, action, Feedback(Execution.PROCEEDING, details=("step",)))

    async def work(client: DdiClient) -> None:
        await client.get_base(tag)
        action = operator.assign(operator.upload(tag, "1.0.0", {"app.zip": FILE}), tag)
        with pytest.raises(ServerRefusedError) as raised:
            await fill(client, action)
        assert status_of(raised.value) == (429, Reaction.QUOTA)
        await client.send_feedback(tag, action, Feedback(Execution.CLOSED, Finished.FAILURE, ("it reverted",)))

    run(operator, work)
    assert operator.update_status(tag) == "error"
