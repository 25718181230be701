"""The list of mutants fits the tree, and the runner tells a noticed change from one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import check, is_noticed, main, passes, report, rows
from tests.mutants.mutant import Mutant, RowError


def test_every_row_fits_the_tree() -> None:
    found = rows()
    assert check(found) == []
    assert len({(row.file, row.old, row.new) for row in found}) == len(found) > 60
    assert {row.file.split("/")[1] for row in found} >= {"smp", "image", "virtual", "dfu", "client"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with one module and one test that looks at half of it."""
    root = tmp_path / "tree"
    (root / "tests").mkdir(parents=True)
    (root / "sums.py").write_text("def add(a, b):\n    return a + b\n\n\ndef unused():\n    return 1\n")
    (root / "tests" / "test_code.py").write_text(
        "from sums import add\n\n\ndef test_it():\n    assert add(2, 3) == 5\n"
    )
    return root


TESTS = ("tests/test_code.py",)


@pytest.mark.parametrize(
    ("old", "new", "noticed"),
    [
        ("a + b", "a - b", True),
        ("def add(a, b):", "def add(a, b) -> :", True),
        ("return 1", "return 2", False),
    ],
)
def test_a_change_is_noticed_or_not(tree: Path, old: str, new: str, noticed: bool) -> None:
    before = (tree / "sums.py").read_text()
    assert passes(TESTS, tree)
    assert is_noticed(Mutant("sums.py", old, new, TESTS), tree) is noticed
    assert (tree / "sums.py").read_text() == before


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Mutant("sums.py", "gone", "x", TESTS), "has the old text 0 times"),
        (Mutant("sums.py", "return", "x", TESTS), "has the old text 2 times"),
        (Mutant("none.py", "x", "y", TESTS), "cannot be read"),
        (Mutant("sums.py", "a + b", "a + b", TESTS), "is the old one"),
        (Mutant("sums.py", "a + b", "a - b", ("tests/none.py",)), "there is no tests/none.py"),
        (Mutant("sums.py", "a + b", "a - b", ()), "there is no test"),
    ],
)
def test_a_row_that_does_not_fit_is_loud(tree: Path, row: Mutant, words: str) -> None:
    with pytest.raises(RowError, match=words):
        row.mutated(tree)
    assert any(words in sentence for sentence in check([row], tree))


def test_a_run_with_a_bad_row_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tests.mutants.__main__.rows", lambda _: (Mutant("none.py", "x", "y", TESTS),))
    assert main([]) == 1
    assert "none.py cannot be read" in capsys.readouterr().out


def test_a_list_that_is_not_there_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["none"]) == 1
    assert "no rows of that name" in capsys.readouterr().out


def test_the_score(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Mutant("a", "x", "y", TESTS), Mutant("b", "x", "y", TESTS)
    equal = Mutant("c", "x", "y", TESTS, equal="it is the same")
    assert report([good, equal], [equal]) == 0
    assert "score: 1 of 1 noticed, 1 equal" in capsys.readouterr().out
    assert report([good, bad, equal], [bad, equal]) == 1
    said = capsys.readouterr().out
    assert "score: 1 of 2 noticed" in said
    assert "survives: b" in said
    assert "it is the same" in said
