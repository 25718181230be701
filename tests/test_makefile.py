"""make: which Python makes the virtual environment, when it is made anew, and what the commands for people run."""

from __future__ import annotations

import os
import re
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


def make(project: Path, *words: str, target: str = ".venv/bin/python", **environment: str) -> str:
    surroundings = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS", "WORKERS")}
    line = ["make", "-C", str(project), target, *words]
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


@pytest.fixture
def ready(project: Path) -> Path:
    """A project whose virtual environment has everything."""
    (project / "pyproject.toml").touch()
    stamp(project)
    return project


def stamp(project: Path) -> None:
    """Mark what is in the virtual environment as newer than all that it is made from."""
    for name in ("demo", "test", "dist"):
        (project / ".venv" / f"{name}.stamp").touch()


def test_check_runs_lint_types_and_the_fast_tests_and_needs_no_network(ready: Path) -> None:
    said = make(ready, "-n", target="check")
    for part in ("ruff check .", "ruff format --check .", "/mypy", 'pytest -n 4 --dist worksteal -m "not slow"'):
        assert part in said
    for part in ("pip", "audit", "apt-get"):
        assert part not in said


@pytest.mark.parametrize("broken", ["types", "tests"])
def test_check_fails_if_one_part_fails(ready: Path, broken: str) -> None:
    for program, part in (("ruff", ""), ("mypy", "types"), ("python", "tests")):
        script = ready / ".venv" / "bin" / program
        script.unlink(missing_ok=True)
        script.write_text(f"#!/bin/sh\necho {program} $2; exit {int(part == broken)}\n")
        script.chmod(0o755)
    stamp(ready)
    line = ["make", "-C", str(ready), "check"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode != 0
    assert "mypy" in done.stdout, "the output of both parts is shown"
    assert "python pytest" in done.stdout


def test_every_test_is_run_by_make_test(ready: Path) -> None:
    said = make(ready, "-n", target="test")
    assert "pytest -n 4 --dist worksteal" in said
    assert "slow" not in said


def test_the_help_names_every_command_for_people(ready: Path) -> None:
    said = make(ready, target="help")
    commands = (
        "demo",
        "check",
        "test",
        "lint",
        "bench",
        "bench-quick",
        "peers",
        "chaos",
        "mutants",
        "fuzz",
        "dist",
        "clean",
    )
    for command in commands:
        assert f"make {command} " in said


def test_bench_gives_one_table_and_bench_quick_its_short_form(ready: Path) -> None:
    assert "-m benchmarks --only bench_sign\n" in make(ready, "-n", "BENCH_ARGS=--only bench_sign", target="bench")
    quick = make(ready, "-n", target="bench-quick")
    assert "-m benchmarks --quick" in quick
    assert "benchmarks.peers" not in quick, "a build of the peers takes minutes"


def test_bench_builds_the_peers_first(ready: Path) -> None:
    said = make(ready, "-n", target="bench")
    assert said.index("-m benchmarks.peers") < said.index("-m benchmarks ")


def test_ci_runs_lint_and_all_tests_and_ends_with_their_summary(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(root / ".ci" / "run", tmp_path / ".ci")
    stand_in = tmp_path / "bin" / "make"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "made $*"\ntest "$1" != "$BROKEN"\n')
    stand_in.chmod(0o755)
    surroundings = os.environ | {"PATH": f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}", "BROKEN": "none"}
    line = ["bash", str(tmp_path / ".ci" / "run")]
    done = subprocess.run(line, capture_output=True, text=True, env=surroundings, timeout=HANG_S)
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[-1]) == (0, "made test")
    assert "made lint" in lines
    assert re.fullmatch(
        r"Time of each part: virtual environment \d+ s, system packages \d+ s, lint \d+ s; .*", lines[-2]
    )
    broken = subprocess.run(line, capture_output=True, text=True, env=surroundings | {"BROKEN": "lint"}, timeout=HANG_S)
    assert broken.returncode != 0
    assert "made test" not in broken.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/locks")
def test_make_names_the_program_that_apt_waits_for(project: Path, tmp_path: Path) -> None:
    import fcntl  # Windows has none

    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("awk", "stat", "cat", "make", "python3"):
        (tools / name).symlink_to(shutil.which(name) or pytest.skip(f"there is no {name}"))
    for name, text in (("id", "echo 0"), ("apt-get", 'echo "apt-get $*" >&2')):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    lock = tmp_path / "lock-frontend"
    line = ["make", "-C", str(project), "softhsm", f"APT_LOCKS={tmp_path / 'none'} {lock}"]

    def said() -> str:
        return subprocess.run(line, capture_output=True, text=True, env={"PATH": str(tools)}, timeout=HANG_S).stderr

    with lock.open("w") as held:
        assert "apt waits" not in said()
        fcntl.lockf(held, fcntl.LOCK_EX)
        found = said()
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert f"apt waits up to 300 s for {name} (pid {os.getpid()}), which holds {lock}" in found
    assert "apt-get -o DPkg::Lock::Timeout=300 install" in found


def environment_of_tests(project: Path, target: str, *words: str, **environment: str) -> str:
    """What ``make test`` or ``make check`` hands to the tests: where Python keeps bytecode, where their files are."""
    python = project / ".venv" / "bin" / "python"
    for name in ("ruff", "mypy", "python"):
        (project / ".venv" / "bin" / name).unlink(missing_ok=True)
    for name in ("ruff", "mypy"):
        (project / ".venv" / "bin" / name).symlink_to(shutil.which("true") or pytest.skip("there is no true"))
    python.write_text('#!/bin/sh\necho "[$PYTHONPYCACHEPREFIX] [$PYTHONDONTWRITEBYTECODE] [$PYTEST_DEBUG_TEMPROOT]"\n')
    python.chmod(0o755)
    stamp(project)
    installed = [word for name in ("softhsm", "dbus", "shells") for word in ("-o", name)]
    return make(project, *installed, *words, target=target, **environment)


@pytest.mark.parametrize("target", ["check", "test"])
def test_what_the_tests_start_finds_its_modules_compiled(ready: Path, target: str) -> None:
    said = environment_of_tests(ready, target, PYTHONDONTWRITEBYTECODE="1")
    assert f"[{ready / '.venv' / 'pycache'}] [] [" in said


@pytest.mark.parametrize(("room", "place"), [("true", "/dev/shm"), ("false", "")])
def test_the_files_of_tests_are_in_memory_where_there_is_room(ready: Path, room: str, place: str) -> None:
    said = environment_of_tests(ready, "test", f"IN_MEMORY={room}", PYTEST_DEBUG_TEMPROOT="")
    assert f"[] [{place}]" in said
    assert "[] [/elsewhere]" in environment_of_tests(ready, "test", "PYTEST_DEBUG_TEMPROOT=/elsewhere")
