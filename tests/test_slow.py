"""``make check`` leaves the slow modules out, ``make test`` does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadlines import HANG_S
from tests.slow import FOLDER, SLOW


def collect(root: Path, *words: str) -> str:
    """What pytest would run of two modules, the one slow and the other fast."""
    modules = [f"tests/{name}" for name in ("test_samples.py", "audit")]
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", *words, *modules]
    done = subprocess.run(line, cwd=root, env=dict(os.environ), capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_slow_module_is_there() -> None:
    assert [name for name in sorted(SLOW) if not (FOLDER / name).is_file()] == []


def test_every_folder_has_fast_tests() -> None:
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("test_*.py")}
    without = {Path(name).parent.as_posix() for name in found} - {Path(name).parent.as_posix() for name in found - SLOW}
    assert without == {"agent/scenarios", "chaos", "mutants", "peers"}, "slow by their nature"


@pytest.mark.parametrize(("words", "both"), [((), True), (("-m", "not slow"), False)], ids=["test", "check"])
def test_slow_modules_are_left_out_on_demand(root: Path, words: tuple[str, ...], both: bool) -> None:
    said = collect(root, *words)
    assert "test_audit" in said
    assert ("test_samples" in said) == both


def test_the_marker_selects_the_same_modules(root: Path) -> None:
    said = collect(root, "-m", "slow")
    assert "test_samples" in said
    assert "test_audit" not in said
