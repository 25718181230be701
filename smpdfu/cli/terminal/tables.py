"""Texts, facts and tables that fit the terminal: lines break at blanks, and no name and no number is broken in two."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from smpdfu.cli.terminal.cells import GAPS, RULE_WIDTH, Cell

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


def text_of(cell: Cell) -> Text:
    """Return a cell's text as rich has it."""
    return Text(cell.text, style=cell.style, no_wrap=cell.no_wrap or None)


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """A text of one or more lines."""

    text: Text

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Return the lines of the text."""
        self.text.expand_tabs(8)
        for whole in self.text.split(allow_blank=True):
            for line in _wrapped(whole, _room(options)):
                line.no_wrap, line.overflow = True, "ignore"
                yield line


@dataclass(frozen=True, slots=True)
class FittingTable:
    """Rows below heads. If not even the narrowest form fits, each row becomes a block with one fact a line."""

    title: Text
    heads: Sequence[Text]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Return the lines of the table."""
        if self.title:
            self.title.stylize("bold")
            yield Paragraphs(self.title)
        yield Text("")
        room = _room(options)
        columns = list(zip(self.heads, *self.rows, strict=True))
        natural = [max(cell.cell_len for cell in column) for column in columns]
        gap = next((one for one in GAPS if _total(natural, one) <= room), GAPS[-1])
        widths = natural
        if _total(natural, gap) > room:
            least = [max(map(_least_width, column)) for column in columns]
            if _total(least, gap) > room:
                yield from self._blocks()
                return
            widths = _shared(natural, least, room - _total([0] * len(natural), gap))
        for head in self.heads:
            head.stylize("bold")
        yield from _lines(self.heads, widths, gap)
        rule = min(_total(widths, gap) - 1, RULE_WIDTH)
        yield _line(" " + ("-" if options.ascii_only else "─") * rule)
        for row in self.rows:
            yield from _lines(row, widths, gap)
        yield Text("")

    def _blocks(self) -> Iterator[Facts | Text]:
        for row in self.rows:
            yield Facts([pair for pair in zip(self.heads, row, strict=True) if pair[1]])
            yield Text("")


@dataclass(frozen=True, slots=True)
class Facts:
    """One fact a line: name and value."""

    pairs: Sequence[tuple[Text, Text]]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Return the lines of the facts."""
        gap = GAPS[-1]
        name = max((name.cell_len for name, _ in self.pairs), default=0)
        for pair in self.pairs:
            yield from _lines(pair, (name, max(1, _room(options) - name - gap)), gap, indent=0)


def _room(options: ConsoleOptions) -> int:
    """How wide a line may be; a file or a pipe takes any line."""
    return sys.maxsize if options.no_wrap else options.max_width


def _total(widths: Sequence[int], gap: int) -> int:
    return 1 + sum(widths) + gap * (len(widths) - 1)


def _least_width(cell: Text) -> int:
    """How many columns of the terminal the longest part takes that must not be broken."""
    if cell.no_wrap:
        return cell.cell_len
    return max((cell_len(word) for word in cell.plain.split()), default=0)


def _shared(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths of columns in ``room``: the wide ones become narrower, to one width, but none narrower than ``least``.

    ``room`` has at least the sum of ``least``.
    """
    for widest in range(room, 0, -1):
        widths = [max(low, min(wish, widest)) for wish, low in zip(natural, least, strict=True)]
        if sum(widths) <= room:
            return widths
    return list(least)


def _lines(cells: Sequence[Text], widths: Sequence[int], gap: int, *, indent: int = 1) -> Iterator[Text]:
    """The lines of a row."""
    if (whole := _plain_line(cells, widths, gap, indent)) is not None:
        yield whole
        return
    wrapped = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, wrapped), default=0)):
        made = _line(" " * indent)
        place = indent
        for lines, width in zip(wrapped, widths, strict=True):
            if number < len(lines):
                made.pad_right(place - made.cell_len)
                made.append_text(lines[number])
            place += width + gap
        yield made


def _plain_line(cells: Sequence[Text], widths: Sequence[int], gap: int, indent: int) -> Text | None:
    """The row as one line, if it fits and has no styles: most rows are such, and texts with styles are slow to join."""
    made, filled, place = "", 0, indent
    for cell, width in zip(cells, widths, strict=True):
        length = cell.cell_len
        if length > width or cell.style or cell.spans:
            return None
        made += " " * (place - filled) + cell.plain
        filled = place + length
        place += width + gap
    return _line(made)


def _wrapped(text: Text, width: int) -> Sequence[Text]:
    """The lines of a text, broken at blanks; a part without blanks stays whole, even if it is wider than ``width``."""
    if text.no_wrap or text.cell_len <= width:
        return [text]
    breaks = []
    start = 0
    for word in re.finditer(r"\S+", text.plain):
        if word.start() > start and cell_len(text.plain[start : word.end()]) > width:
            breaks.append(word.start())
            start = word.start()
    lines = list(text.divide(breaks))
    for line in lines:
        line.rstrip()
    return lines


def _line(text: str) -> Text:
    """A line that is wider than the terminal only if one name is: the terminal, not rich, continues it below."""
    return Text(text, no_wrap=True, overflow="ignore")
