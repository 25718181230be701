"""The library says what happened and what to do; which command does it is said in ``cli/app``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "smpdfu"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "cli" not in path.relative_to(PACKAGE).parts)

OURS = re.compile(r"`smpdfu |`package |(?:^|[\s(`'])--[a-z][a-z-]+|[\s(`]-[a-zA-Z](?=[\s.,;:)`]|$)")
"""A command line of ours, a long option, or a short one."""

# Kept, each with its reason.
FOREIGN = {
    "image/files.py": "an option of objcopy",
    "image/keys/pem_text.py": "options of ssh-keygen",
    "untrusted/programs.py": "a script for /bin/sh",
    "image/signing/build.py": "imgtool's names for the values of a signing job, which smpdfu-imgtool prints, too",
    "image/signing/spec.py": "as in build.py",
    "image/verification/tlv_checks.py": "imgtool's option --hmac-sha",
    "local/doctor/checks.py": "commands of the operating system; doctor is about the computer of the command line",
    "dfu/do/health.py": "arguments of /bin/sh",
    "agent/service_unit.py": "a unit of systemd, with its commands in a comment",
}


def words_of(source: str) -> Iterator[str]:
    """Yield every text of a program but its docstrings."""
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def found_in(path: Path) -> list[str]:
    """Find the texts that name a command or an option."""
    return [text for text in words_of(path.read_text()) if OURS.search(text)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_text_below_the_command_line_names_it(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    found = found_in(path)
    if name in FOREIGN:
        assert found, f"{name} can leave the list"
    else:
        assert not found


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("run `smpdfu list`", True),
        ("add --recovery", True),
        ("Give -n 1 if it has", True),
        ("sign it without -E.", True),
        ("smpdfu cannot open the file", False),
        ("a non-bootable image -- a sentence", False),
        ("net-no-revert", False),
    ],
)
def test_the_pattern_knows_a_command_line(text: str, ours: bool) -> None:
    assert [bool(OURS.search(one)) for one in words_of(f"x = {text!r}")] == [ours]
