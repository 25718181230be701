"""The one door for foreign text: what comes out only prints, whatever went in."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.cli.app.frame_log import FrameLog
from smpdfu.cli.terminal.show import Output, console, facts, print_line, table, warn, words
from smpdfu.client.trace import Trace
from smpdfu.untrusted.text import line, lines, numbered, without_escapes

EVIL = {
    "ESC": "\x1b[2J",
    "OSC": "\x1b]0;title\x07",
    "OSC 8": "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;title\x9c",
    "BEL": "\x07",
    "BS": "\b\b\b",
    "CR": "\rerror: all is well",
    "DEL": "\x7f",
    "NUL": "\0",
    "bidi override": "\u202egnp.exe",
    "bidi isolate": "\u2066x\u2069",
    "mark": "\u200f",
    "no width": "a\u200bb\u200d\ufeff",
    "tags": "\U000e0041",
    "line separator": "\u2028error: forged",
    "paragraph": "\u2029error: forged",
    "NEL": "\x85error: forged",
    "VT and FF": "\x0b\x0cerror: forged",
    "newline": "\nerror: forged",
    "lone surrogate": "\udc80",
    "private": "\ue000",
}


@pytest.mark.parametrize("name", EVIL)
def test_a_line_only_prints(name: str) -> None:
    for text in (line(EVIL[name]), numbered(EVIL[name])):
        assert text.isprintable()
    assert "\ufffd" in line(EVIL[name])
    assert line(f"a{EVIL[name]}b".encode("utf-8", "replace").decode())[0] == "a"


@given(st.text(st.characters()))
def test_any_text(text: str) -> None:
    assert line(text).isprintable()
    assert numbered(text).isprintable()
    assert lines(text).count("\n") == text.count("\n")
    assert all(one.isprintable() or one in "\n\t" for one in lines(text))
    assert len(line(text)) == len(lines(text)) == len(text)


@pytest.mark.parametrize("text", ["", "plain", "grüße", "日本語", "naïve, „quoted“ … →", "[red]x[/red]"])
def test_what_prints_stays(text: str) -> None:
    assert line(text) == lines(text) == numbered(text) == text


def test_numbers_of_what_does_not_print() -> None:
    assert numbered("a\x1b\x9b\u202e\U000e0041\n") == "a\\x1b\\x9b\\u202e\\U000e0041\\x0a"
    assert lines("a\tb\n\x1bc\r\n") == "a\tb\n\ufffdc\ufffd\n"


def harmful(text: str) -> set[str]:
    """What a terminal obeys, or reads in another order, but for the newlines that are ours."""
    return {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp", "Cs") and one != "\n"}


MARKUP = ("[red]x", "[/red]", "[/]", "[bold", "[link=http://evil]x[/link]", "\\[x", ":warning:")


@pytest.mark.parametrize("text", [*EVIL.values(), *MARKUP])
def test_every_way_to_a_person_goes_through_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = text.replace("\udc80", "\ufffd")
    said = f"<{text}>"
    out = Output()
    out.emit({}, lambda: table(said, (said, "b"), [(said, 1)]))
    out.emit({}, lambda: facts([(said, said)]))
    out.emit({}, lambda: said)
    out.emit({}, lambda: words(said))
    out.say(said)
    out.warn(said)
    warn(said)
    print_line(said)
    with out.progress(said) as advance:
        advance(1, 2, said)
    console().print(table("", ("a",), [(said,)]))
    done = capsys.readouterr()
    assert not harmful(done.out + done.err)
    whole = "<" + line(text) + ">"
    if text in MARKUP:
        assert done.out.count(whole) == 9
        assert done.err.count(whole) == 3
    # Only what may have several lines has more than its own: the emitted text and words.
    assert done.err.count("\n") == 3


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("\x1b[1;31mred\x1b[m", "red"),
        ("a\x1b[2Jb\x1b[?25lc", "abc"),
        ("\x1b(Ba\x1bcb\x1b7c", "abc"),
        ("\x1b]0;title\x07", "0;title\x07"),  # no colour: the door for foreign text makes it harmless
        ("\x1b[", ""),
        ("1.2.3", "1.2.3"),
    ],
)
def test_what_a_program_writes_for_a_terminal_is_left_out(text: str, bare: str) -> None:
    assert without_escapes(text) == bare


def test_a_log_of_frames_can_be_shown(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "log", "udp:" + "".join(EVIL.values()))
    for text in EVIL.values():
        log(Trace(0.0, "console", text.encode(errors="replace")))
    written = (tmp_path / "log").read_text()
    assert written.isascii()
    assert not harmful(written)
    first = json.loads(written.splitlines()[0])
    assert first["device"] == "udp:" + "".join(EVIL.values())
