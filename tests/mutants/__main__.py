"""``make mutants``: put each change of the list into a copy of the tree and see whether its tests notice.

Rows are in ``rows_*.py`` beside this file, a tuple ``ROWS`` each. Ends with 1 if a row does not fit the tree, if the
tests fail without any change, or if a change goes unnoticed that is not said to be equal. See ADR 5.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

from tests.mutants.mutant import Mutant, RowError

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_S = 600.0
"""For tests without any change. With one they get ``SLOWER`` times as long as without, and ``GRACE_S``."""
SLOWER, GRACE_S = 5, 30
_NO_TESTS = 5  # pytest's exit code
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.pyc")


def rows(names: Sequence[str] = ()) -> tuple[Mutant, ...]:
    """The rows of all lists, or of those that are named ("smp", "image", ...)."""
    files = sorted(Path(__file__).parent.glob("rows_*.py"))
    wanted = [file.stem for file in files if not names or file.stem.removeprefix("rows_") in names]
    return tuple(row for name in wanted for row in import_module(f"tests.mutants.{name}").ROWS)


def check(found: Iterable[Mutant], root: Path = ROOT) -> list[str]:
    """A sentence for each row that does not fit the tree."""
    sentences = []
    for row in found:
        try:
            row.mutated(root)
        except RowError as error:
            sentences.append(str(error))
    return sentences


def main(words: Sequence[str] | None = None) -> int:
    """Run, print the score and the survivors, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("rooms", nargs="*", help="lists to run: smp, image, virtual, ...; all if none is given")
    chosen = rows(parser.parse_args(words).rooms)
    broken = check(chosen) or ([] if chosen else ["there are no rows of that name"])
    if broken:
        print("these rows do not fit the tree; nothing was run:", *broken, sep="\n  ")
        return 1
    with tempfile.TemporaryDirectory(prefix="smpdfu-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=_LEFT_OUT)
        return _run(chosen, tree)


def _run(chosen: Sequence[Mutant], tree: Path) -> int:
    tests = sorted({one for row in chosen for one in row.tests})
    print(f"{len(chosen)} mutants; first the {len(tests)} tests without any change", flush=True)
    seconds, failing = {}, []
    for one in tests:
        began = time.monotonic()
        failing += [] if passes([one], tree) else [one]
        seconds[one] = time.monotonic() - began
    if failing:
        print(f"without any change these tests fail, or take more than {TIMEOUT_S} s:", *failing, sep="\n  ")
        return 1
    survivors = []
    for number, row in enumerate(chosen, 1):
        began = time.monotonic()
        noticed = is_noticed(row, tree, GRACE_S + SLOWER * sum(seconds[one] for one in row.tests))
        word = "noticed" if noticed else "equal" if row.equal else "SURVIVES"
        print(f"[{number}/{len(chosen)}] {word:8} {time.monotonic() - began:5.1f} s  {row}", flush=True)
        survivors += [] if noticed else [row]
    return report(chosen, survivors)


def report(chosen: Sequence[Mutant], survivors: Sequence[Mutant]) -> int:
    """Print the score and who survived; the exit code."""
    equal = [row for row in survivors if row.equal]
    bad = [row for row in survivors if not row.equal]
    total = len(chosen) - len(equal)
    print(f"\nscore: {total - len(bad)} of {total} noticed, {len(equal)} equal to the original")
    for row in equal:
        print(f"  equal: {row}\n    {row.equal}")
    for row in bad:
        print(f"  survives: {row}\n    no test of {', '.join(row.tests)} notices")
    return 1 if bad else 0


def is_noticed(row: Mutant, tree: Path, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether a test fails, or hangs, with the change in the copy ``tree``, which is as before afterwards."""
    path = tree / row.file
    before = path.read_text("utf-8")
    path.write_text(row.mutated(tree), "utf-8")
    try:
        return not passes(row.tests, tree, timeout_s)
    finally:
        path.write_text(before, "utf-8")


def passes(tests: Sequence[str], tree: Path, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether these tests pass, with the smpdfu of ``tree`` and no other that is installed."""
    surroundings = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    temp = tree.parent / "temp"
    words = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={temp}", *tests)
    try:
        done = subprocess.run(
            [sys.executable, *words], cwd=tree, env=surroundings, capture_output=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode == _NO_TESTS:
        raise RowError(f"there is no test in {', '.join(tests)}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
