"""What a running agent knows of its devices now: a small file beside its records, for ``agent status``.

The file is a view and no record: it is replaced as a whole, not brought to the disk by force, and says when each fact
was true. Nothing secret is in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from smpdfu.agent.actions.events import (
    ActionEnded,
    ActionOver,
    ActionTaken,
    ActionWaits,
    AgentBegins,
    AgentEnds,
    AgentEvent,
    AttributesSent,
    CancelRefused,
    ClaimedElsewhere,
    ConfirmationWaits,
    FeedbackGivenUp,
    FeedbackKept,
    FeedbackSent,
    PackageReady,
    Polled,
    PollFailed,
    RecordDamaged,
    SentBytes,
    StepBegins,
    Unexpected,
)
from smpdfu.errors import FormatError
from smpdfu.local.state.json_lines import as_time, is_time
from smpdfu.local.state.own import READ_ANYONES, make_own_folder, open_own
from smpdfu.untrusted.jsontext import load

NAME = "status.json"
FORMAT = 1
MAX_BYTES = 64 << 20
_MAX_TEXT = 500
CANCELLED = "cancelled"
"""Outcome of an action that the server cancelled before the device could boot the new image."""
OVER = "over"
"""Outcome of an action that the server ended without this agent."""


class DevicePhase(StrEnum):
    """What the agent does with a device.

    NEW: it has not asked the server yet. IDLE: no action is open. FETCHING: it gets the package. READY: it has the
    package. INSTALLING: it updates the device. WAITING: the action cannot continue now. CONSENT: the server waits for
    a confirmation. REPORTING: the update ended, and the server has not heard of it. ELSEWHERE: another gateway works
    for the device.
    """

    NEW = "new"
    IDLE = "idle"
    FETCHING = "fetching"
    READY = "ready"
    INSTALLING = "installing"
    WAITING = "waiting"
    CONSENT = "consent"
    REPORTING = "reporting"
    ELSEWHERE = "elsewhere"


@dataclass(slots=True)
class DeviceStatus:
    """What is known of one device. Times are seconds since 1970, None: never. Texts are "" if there is none.

    ``polled`` is the last poll that the server answered well; ``problem`` is why the last one failed. ``outcome`` is
    how the last action ended (``ended_action``, ``ended``), with a short ``cause``: a word of ``dfu.fleet.Outcome``,
    ``CANCELLED`` or ``OVER``. ``gateway`` is the other gateway.
    """

    phase: DevicePhase = DevicePhase.NEW
    polled: float | None = None
    problem: str = ""
    action: str = ""
    step: str = ""
    number: int = 0
    total: int = 0
    message: str = ""
    outcome: str = ""
    cause: str = ""
    ended_action: str = ""
    ended: float | None = None
    gateway: str = ""


_USUAL = tuple((one.name, one.default) for one in fields(DeviceStatus))


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What the file says: of the agent, of each device by its controller id, and when it was written (``time``)."""

    gateway: str
    server: str
    tenant: str
    pid: int
    started: float
    time: float
    ended: bool
    devices: Mapping[str, DeviceStatus] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """As the file has it: fields of a device that say nothing are left out."""
        devices = {
            name: {key: value for key, usual in _USUAL if (value := getattr(one, key)) != usual}
            for name, one in self.devices.items()
        }
        head = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "devices"}
        return json.dumps({"format": FORMAT, **head, "devices": devices}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read it. Raises FormatError."""
        found = load(data, MAX_BYTES)
        if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("devices"), dict):
            raise FormatError("it is not a status")
        head: dict[str, Any] = {one.name: found.get(one.name) for one in fields(cls) if one.name != "devices"}
        if not all(_HEAD[key](value) for key, value in head.items()):
            raise FormatError("a value at its beginning is wrong")
        return cls(**head, devices={name: _device(one) for name, one in found["devices"].items()})


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int


_HEAD: Mapping[str, Callable[[object], bool]] = {
    "gateway": _is_text,
    "server": _is_text,
    "tenant": _is_text,
    "pid": _is_count,
    "started": is_time,
    "time": is_time,
    "ended": lambda value: isinstance(value, bool),
}


def _device(entry: Any) -> DeviceStatus:
    if not isinstance(entry, dict):
        raise FormatError("a device is not an object")
    usual = DeviceStatus()
    known = {}
    for one in fields(DeviceStatus):
        value = entry.get(one.name, getattr(usual, one.name))
        if one.name in ("polled", "ended"):
            right = value is None or is_time(value)
        elif one.name == "phase":
            right = value in tuple(DevicePhase)
            value = DevicePhase(value) if right else value
        else:
            right = type(value) is (int if one.name in ("number", "total") else str)
        if not right:
            raise FormatError(f"{one.name!r} of a device is wrong")
        known[one.name] = value
    return DeviceStatus(**known)


class StatusBook:
    """Keeps the status by the events of an agent. ``clock`` gives seconds since 1970, ``hide`` takes tokens out.

    ``changed``: something is not in the file yet. ``news``: so, and it is more than the time of a poll. Whoever writes
    the file clears both. ``begun``: an event has come, so that this agent owns the file.
    """

    def __init__(
        self, begin: AgentStatus, devices: Iterable[str], *, clock: Callable[[], float], hide: Callable[[str], str]
    ) -> None:
        self._begin = begin
        self._clock = clock
        self._hide = hide
        self._ended = False
        self._asked: set[str] = set()  # devices of which the server said in this round that it waits for consent
        self.devices: dict[str, DeviceStatus] = {name: DeviceStatus() for name in devices}
        self.begun = self.changed = self.news = False

    def remember(self, before: Mapping[str, DeviceStatus]) -> None:
        """Take over from an earlier run what stays true of each device: its last poll, how its last action ended."""
        for name in self.devices.keys() & before.keys():
            known = before[name]
            message = known.message if known.outcome and not known.action else ""
            self.devices[name] = DeviceStatus(
                polled=known.polled,
                message=message,
                outcome=known.outcome,
                cause=known.cause,
                ended_action=known.ended_action,
                ended=known.ended,
            )

    def status(self) -> AgentStatus:
        """Return the status now."""
        first = self._begin
        return AgentStatus(
            first.gateway,
            first.server,
            first.tenant,
            first.pid,
            first.started,
            self._now(),
            self._ended,
            self.devices,
        )

    def __call__(self, event: AgentEvent) -> None:
        """Take an event over."""
        self.begun = self.changed = True
        self.news = self.news or not isinstance(event, Polled | SentBytes)
        if isinstance(event, AgentBegins):
            return
        if isinstance(event, AgentEnds):
            self._ended = True
            return
        if not event.device:  # of the agent itself, as after a search that failed
            return
        self._of_device(self.devices.setdefault(event.device, DeviceStatus()), event)

    def _of_device(self, one: DeviceStatus, event: AgentEvent) -> None:
        match event:
            case Polled():
                one.polled, one.problem = self._now(), ""
                waits = event.device in self._asked
                self._asked.discard(event.device)
                if one.phase is DevicePhase.NEW or (one.phase is DevicePhase.CONSENT and not waits):
                    one.phase, one.action = DevicePhase.IDLE, ""
            case PollFailed(message=message):
                one.problem = self._text(message)
            case ActionTaken(action=action):
                one.phase, one.action, one.message = DevicePhase.FETCHING, self._text(action), ""
                one.step, one.number, one.total, one.gateway = "", 0, 0, ""
            case ActionWaits(message=message):
                one.phase, one.message = DevicePhase.WAITING, self._text(message)
            case PackageReady():
                one.phase = DevicePhase.READY
            case StepBegins(step=step, number=number, total=total):
                one.phase, one.step, one.number, one.total = DevicePhase.INSTALLING, self._text(step), number, total
            case ActionEnded():
                self._end(one, event)
            case ActionOver():
                self._over(one, event)
            case CancelRefused(message=message) | Unexpected(message=message):
                one.message = self._text(message)
            case FeedbackKept(message=message):
                one.problem = self._text(message)
            case FeedbackGivenUp(message=message):
                one.phase, one.action, one.message = DevicePhase.IDLE, "", self._text(message)
            case FeedbackSent(execution="closed" | "downloaded") if one.phase is DevicePhase.REPORTING:
                one.phase, one.action = DevicePhase.IDLE, ""
            case ClaimedElsewhere(gateway=gateway):
                one.phase, one.gateway = DevicePhase.ELSEWHERE, self._text(gateway)
            case ConfirmationWaits(action=action):
                one.phase, one.action = DevicePhase.CONSENT, self._text(action)
                self._asked.add(event.device)
            case SentBytes() | AttributesSent() | RecordDamaged():
                pass

    def _over(self, one: DeviceStatus, event: ActionOver) -> None:
        """The server ended the action. How it ended here stays, if it did."""
        action = self._text(event.action)
        if one.ended_action != action or not one.outcome:
            one.outcome, one.cause = (CANCELLED, "") if event.cancelled else (OVER, "")
            one.ended_action, one.ended = action, self._now()
        one.phase, one.action, one.message = DevicePhase.IDLE, "", self._text(event.message)
        one.step, one.number, one.total = "", 0, 0

    def _end(self, one: DeviceStatus, event: ActionEnded) -> None:
        one.phase, one.outcome, one.cause = DevicePhase.REPORTING, str(event.outcome), self._text(event.cause)
        one.ended_action, one.ended, one.message = self._text(event.action), self._now(), self._text(event.message)
        one.step, one.number, one.total = "", 0, 0

    def _text(self, text: str) -> str:
        return self._hide(text)[:_MAX_TEXT]

    def _now(self) -> float:
        return as_time(self._clock())


def write_data(folder: Path, data: bytes) -> None:
    """Replace the file in ``folder`` by ``data``, from ``AgentStatus.to_json``. Raises OSError."""
    path = folder / NAME
    new = folder / f"{NAME}.new"
    make_own_folder(folder)
    with os.fdopen(open_own(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
        file.write(data)
    os.replace(new, path)


def read_status(folder: Path) -> AgentStatus | None:
    """Read the file in ``folder``, which may belong to another user; None if there is none.

    Raises FormatError or OSError.
    """
    try:
        with os.fdopen(os.open(folder / NAME, READ_ANYONES), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    try:
        return AgentStatus.from_json(data)
    except FormatError as error:
        raise FormatError(f"the status of the agent in {folder / NAME} is damaged: {error}") from error
