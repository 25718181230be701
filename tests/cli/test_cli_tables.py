"""Tables and facts fit the terminal: hashes are short, names stay whole, and a pipe gets one line a row."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from smpdfu.cli.app.findings import findings_shown
from smpdfu.cli.inspect.slot import Part, Picture
from smpdfu.cli.terminal import show, tables
from smpdfu.cli.terminal.show import Data, Output, facts, stacked, table, tell, words
from smpdfu.local.doctor.checks import Finding, Level
from smpdfu.untrusted.text import lines as lines_of
from smpdfu.untrusted.text import without_escapes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tests.cli.conftest import Call

HASH = bytes(range(32))
LONG_NAME = "/home/someone/projects/roofs/build/nrf5340dk/with_a_long_folder/app_update.bin"
SENTENCE = "the network core cannot be rolled back; smpdfu updates it after the check of the application core"

Shown = Callable[..., list[str]]


class Terminal(io.StringIO):
    """A terminal that keeps what was written."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The lines of an answer on a terminal of a width, or in a pipe."""

    def show(answer: RenderableType, width: int | None) -> list[str]:
        stream = io.StringIO() if width is None else Terminal()
        monkeypatch.setenv("COLUMNS", str(width or 80))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stdout", stream)
        Output().emit({}, lambda: answer)
        return without_escapes(stream.getvalue()).splitlines()

    return show


def test_a_hash_in_a_table_has_12_digits_and_with_long_all(shown: Shown) -> None:
    rows = [("app", HASH)]
    assert shown(table("", ("core", "hash"), rows), 80)[3] == " app    000102030405"
    assert shown(table("", ("core", "hash"), rows, long=True), 80)[3] == f" app    {HASH.hex()}"
    assert shown(facts([("hash", HASH)]), 80) == [f"hash  {HASH.hex()}"]


def test_other_bytes_are_cut_with_dots(shown: Shown) -> None:
    rows = [(Data(b"\xaa" * 16),), (Data(b"\xaa" * 17),)]
    assert shown(table("", ("value",), rows), 80)[3:5] == [f" {'aa' * 16}", " aaaaaaaaaaaa..."]
    assert shown(table("", ("value",), rows, long=True), 80)[4] == f" {'aa' * 17}"


def test_what_doctor_says_stays_in_its_column(shown: Shown) -> None:
    found = Finding("ports", "port", Level.NOTE, SENTENCE, SENTENCE, SENTENCE)
    lines = shown(findings_shown([found]), 60)
    assert max(map(len, lines)) <= 60
    assert {line[:9].strip() for line in lines[1:]} == {""}
    assert " ".join(line.strip() for line in lines) == f"note     {SENTENCE} {SENTENCE} {SENTENCE}"


def test_a_sentence_breaks_at_blanks(shown: Shown) -> None:
    lines = shown(table("", ("code", "what"), [("net-no-revert", SENTENCE)]), 60)
    assert max(map(len, lines)) <= 60
    assert " ".join(lines[3:]).split() == ["net-no-revert", *SENTENCE.split()]


def test_columns_move_together_before_a_row_becomes_a_block(shown: Shown) -> None:
    rows = [("app", "app_update.bin", HASH)]
    columns = ("core", "file", "hash")
    assert shown(table("", columns, rows), 37)[3] == " app    app_update.bin   000102030405"
    assert shown(table("", columns, rows), 36)[3] == " app   app_update.bin  000102030405"
    assert shown(table("", columns, rows), 34) == ["", "core  app", "file  app_update.bin", "hash  000102030405", ""]


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("name", [Path(LONG_NAME), Path("my firmware of today for the roofs.bin"), LONG_NAME])
def test_no_file_name_is_broken_in_two(shown: Shown, name: object, width: int) -> None:
    for answer in (table("", ("file", "what"), [(name, SENTENCE)]), facts([("file", name), ("what", SENTENCE)])):
        assert any(str(name) in line for line in shown(answer, width))
    if " " not in str(name):
        assert any(str(name) in line for line in shown(words(f"written to {name}"), width))


def test_a_message_breaks_at_blanks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", stream)
    tell(f"error: {LONG_NAME}: No such file or directory")
    assert stream.getvalue().splitlines() == ["error:", f"{LONG_NAME}:", "No such file or directory"]


def test_a_pipe_gets_a_line_a_row_and_no_long_rule(shown: Shown) -> None:
    long = "word " * 20_000 + "end"
    lines = shown(stacked(table("", ("code", "what"), [("a", long)]), facts([("what", long)])), None)
    assert lines[1:] == [" code   what", " " + "─" * 80, f" a      {long}", "", f"what  {long}"]
    assert all(line == line.rstrip() for line in lines)


def test_what_a_device_printed_keeps_its_lines(shown: Shown) -> None:
    assert shown(words("a\tb\n\n  c\n"), 80) == ["a       b", "", "  c", ""]


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.integers(1, 40))
def test_no_letter_is_lost_at_any_width(text: str, width: int) -> None:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(words(text), crop=False)
    told = stream.getvalue()
    assert told.split() == lines_of(text).split()
    assert all(cell_len(line) <= width or len(line.split()) == 1 for line in told.split("\n"))


