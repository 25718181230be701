"""What people and scripts see: tables, progress, JSON. The only module that formats for people.

rich, which takes 30 ms to load, draws on terminals only: a pipe, --json and --help do without it.

stdout carries the result (a table, or one JSON document with ``--json``); stderr carries progress and messages.
"""

from __future__ import annotations

import json as _json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.answers import Facts, Paragraphs, Stacked, Table, plain
from smpdfu.cli.terminal.cells import Cell
from smpdfu.cli.terminal.streams import failed_stdout
from smpdfu.untrusted import text as door

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

# Wider than any line: what is no terminal is never wrapped or cut.
_NO_WIDTH = 1 << 16

_LONG_LIST = 100
"""A list with more items has one line for each."""
HASH_DIGITS = 12
"""Digits of a hash in a table: enough to tell images apart, and for ``smpdfu test HASH``."""
_SHORT_BYTES = 16  # a UUID is shown whole

Advance = Callable[[int, int, str], None]
"""What moves a progress display: (done, total, what is being done)."""


@dataclass(frozen=True, slots=True)
class Output:
    """How a command answers."""

    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False

    def emit(self, data: Any, render: Callable[[], RenderableType]) -> None:
        """Print ``data`` as JSON, or what ``render`` returns for people."""
        if self.json:
            print_json(data)
        else:
            _print(render())

    def say(self, text: str) -> None:
        """A message on stderr, also with ``--json``: stdout stays clean, and a log shows what a long command does."""
        tell(text)

    def warn(self, text: str) -> None:
        """A warning, on stderr, also with ``--json``: stdout stays clean."""
        warn(text)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """A spinner on stderr while something takes its time; only on a terminal, and not with ``--json``."""
        if self.json or not sys.stderr.isatty():
            yield
            return
        with console(sys.stderr).status(one_line(text)):
            yield

    def progress(self, label: str) -> _Progress:
        """A progress display on stderr: ``with out.progress("app") as advance: advance(done, total, phase)``."""
        return _Progress(label, bar=not self.json)


@dataclass(frozen=True, slots=True)
class HashOutput(Output):
    """How a command answers that shows hashes in a table."""

    long: Annotated[bool, typer.Option("--long", help="Show whole hashes. Default: the first 12 digits in tables.")] = (
        False
    )


def console(stream: TextIO | None = None) -> Console:
    """A rich console on ``stream`` (stdout). Colour only on a terminal; a file or pipe is never wrapped or cut."""
    from rich.console import Console

    target = sys.stdout if stream is None else stream
    if hasattr(target, "rich_proxied_file"):
        target = cast("TextIO", _AboveLive(target))
    if target.isatty():
        return Console(file=target, highlight=False, emoji=False)
    return Console(file=target, highlight=False, emoji=False, soft_wrap=True, width=_NO_WIDTH)


def _print(answer: RenderableType) -> None:
    """The answer on stdout; where that is no terminal, without the blanks that fill a table's lines."""
    if isinstance(answer, str):  # rich would read it as markup, and names from outside may be in it
        answer = words(answer)
    with _stdout() as stdout:
        lines = _plain_lines(answer, stdout)
        if lines is None:
            target = console()
            if target.is_terminal:
                target.print(answer, crop=False)
                return
            with target.capture() as captured:
                target.print(answer)
            lines = captured.get().splitlines()
        stdout.write("".join(line.rstrip() + "\n" for line in lines))


def _plain_lines(answer: RenderableType, stream: TextIO) -> list[str] | None:
    """The lines of an answer in a pipe or a file; None if rich must draw it, as it does on what counts as a terminal.

    FORCE_COLOR and TTY_COMPATIBLE make rich treat a stream as a terminal.
    """
    taken = hasattr(stream, "rich_proxied_file")
    if taken or stream.isatty() or any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE")):
        return None
    return plain(answer, "─" if (stream.encoding or "utf-8").lower().startswith("utf") else "-")


