"""What a command answers to people: texts, facts and tables, before they are drawn.

On a terminal, rich draws them (``tables.py``). In a pipe or a file nothing is wrapped, coloured or cut, so ASCII text
needs no rich, which takes 30 ms to load: ``plain`` makes the same lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from smpdfu.cli.terminal.cells import GAPS, RULE_WIDTH, Cell

if TYPE_CHECKING:
    from rich.console import RenderableType


_FRAMES = "─│┌├└┐┤┘"


class Drawing:
    """What draws itself with rich, and with letters alone."""

    __slots__ = ()

    def plain_lines(self, *, ascii_only: bool) -> Iterator[str]:
        """Return the lines without colours; ``ascii_only``: without the letters for frames."""
        raise NotImplementedError


class Paragraphs:
    """A text of one or more lines that is no markup, in one style."""

    __slots__ = ("style", "text")

    def __init__(self, text: str, style: str = "") -> None:
        self.text = text
        self.style = style

    def __rich__(self) -> RenderableType:
        """Return what rich draws."""
        from smpdfu.cli.terminal import tables  # here: in a pipe nothing needs rich

        return tables.Paragraphs(tables.text_of(Cell(self.text, self.style)))


class Table:
    """Rows below heads."""

    __slots__ = ("heads", "rows", "title")

    def __init__(self, title: str, heads: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> None:
        self.title = title
        self.heads = heads
        self.rows = rows

    def __rich__(self) -> RenderableType:
        """Return what rich draws."""
        from smpdfu.cli.terminal import tables  # here: in a pipe nothing needs rich

        rows = [[tables.text_of(cell) for cell in row] for row in self.rows]
        return tables.FittingTable(
            tables.text_of(Cell(self.title)), [tables.text_of(head) for head in self.heads], rows
        )


class Facts:
    """One fact a line: name and value."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Sequence[tuple[Cell, Cell]]) -> None:
        self.pairs = pairs

    def __rich__(self) -> RenderableType:
        """Return what rich draws."""
        from smpdfu.cli.terminal import tables  # here: in a pipe nothing needs rich

        return tables.Facts([(tables.text_of(name), tables.text_of(value)) for name, value in self.pairs])


class Stacked:
    """Answers one below the other."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[RenderableType]) -> None:
        self.parts = parts

    def __rich__(self) -> RenderableType:
        """Return what rich draws."""
        from rich.console import Group  # here: in a pipe nothing needs rich

        return Group(*self.parts)


def plain(answer: RenderableType, rule: str) -> list[str] | None:
    """Return the lines of an answer for a pipe, ``rule`` being the letter of lines; None if rich must draw it."""
    try:
        lines = list(_lines(answer, rule))
    except TypeError:
        return None
    return lines if all(map(_is_narrow, lines)) else None


def _is_narrow(line: str) -> bool:
    """True if each letter of a line certainly takes one column, so that it needs no table of widths."""
    return line.isascii() or all(one.isascii() or one in _FRAMES for one in line)


def _lines(answer: RenderableType, rule: str) -> Iterator[str]:
    """The lines of an answer. Raises TypeError for what only rich can draw."""
    match answer:
        case Paragraphs():
            yield from answer.text.expandtabs(8).split("\n")
        case Table():
            if answer.title:
                yield answer.title
            yield ""
            rows = [answer.heads, *answer.rows]
            widths = [max(len(cell.text) for cell in column) for column in zip(*rows, strict=True)]
            yield _row(answer.heads, widths, GAPS[0], 1)
            total = sum(widths) + GAPS[0] * (len(widths) - 1)
            yield " " + rule * min(total, RULE_WIDTH)
            yield from (_row(row, widths, GAPS[0], 1) for row in answer.rows)
            yield ""
        case Facts():
            width = max((len(name.text) for name, _ in answer.pairs), default=0)
            yield from (_row(pair, (width, 1), GAPS[1], 0) for pair in answer.pairs)
        case Stacked():
            for part in answer.parts:
                yield from _lines(part, rule)
        case Drawing():
            yield from answer.plain_lines(ascii_only=rule.isascii())
        case _:
            raise TypeError(f"only rich draws {type(answer).__name__}")


def _row(cells: Sequence[Cell], widths: Sequence[int], gap: int, indent: int) -> str:
    padded = (cell.text.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return " " * indent + (" " * gap).join(padded)
