"""How deep a document may be nested: the same on every Python, whose own bounds differ and are no error of a document.

Every reader of JSON, TOML and YAML uses this; CBOR has a bound of its own in ``smp/cbor.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import json

MAX_DEPTH = 32
"""Levels of lists and tables. What smpdfu reads (manifests, partition tables, fleets, logs) has six at most."""
MAX_DIGITS = 4300
"""Digits of a whole number: Python's own bound where nobody changed it."""
_TOO_LONG = f"it has a number of more than {MAX_DIGITS} digits"
_NESTS = (dict, list, tuple)
T = TypeVar("T")
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?)"""
_TOML_TOKENS = (
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:""")?' + r"|'''(?:[^']|'(?!''))*+(?:''')?|#[^\n]*+|"
    rf"(?P<key>{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+)"
)  # compiled when it is needed: as a rule never
_TOKENS = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class TooDeepError(ValueError):
    """A document is nested deeper than the bound."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"it is nested too deeply: more than {limit} levels")


def load_json(text: str | bytes, *, limit: int = MAX_DEPTH, **how: Any) -> Any:
    """The JSON document ``text``; ``how`` goes to ``json.loads``. ValueError if it is none, or nested too deep.

    Whole numbers have ``MAX_DIGITS`` digits at most, whatever Python's own bound is.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    if text.startswith("\ufeff"):
        raise ValueError("it begins with a byte order mark")
    if text.count("[") + text.count("{") > limit:
        _check_brackets(text, limit)
    return _decoder(tuple(how.items())).decode(text)


def _decoded(data: bytes) -> str:
    if data[:2] == b'{"':  # as most documents and every line of a log: UTF-8
        return data.decode("utf-8", "surrogatepass")
    import json  # here: not every command reads JSON

    return data.decode(json.detect_encoding(data), "surrogatepass")


@lru_cache(maxsize=16)
def _decoder(how: tuple[tuple[str, Any], ...]) -> json.JSONDecoder:
    """The decoder with these settings, made once: logs have many lines."""
    import json  # here: not every command reads JSON

    return json.JSONDecoder(**{"parse_int": _integer} | dict(how))


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(_TOO_LONG)
    return int(text)


def load_bounded(load: Callable[[Any], T], text: str | bytes, *, limit: int = MAX_DEPTH) -> T:
    """``load(text)``, of TOML or YAML. Raises what ``load`` raises, and TooDeepError instead of RecursionError."""
    try:
        found = load(text)
    except RecursionError:
        raise TooDeepError(limit) from None
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):  # advice for programmers
            raise ValueError(_TOO_LONG) from None
        raise
    check_depth(found, limit)
    return found


def load_toml(text: str, *, limit: int = MAX_DEPTH) -> dict[str, Any]:
    """The TOML document ``text``. ValueError if it is none, or nested too deep.

    Keys of many parts are refused before they are read: ``tomllib`` takes seconds for one of 30 KB, and the time grows
    with the square of the size.
    """
    import tomllib  # here: as a rule there is no such file

    if any(line.count(".") >= limit for line in text.split("\n")):
        for token in re.finditer(_TOML_TOKENS, text, re.DOTALL):
            if token["key"] and sum(1 for _ in re.finditer(_PART, token["key"])) > limit:
                raise TooDeepError(limit)
    return load_bounded(tomllib.loads, text, limit=limit)


def check_depth(value: object, limit: int = MAX_DEPTH) -> None:
    """TooDeepError if ``value``, of lists and dictionaries, has more than ``limit`` levels, or holds itself."""
    deepest: dict[int, int] = {}  # YAML's aliases lead to one thing by many ways
    waiting = [(value, 1)]
    while waiting:
        one, level = waiting.pop()
        if not isinstance(one, _NESTS) or deepest.get(id(one), 0) >= level:
            continue
        if level > limit:
            raise TooDeepError(limit)
        deepest[id(one)] = level
        items = one.values() if isinstance(one, dict) else one
        waiting += [(item, level + 1) for item in items if isinstance(item, _NESTS)]


def _check_brackets(text: str, limit: int) -> None:
    level = 0
    for token in _TOKENS.finditer(text):
        first = text[token.start()]
        level += (first in "[{") - (first in "]}")
        if level > limit:
            raise TooDeepError(limit)
