"""What the cells of a table are, whoever draws it: ``answers.py`` for a pipe, ``tables.py`` with rich."""

from __future__ import annotations

from typing import NamedTuple

GAPS = (3, 2)
"""Blanks between two columns of a table; the second is for a table that does not fit with the first."""
RULE_WIDTH = 80
"""The line below the heads is no wider: in a pipe a row may have hundreds of letters."""


class Cell(NamedTuple):
    """One line of text; ``no_wrap`` is for a name that is never broken in two."""

    text: str
    style: str = ""
    no_wrap: bool = False
