"""Cells of CSV tables."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Mapping

from smpdfu.untrusted.text import line

_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet treats a cell that begins with one of these as a formula."""


def csv_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """Return a line of column names and one line per row (RFC 4180); every row has the same columns."""
    with io.StringIO(newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow({name: cell(value) for name, value in row.items()})
        return file.getvalue()


def cell(value: object) -> object:
    """Return a value that no spreadsheet treats as a formula, and a text as one printable line."""
    if not isinstance(value, str):
        return value
    text = line(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def utc(at: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
