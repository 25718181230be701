"""What the stand-in for a hawkBit server keeps: targets, software, actions with their history, rollouts."""

from __future__ import annotations

import hashlib
import re
import secrets
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

ENDED = frozenset({"finished", "error", "canceled", "downloaded"})
"""The statuses in which an action is over; ``downloaded`` only where nothing but the download was wanted."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return clock.time_ns() // 1_000_000


@dataclass
class Artifact:
    """A file of a software module."""

    number: int
    filename: str
    data: bytes

    @property
    def hashes(self) -> dict[str, str]:
        """As hawkBit tells them, in hexadecimal."""
        return {name: hashlib.new(name, self.data).hexdigest() for name in ("sha1", "md5", "sha256")}


@dataclass
class Module:
    """A software module."""

    number: int
    name: str
    version: str
    kind: str
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    metadata: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Key to value, and whether targets see it."""


@dataclass
class DistributionSet:
    """Software modules that are installed together."""

    number: int
    name: str
    version: str
    modules: list[Module]
    kind: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Status:
    """One entry of an action's history."""

    number: int
    kind: str
    messages: list[str]
    code: int | None = None
    at_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True)
class Window:
    """When an update may be installed: quartz's cron with a fixed date, a duration, an offset from UTC."""

    schedule: str
    duration: str
    timezone: str

    def times(self) -> tuple[datetime, datetime]:
        """From when to when. Raises ValueError for a schedule that the stand-in cannot read."""
        found = re.fullmatch(r"(\d+) (\d+) (\d+) (\d+) (\d+) \? (\d{4})", self.schedule)
        if not found:
            raise ValueError(f"not a fixed date: {self.schedule}")
        second, minute, hour, day, month, year = map(int, found.groups())
        start = datetime.fromisoformat(
            f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{self.timezone}"
        )
        hours, minutes, seconds = map(int, self.duration.split(":"))
        return start, start + timedelta(hours=hours, minutes=minutes, seconds=seconds)

    def is_open(self) -> bool:
        """Whether it is now."""
        start, end = self.times()
        return start <= datetime.now(UTC) < end

    def is_over(self) -> bool:
        """Whether it has passed."""
        return datetime.now(UTC) >= self.times()[1]


@dataclass
class Action:
    """An assignment of a distribution set to a target. ``kind``: forced, soft, downloadonly or timeforced."""

    number: int
    target: Target
    ds: DistributionSet
    kind: str
    status: str = "running"
    active: bool = True
    force_at_ms: int = 0
    window: Window | None = None
    history: list[Status] = field(default_factory=list)
    rollout: Rollout | None = None
    code: int | None = None

    @property
    def is_canceling(self) -> bool:
        """Whether it was or is being cancelled."""
        return self.status in ("canceling", "canceled")

    @property
    def is_forced(self) -> bool:
        """Whether the device should install it at once."""
        return self.kind == "forced" or (self.kind == "timeforced" and now_ms() >= self.force_at_ms)


@dataclass
class Target:
    """A device."""

    controller_id: str
    name: str
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    attributes: dict[str, str] = field(default_factory=dict)
    wants_attributes: bool = True
    update_status: str = "unknown"
    actions: list[Action] = field(default_factory=list)
    assigned: DistributionSet | None = None
    installed: DistributionSet | None = None
    auto_confirm: bool = False
    polled_ms: int | None = None

    def active_action(self) -> Action | None:
        """The one that the device is told of: the oldest that is not over."""
        return next((action for action in self.actions if action.active), None)

    def installed_action(self) -> Action | None:
        """The last one that succeeded with what is installed."""
        done = (one for one in reversed(self.actions) if one.ds is self.installed and one.status == "finished")
        return next(done, None)


@dataclass
class Group:
    """A group of a rollout."""

    number: int
    name: str
    targets: list[Target]
    status: str = "ready"
    actions: list[Action] = field(default_factory=list)


@dataclass
class Rollout:
    """A distribution set for many targets, group after group. Thresholds in percent."""

    number: int
    name: str
    ds: DistributionSet
    kind: str
    success_percent: int
    error_percent: int | None
    groups: list[Group]
    status: str = "creating"
    deleted: bool = False
    filter: str = ""

    def counts(self) -> Mapping[str, int]:
        """How many actions are in which state."""
        return count(self.groups)


def count(groups: list[Group]) -> dict[str, int]:
    """The targets of groups by the state of their action, in hawkBit's words."""
    total = dict.fromkeys(("notstarted", "scheduled", "running", "error", "finished", "cancelled"), 0)
    words = {"error": "error", "finished": "finished", "downloaded": "finished", "canceled": "cancelled"}
    for group in groups:
        total["scheduled" if group.status == "scheduled" else "notstarted"] += len(group.targets) - len(group.actions)
        for action in group.actions:
            total["running" if action.active else words.get(action.status, "running")] += 1
    return total
