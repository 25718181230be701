"""``shell``: a command goes to the device in one piece, what it prints comes back harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import typer

from smpdfu.cli.device.shell_line import arguments, clean

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk


@pytest.mark.parametrize("words", [["kernel", "version"], ["kernel version"], ["--", "kernel", "version"]])
def test_a_command_prints_what_the_device_prints(desk: Desk, words: list[str]) -> None:
    done = desk.run("shell", "--to", desk.address, *words)
    assert (done.code, done.out, done.err) == (0, "Zephyr version 4.4.0\n", "")


def test_json_has_the_output_as_it_came(desk: Desk) -> None:
    assert desk.json("shell", "kernel version") == {
        "argv": ["kernel", "version"],
        "output": "\r\nZephyr version 4.4.0\r\n",
        "ret": 0,
    }


def test_a_command_that_fails_is_exit_code_5(desk: Desk) -> None:
    done = desk.call("shell", "moon", "landing")
    assert (done.code, done.out) == (5, "moon: command not found\n")
    assert "returned -8" in done.err
    done = desk.call("shell", "moon", "--json")
    assert (done.code, done.document["ret"]) == (5, -8)
    assert "returned -8" in done.document["error"]["message"]
    assert done.document["error"]["exit_code"] == 5
    assert "\x1b" in done.document["output"]


def test_a_line_that_is_too_long_is_refused(desk: Desk) -> None:
    assert "COMMAND_TOO_LONG" in desk.call("shell", "x" * 300).refused(5)


@pytest.mark.parametrize("words", [[""], ["  "]])
def test_an_empty_command_is_not_sent(desk: Desk, words: list[str]) -> None:
    assert "no command" in desk.call("shell", *words).refused(2)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["kernel uptime"], ("kernel", "uptime")),
        (["kernel", "uptime"], ("kernel", "uptime")),
        (['set  name "my board"'], ("set", "name", '"my board"')),
        (["set name 'a b' c\\ d"], ("set", "name", "'a b'", "c\\ d")),
        (['say "a \\" b'], ("say", '"a \\" b')),
        (["set", "name", "my board"], ("set", "name", '"my board"')),
        (["say", 'a"b\\c'], ("say", '"a\\"b\\\\c"')),
        (["say", ""], ("say", '""')),
        (["-a"], ("-a",)),
        (["\\"], ("\\",)),
    ],
)
def test_words_stay_together(line: list[str], words: tuple[str, ...]) -> None:
    assert arguments(line) == words


def test_nothing_is_lost_of_a_line() -> None:
    for line in ('a"b c"d e', "it's", "x\\", '"', "a 'b", "\\ "):
        assert "".join(arguments([line])).replace(" ", "") == line.replace(" ", "")


def test_no_word_is_no_command() -> None:
    with pytest.raises(typer.BadParameter):
        arguments([" "])


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("\r\nUptime: 1 ms\r\n", "Uptime: 1 ms"),
        ("\x1b[1;31mbad\x1b[m", "bad"),
        ("\x1b[2J\x1b[Hx\x1b]0;t\x07", "x0;t\x07"),
        ("a\rb", "a\nb"),
        ("  indented\r\n\r\nmore", "  indented\n\nmore"),
    ],
)
def test_output_is_cleaned(output: str, shown: str) -> None:
    assert clean(output) == shown
