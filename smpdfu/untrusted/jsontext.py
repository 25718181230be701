"""JSON from others that is evidence: what two readers could understand in two ways is refused.

A key twice, NaN and infinity, a number that is too large for a float, nesting beyond a bound, bytes that are no UTF-8.
Source: RFC 8785 and I-JSON (RFC 7493), which forbid the same.
"""

from __future__ import annotations

import math
from typing import Any, NoReturn

from smpdfu.errors import FormatError
from smpdfu.untrusted.nesting import MAX_DEPTH, load_json

_SHOWN = 60


def load(data: bytes, limit: int, *, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The JSON object in ``data``, of at most ``limit`` bytes and ``depth`` levels.

    Raises ``FormatError`` with a short sentence, and nothing else.
    """
    if len(data) > limit:
        raise FormatError(f"it is larger than {limit >> 10} KiB")
    try:
        found = load_json(
            data.decode("utf-8"),
            limit=depth,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
        )
    except UnicodeDecodeError:
        raise FormatError("it is not UTF-8") from None
    except ValueError as error:
        raise FormatError(f"it is not JSON that smpdfu takes: {str(error)[: _SHOWN * 3]}") from None
    if not isinstance(found, dict):
        raise FormatError("it is JSON, but no object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set[str]()
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        raise ValueError(f"the key {twice[:_SHOWN]!r} is there twice")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
