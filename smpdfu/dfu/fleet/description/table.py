"""A table of a fleet's file, read key by key; every error names the key and its place."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.do.net_version import VersionRule
from smpdfu.errors import FleetFileError
from smpdfu.loaders.releases import Partitions
from smpdfu.untrusted.files import read_start
from smpdfu.untrusted.nesting import load_toml

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_DEVICES = 100_000
# How many "=" and "[" a file may have: outside of [[device]] and [[wave]], and in each of those. A device may also be
# a table in braces.
_SIGNS_OF_A_FILE, _SIGNS_OF_A_TABLE = 20_000, 20


class Table:
    """A table of the file, read key by key. Every method raises FleetFileError, which names the key and its place."""

    def __init__(self, table: Any, where: str) -> None:
        if not isinstance(table, dict):
            raise FleetFileError(f"{where} is not a table")
        self._left = dict(table)
        self.where = where

    def text(self, key: str, default: str | None) -> Any:
        """Take a text that is not empty; ``default`` if the key is missing."""
        value = self._left.pop(key, default)
        if value is not None and (not is_text(value) or not value):
            raise FleetFileError(f"{key!r} in {self.where} must be a text")
        return value

    def whole(self, key: str, default: int | None, *, lowest: int) -> Any:
        """Take a whole number of at least ``lowest``."""
        value = self._left.pop(key, default)
        if value is not None and (type(value) is not int or value < lowest):
            raise FleetFileError(f"{key!r} in {self.where} must be a whole number of at least {lowest}")
        return value

    def number(self, key: str, default: float | None, *, highest: float = 1e7) -> float | None:
        """Take a number from 0 to ``highest``."""
        value = self._left.pop(key, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
            raise FleetFileError(f"{key!r} in {self.where} must be a number from 0 to {highest:g}")
        return float(value)

    def switch(self, key: str, *, default: bool) -> bool:
        """Take true or false."""
        value = self._left.pop(key, default)
        if not isinstance(value, bool):
            raise FleetFileError(f"{key!r} in {self.where} must be true or false")
        return value

    def texts(self, key: str) -> list[str] | None:
        """Take a list of texts; None if the key is missing."""
        value = self._left.pop(key, None)
        if value is not None and not (isinstance(value, list) and all(map(is_text, value))):
            raise FleetFileError(f"{key!r} in {self.where} must be a list of texts")
        return cast("list[str] | None", value)

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """Take one of the texts ``choices``."""
        value = self._left.pop(key, default)
        if value not in choices:
            raise FleetFileError(f"{key!r} in {self.where} must be one of {', '.join(choices)}")
        return str(value)

    def bootloader(self, usual: Bootloader) -> Bootloader:
        """Read what the table says of a bootloader; for the rest, ``usual`` counts."""
        ncs = self.text("ncs", usual.ncs)
        partitions = self.text("partitions", usual.partitions)
        address = self._number("net_address", usual.net_address, "an address such as 0x01008800")
        slot = self._number("active_b0_slot", usual.active_b0_slot, "0 or 1")
        try:
            return Bootloader(ncs, None if partitions is None else Partitions(partitions), address, slot)
        except ValueError as error:
            raise FleetFileError(f"{self.where}: {error}") from error

    def _number(self, key: str, default: int | None, what: str) -> int | None:
        value = self._left.pop(key, default)
        with suppress(ValueError):
            value = int(value, 0) if isinstance(value, str) else value
        if value is not None and type(value) is not int:
            raise FleetFileError(f"{key!r} in {self.where} must be {what}")
        return value

    def rule(self, key: str) -> VersionRule | None:
        """Take a rule for the version of the network core; None if the key is missing."""
        text = self.text(key, None)
        try:
            return None if text is None else VersionRule.from_text(text)
        except ValueError as error:
            raise FleetFileError(f"{key!r} in {self.where}: {error}") from error

    def nothing_else(self) -> None:
        """Refuse a key that nobody has taken."""
        if self._left:
            raise FleetFileError(f"{self.where} has an unknown key {min(self._left)!r}")


def is_text(value: object) -> bool:
    """Return whether a value is a text that can be the name of a file: those have no zero byte."""
    return isinstance(value, str) and "\0" not in value


def read_bytes(path: Path) -> bytes:
    """Read a file of a fleet. Raises FleetFileError if it is too large, or OSError."""
    data = read_start(path, MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise FleetFileError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data


def tables_of(value: Any, what: str) -> list[Any]:
    """The tables under ``[[what]]``. Raises FleetFileError for another value."""
    if not isinstance(value, list):
        raise FleetFileError(f"{what} is not a list of tables: write [[{what}]]")
    return value


def read_tables(content: bytes, path: Path, known: Sequence[str]) -> dict[str, Any]:
    """Read the tables of a file, which may have those of the names ``known``. Raises FleetFileError."""
    try:
        text = content.decode()
        listed = text.count("[[") + text.count("{")
        signs = text.count("=") + text.count("[")
        if listed > MAX_DEVICES + _SIGNS_OF_A_FILE or signs > _SIGNS_OF_A_FILE + _SIGNS_OF_A_TABLE * listed:
            raise FleetFileError(f"{path.name} has more keys than a fleet can have")  # the parser takes 10 us for each
        tables = load_toml(text)
    except ValueError as error:
        raise FleetFileError(f"{path.name} is not valid TOML: {error}") from error
    unknown = sorted(set(tables) - set(known))
    if unknown:
        raise FleetFileError(f"{path.name} has an unknown table {unknown[0]!r}; known are {', '.join(known)}")
    return tables
