"""Commands in running text are there: in what the program says and advises, in its help, comments and documents."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_docs import DOCUMENTS, ROOT, command_tree, place, unknown_word

MODULES = sorted((ROOT / "smpdfu").rglob("*.py"))
FILLED_IN = "X"
"""What stands for the value of an f-string: no name of a command or an option is filled in."""

_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The texts in a module, joined as Python joins them, with their first lines."""
    tree = ast.parse(path.read_text("utf-8"))
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else FILLED_IN for part in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            yield node.lineno, node.value


def commands(text: str) -> Iterator[list[str]]:
    """The words behind ``smpdfu`` of each command in backquotes; those of a bare command that has an option, too."""
    for found in _INLINE.findall(text.replace("``", "`")):
        try:
            words = shlex.split(found)
        except ValueError:
            words = found.split()
        if words[:1] == ["smpdfu"] and words[1:]:
            yield words[1:]
        elif words and words[0] in command_tree().commands and any(word.startswith("--") for word in words):
            yield words


def wrong(text: str) -> list[tuple[str, list[str]]]:
    """The words that ``smpdfu`` does not have, each with its command."""
    return [(word, words) for words in commands(text) if (word := unknown_word(words)) not in (None, "...")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "smpdfu").as_posix())
def test_every_command_in_a_text_of_the_program_is_there(path: Path) -> None:
    for line, text in texts(path):
        assert not wrong(text), f"{place(path)}:{line}: {wrong(text)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=place)
def test_every_command_in_the_lines_of_a_document_is_there(path: Path) -> None:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        assert not wrong(line), f"{place(path)}:{number}: {wrong(line)}"


def all_options(node: Any) -> Iterator[str]:
    for one in node.params:
        yield from (*one.opts, *one.secondary_opts)
    for child in getattr(node, "commands", {}).values():
        yield from all_options(child)


# Options of imgtool and of other programs, and names of CSS.
OTHERS = {
    *("--line", "--soft", "--edt-config", "--outfile", "--silent", "--compression-lzma-", "--connstring", "--reload"),
    *("--wsl", "--busid"),
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "smpdfu").as_posix())
def test_every_option_in_a_text_of_the_program_is_there(path: Path) -> None:
    known = {*all_options(command_tree()), "--help"} | OTHERS
    for line, text in texts(path):
        assert set(_OPTION.findall(text)) <= known, f"{place(path)}:{line}"


def test_what_is_not_there_is_found(tmp_path: Path) -> None:
    source = tmp_path / "advice.py"
    source.write_text(
        'A = f"run `smpdfu fleet {name}\\n`"\nB = ("sign it (`smpdfu sign "\n "--no-such`)")\nC = f"`{x}`"\n'
    )
    assert [line for line, text in texts(source) if wrong(text)] == [2]
    assert wrong("`smpdfu fleet destroy FILE`") == [("destroy", ["fleet", "destroy", "FILE"])]
    assert wrong("`sign --bogus` and `smpdfu image ...` and ``smpdfu list``") == [("--bogus", ["sign", "--bogus"])]
    assert not wrong("`smpdfu.toml`, `smpdfu[kms]`, `smpdfu`, `imgtool sign --bogus`")
