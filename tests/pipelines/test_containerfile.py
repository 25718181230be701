"""``Containerfile``: its steps as far as they run without a container and without a network."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadlines import HANG_S
from tests.pipelines.containerfile import read_stages


@pytest.mark.skipif(sys.platform == "win32", reason="the steps are written for a POSIX shell")
@pytest.mark.parametrize("extras", ["", "evidence", "agent,metrics"])
def test_the_steps_make_a_program_from_what_is_copied(
    extras: str, root: Path, tmp_path: Path, offline: dict[str, str]
) -> None:
    build, installed = tmp_path / "src", tmp_path / "opt"
    stage = read_stages(root)[1]
    for rest in stage.all("COPY"):
        *sources, target = shlex.split(rest)
        for source in sources:
            place = build / target if source.endswith("smpdfu") else build / target / source
            copy(root / source, place)
    programs = tmp_path / "image"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    environment = offline | {"PATH": f"{programs}:{offline['PATH']}", "EXTRAS": extras}
    (step,) = stage.all("RUN")
    script = step.replace("/opt/smpdfu", shlex.quote(str(installed)))
    assert script != step
    done = subprocess.run(
        ["sh", "-c", script], cwd=build, env=environment, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = subprocess.run(
        [installed / "bin" / "smpdfu", "--help"], cwd=tmp_path, env=environment, capture_output=True, timeout=HANG_S
    )
    assert b"package" in said.stdout


def test_the_user_of_the_container_owns_the_folder_for_the_state_of_an_agent(root: Path) -> None:
    """A new volume gets the owner of the folder that it covers. The page on gateways mounts one there."""
    (step,) = read_stages(root)[2].all("RUN")
    (user,) = read_stages(root)[2].all("USER")
    assert f"install -d -o {user} -m 700 /var/lib/smpdfu" in step
    assert ":/var/lib/smpdfu -e SMPDFU_STATE_HOME=/var/lib/smpdfu" in (root / "docs" / "gateways.md").read_text("utf-8")


def copy(source: Path, place: Path) -> None:
    """As COPY does: the contents of a folder, or a file."""
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)


def test_the_page_on_gateways_runs_the_container_with_what_the_agent_needs(root: Path) -> None:
    """A writable place for its state alone, the group of the serial port, and time to stop."""
    stage = read_stages(root)[2]
    (user,) = stage.all("USER")
    text = (root / "docs" / "gateways.md").read_text("utf-8")
    words = shlex.split(text.partition("\ndocker run ")[2].partition("\n```")[0].replace("\\\n", " "))
    options = {word: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("-")}
    volumes = [words[at + 1].split(":") for at, word in enumerate(words) if word == "-v"]
    (state,) = (place for name, place, *mode in volumes if "ro" not in mode)
    assert f"SMPDFU_STATE_HOME={state}" in words
    assert f"install -d -o {user} -m 700 {state}" in stage.all("RUN")[0]
    assert options["--group-add"] == f"$(stat -c %g {options['--device']})"
    assert {"--read-only", "--stop-timeout"} <= set(words)
    assert f"chown {user}" in text
    assert stage.all("ENTRYPOINT") == ['["smpdfu"]'], "signals reach the agent itself"