@contextmanager
def _stdout() -> Iterator[TextIO]:
    """Writing to stdout, with what can go wrong at it."""
    try:
        yield sys.stdout
        sys.stdout.flush()
    except OSError as error:
        raise failed_stdout(error) from None


class _AboveLive:
    """A stream that a live display has taken over: what is written comes above it. By itself rich goes around that."""

    def __init__(self, taken: TextIO) -> None:
        self.write, self.flush, self.isatty = taken.write, taken.flush, taken.isatty
        self.encoding = taken.encoding


def tell(text: str, style: str = "") -> None:
    """One line on stderr. On a terminal it wraps at blanks; a longer name stays whole."""
    answer = words(door.line(text))
    lines = _plain_lines(answer, sys.stderr)
    if lines is None:
        console(sys.stderr).print(answer, style=style, crop=False)
    else:
        sys.stderr.write("".join(line + "\n" for line in lines))
        sys.stderr.flush()


def warn(text: str) -> None:
    """One warning line on stderr."""
    tell(f"warning: {text}", style="yellow")


@cache
def note(text: str) -> None:
    """One line on stderr that people need to know, also with ``--json``; said once a command."""
    tell(f"note: {text}")


def words(text: str) -> RenderableType:
    """A text of one or more lines that came from outside: no markup, nothing that a terminal would obey."""
    return Paragraphs(door.lines(text), style=_style(text))


class Good(str):
    """A text that reports success: green on a terminal with colours, plain elsewhere."""

    __slots__ = ()


def _style(value: object) -> str:
    return "green" if isinstance(value, Good) else ""


def one_line(text: str) -> Text:
    """A text from outside as one line of what rich draws: what is in it can begin no line."""
    from rich.text import Text

    return Text(door.line(text))


def print_json(data: Any) -> None:
    """One JSON document on stdout; bytes as lower-case hex, dataclasses as objects, versions and paths as text.

    It is indented, but an item of a long list takes one line: Python is several times slower where it indents.
    """
    with _stdout() as stdout:
        stdout.write(_indented(data) + "\n")


def print_json_line(data: Any) -> None:
    """As ``print_json``, in one line."""
    with _stdout() as stdout:
        stdout.write(_json.dumps(data, default=_plain) + "\n")


def _indented(data: Any) -> str:
    if not (isinstance(data, dict) and any(map(_is_long, data.values()))):
        return _json.dumps(data, default=_plain, indent=2)
    texts = (f"  {_json.dumps(str(key))}: {_field(value)}" for key, value in data.items())
    return "{\n" + ",\n".join(texts) + "\n}"


