"""The log of an agent: one event a line, as text for people or as JSON for machines.

::

    2026-11-30T18:20:01Z INFO action-ended device=roof-1 action=42 outcome=done success=true seconds=41.2
    {"time": "2026-11-30T18:20:01Z", "level": "info", "event": "action-ended", "device": "roof-1", ...}

Texts from the server and from devices are filtered and cut, and a token never reaches a line. Events that a healthy
agent has all the time (polls, bytes on their way) have no line. A failure that stays the same has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from smpdfu.agent.actions.events import (
    ActionEnded,
    ActionTaken,
    ActionWaits,
    AgentEvent,
    CancelRefused,
    ClaimedElsewhere,
    ConfirmationWaits,
    FeedbackGivenUp,
    FeedbackKept,
    Polled,
    PollFailed,
    RecordDamaged,
    SentBytes,
    Unexpected,
)
from smpdfu.agent.description.file import LogForm
from smpdfu.local.state.json_lines import as_time
from smpdfu.untrusted.text import line

MAX_VALUE = 500
"""Characters of one value in a line; longer ones end with three dots."""
_PLAIN = re.compile(r"[A-Za-z0-9._:/+@,-]+", re.ASCII)


class Level(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_LEVELS: dict[type, Level] = {
    PollFailed: Level.WARNING,
    ActionWaits: Level.WARNING,
    FeedbackKept: Level.WARNING,
    FeedbackGivenUp: Level.ERROR,
    CancelRefused: Level.WARNING,
    RecordDamaged: Level.WARNING,
    ClaimedElsewhere: Level.ERROR,
    Unexpected: Level.ERROR,
}
# What the agent notices at each poll or attempt, as long as it lasts.
_LASTING = (PollFailed, ActionWaits, FeedbackKept, FeedbackGivenUp, ConfirmationWaits, ClaimedElsewhere)
# How long something lasts is no news of its own: these fields do not make a repeated failure a new one.
_CHANGING = frozenset({"next_s", "seconds"})


class EventLog:
    """Writes a line for each event that is news. Call it with an event; it never raises.

    ``hide`` takes the tokens out of a text. ``clock`` gives seconds since 1970.
    """

    def __init__(
        self, stream: TextIO, form: LogForm, *, hide: Callable[[str], str], clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._write = _as_json if form is LogForm.JSON else _as_text
        self._hide = hide
        self._clock = clock
        self._failures: dict[tuple[str, str], tuple[Any, ...]] = {}

    def __call__(self, event: AgentEvent) -> None:
        """Write the line of an event, if it has one."""
        if isinstance(event, SentBytes) or not self._is_news(event):
            return
        self.write(level_of(event), event.NAME, _facts_of(event))

    def write(self, level: Level, name: str, facts: Iterable[tuple[str, Any]]) -> None:
        """Write one line with these facts, filtered."""
        now = datetime.fromtimestamp(as_time(self._clock()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        shown = [(key, self._shown(value)) for key, value in facts]
        with suppress(OSError, ValueError):  # a log that cannot be written stops no update; ValueError: it is closed
            self._stream.write(self._write(now, level, name, shown) + "\n")
            self._stream.flush()

    def _is_news(self, event: AgentEvent) -> bool:
        """Whether this is something else than the event before of its kind and device, or a first good poll again."""
        if isinstance(event, Polled):
            return self._failures.pop((event.device, PollFailed.NAME), None) is not None
        if isinstance(event, _LASTING):
            facts = tuple(value for key, value in _facts_of(event) if key not in _CHANGING)
            key = (event.device, event.NAME)
            known = self._failures.get(key) == facts
            self._failures[key] = facts
            return not known
        if isinstance(event, ActionTaken):
            self._failures.pop((event.device, ClaimedElsewhere.NAME), None)
        if isinstance(event, ActionEnded):
            for name in (ActionWaits.NAME, FeedbackKept.NAME):
                self._failures.pop((event.device, name), None)
        return True

    def _shown(self, value: Any) -> Any:
        if not isinstance(value, str):
            return round(value, 1) if isinstance(value, float) else value
        text = line(self._hide(str(value)))
        return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."


def level_of(event: AgentEvent) -> Level:
    """Return how much an event matters."""
    if isinstance(event, ActionEnded) and not event.success:
        return Level.ERROR
    return _LEVELS.get(type(event), Level.INFO)


def _facts_of(event: AgentEvent) -> list[tuple[str, Any]]:
    return [(one.name, getattr(event, one.name)) for one in fields(event)]


def _as_json(now: str, level: Level, name: str, facts: list[tuple[str, Any]]) -> str:
    return json.dumps({"time": now, "level": level, "event": name, **dict(facts)})


def _as_text(now: str, level: Level, name: str, facts: list[tuple[str, Any]]) -> str:
    pairs = (f"{key}={_value(value)}" for key, value in facts if value not in ("", None))
    return " ".join((now, level.upper(), name, *pairs))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
