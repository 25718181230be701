"""Where a boot begins on a console. A client needs that of all commands, so it stands apart from what lines tell."""

from __future__ import annotations

import re

from smpdfu.untrusted.text import without_escapes

BANNER = re.compile(r"\*\*\* Booting MCUboot ")
START = re.compile(r"(?<!\w)Starting bootloader$")
MAX_TEXT = 65_536


def begins_boot(line: str) -> bool:
    """True for a line with which MCUboot begins its boot text."""
    return bool(BANNER.search(line) or START.search(line))


def plain(text: str) -> str:
    """``text`` without colour codes and control characters, its lines ended by newlines."""
    bare = without_escapes(text).replace("\r\n", "\n")
    return "".join(one for one in bare if one >= " " or one in "\n\t")
