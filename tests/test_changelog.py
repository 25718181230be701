"""The names in the changelog are those of the code: a name that was given up before its release is not in it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNRELEASED = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("## Unreleased\n")[2].partition("\n## ")[0]
ENTRIES = re.findall(r"^- (.*(?:\n  .*)*)", UNRELEASED, re.MULTILINE)
QUOTED = sorted({" ".join(text.split()) for entry in ENTRIES for text in re.findall(r"`([^`]+)`", entry)})
FOLDERS = ("docs/", "tests/", "benchmarks/", "examples/", "fuzz/", "smpdfu/")


@cache
def source() -> str:
    return "\n".join(
        path.read_text("utf-8") for path in sorted((ROOT / "smpdfu").rglob("*.py*")) if "pyc" not in path.name
    )


def names(quoted: str) -> list[str]:
    """Classes, what is dotted, and long options in a quoted text."""
    pattern = r"(?<![\w-])--[a-z][\w-]+|\b[A-Z][a-z]+[A-Z]\w+\b|\b[a-zA-Z]\w+(?:\.[a-z_]\w+)+"
    return [part for name in re.findall(pattern, quoted) for part in ([name] if name[0] == "-" else name.split("."))]


def test_there_is_something_to_check() -> None:
    assert len(ENTRIES) > 100
    assert names("Client.open(a) --to X FleetPausedError") == ["Client", "open", "--to", "FleetPausedError"]


@pytest.mark.parametrize("quoted", [text for text in QUOTED if names(text) and not text.startswith(FOLDERS)])
def test_a_name_in_the_changelog_is_in_the_code(quoted: str) -> None:
    for name in names(quoted):
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", source()), name


@pytest.mark.parametrize("quoted", [text for text in QUOTED if text.startswith(FOLDERS) and " " not in text])
def test_a_path_in_the_changelog_exists(quoted: str) -> None:
    assert (ROOT / quoted.partition("#")[0]).exists()


def test_no_entry_is_there_twice() -> None:
    """Merges have doubled entries before: two that begin alike are one."""
    begins = [" ".join(entry.split())[:40] for entry in ENTRIES]
    assert sorted(set(begins)) == sorted(begins)


def test_no_sentence_is_cut_off() -> None:
    assert [entry for entry in ENTRIES if not entry.rstrip().endswith((".", "`)", "):"))] == []