@pytest.mark.parametrize("command", ["list", "test", "confirm", "erase", "reset", "update", "inspect", "package"])
def test_commands_with_hashes_in_a_table_take_long(smpdfu: Call, command: str) -> None:
    assert "--long" in smpdfu(command, "--help").out


def test_the_tlvs_of_an_image_are_short_and_whole_with_long(signed: Path, smpdfu: Call) -> None:
    tlvs = {one["name"]: one["data"] for one in smpdfu("inspect", "--json", signed).document["tlvs"]}
    assert smpdfu("inspect", "--json", "--long", signed).document["tlvs"][0]["data"] == tlvs["SHA256"]
    table_of = smpdfu("inspect", signed).out.partition("TLVs\n")[2]
    assert tlvs["SHA256"][:12] in table_of
    assert tlvs["SHA256"] not in table_of
    whole = smpdfu("inspect", "--long", signed).out.partition("TLVs\n")[2]
    assert all(data in whole for data in tlvs.values())


@pytest.mark.parametrize("count", [100, 101])
def test_an_item_of_a_long_list_has_one_line(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    items = [{"name": f"a\n{number}", "hash": b"\x01", "now": [1, {"b": []}]} for number in range(count)]
    show.print_json({"counts": {"a": 1}, "items": items, "none": [], "text": "\n  "})
    printed = capsys.readouterr().out
    as_text = [one | {"hash": "01"} for one in items]
    assert json.loads(printed) == {"counts": {"a": 1}, "items": as_text, "none": [], "text": "\n  "}
    lines = printed.splitlines()
    assert lines[:4] == ["{", '  "counts": {', '    "a": 1', "  },"]
    found = [line for line in lines if '"name"' in line]
    assert [json.loads(line.rstrip(",")) for line in found] == as_text if count > 100 else len(lines) > 8 * count


@given(
    st.lists(st.lists(st.text("ab \u4e00\u0301", max_size=9), min_size=3, max_size=3), max_size=4), st.integers(0, 3)
)
def test_a_row_without_styles_is_put_together_as_one_with_styles(rows: list[list[str]], styled: int) -> None:
    texts = [[Text(cell) for cell in row] for row in rows]
    marked = [[Text(cell, style="green") for cell in row] for row in rows]
    for row, others in zip(texts, marked, strict=True):
        plain = [line.plain for line in tables._lines(row, (9, 5, 18), 3)]
        assert plain == [line.plain for line in tables._lines(others, (9, 5, 18), 3)]
        assert plain == [line.plain for line in tables._lines([*row[:styled], *others[styled:]], (9, 5, 18), 3)]


TEXTS = st.text(st.sampled_from("ab 0-,.\t\n[]/\\:─é\u4e00"), max_size=12)
VALUES = TEXTS | st.none() | st.booleans() | st.binary(max_size=20) | TEXTS.map(Path) | TEXTS.map(show.Good)


def map_of(sizes: list[int]) -> list[Part]:
    ends = list(accumulate(sizes))
    return [Part("payload", "body", end - size, end) for size, end in zip(sizes, ends, strict=True)]


ANSWERS = st.recursive(
    TEXTS.map(words)
    | st.lists(st.tuples(TEXTS, VALUES), max_size=4).map(facts)
    | st.lists(st.integers(1, 1 << 20), min_size=1, max_size=4).map(lambda sizes: Picture(map_of(sizes), 0x8000))
    | st.tuples(TEXTS, st.lists(st.tuples(VALUES, VALUES), max_size=4)).map(
        lambda made: table(made[0], ("a", "column"), made[1])
    ),
    lambda parts: st.lists(parts, max_size=3).map(lambda found: stacked(*found)),
    max_leaves=4,
)


@given(ANSWERS, st.sampled_from(["utf-8", "ascii"]))
def test_a_pipe_gets_from_us_what_rich_would_write(answer: RenderableType, encoding: str) -> None:
    ours, riches = (io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace") for _ in range(2))
    with redirect_stdout(ours):
        Output().emit({}, lambda: answer)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(riches):
        patch.setattr(show, "_plain_lines", lambda answer, stream: None)
        Output().emit({}, lambda: answer)
    riches.flush()
    assert ours.buffer.getvalue() == riches.buffer.getvalue()


@given(TEXTS)
def test_a_message_in_a_pipe_is_what_rich_would_write(text: str) -> None:
    ours, riches = io.StringIO(), io.StringIO()
    with redirect_stderr(ours):
        tell(text, style="red")
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(riches):
        patch.setattr(show, "_plain_lines", lambda answer, stream: None)
        tell(text, style="red")
    assert ours.getvalue() == riches.getvalue()


def test_rich_draws_in_a_pipe_that_counts_as_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with redirect_stdout(io.StringIO()) as stream:
        Output().emit({}, lambda: words(show.Good("done")))
    assert "\x1b[32m" in stream.getvalue()
