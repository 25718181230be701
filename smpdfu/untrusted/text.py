"""The one door for text that came from a device, a file or another program, on its way to a person.

A terminal obeys control characters (C0, C1, DEL), a line break forges a line, and characters of direction or without
width (Unicode's Cf) make a text read as what it is not. What cannot be printed becomes U+FFFD, one for each character.
Markup and HTML are no matter of this module: text from outside is never given to what reads markup.
"""

from __future__ import annotations

import re

REPLACED = "\ufffd"

# Colours, cursor movements, character sets (ECMA-48, 5.4; ECMA-35, 13.2).
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[ -/]+[0-~]|[0-~])")


def without_escapes(text: str) -> str:
    """The text without the colours and cursor movements that a program writes for a terminal."""
    return _ESCAPES.sub("", text)


def line(text: str) -> str:
    """The text as one line that only prints."""
    return text if text.isprintable() else "".join(one if one.isprintable() else REPLACED for one in text)


def lines(text: str) -> str:
    """The same for a text of several lines, such as what a shell prints: line feeds and tabs stay."""
    return "\n".join("\t".join(map(line, one.split("\t"))) for one in text.split("\n"))


def numbered(text: str) -> str:
    """One line in which what cannot be printed is written as its number, for logs of bytes."""
    return text if text.isprintable() else "".join(one if one.isprintable() else _number(one) for one in text)


def _number(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
