"""What happens while an agent works, as its ``watch`` gets it: for the log, the status and the metrics.

Each event has a ``NAME``, the same from release to release. The texts in it may come from a server or a device: whoever
shows one filters it (``untrusted.text``). No event has a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from smpdfu.dfu.fleet.device_outcome import Outcome


@dataclass(frozen=True, slots=True)
class AgentBegins:
    """The agent begins: ``devices`` are its own, ``open_actions`` those of them with an action that is not finished."""

    NAME: ClassVar[str] = "begin"
    devices: int
    open_actions: int
    gateway: str


@dataclass(frozen=True, slots=True)
class AgentEnds:
    """The agent ends. ``open_actions`` are continued by the next run."""

    NAME: ClassVar[str] = "end"
    open_actions: int


@dataclass(frozen=True, slots=True)
class Polled:
    """The server answered a poll. ``changed``: with something new. ``next_s``: seconds until the next poll."""

    NAME: ClassVar[str] = "poll"
    device: str
    changed: bool
    next_s: float


@dataclass(frozen=True, slots=True)
class PollFailed:
    """The server did not answer as it should. ``status`` is its HTTP status, 0 without an answer.

    ``denied``: it does not accept our credentials, or not for this device; smpdfu asks seldom then.
    """

    NAME: ClassVar[str] = "poll-failed"
    device: str
    status: int
    denied: bool
    message: str
    next_s: float


@dataclass(frozen=True, slots=True)
class ActionTaken:
    """An action of the server begins on this device. ``resumed``: an earlier run of the agent began it."""

    NAME: ClassVar[str] = "action"
    device: str
    action: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class ActionWaits:
    """An action cannot continue now. ``cause`` is a short text, the same from release to release."""

    NAME: ClassVar[str] = "action-waits"
    device: str
    action: str
    cause: str
    message: str
    next_s: float


@dataclass(frozen=True, slots=True)
class PackageReady:
    """The package of an action is on this gateway, and was checked. ``fetched``: bytes that came from the server.

    ``sha256`` is that of the file. ``checked_by``: which hash the server gave, ``sha256`` or ``sha1``.
    """

    NAME: ClassVar[str] = "package"
    device: str
    action: str
    digest: str
    fetched: int
    sha256: str
    checked_by: str


@dataclass(frozen=True, slots=True)
class StepBegins:
    """Step ``number`` of ``total`` of an update begins."""

    NAME: ClassVar[str] = "step"
    device: str
    action: str
    step: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class SentBytes:
    """``done`` of ``total`` bytes of an image are in the device."""

    NAME: ClassVar[str] = "progress"
    device: str
    action: str
    step: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """The work on an action ended; ``success`` is what the server hears.

    ``seconds`` is how long the update took in this run of the agent.
    """

    NAME: ClassVar[str] = "action-ended"
    device: str
    action: str
    outcome: Outcome
    success: bool
    cause: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ActionOver:
    """The server ended the action: it cancelled it (``cancelled``), or does not know it any more."""

    NAME: ClassVar[str] = "action-over"
    device: str
    action: str
    cancelled: bool
    message: str


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The server asked to cancel an action, and it is too late."""

    NAME: ClassVar[str] = "cancel-refused"
    device: str
    action: str
    message: str


@dataclass(frozen=True, slots=True)
class FeedbackSent:
    """The server has a feedback; ``finished`` is ``none``, ``success`` or ``failure``."""

    NAME: ClassVar[str] = "feedback"
    device: str
    action: str
    execution: str
    finished: str


@dataclass(frozen=True, slots=True)
class FeedbackKept:
    """The server could not take a feedback now. The agent keeps it and sends it again."""

    NAME: ClassVar[str] = "feedback-kept"
    device: str
    action: str
    message: str
    next_s: float


@dataclass(frozen=True, slots=True)
class FeedbackGivenUp:
    """The server refuses a feedback every time. The agent does not send it again, and goes on with other actions."""

    NAME: ClassVar[str] = "feedback-given-up"
    device: str
    action: str
    message: str


@dataclass(frozen=True, slots=True)
class AttributesSent:
    """The server has what the agent knows of the device; ``read``: the device answered and told it now."""

    NAME: ClassVar[str] = "attributes"
    device: str
    read: bool


@dataclass(frozen=True, slots=True)
class ClaimedElsewhere:
    """Another gateway works for this device; this agent does not touch it any more. ``since`` is that one's word."""

    NAME: ClassVar[str] = "claimed-elsewhere"
    device: str
    gateway: str
    since: str


@dataclass(frozen=True, slots=True)
class ConfirmationWaits:
    """The server waits for the consent of a person at this gateway."""

    NAME: ClassVar[str] = "confirmation"
    device: str
    action: str


@dataclass(frozen=True, slots=True)
class RecordDamaged:
    """The agent's record of a device was damaged, and is kept as ``moved_to``."""

    NAME: ClassVar[str] = "record-damaged"
    device: str
    moved_to: str


@dataclass(frozen=True, slots=True)
class Unexpected:
    """An error that smpdfu does not know: a defect. The agent continues; ``place`` is where it happened."""

    NAME: ClassVar[str] = "unexpected"
    device: str
    message: str
    place: str


AgentEvent = (
    AgentBegins
    | AgentEnds
    | Polled
    | PollFailed
    | ActionTaken
    | ActionWaits
    | PackageReady
    | StepBegins
    | SentBytes
    | ActionEnded
    | ActionOver
    | CancelRefused
    | FeedbackSent
    | FeedbackKept
    | FeedbackGivenUp
    | AttributesSent
    | ClaimedElsewhere
    | ConfirmationWaits
    | RecordDamaged
    | Unexpected
)
Watch = Callable[[AgentEvent], None]
"""Is called in the event loop and must return at once. An error that it raises ends the agent, in a safe state."""


def ignore(event: AgentEvent) -> None:
    """Watch nothing."""
