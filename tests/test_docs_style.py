"""Plain English in the documents: ``docs/style.md`` has the rules, and this has the two that a program can check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_docs import DOCUMENTS, ROOT, place

MAX_WORDS = 30
"""Words in a sentence. The aim is 20; a list of names may take a few more."""

# Phrase to avoid, as a regular expression -> what to write. docs/style.md has the same list.
PHRASES = {
    r"for good": "permanent",
    r"by then": "name the moment",
    r"made again": "run it again",
    r"so many": 'the number, or "up to"',
    r"(is|are) told": "smpdfu reports, the device reports",
    r"(is|are) waited for": "smpdfu waits",
    r"(is|are) asked (about|for)": "smpdfu asks",
    r"be it that": "if",
    r"lest": "so that ... not",
    r"at the end stands": "the summary shows",
    r"in vain": "without an answer",
    r"goes? on where": "continues where",
    r"puts? aside": "stop",
    r"that is not there": "virtual; missing",
    r"of its own accord": "without a command",
    r"whoever": "if you, if somebody",
    r"the door to": "use ... for",
    r"for (it|they|he|she|that) (is|are|was|has|have|would|may|can|does)": "because",
    r"(that|it) is said": "smpdfu says",
    r"(is|are) taken up": "smpdfu continues",
}
UNCHECKED = {"docs/style.md"}
"""It has the phrases in a table."""
_FENCE = re.compile(r"^\s*(`{3,})")
_CODE = re.compile(r"`+[^`]*`+")
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_END = re.compile(r"(?<=[.!?;:])\s+(?=[A-Z*\[(\"\d]|smpdfu )")


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Number of the first line, and text, of each paragraph, list item and table cell; code is an X each."""
    fence, start, lines = "", 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        found = _FENCE.match(line)
        if fence or found:
            if found:
                fence = "" if fence and found[1] == fence else fence or found[1]
            line = ""  # noqa: PLW2901 - what is in a fence is no prose
        is_row, is_item = line.startswith("|"), re.match(r"\s*([-*]|\d+\.) |#", line) is not None
        if lines and (not line.strip() or is_row or is_item):
            yield start, " ".join(lines)
            lines = []
        if is_row:
            yield from ((number, cell.strip()) for cell in line.strip("|").split("|") if cell.strip(" -"))
        elif line.strip():
            start, lines = (start, lines) if lines else (number, [])
            lines.append(line.strip())


def prose(text: str) -> str:
    """A paragraph without its code and its marks."""
    text = _LINK.sub(r"\1", _CODE.sub("X", text))
    return re.sub(r"^(#+|[-*]|\d+\.) ", "", text).replace("**", "").replace("*", "")


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph. A colon or a semicolon ends one only before a capital letter, too."""
    return [one for one in _END.split(prose(text)) if one]


def faults(text: str) -> Iterator[str]:
    """What is against the rules in a document, one line each."""
    for number, paragraph in paragraphs(text):
        for sentence in sentences(paragraph):
            words = re.findall(r"\w[\w'/.,-]*", sentence)
            if len(words) > MAX_WORDS:
                yield f"{number}: {len(words)} words: {sentence}"
            for phrase, better in PHRASES.items():
                if found := re.search(rf"\b{phrase}\b", sentence, re.IGNORECASE):
                    yield f"{number}: {found[0]!r} (write: {better}): {sentence}"


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if place(path) not in UNCHECKED], ids=place)
def test_a_document_is_in_plain_english(path: Path) -> None:
    assert list(faults(path.read_text("utf-8"))) == []


def test_the_rules_are_in_the_style_guide() -> None:
    table = (ROOT / "docs" / "style.md").read_text("utf-8").partition("| do not write | write |")[2]
    assert str(MAX_WORDS) in (ROOT / "docs" / "style.md").read_text("utf-8")
    for phrase in PHRASES:
        told = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
        assert any(re.search(phrase, cell, re.IGNORECASE) for cell in told), phrase


def test_the_checker_finds_faults_and_nothing_else() -> None:
    good = "# Title\n\nRun `made again for good` again. See [by](x.md).\n\n```sh\nfor good\n```\n"
    assert list(faults(good)) == []
    bad = "# Title\n\nOne sentence.\n\n- It is marked\n  for good. Fine.\n\n| a | it is told here |\n"
    assert [one.split(" ", 1)[0] for one in faults(bad)] == ["5:", "8:"]
    assert [one[:13] for one in faults("word " * 31)] == ["1: 31 words: "]
    assert list(faults("word " * 30)) == []
    assert list(paragraphs("a\nb\n\n- c\n  d\n- e\n")) == [(1, "a b"), (4, "- c d"), (6, "- e")]
