"""Read the lines of a log of which most differ from an earlier one in few values: what they share is read once.

The ends of a run say the same of a thousand devices, but for the device and the time. A line without such values is its
frame. A frame is read as JSON, as any line is, once as it stands and once with every value changed: that shows that
the values are those of the line's own fields. Then a further line with this frame is whole as the first one was, and
only its values are read: a value in the pattern is as good as any other one there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from smpdfu.dfu.fleet.log.events import MAX_LINE_BYTES, Fields, LogEvent

T = TypeVar("T")

_VALUES = re.compile(
    rb'(, "(?:device|identity|chip)": "|, "(?:time|seconds|bytes)": )'
    rb'((?<=")[ !#-\[\]-~]{0,200}+|(?<= )[1-9][0-9]{0,10}(?:\.[0-9]{1,6})?+|(?<=seconds": )0\.[0-9]{1,6}+)'
)
"""The values that differ, with what stands before each. A number of bytes that is 0 belongs to the frame."""
_TEXTS = frozenset({"device", "identity", "chip"})
_NEEDED = frozenset({"time", "device", "identity"})
_MOST = 4096
"""Frames that are kept: messages of errors make many. Each is as long as its line."""


class FramedEvent(NamedTuple, Generic[T]):
    """An event: what it has of its own, and what it shares with others."""

    time: float
    device: str
    identity: str | None
    chip: str | None
    shared: T


class _Frame(NamedTuple, Generic[T]):
    """Where the values of a line are, ``chip`` None if it has none of its own, and what the lines share."""

    time: int
    device: int
    identity: int
    chip: int | None
    shared: T


@dataclass(slots=True)
class Frames(Generic[T]):
    """Reads lines. ``share`` makes of an event what is kept of it.

    It must use no ``time``, ``device``, ``identity``, ``chip`` and ``seconds`` of the event, and of ``size_bytes`` only
    whether it is 0. ``fields`` as ``LogEvent.from_bytes`` has it.
    """

    share: Callable[[LogEvent], T]
    fields: Fields | None = None
    _frames: dict[tuple[bytes, ...], _Frame[T] | None] = field(default_factory=dict)

    def read(self, line: bytes) -> FramedEvent[T] | None:
        """Read a line with its newline; None for what ``LogEvent.from_bytes`` returns None for."""
        if len(line) > MAX_LINE_BYTES or line[:2] != b'{"':
            return self.whole(LogEvent.from_bytes(line, self.fields))
        parts = _VALUES.split(line)
        values = parts[2::3]
        del parts[2::3]
        key = tuple(parts)
        try:
            frame = self._frames[key]
        except KeyError:
            return self._first(line, key, values)
        if frame is None:
            return self.whole(LogEvent.from_bytes(line, self.fields))
        time, device, identity, chip, shared = frame
        own = None if chip is None else values[chip].decode()
        return FramedEvent(float(values[time]), values[device].decode(), values[identity].decode(), own, shared)

    def whole(self, event: LogEvent | None) -> FramedEvent[T] | None:
        """Return the same of an event that was read in any other way; None for None."""
        if event is None:
            return None
        return FramedEvent(event.time, event.device, event.identity, event.chip, self.share(event))

    def _first(self, line: bytes, key: tuple[bytes, ...], values: list[bytes]) -> FramedEvent[T] | None:
        """Read the first line with a frame, and note the frame."""
        found = self.whole(event := LogEvent.from_bytes(line, self.fields))
        names = [text.split(b'"')[1].decode() for text in key[1::2]]
        if len(self._frames) >= _MOST:
            self._frames.clear()
        self._frames[key] = None
        if found is None or not _NEEDED.issubset(names) or len(set(names)) < len(names):
            return found
        changed = [b"1" + value for value in values]
        pieces = (b"".join(three) for three in zip(key[:-1:2], key[1::2], changed, strict=True))
        other = LogEvent.from_bytes(b"".join((*pieces, key[-1])), self.fields)
        if _has(event, names, values) and _has(other, names, changed):
            chip = names.index("chip") if "chip" in names else None
            time, device, identity = map(names.index, ("time", "device", "identity"))
            self._frames[key] = _Frame(time, device, identity, chip, found.shared)
        return found


def _has(event: LogEvent | None, names: list[str], values: list[bytes]) -> bool:
    """True if these are the values of the line's own fields."""
    if event is None:
        return False
    return all(
        event.entry.get(name) == (value.decode() if name in _TEXTS else float(value))
        for name, value in zip(names, values, strict=True)
    )
