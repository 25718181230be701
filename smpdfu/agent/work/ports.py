"""What the work on devices needs of the world: the server, the artifacts, the records, the wires, time and chance."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from smpdfu.agent.actions.events import Watch, ignore
from smpdfu.agent.actions.record_files import RecordFiles
from smpdfu.agent.artifacts.cache import Download
from smpdfu.agent.ddi.config_data import ConfigData
from smpdfu.agent.ddi.feedback import ConfirmationFeedback, Feedback
from smpdfu.agent.ddi.polling import FIRST_PAUSE_S, LEAST_INTERVAL_S
from smpdfu.agent.ddi.resources import Artifact, Base, Cancel, Deployment
from smpdfu.agent.server.client import Sink
from smpdfu.agent.work.limits import Limits
from smpdfu.agent.work.packages import Packages
from smpdfu.client import Client
from smpdfu.dfu.fleet.description.device_list import FleetDevice
from smpdfu.dfu.fleet.reach import ClientFor


class Server(Protocol):
    """What is used of ``DdiClient``. Every method raises ServerError."""

    async def get_base(self, controller: str) -> Base: ...
    async def get_deployment(self, controller: str, link: str, *, history: int = 0) -> Deployment: ...
    async def get_cancel(self, controller: str, link: str) -> Cancel: ...
    async def get_confirmation(self, controller: str, link: str) -> Deployment | None: ...
    async def put_config_data(self, controller: str, data: ConfigData, link: str | None = None) -> None: ...
    async def send_feedback(
        self, controller: str, action: str, feedback: Feedback, link: str | None = None
    ) -> None: ...
    async def send_cancel_feedback(
        self, controller: str, cancel: str, feedback: Feedback, link: str | None = None
    ) -> None: ...
    async def confirm(
        self, controller: str, action: str, feedback: ConfirmationFeedback, link: str | None = None
    ) -> None: ...
    async def download(self, controller: str, artifact: Artifact, sink: Sink) -> None: ...


class Cache(Protocol):
    """What is used of ``ArtifactCache``."""

    def hold(self, artifact: Artifact, download: Download) -> AbstractAsyncContextManager[Path]: ...


AttributesOf = Callable[[str], Awaitable[Mapping[str, str]]]
"""Gives the attributes of a target, by the management API. Raises ServerError."""
FindDevices = Callable[[], Awaitable[Mapping[str, FleetDevice]]]
"""Searches for devices by the rule of the agent's file, by controller id. Raises SmpdfuError or OSError."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds. An attempt that failed is made again after ``first_retry_s``, then after twice that, and so on.

    ``least_interval_s`` is the shortest interval of polls that the server can ask for. ``first_pause_s`` is the pause
    after a poll that failed, ``denied_s`` the least one after the server refused the token. ``lost_s`` is the least
    interval for a device of another gateway. A device that did not answer is read again after ``first_read_s``.
    """

    first_retry_s: float = 60.0
    most_retry_s: float = 3600.0
    least_interval_s: float = LEAST_INTERVAL_S
    first_pause_s: float = FIRST_PAUSE_S
    denied_s: float = 900.0
    lost_s: float = 900.0
    first_read_s: float = 300.0
    most_read_s: float = 86_400.0
    polls_at_once: int = 8


@dataclass(frozen=True, slots=True)
class Ports:
    """``attributes_of`` None: nobody gave the agent access to the management API. ``now`` is for information only."""

    server: Server
    cache: Cache
    files: RecordFiles
    client_for: ClientFor
    limits: Limits
    packages: Packages
    watch: Watch = ignore
    attributes_of: AttributesOf | None = None
    find: FindDevices | None = None
    pace: Pace = Pace()
    random: random.Random = field(default_factory=random.Random)
    now: Callable[[], float] = time.time

    def client(self, address: str, timeout_s: float | None, transfer_timeout_s: float | None) -> Client:
        """A client for a device. Raises ConnectError."""
        return self.client_for(address, timeout_s=timeout_s, transfer_timeout_s=transfer_timeout_s)
