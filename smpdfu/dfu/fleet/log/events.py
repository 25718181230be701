"""One line of a fleet's log as a typed record: the only place that reads the fields of a line.

A line counts if it is a JSON object of at most ``MAX_LINE_BYTES`` with an ``event`` (a text) and a ``time`` (seconds
since 1970). Every other field may be missing, because earlier releases did not write it, or may have a value of the
wrong kind. Both read the same: the record has the field's default. Unknown events and unknown fields are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.dfu.package.image_record import ImageRecord, hash_text, records_by_package
from smpdfu.local.state.json_lines import entry_of, is_time

MAX_LINE_BYTES = 1 << 20
"""Our longest line has the message of an error and the versions of a package: a few thousand bytes."""
Fields = Mapping[str, tuple[str, Callable[[object], Any]]]
"""Key of a line -> field of the record, and what reads it."""
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


@dataclass(slots=True)  # not frozen: a log has many, and a frozen one takes four times as long to make
class LogEvent:
    """What a line says. ``entry`` is the whole object; a field that the line does not have is at its default.

    ``kind`` is one of the events above or another text, ``time`` seconds since 1970, ``seconds`` and ``size_bytes`` are
    never negative. ``outcome`` is None for a text that names none, ``was`` and ``runs`` are the application's versions
    before and after an update, ``wanted`` the package's versions by ``PackageImage.part``. ``was_hash`` and
    ``runs_hash`` are the hashes of the application that the device listed as running, before and last ("": none).
    ``packages`` has the images of each package of a run by the package's digest. ``policy`` is the update's.
    ``either`` are the parts of which the previous or the new image may run after a failure; None: not noted.
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
    was_hash: str = ""
    runs_hash: str = ""
    packages: Mapping[str, tuple[ImageRecord, ...]] = field(default_factory=dict, repr=False)
    policy: str = ""
    either: tuple[str, ...] | None = None
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
    def from_bytes(cls, line: bytes, fields: Fields | None = None) -> LogEvent | None:
        """Read a line with its newline; None for a damaged line, or one without a newline at its end.

        ``fields`` are those of the record that are read, see ``fields_of``; None: all.
        """
        entry = entry_of(line) if len(line) <= MAX_LINE_BYTES else None
        return None if entry is None else cls.from_entry(entry, fields)

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], fields: Fields | None = None) -> LogEvent | None:
        """Read the object of a line; None if it has no event or no time."""
        kind = entry.get("event")
        time = entry.get("time")
        if not isinstance(kind, str) or not is_time(time):
            return None
        found = {}
        wanted = _FIELDS if fields is None else fields
        for key, value in entry.items():
            if key in wanted:
                name, read = wanted[key]
                if (right := read(value)) is not None:
                    found[name] = right
        return cls(_cut(kind), float(entry["time"]), entry, **found)


_OUTCOMES = frozenset(Outcome)


def _text(value: object) -> str | None:
    if type(value) is str and len(value) <= MAX_TEXT:  # nearly every text of every line: a log has many
        return value
    return _cut(value) if isinstance(value, str) else None


def _cut(text: str) -> str:
    if type(text) is str and len(text) <= MAX_TEXT:
        return text
    return str(text[:MAX_TEXT])  # a plain str, also of the enum that our own process writes


def _texts(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    return {_cut(str(key)): _cut(one) for key, one in value.items() if isinstance(one, str)}


def _names(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    return tuple(_cut(one) for one in value if isinstance(one, str))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return max(float(value), 0.0)


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _counts(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    return tuple(one for one in value if type(one) is int and one >= 0)


def _outcome(value: object) -> Outcome | None:
    return Outcome(value) if isinstance(value, str) and value in _OUTCOMES else None


def _proof(value: object) -> Proof | None:
    return Proof.from_entry(value) if isinstance(value, dict) else None


# Key of a line -> field of the record, and what reads it: None for a value of the wrong kind.
_FIELDS: Fields = {
    "device": ("device", _text),
    "identity": ("identity", _text),
    "package": ("package", _text),
    "wave": ("wave", _text),
    "devices": ("devices", _count),
    "silent": ("silent", _count),
    "step": ("step", _text),
    "number": ("number", _count),
    "of": ("of", _count),
    "outcome": ("outcome", _outcome),
    "seconds": ("seconds", _number),
    "bytes": ("size_bytes", _count),
    "from": ("was", _text),
    "to": ("runs", _text),
    "from_hash": ("was_hash", hash_text),
    "to_hash": ("runs_hash", hash_text),
    "packages": ("packages", records_by_package),
    "policy": ("policy", _text),
    "either": ("either", _names),
    "wanted": ("wanted", _texts),
    "proof": ("proof", _proof),
    "chip": ("chip", _text),
    "cause": ("cause", _text),
    "message": ("message", _text),
    "reason": ("reason", _text),
    "advice": ("advice", _text),
    "journal": ("journal", _text),
    "lines": ("lines", _counts),
    "phase": ("phase", _text),
    "operator": ("operator", _text),
    "tool": ("tool", _text),
}


def fields_of(*keys: str) -> Fields:
    """Return the fields that these keys of a line have: a reader that needs few is faster."""
    return {key: _FIELDS[key] for key in keys}
