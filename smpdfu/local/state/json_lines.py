"""Files with one JSON object per line, such as journals and logs: tell whole lines from damaged ones."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from smpdfu.untrusted.nesting import load_json

_LAST_TIME_S = 253_402_300_799.0
"""The end of the year 9999 in seconds since 1970. Later times are no dates in Python."""
_MAX_DIGITS = 18


def entry_of(line: bytes) -> dict[str, Any] | None:
    """Return the object in a whole line, which ends with a newline; None for any other line.

    Every number in it is finite and of moderate length. ``time``, if present, is a time in seconds since 1970.
    """
    if not line.endswith(b"\n"):
        return None
    try:
        entry = load_json(line, parse_float=_finite, parse_int=_whole, parse_constant=_no_number)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not ("time" not in entry or is_time(entry["time"])):
        return None
    return entry


def is_time(value: object) -> bool:
    """Return whether a value is a number of seconds since 1970 that is a date."""
    return type(value) in (int, float) and 0 <= value <= _LAST_TIME_S  # type: ignore[operator]  # bool is no time


def as_time(seconds: float) -> float:
    """Return what a clock says as a time that ``is_time`` accepts, the nearest one: somebody may set it to anything."""
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), _LAST_TIME_S)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _whole(text: str) -> int:
    return int(text) if len(text) <= _MAX_DIGITS else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a finite number of moderate length")
