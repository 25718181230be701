"""One line of a fleet's log as a typed record: the only place that reads the fields of a line.

A line counts if it is a JSON object of at most ``MAX_LINE_BYTES`` with an ``event`` (a text) and a ``time`` (seconds
since 1970). Every other field may be missing, because earlier releases did not write it, or may have a value of the
wrong kind. Both read the same: the record has the field's default. Unknown events and unknown fields are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from smpdfu.dfu.decide.evidence import Proof
from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.local.state.json_lines import entry_of, is_time

MAX_LINE_BYTES = 1 << 20
"""Our longest line has the message of an error and the versions of a package: a few thousand bytes."""
MAX_TEXT = 4096
"""Characters of a field that count; a longer text is cut."""

RUN = "run"
WAVE = "wave"
LOOK = "look"
EXCHANGED = "exchanged"
BEGIN = "begin"
STEP = "step"
END = "end"
DAMAGED = "damaged"
PAUSE = "pause"
RESUME = "resume"
STOP = "stop"
LEAVE = "leave"
"""The events; see ``log`` for the fields of each."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """What a line says. ``entry`` is the whole object; a field that the line does not have is at its default.

    ``kind`` is one of the events above or another text, ``time`` seconds since 1970, ``seconds`` and ``size_bytes`` are
    never negative. ``outcome`` is None for a text that names none, ``was`` and ``runs`` are the application's versions
    before and after an update, ``wanted`` the package's versions by core.
    """

    kind: str
    time: float
    entry: Mapping[str, Any] = field(repr=False)
    device: str = ""
    identity: str | None = None
    package: str | None = None
    wave: str = ""
    devices: int = 0
    silent: int = 0
    step: str = ""
    number: int = 0
    of: int = 0
    outcome: Outcome | None = None
    seconds: float = 0.0
    size_bytes: int = 0
    was: str | None = None
    runs: str | None = None
    wanted: Mapping[str, str] = field(default_factory=dict)
    proof: Proof | None = None
    chip: str | None = None
    cause: str = ""
    message: str = ""
    reason: str = ""
    advice: str = ""
    journal: str = ""
    lines: tuple[int, ...] = ()
    phase: str = ""
    operator: str = ""
    tool: str = ""

    @classmethod
    def from_bytes(cls, line: bytes) -> LogEvent | None:
        """Read a line with its newline; None for a damaged line, or one without a newline at its end."""
        entry = entry_of(line) if len(line) <= MAX_LINE_BYTES else None
        return None if entry is None else cls.from_entry(entry)

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> LogEvent | None:
        """Read the object of a line; None if it has no event or no time."""
        kind = entry.get("event")
        time = entry.get("time")
        if not isinstance(kind, str) or not is_time(time):
            return None
        outcome = entry.get("outcome")
        proof = entry.get("proof")
        return cls(
            kind=_cut(kind),
            time=float(entry["time"]),
            entry=entry,
            device=_text(entry, "device") or "",
            identity=_text(entry, "identity"),
            package=_text(entry, "package"),
            wave=_text(entry, "wave") or "",
            devices=_count(entry, "devices"),
            silent=_count(entry, "silent"),
            step=_text(entry, "step") or "",
            number=_count(entry, "number"),
            of=_count(entry, "of"),
            outcome=Outcome(outcome) if isinstance(outcome, str) and outcome in _OUTCOMES else None,
            seconds=_number(entry, "seconds"),
            size_bytes=_count(entry, "bytes"),
            was=_text(entry, "from"),
            runs=_text(entry, "to"),
            wanted=_texts(entry.get("wanted")),
            proof=Proof.from_entry(proof) if isinstance(proof, dict) else None,
            chip=_text(entry, "chip"),
            cause=_text(entry, "cause") or "",
            message=_text(entry, "message") or "",
            reason=_text(entry, "reason") or "",
            advice=_text(entry, "advice") or "",
            journal=_text(entry, "journal") or "",
            lines=_counts(entry.get("lines")),
            phase=_text(entry, "phase") or "",
            operator=_text(entry, "operator") or "",
            tool=_text(entry, "tool") or "",
        )


_OUTCOMES = frozenset(Outcome)


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return _cut(value) if isinstance(value, str) else None


def _cut(text: str) -> str:
    return str(text[:MAX_TEXT])  # a plain str, also of the enum that our own process writes


def _texts(value: object) -> dict[str, str]:
    found = value if isinstance(value, dict) else {}
    return {_cut(str(key)): _cut(one) for key, one in found.items() if isinstance(one, str)}


def _number(entry: Mapping[str, Any], key: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return 0.0
    return max(float(value), 0.0)


def _count(entry: Mapping[str, Any], key: str) -> int:
    return int(_number(entry, key))


def _counts(value: object) -> tuple[int, ...]:
    found = value if isinstance(value, list | tuple) else ()
    return tuple(one for one in found if type(one) is int and one >= 0)
