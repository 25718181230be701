"""An agent of a gateway in this process, against a server over HTTP and devices in a process of their own."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from smpdfu.agent.actions.events import ActionWaits, AgentEvent, PollFailed, StepBegins
from smpdfu.agent.work.gateway import AgentRound, Gateway
from smpdfu.agent.work.opening import load_agent_file, open_gateway
from smpdfu.agent.work.ports import AttributesOf, Pace, Ports
from smpdfu.library import journal_of
from tests.agent.servers.management import HawkbitServer
from tests.deadlines import HANG_S

QUICK = Pace(
    first_pause_s=0.05,
    first_retry_s=0.05,
    most_retry_s=0.2,
    least_interval_s=0.1,
    denied_s=0.2,
    lost_s=0.1,
    first_read_s=3600.0,
)
T = TypeVar("T")


@dataclass
class Site:
    """A gateway with its file and its folder. ``events`` are what its agent reported, ``then`` is called with each."""

    folder: Path
    server: HawkbitServer
    addresses: Mapping[str, str]
    gateway: str = "gw-1"
    agent: str = ""
    update: str = 'ncs = "3.2"'
    limits: str = ""
    pace: Pace = QUICK
    attributes_of: AttributesOf | None = None
    events: list[AgentEvent] = field(default_factory=list)
    then: Callable[[AgentEvent], None] = lambda event: None
    change: Callable[[Ports], Ports] = lambda ports: ports

    @property
    def path(self) -> Path:
        """The agent's file, as the fields say."""
        self.folder.mkdir(parents=True, exist_ok=True)
        token = self.folder / "gateway.token"
        token.write_text(self.server.gateway_token())
        token.chmod(0o600)
        lines = ["name,address", *(f"{name},{address}" for name, address in self.addresses.items())]
        (self.folder / "devices.csv").write_text("\n".join(lines) + "\n")
        path = self.folder / "agent.toml"
        path.write_text(
            f'[agent]\ngateway = "{self.gateway}"\ndevices = "devices.csv"\nstate = "state"\n{self.agent}\n'
            f'[server]\nurl = "{self.server.url}"\ntenant = "{self.server.tenant}"\n'
            f"[limits]\n{self.limits}\n"
            f'[authentication]\ngateway_token_file = "gateway.token"\n[update]\n{self.update}\n'
        )
        return path

    def _watch(self, event: AgentEvent) -> None:
        self.events.append(event)
        self.then(event)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Gateway]:
        """The agent, opened by its file."""
        how: dict[str, Any] = {"pace": self.pace, "attributes_of": self.attributes_of}
        async with open_gateway(load_agent_file(self.path), None, self._watch, **how) as gateway:
            gateway._ports = self.change(gateway._ports)
            yield gateway

    def once(self) -> AgentRound:
        """One round of the agent."""

        async def act() -> AgentRound:
            async with asyncio.timeout(HANG_S), self.open() as gateway:
                return await gateway.once()

        return asyncio.run(act())

    def run_until(self, true: Callable[[], bool]) -> None:
        """Run the agent until this is true, and let it end."""

        async def act() -> None:
            async with asyncio.timeout(HANG_S), self.open() as gateway:
                task = asyncio.create_task(gateway.run())
                while not await asyncio.to_thread(true):
                    await asyncio.wait([task], timeout=0.02)
                    if task.done():
                        break
                gateway.stop()
                await task

        asyncio.run(act())

    def run_until_step(self, step: str) -> None:
        """Run the agent until a step of this name begins, and stop it there."""

        async def act() -> None:
            async with asyncio.timeout(HANG_S), self.open() as gateway:
                self.then = at_step(step, gateway.stop)
                await gateway.run()

        asyncio.run(act())
        self.then = lambda event: None

    def of(self, kind: type[T]) -> list[T]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def journal(self, name: str) -> list[dict[str, Any]]:
        """The lines of a device's journal."""
        path = journal_of(self.addresses[name])
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def begun(self, name: str) -> list[str]:
        """The ids of the actions with which updates of a device began."""
        return [line.get("action", {}).get("id", "") for line in self.journal(name) if "update" in line]


def at_step(name: str, act: Callable[[], None]) -> Callable[[AgentEvent], None]:
    """Calls ``act`` when the first step of this name begins."""
    done: list[bool] = []

    def watch(event: AgentEvent) -> None:
        if isinstance(event, StepBegins) and event.step == name and not done:
            done.append(True)
            act()

    return watch


def causes(site: Site) -> list[str]:
    """Why its actions waited."""
    return [event.cause for event in site.of(ActionWaits)]


def refusals(site: Site) -> list[int]:
    """The statuses of polls that failed."""
    return [event.status for event in site.of(PollFailed)]


@contextmanager
def other_place(site: Site, name: str, address: str) -> Iterator[None]:
    """A device of the site is somewhere else for a while."""
    before = site.addresses
    site.addresses = {**before, name: address}
    yield
    site.addresses = before


@contextmanager
def slow_wire(site: Site, name: str, delay_s: float) -> Iterator[None]:
    """Each datagram to a device of the site waits so long."""
    host, _, port = site.addresses[name].removeprefix("udp:").rpartition(":")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        near.bind(("127.0.0.1", 0))
        far.connect((host, int(port)))
        ended = threading.Event()
        thread = threading.Thread(target=_relay, args=(near, far, delay_s, ended))
        thread.start()
        try:
            with other_place(site, name, f"udp:127.0.0.1:{near.getsockname()[1]}"):
                yield
        finally:
            ended.set()
            thread.join()


def _relay(near: socket.socket, far: socket.socket, delay_s: float, ended: threading.Event) -> None:
    client = None
    while not ended.is_set():
        for ready in select.select([near, far], [], [], 0.05)[0]:
            with suppress(OSError):
                if ready is near:
                    data, client = near.recvfrom(65536)
                    time.sleep(delay_s)
                    far.send(data)
                elif client is not None:
                    near.sendto(far.recv(65536), client)
