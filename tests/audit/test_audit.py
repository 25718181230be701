"""The floors of the packages that smpdfu needs, and how pip-audit's answers are read."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.audit.__main__ import judged
from tests.audit.floors import FIXED_IN, PYPROJECT, faults, floors, numbers
from tests.deadlines import HANG_S


def test_no_floor_lets_in_a_release_with_a_known_fault() -> None:
    assert list(faults()) == []


def test_what_is_installed_is_at_or_above_the_floors() -> None:
    for package, floor in floors().items():
        digits = ".".join(part for part in version(package).split(".") if part.isdigit())
        assert numbers(digits) >= numbers(floor), package


@pytest.mark.parametrize("floor", [">=43", ">=46.0.6", "", "<99", "==44.0.0"])
def test_a_low_floor_is_found(floor: str) -> None:
    good = next(line for line in PYPROJECT.read_text("utf-8").splitlines() if '"cryptography' in line)
    text = PYPROJECT.read_text("utf-8").replace(good, f'  "cryptography{floor}",')
    assert any("cryptography" in sentence for sentence in faults(text))


def test_all_packages_with_advisories_are_needed() -> None:
    assert set(FIXED_IN) <= set(floors())


def test_answers_of_pip_audit() -> None:
    bad = {"name": "x", "version": "1", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
    good, skipped = {"name": "y", "version": "1", "vulns": []}, {"name": "z", "skip_reason": "not on PyPI"}
    assert judged(json.dumps({"dependencies": [bad, good, skipped]}), "") == (
        "",
        ["x 1 has a known fault, CVE-1", "x 1 has a known fault, CVE-2"],
    )
    assert judged(json.dumps({"dependencies": [good]}), "") == ("", [])
    reason, found = judged(json.dumps({"dependencies": [skipped]}), "")
    assert ("registry" in reason, found) == (True, [])
    assert judged("", "a\nNo module named pip_audit\n") == ("No module named pip_audit", [])
    assert judged("[]", "")[1] == []


def test_lint_finds_code_that_nothing_uses(tmp_path: Path) -> None:
    (tmp_path / "dead.py").write_text("def forgotten() -> None:\n    pass\n")
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "vulture", "--config", str(root / "pyproject.toml"), str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert "unused function 'forgotten'" in done.stdout
    assert "\t$(BIN)/vulture\n" in (root / "Makefile").read_text("utf-8")