def _is_long(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > _LONG_LIST


def _field(value: Any) -> str:
    """The text of a field of an indented document."""
    if _is_long(value):
        return "[\n" + ",\n".join("    " + _json.dumps(one, default=_plain) for one in value) + "\n  ]"
    return _json.dumps(value, default=_plain, indent=2).replace("\n", "\n  ")


def print_json_list(name: str, items: Iterable[Any], last: Callable[[], dict[str, Any]] = dict) -> None:
    """One JSON document ``{name: [...]}`` on stdout, written item by item: there may be more than memory holds.

    ``last`` is asked in the end, for what else the document has.
    """
    comma = ""
    with _stdout() as stdout:
        stdout.write(f'{{"{name}": [')
    for item in items:
        with _stdout() as stdout:
            stdout.write(f"{comma}\n" + _json.dumps(item, default=_plain))
        comma = ","
    with _stdout() as stdout:
        rest = "".join(f", {_json.dumps(key)}: {_json.dumps(value, default=_plain)}" for key, value in last().items())
        stdout.write(f"\n]{rest}}}\n")


def print_text(text: str) -> None:
    """A text of ours on stdout, at once, as it is."""
    with _stdout() as stdout:
        stdout.write(text)


def print_line(text: str) -> None:
    """One line of plain text on stdout, at once."""
    with _stdout() as stdout:
        stdout.write(door.line(text) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        # A class with a text form of its own (a version) is that text; the others are objects of their fields.
        return asdict(value) if "__str__" not in type(value).__dict__ else str(value)
    return str(value)


def stacked(*parts: RenderableType) -> RenderableType:
    """Several parts of an answer, one below the other."""
    return Stacked(parts)


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, long: bool = False
) -> RenderableType:
    """A table; cells are shown with ``str``, None as nothing, True as ``yes`` and False as ``no``.

    A cell of type bytes is a hash: its first 12 digits, or all of them if ``long``. A Path is never broken in two.
    """
    cells = [[_cell(value, long=long) for value in row] for row in rows]
    return Table(door.line(title), [cell(column) for column in columns], cells)


def facts(pairs: Sequence[tuple[str, object]]) -> RenderableType:
    """One fact a line: name and value in two columns. A hash is shown whole."""
    return Facts([(cell(name), _cell(value, long=True)) for name, value in pairs])


def cell(text: str, style: str = "") -> Cell:
    """A text from outside as one line of a table: what is in it can begin no line."""
    return Cell(door.line(text), style)


def _cell(value: object, *, long: bool) -> Cell:
    if value is None:
        return cell("")
    if isinstance(value, bool):
        return cell("yes" if value else "no")
    if isinstance(value, bytes):
        return cell(value.hex() if long else value.hex()[:HASH_DIGITS])
    if isinstance(value, Data):
        return cell(value.text(long=long))
    return Cell(door.line(str(value)), _style(value), isinstance(value, Path))


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes in a table that are no hash: long ones are cut, and dots show it."""

    value: bytes

    def text(self, *, long: bool) -> str:
        """The bytes as hex digits."""
        if long or len(self.value) <= _SHORT_BYTES:
            return self.value.hex()
        return f"{self.value.hex()[:HASH_DIGITS]}..."


class _Progress:
    """A bar with rate and time left on a terminal; elsewhere a line now and then, so that a log shows life.

    ``bar`` False: lines in any case, as ``--json`` promises them.
    """

    _LINE_EVERY_S = 5.0

    def __init__(self, label: str, *, bar: bool) -> None:
        self._label = label
        self._wants_bar = bar
        self._context: Any = None

    def __enter__(self) -> Advance:
        if sys.stderr.isatty() and self._wants_bar:
            self._context = _bar(self._label)
        else:
            self._context = _lines(self._label, every_s=self._LINE_EVERY_S)
        advance: Advance = self._context.__enter__()
        return advance

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)


def upload_phase(done: int) -> str:
    """What an upload does beside sending: before the first byte, the device erases."""
    return "" if done else "erasing"


@contextmanager
def _bar(label: str) -> Iterator[Advance]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
    )
    with Progress(*columns, console=console(sys.stderr)) as bar:
        task = bar.add_task(door.line(label), total=None, phase="")

        def advance(done: int, total: int, phase: str) -> None:
            bar.update(task, completed=done, total=total, phase=door.line(phase))

        yield advance


@contextmanager
def _lines(label: str, *, every_s: float) -> Iterator[Advance]:
    """A line every ``every_s``; rate and time left count from the first bytes that this run has seen arrive."""
    last = time.monotonic()
    first: tuple[float, int] | None = None

    def advance(done: int, total: int, phase: str) -> None:
        nonlocal last, first
        now = time.monotonic()
        if done and first is None:
            first = (now, done)
        if now - last >= every_s:
            last = now
            pace = _pace(now, done, total, first) if first is not None else ""
            more = f", {phase}" if phase else ""
            sys.stderr.write(door.line(f"{label}: {done} of {total} bytes{pace}{more}") + "\n")
            sys.stderr.flush()

    yield advance


def _pace(now: float, done: int, total: int, first: tuple[float, int]) -> str:
    """Rate and time left, once there is something to tell by."""
    seconds, arrived = now - first[0], done - first[1]
    if seconds <= 0 or arrived <= 0:
        return ""
    rate = arrived / seconds
    return f", {rate / 1000:.1f} kB/s, {(total - done) / rate:.0f} s left"
