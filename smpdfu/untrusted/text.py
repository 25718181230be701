"""The filter for every text from a device, a file or another program before a person sees it.

A terminal obeys control characters (C0, C1, DEL), a line break forges a line, and characters of direction or without
width (Unicode's Cf) make a text look like another one. Each character that cannot be printed becomes U+FFFD. This
module does not handle markup and HTML: no code gives text from outside to a reader of markup.
"""

from __future__ import annotations

import re

REPLACED = "\ufffd"

# Colours, cursor movements, character sets (ECMA-48, 5.4; ECMA-35, 13.2).
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[ -/]+[0-~]|[0-~])")


def without_escapes(text: str) -> str:
    """Remove the colours and cursor movements that a program writes for a terminal."""
    return _ESCAPES.sub("", text)


def line(text: str) -> str:
    """Return the text as one printable line."""
    return text if text.isprintable() else "".join(one if one.isprintable() else REPLACED for one in text)


def lines(text: str) -> str:
    """Return a printable text of several lines, such as the output of a shell: line feeds and tabs stay."""
    return "\n".join("\t".join(map(line, one.split("\t"))) for one in text.split("\n"))


def numbered(text: str) -> str:
    """Return one line with unprintable characters written as their numbers, for logs of bytes."""
    return text if text.isprintable() else "".join(one if one.isprintable() else _number(one) for one in text)


def _number(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
