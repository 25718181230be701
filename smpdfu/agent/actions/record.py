"""What the agent knows of one device between two runs: its claim, what the server heard, and the action under way.

Values only; ``record_files`` keeps them. What the device itself went through is in its journal, which has the action,
too: a record that is lost costs messages, and no second update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self, TypeVar

from smpdfu.agent.ddi.feedback import Feedback
from smpdfu.errors import FormatError

E = TypeVar("E", bound=StrEnum)
FORMAT = 1
MAX_REFUSED = 8
"""How often a server may refuse a message for a reason that does not pass by itself, until the agent gives it up."""
MAX_ASKED = 100
"""How often the agent asks of one action whether it is over. Each time is a status of the action in hawkBit's quota."""
MAX_PAST = 16
"""How many actions that ended are remembered, so that none of them is done again."""


class Stage(StrEnum):
    """How far an action is.

    TAKEN: the server gave it out. CHECKED: its package is on this gateway and was checked. INSTALLING: the device may
    have been written; its journal says how far it is. ENDED: the result is known, and the record keeps it. OVER: the
    server ended the action.
    """

    TAKEN = "taken"
    CHECKED = "checked"
    INSTALLING = "installing"
    ENDED = "ended"
    OVER = "over"


class Answers(StrEnum):
    """To which resource of the server a message goes."""

    DEPLOYMENT = "deployment"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Message:
    """A feedback that the server must get; ``link`` is the resource that it answers.

    ``refused``: how often the server refused it as it is.
    """

    to: Answers
    link: str
    feedback: Feedback
    refused: int = 0

    def to_entry(self) -> dict[str, Any]:
        """As the file has it."""
        entry = {"to": self.to, "link": self.link, "feedback": self.feedback.to_json()}
        return entry | {"refused": self.refused} if self.refused else entry

    @classmethod
    def from_entry(cls, entry: Any) -> Self:
        """Read it. Raises FormatError."""
        found = _object(entry)
        try:
            feedback = Feedback.from_json(dict(_object(found.get("feedback"))))
        except ValueError as error:
            raise FormatError(f"a message of the record is none: {error}") from None
        refused = _count(found, "refused") if "refused" in found else 0
        return cls(_choice(Answers, found.get("to")), _text(found, "link"), feedback, refused)


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One action of one device. ``link`` is its deployment at the server.

    ``digest`` is that of its package and ``sha256`` that of its file, for people, when they are known. ``outbox`` are
    the messages that the server must get and does not have, the oldest first. ``final`` is what is sent again if the
    server still offers an action that ended. ``said`` counts the messages about progress, ``told`` are what they were
    about. ``asked`` counts the questions whether it is over.
    """

    id: str
    link: str
    stage: Stage = Stage.TAKEN
    digest: str = ""
    sha256: str = ""
    outbox: tuple[Message, ...] = ()
    final: Message | None = None
    said: int = 0
    told: frozenset[str] = frozenset()
    asked: int = 0

    @property
    def open(self) -> bool:
        """True if there is something left to do on the device."""
        return self.stage in (Stage.TAKEN, Stage.CHECKED, Stage.INSTALLING)

    @property
    def settled(self) -> bool:
        """True if nothing is left to do or to send."""
        return not self.open and not self.outbox

    @property
    def forgotten(self) -> bool:
        """True if the server said that it does not have the action, or that it is over; nobody cancelled it."""
        return self.stage is Stage.OVER and self.final is None

    def ended(self, final: Message) -> Self:
        """The record with its result; ``final`` has to reach the server."""
        return replace(self, stage=Stage.ENDED, outbox=(*self.outbox, final), final=final)

    def over(self, *answers: Message, final: Message | None = None) -> Self:
        """The record of an action that the server ended; only ``answers`` are left to be sent."""
        return replace(self, stage=Stage.OVER, outbox=answers, final=final)

    def delivered(self, message: Message) -> Self:
        """The record without this message: the server has it, or does not want it."""
        return replace(self, outbox=tuple(one for one in self.outbox if one != message))

    def reworded(self, message: Message, other: Message) -> Self:
        """The record with another message in the place of this one."""
        return replace(self, outbox=tuple(other if one == message else one for one in self.outbox))

    def given_up(self, message: Message, refused: Message) -> Self:
        """The record without this message, which the server refuses: it is not sent again, unless the server asks."""
        final = refused if self.final is not None and message.to is Answers.DEPLOYMENT else self.final
        return replace(self.delivered(message), final=final)

    def to_entry(self) -> dict[str, Any]:
        """As the file has it."""
        return {
            "id": self.id,
            "link": self.link,
            "stage": self.stage,
            "digest": self.digest,
            "sha256": self.sha256,
            "outbox": [one.to_entry() for one in self.outbox],
            "final": None if self.final is None else self.final.to_entry(),
            "said": self.said,
            "told": sorted(self.told),
            "asked": self.asked,
        }

    @classmethod
    def from_entry(cls, entry: Any) -> Self:
        """Read it. Raises FormatError."""
        found = _object(entry)
        final = found.get("final")
        return cls(
            _text(found, "id"),
            _text(found, "link"),
            _choice(Stage, found.get("stage")),
            _text(found, "digest"),
            _text(found, "sha256"),
            tuple(map(Message.from_entry, _list(found, "outbox"))),
            None if final is None else Message.from_entry(final),
            _count(found, "said"),
            frozenset(map(str, _list(found, "told"))),
            _count(found, "asked") if "asked" in found else 0,
        )


@dataclass(frozen=True, slots=True)
class PastAction:
    """An action that ended before the one of the record; ``sha256`` is that of its file, "" if it was never fetched."""

    id: str
    sha256: str = ""

    @classmethod
    def from_entry(cls, entry: Any) -> Self:
        """Read it; a text is an id alone, as earlier versions wrote it. Raises FormatError."""
        found = {"id": entry, "sha256": ""} if isinstance(entry, str) else _object(entry)
        return cls(_text(found, "id"), _text(found, "sha256"))


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What is kept of a device whose id at the server is ``controller``.

    ``claim`` is a random id of this gateway's claim on the device, ``claimed`` when that was made (in words, for
    people). ``sent`` are the attributes that the server has from us. ``lost_to`` is the gateway that claimed the device
    later; None if there is none. ``past`` are actions that ended, the latest last.
    """

    controller: str
    claim: str = ""
    claimed: str = ""
    sent: Mapping[str, str] = field(default_factory=dict)
    lost_to: str | None = None
    action: ActionRecord | None = None
    past: tuple[PastAction, ...] = ()

    def with_action(self, action: ActionRecord | None) -> Self:
        """The record with this action. One with another id that it replaces becomes a past one."""
        before = self.action
        if before is None or (action is not None and action.id == before.id):
            return replace(self, action=action)
        others = (one for one in self.past if one.id != before.id)
        past = (*others, PastAction(before.id, before.sha256))[-MAX_PAST:]
        return replace(self, action=action, past=past)

    def past_action(self, number: str) -> PastAction | None:
        """The action with this id among those that ended before."""
        return next((one for one in self.past if one.id == number), None)

    def to_entry(self) -> dict[str, Any]:
        """As the file has it."""
        return {
            "format": FORMAT,
            "controller": self.controller,
            "claim": self.claim,
            "claimed": self.claimed,
            "sent": dict(self.sent),
            "lost_to": self.lost_to,
            "action": None if self.action is None else self.action.to_entry(),
            "past": [asdict(one) for one in self.past],
        }

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Self:
        """Read it. Raises FormatError."""
        if entry.get("format") != FORMAT:
            raise FormatError(f"the record has the format {entry.get('format')!r}, and smpdfu knows {FORMAT}")
        action, lost = entry.get("action"), entry.get("lost_to")
        sent = _object(entry.get("sent"))
        return cls(
            _text(entry, "controller"),
            _text(entry, "claim"),
            _text(entry, "claimed"),
            {str(key): str(value) for key, value in sent.items()},
            lost if isinstance(lost, str) else None,
            None if action is None else ActionRecord.from_entry(action),
            tuple(map(PastAction.from_entry, _list(entry, "past")))[-MAX_PAST:],
        )


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FormatError("a part of the record is no object")
    return value


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise FormatError(f"{key!r} of the record is no text")
    return value


def _list(entry: Mapping[str, Any], key: str) -> list[Any]:
    value = entry.get(key)
    if not isinstance(value, list):
        raise FormatError(f"{key!r} of the record is no list")
    return value


def _count(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    if type(value) is not int or value < 0:
        raise FormatError(f"{key!r} of the record is no count")
    return value


def _choice(kind: type[E], value: Any) -> E:
    try:
        return kind(value)
    except ValueError:
        raise FormatError(f"{str(value)[:40]!r} is no {kind.__name__.lower()} of a record") from None
