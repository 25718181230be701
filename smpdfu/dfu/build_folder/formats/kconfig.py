"""``.config`` and ``pm.config``: one ``KEY=value`` a line.

Source: Zephyr's ``scripts/kconfig/kconfiglib.py`` (``write_config``: a key that is not set stands in a comment, texts
stand in quotes with ``\\`` before ``"`` and ``\\``), and nRF Connect SDK's ``scripts/partition_manager_output.py``,
which writes its addresses and sizes in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from smpdfu.errors import FormatError

MAX_BYTES = 4 << 20
"""The largest of real builds have 200 KB."""
MAX_VALUE = 1024
"""Characters of a value that can be a path, a name or a number; a longer one is passed over."""

_LINE = re.compile(r"^([A-Za-z][A-Za-z0-9_]{0,200})=(.*)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Kconfig:
    """The values of a file by their keys, as texts without quotes. ``file`` is its name for people.

    A key that is not set has no value.
    """

    file: str
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def flag(self, key: str) -> bool:
        """True where the key is set to ``y``."""
        return self.values.get(key) == "y"

    def text(self, key: str) -> str | None:
        """The text of a key; None where it is not set, or empty."""
        return self.values.get(key) or None

    def number(self, key: str) -> int | None:
        """The number of a key, decimal or 0x hexadecimal; None where it is not set, or no such number."""
        return whole_number(self.values.get(key, ""))


def whole_number(text: str) -> int | None:
    """A number as Kconfig and devicetree write it; None for what is none, or has more digits than 64 bits need."""
    if not _NUMBER.fullmatch(text):
        return None
    return int(text, 16) if text[:2].lower() == "0x" else int(text)


def parse(data: bytes, file: str) -> Kconfig:
    """Read the lines with a value; the last of several lines for one key counts, as it does for Kconfig.

    Raises FormatError for a file that is too large, or is no text.
    """
    if len(data) > MAX_BYTES:
        raise FormatError(f"{file} is larger than {MAX_BYTES >> 20} MiB")
    if b"\0" in data:
        raise FormatError(f"{file} is no text: it has a zero byte", data.index(b"\0"))
    found = _LINE.finditer(data.decode("utf-8", "replace").replace("\r\n", "\n"))
    return Kconfig(file, {one[1]: _value(one[2]) for one in found if len(one[2]) <= MAX_VALUE})


def _value(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text
