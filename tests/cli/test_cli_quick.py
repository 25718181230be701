"""The quick reader of a command line reads as typer does, or leaves the line to typer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from enum import StrEnum
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.cli.app import quick, tree, typer_app
from smpdfu.cli.app.command import REQUIRED, Declared, Parameter, declared
from smpdfu.cli.app.groups import Group
from smpdfu.cli.terminal.lazy_typer import Declaration
from tests.cli.test_cli_start import LAYOUT, loaded

if TYPE_CHECKING:
    from tests.cli.conftest import Keys


def commands(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Callable[..., Any]]]:
    for name, function in group.commands.items():
        yield (*path, name), function
    for name, below in group.groups.items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands(tree.registered()))
# Its parameters have what only typer gives: the words that were typed.
TYPER_ONLY = {("package",), ("virtual", "new")}


@cache
def typers() -> Any:
    return typer_app.commands_for()


def typer_reads(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> tuple[Any, dict[str, Any]] | None:
    """The function and the values that typer would call it with; None if it calls none."""
    seen: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(typer_app, "perform", lambda call, values: seen.append((call.function, values)))
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            typers()(list(words), prog_name="smpdfu", standalone_mode=False)
        except Exception:
            return None
    return seen[0] if seen else None


def declaration(parameter: Parameter) -> Declaration | None:
    found = getattr(parameter.hint, "__metadata__", (None,))[0]
    return found if isinstance(found, Declaration) else None


def enum_words(parameter: Parameter) -> list[str]:
    kinds: tuple[Any, ...] = (parameter.hint.__origin__, *getattr(parameter.hint.__origin__, "__args__", ()))
    return [str(one) for kind in kinds if isinstance(kind, type) and issubclass(kind, StrEnum) for one in kind]


VALUES = (
    "1",
    "0x200",
    "4",
    "128",
    "1.2.3",
    "256",
    "auto",
    "swap-move",
    "a.bin",
    "-",
    "--",
    "-1",
    "",
    "nan",
    "2.5",
    "/",
)


@st.composite
def lines(draw: st.DrawFn, path: tuple[str, ...]) -> list[str]:
    """A command with some of its options and words for them, most of which fit."""
    call = declared(COMMANDS[path])
    chunks: list[list[str]] = []
    for parameter in call.parameters:
        found = declaration(parameter)
        if found is None:
            continue
        fitting = enum_words(parameter) or str(found.settings.get("metavar", "")).split("|")
        value = st.sampled_from([*fitting, *VALUES])
        needed = parameter.default is REQUIRED
        if not found.is_option and (needed or draw(st.booleans())):
            chunks.append([draw(value)])
        elif found.is_option and draw(st.integers(0, 1 if needed else 9)) == 0:
            name = draw(st.sampled_from([one for names in found.names for one in names.split("/")]))
            if draw(st.booleans()):
                chunks.append([name])
            if draw(st.integers(0, 9)) == 0:
                chunks.append([f"{name}={draw(value)}"])
            elif "bool" not in str(parameter.hint.__origin__):
                chunks.append([name, draw(value)])
    if draw(st.integers(0, 9)) == 0:
        chunks.append([draw(st.sampled_from(["--help", "-h", "--no-such", "-ab", "--", "more", "--json=1"]))])
    return [*path, *(word for chunk in draw(st.permutations(chunks)) for word in chunk)]


def agrees(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> bool:
    """True if the quick reader read the line; fails if typer reads it in another way."""
    call = quick.call_of(words)
    if call is None:
        return False
    told = typer_reads(monkeypatch, words)
    assert told is not None
    assert told[0] == call.command.function
    assert repr(told[1]) == repr(call.values)  # as text: types differ there, too, and nan is nan
    return True


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_quick_reader_calls_what_typer_calls(path: tuple[str, ...]) -> None:
    @settings(max_examples=20)
    @given(words=lines(path))
    def check(words: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            agrees(patch, words)

    check()


def plain_words(call: Declared) -> list[str]:
    """The fewest words that may call a command."""
    words: list[str] = []
    for parameter in call.parameters:
        found = declaration(parameter)
        if found is not None and parameter.default is REQUIRED:
            value = (enum_words(parameter) or ["128"])[0]
            words += [found.names[0], value] if found.is_option else [value]
    return words


def test_the_quick_reader_reads_each_command(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {
        path
        for path, function in COMMANDS.items()
        if not agrees(monkeypatch, [*path, *plain_words(declared(function))])
    }
    assert left == TYPER_ONLY


@pytest.mark.parametrize(
    "extra",
    [["--json"], ["--json", "--json"], ["--"], ["--help"], ["--no-such"], ["-"], ["--json=x"], [""], ["a", "b"]],
    ids=repr,
)
def test_one_more_word_is_read_alike_by_both(monkeypatch: pytest.MonkeyPatch, extra: list[str]) -> None:
    for path, function in COMMANDS.items():
        call = declared(function)
        agrees(monkeypatch, [*path, *plain_words(call), *extra])


@pytest.mark.parametrize(
    "words",
    [
        *([], ["--help"], ["lst"], ["key"], ["key", "gn"], ["--", "list"], ["--version", "list"]),
        *(["list", "--port"], ["list", "--port", ""], ["list", "-cdesk"], ["list", "-t", "-1"], ["list", "-w", "256"]),
        *(["echo"], ["echo", "a", "b"], ["verify", "a", "--swap-mode", "move"], ["sign", "--custom-tlv", "1", "2"]),
    ],
    ids=repr,
)
def test_what_is_unusual_is_left_to_typer(words: list[str]) -> None:
    assert quick.call_of(words) is None


def test_a_file_that_cannot_be_read_is_left_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert quick.call_of(["inspect", "/"]) is not None
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert quick.call_of(["inspect", "/"]) is None
    assert quick.call_of(["inspect", "/no/such/file"]) is not None


def test_a_shell_that_completes_talks_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tree.COMPLETE_VAR, "complete_bash")
    monkeypatch.setattr(typer_app, "run_words", lambda words: 77)
    assert quick.run_words(["list"]) == 77


NEVER = {
    "typer",
    "click",
    "rich",
    "difflib",
    "importlib.metadata",
    "statistics",
    "yaml",
    "intelhex",
    "smpdfu.cli.app.failure",
}
NO_DEVICE = {
    "asyncio",
    "ssl",
    "socket",
    "serial",
    "cbor2",
    "smpdfu.client",
    "smpdfu.smp",
    "smpdfu.connect",
    "smpdfu.virtual",
}
NO_KEY = {"cryptography", "smpdfu.image.keys.keys", "smpdfu.image.signing.encrypt"}
NO_PACKAGE = {"zipfile", "smpdfu.dfu"}
# It fails: os.devnull is no serial port, and words for failures are needed.
FOR_NO_LIST = (NEVER - {"difflib", "smpdfu.cli.app.failure"}) | NO_PACKAGE | {"cryptography", "smpdfu.virtual"}


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["people", "json"])
@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (("--version",), NEVER | NO_DEVICE | NO_KEY | NO_PACKAGE | {"dataclasses", "typing", "pathlib", "inspect"}),
        (("version",), NEVER | NO_DEVICE | NO_KEY | NO_PACKAGE),
        (("verify", "{image}"), NEVER | NO_DEVICE | NO_KEY | NO_PACKAGE | {"smpdfu.cli.image.sign_options"}),
        (("verify", "{image}", "-k", "{key}"), NEVER | NO_DEVICE | NO_PACKAGE | {"smpdfu.cli.image.sign_options"}),
        (("inspect", "{image}"), NEVER | NO_DEVICE | NO_PACKAGE | {"smpdfu.cli.image.sign_options"}),
        (
            ("sign", "-k", "{key}", *LAYOUT, "{raw}", "{out}"),
            NEVER | NO_DEVICE | NO_PACKAGE | {"smpdfu.cli.image.verify"},
        ),
        (("keyinfo", "-k", "{key}"), NEVER | NO_DEVICE | NO_PACKAGE),
        (("list", "--port", os.devnull), FOR_NO_LIST),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_right_call_imports_what_it_uses(
    words: tuple[str, ...], unneeded: set[str], more: tuple[str, ...], raw: Path, signed: Path, keys: Keys, out: Path
) -> None:
    places = {"image": signed, "key": keys.signing, "raw": raw, "out": out}
    if words == ("--version",) and more:
        words, more = ("version",), ()
        unneeded = NEVER
    assert not loaded("main", *(word.format(**places) for word in words), *more) & unneeded
