"""What a test says of a server and reads back from it, the same for every server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

Kind = Literal["forced", "soft", "downloadonly", "timeforced"]
Tokens = Literal["gateway", "target"]


@dataclass(frozen=True)
class Window:
    """A maintenance window in hawkBit's words: quartz's cron, ``HH:MM:SS``, an offset from UTC."""

    schedule: str
    duration: str = "01:00:00"
    timezone: str = "+00:00"

    @classmethod
    def at(cls, start: datetime, duration: str = "01:00:00") -> Window:
        """The one that begins once, at this time."""
        time = start.astimezone(UTC)
        return cls(f"{time.second} {time.minute} {time.hour} {time.day} {time.month} ? {time.year}", duration)

    @classmethod
    def from_now(cls, seconds: float, duration: str = "01:00:00") -> Window:
        """The one that begins once, after so many seconds (before now: negative)."""
        return cls.at(datetime.now(UTC) + timedelta(seconds=seconds), duration)


@dataclass(frozen=True)
class Software:
    """A package on a server: numbers of the software module and of the distribution set."""

    module: int
    ds: int
    name: str
    version: str


@dataclass(frozen=True)
class ActionFacts:
    """What a server says of an action. ``status``: running, canceling, canceled, finished, error, downloaded, ..."""

    number: str
    active: bool
    status: str
    kind: str
    code: int | None = None


@dataclass(frozen=True)
class Entry:
    """One entry of an action's history. ``kind``: retrieved, download, downloaded, running, warning, finished, ..."""

    kind: str
    messages: tuple[str, ...]
    code: int | None = None


@dataclass(frozen=True)
class GroupFacts:
    """What a server says of a group of a rollout; ``counts``: targets by state."""

    number: int
    name: str
    status: str
    counts: dict[str, int]


@dataclass(frozen=True)
class RolloutFacts:
    """What a server says of a rollout. ``status``: creating, ready, running, paused, finished, ..."""

    number: int
    name: str
    status: str
    counts: dict[str, int]


class UpdateServer(Protocol):
    """A server that agents talk to, and an operator orders."""

    name: str
    url: str
    """Base of the device API, without the tenant: ``http://127.0.0.1:PORT``."""
    tenant: str
    has_cancel: bool
    has_confirmation: bool
    has_windows: bool
    has_rollouts: bool
    has_history: bool

    def gateway_token(self) -> str:
        """The token with which a gateway speaks for every target of the tenant."""

    def add_target(self, controller_id: str) -> str:
        """Create a target; its own token."""

    def delete_target(self, controller_id: str) -> None:
        """Delete a target and what it did."""

    def upload(self, name: str, version: str, files: dict[str, bytes], *, parts: int = 1) -> Software:
        """A software module with these files, in a distribution set. ``parts``: modules, each with all files."""

    def assign(
        self,
        software: Software,
        controller_id: str,
        kind: Kind = "forced",
        *,
        window: Window | None = None,
        confirm: bool = False,
    ) -> str:
        """Assign to a target: the number of the action. ``confirm``: it waits for a confirmation."""

    def cancel(self, controller_id: str, action: str, *, force: bool = False) -> None:
        """Cancel an action; ``force``: without asking the device."""

    def actions(self, controller_id: str) -> list[ActionFacts]:
        """The actions of a target, oldest first."""

    def history(self, controller_id: str, action: str) -> list[Entry]:
        """An action's history, oldest first."""

    def attributes(self, controller_id: str) -> dict[str, str]:
        """What the device said of itself."""

    def update_status(self, controller_id: str) -> str:
        """The target's state: unknown, registered, pending, in_sync, error."""

    def installed(self, controller_id: str) -> str | None:
        """The version of the distribution set that the server takes for installed."""

    def polling_time(self, time: str) -> None:
        """Tell every device to poll at this interval: ``HH:MM:SS``."""

    def confirmation_flow(self, *, enabled: bool) -> None:
        """Whether assignments wait for a confirmation."""

    def confirm(self, controller_id: str, action: str, *, confirmed: bool = True) -> None:
        """The operator's confirmation of an action."""

    def rollout(
        self,
        name: str,
        software: Software,
        query: str,
        groups: int,
        *,
        success: int = 100,
        error: int = 50,
        kind: Kind = "forced",
    ) -> int:
        """Create a rollout and start it; thresholds in percent."""

    def rollout_facts(self, number: int) -> RolloutFacts:
        """How a rollout stands."""

    def groups(self, number: int) -> list[GroupFacts]:
        """The groups of a rollout, in their order."""

    def group_targets(self, number: int, group: int) -> list[str]:
        """The controller ids of a group."""
