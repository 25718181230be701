"""make: which Python makes the virtual environment, and when it is made anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadlines import HANG_S

pytestmark = pytest.mark.skipif(shutil.which("make") is None or sys.platform == "win32", reason="there is no make")


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Path:
    """The Makefile alone, with a .venv of this Python; ``kept`` is there until the .venv is made anew."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(root / "Makefile", folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True, timeout=HANG_S)
    (folder / ".venv" / "kept").touch()
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """This Python, which says that it is another one."""
    script = tmp_path / "python9"
    script.write_text(
        f'#!/bin/sh\ncase "$2" in *base_prefix*) echo 9.9.9 /opt/9;; *) exec {sys.executable} "$@";; esac\n'
    )
    script.chmod(0o755)
    return script


def make(project: Path, *words: str, **environment: str) -> str:
    surroundings = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS")}
    line = ["make", "-C", str(project), ".venv/bin/python", *words]
    done = subprocess.run(line, capture_output=True, text=True, env=surroundings | environment, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_venv_of_another_python_is_made_anew(project: Path, other: Path) -> None:
    said = make(project, f"PYTHON={other}")
    assert ".venv was made by Python " + sys.version.split()[0] in said
    assert f"PYTHON names {other}" in said
    assert not (project / ".venv" / "kept").exists()
    assert (project / ".venv" / "bin" / "python").exists()


def test_a_python_that_the_environment_names_counts_too(project: Path, other: Path) -> None:
    make(project, PYTHON=str(other))
    assert not (project / ".venv" / "kept").exists()


@pytest.mark.parametrize("words", [(), (f"PYTHON={sys.executable}",)], ids=["none is named", "the same is named"])
def test_else_it_stays(project: Path, words: tuple[str, ...]) -> None:
    assert "anew" not in make(project, *words)
    assert (project / ".venv" / "kept").exists()
