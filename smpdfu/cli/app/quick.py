"""The quick reader of a command line: it reads a right call without typer, which takes longer to load than to work.

It knows the plain forms: a long option and its value as two words or with ``=`` between them, a short option and its
value as two words, flags, and arguments, with the types that our commands use. Whatever else there is (a mistake,
``--help``, ``-oVALUE``, ``--``, a value that begins with ``-``) is typer's to read, so all messages are typer's. It may
never read a line in another way than typer does: ``tests/cli/test_cli_quick.py`` compares both for every command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from enum import EnumMeta
from pathlib import Path
from typing import Any, NamedTuple

from smpdfu.cli.app import tree
from smpdfu.cli.app.command import REQUIRED, Declared, Parameter, declared, perform
from smpdfu.cli.terminal.lazy_typer import Declaration

_SETTINGS_KNOWN = frozenset(
    ("metavar", "help", "rich_help_panel", "autocompletion", "show_default", "hidden", "parser", "min", "max")
)


class _UnsureError(Exception):
    """This line is typer's to read."""


class Call(NamedTuple):
    """A command and the values of all its parameters."""

    command: Declared
    values: dict[str, Any]


def run_words(words: Sequence[str]) -> int:
    """Run the command that the arguments of ``smpdfu`` call, and return the exit code that is not an exception."""
    call = None if os.environ.get(tree.COMPLETE_VAR) else call_of(words)
    if call is None:
        from smpdfu.cli.app import typer_app  # here: a right call needs no typer

        return typer_app.run_words(words)
    perform(call.command, call.values)
    return 0


def call_of(words: Sequence[str]) -> Call | None:
    """Read the arguments of ``smpdfu``; None: typer must read them."""
    found = _find(words)
    if found is None:
        return None
    path, function = found
    command = declared(function)
    try:
        return Call(command, _values(command, words[len(path) :]))
    except Exception:  # whatever a parser finds wrong is typer's to tell
        return None


def command_path(words: Sequence[str]) -> str:
    """What was typed to name the command: ``smpdfu key gen``; ``smpdfu`` if ``words`` do not begin with a command."""
    found = _find(words)
    return "smpdfu" if found is None else " ".join(("smpdfu", *found[0]))


def _find(words: Sequence[str]) -> tuple[Sequence[str], Callable[..., Any]] | None:
    """The words that name a command, and its function; None if ``words`` do not begin with them."""
    if not words or words[0] not in tree.names():
        return None
    group = tree.registered(words[0])
    for depth, word in enumerate(words, 1):
        if word in group.commands:
            return words[:depth], group.commands[word]
        if word not in group.groups:
            break
        group = group.groups[word]
    return None


class _Reader(NamedTuple):
    """How the words of one parameter become its value. ``switches``: by name, what a flag without a value means."""

    name: str
    convert: Callable[[str], Any]
    is_list: bool
    is_argument: bool
    switches: dict[str, bool]
    names: Sequence[str]


def _values(command: Declared, words: Sequence[str]) -> dict[str, Any]:
    """The values of all parameters. Raises _UnsureError, or what a parser raises."""
    readers = [_reader(one) for one in command.parameters]
    texts = _texts(readers, words)
    values: dict[str, Any] = {}
    for parameter, reader in zip(command.parameters, readers, strict=True):
        given = texts.get(parameter.name)
        if given is None:
            if parameter.default is REQUIRED:
                raise _UnsureError
            values[parameter.name] = parameter.default
        elif reader.is_list:
            values[parameter.name] = [reader.convert(text) for text in given]
        else:
            values[parameter.name] = reader.switches.get(given[-1]) if reader.switches else reader.convert(given[-1])
    return values


def _texts(readers: Sequence[_Reader], words: Sequence[str]) -> dict[str, list[str]]:
    """By parameter, the words given for it; for a flag, its name."""
    options = {name: reader for reader in readers for name in reader.names}
    texts: dict[str, list[str]] = {}
    free: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            free.append(word)
            continue
        name, equals, text = word.partition("=")
        reader = options.get(name)
        if reader is None or (equals and (reader.switches or not name.startswith("--"))):
            raise _UnsureError
        if reader.switches:
            text = name
        elif not equals:
            text = next(rest, "")
        if not text or (text.startswith("-") and text != "-" and not reader.switches):
            raise _UnsureError
        texts.setdefault(reader.name, []).append(text)
    for reader in readers:
        if reader.is_argument and free:
            count = len(free) if reader.is_list else 1
            texts[reader.name] = free[:count]
            del free[:count]
    if free or "" in words:
        raise _UnsureError
    return texts


def _reader(parameter: Parameter) -> _Reader:
    """What the declaration of a parameter says. Raises _UnsureError for one that only typer knows."""
    found = getattr(parameter.hint, "__metadata__", (None,))[0]
    if not isinstance(found, Declaration) or not _SETTINGS_KNOWN.issuperset(found.settings):
        raise _UnsureError
    kind: Any = parameter.hint.__origin__
    kinds = [one for one in getattr(kind, "__args__", ()) if one is not type(None)]
    if kinds and getattr(kind, "__origin__", None) is not list:  # "int | None" is read as int
        (kind,) = kinds
    is_list = getattr(kind, "__origin__", None) is list
    if is_list:
        (kind,) = kind.__args__
    switches: dict[str, bool] = {}
    if kind is bool:
        on, _, off = found.names[-1].partition("/")
        switches = dict.fromkeys(found.names[:-1], True) | {on: True} | ({off: False} if off else {})
    names = list(switches) or found.names
    return _Reader(parameter.name, _converter(kind, found), is_list, not found.is_option, switches, names)


def _converter(kind: Any, found: Declaration) -> Callable[[str], Any]:
    """What makes a value of a word. It raises for a word that is none."""
    settings = found.settings
    if " " in settings.get("metavar", ""):  # several words for a value
        return _unsure
    parse: Callable[[str], Any] | None = settings.get("parser")
    if parse is not None:
        return parse
    if kind in (int, float):
        low, high = settings.get("min"), settings.get("max")

        def number(text: str) -> Any:
            value = kind(text)
            if (low is not None and value < low) or (high is not None and value > high):
                raise _UnsureError
            return value

        return number
    if kind is Path:
        return _path
    if isinstance(kind, EnumMeta):
        return kind
    return str if kind in (str, bool) else _unsure


def _unsure(text: str) -> Any:
    raise _UnsureError


def _path(text: str) -> Path:
    """A path; typer refuses one that is there and cannot be read."""
    if not os.access(text, os.R_OK) and os.path.exists(text):
        raise _UnsureError
    return Path(text)
