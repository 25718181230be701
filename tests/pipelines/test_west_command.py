"""``west smpdfu`` in a workspace of west that has this checkout as a project."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.build_folders import copy_of
from tests.deadlines import HANG_S
from tests.pipelines.conftest import KIND

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the checkout is a link in the workspace")

MANIFEST = """\
manifest:
  projects:
    - name: smpdfu
      url: https://example.com/smpdfu
      revision: main
      path: smpdfu
      west-commands: scripts/west-commands.yml
  self:
    path: app
"""


@dataclass
class Workspace:
    """A workspace; ``west`` is called in ``here``."""

    top: Path
    here: Path
    environment: dict[str, str]
    python: Path = Path(sys.executable)

    def west(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.line(words), cwd=self.here, env=self.environment, capture_output=True, text=True, timeout=HANG_S
        )

    def line(self, words: Sequence[str | Path]) -> list[str | Path]:
        return [self.python, "-m", "west", *words]

    def done(self, *words: str | Path) -> str:
        ended = self.west(*words)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


@pytest.fixture
def workspace(root: Path, tmp_path: Path) -> Workspace:
    """What ``west init -l`` and ``west update`` make: the application's repository, and smpdfu beside it."""
    top = tmp_path / "workspace"
    (top / "app").mkdir(parents=True)
    (top / "app" / "west.yml").write_text(MANIFEST)
    (top / "smpdfu").symlink_to(root)  # `west update` would clone it
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZEPHYR_", "WEST_"))}
    homes = {"WEST_CONFIG_SYSTEM": str(tmp_path / "system"), "WEST_CONFIG_GLOBAL": str(tmp_path / "global")}
    made = Workspace(top, top, kept | homes)
    made.done("init", "-l", "app")
    return made


def package_of(build: Path) -> Path:
    return build / "smpdfu" / "dfu_application.zip"


def key(root: Path) -> str:
    return str(root / "keys" / "dev-sign-p256.pem")


def test_west_lists_the_command(workspace: Workspace) -> None:
    said = workspace.done("--help")
    assert "extension commands from project smpdfu" in said
    assert "update a device with it" in said
    assert "--build-dir DIR" in workspace.done("smpdfu", "--help")


def test_the_help_of_smpdfu_is_behind_its_commands(workspace: Workspace) -> None:
    assert "Usage: smpdfu package" in workspace.done("smpdfu", "package", "--help")
    assert "Usage: smpdfu update" in workspace.done("smpdfu", "update", "-h")


@pytest.mark.parametrize("dashes", [(), ("--",)], ids=["bare", "dashes"])
def test_package_takes_the_folder_build(workspace: Workspace, root: Path, dashes: tuple[str, ...]) -> None:
    copy_of(KIND, workspace.top / "build")
    said = json.loads(workspace.done("smpdfu", "package", *dashes, "-k", key(root), "-v", "2.0.0", "--json"))
    assert said["package"] == os.path.join("build", "smpdfu", "dfu_application.zip")
    assert said["images"][0]["version"] == "2.0.0"
    assert package_of(workspace.top / "build").is_file()


@pytest.mark.parametrize("words", [("-d", "other", "package"), ("package", "-d", "other"), ("package", "-dother")])
def test_package_takes_a_folder_that_is_given(workspace: Workspace, root: Path, words: tuple[str, ...]) -> None:
    copy_of(KIND, workspace.top / "build")
    copy_of(KIND, workspace.top / "other")
    workspace.done("smpdfu", *words, "-k", key(root))
    assert package_of(workspace.top / "other").is_file()
    assert not package_of(workspace.top / "build").exists()


def test_package_in_a_build_folder_takes_it(workspace: Workspace, root: Path) -> None:
    workspace.here = copy_of(KIND, workspace.top / "somewhere")
    workspace.done("smpdfu", "package", "-k", key(root))
    assert package_of(workspace.here).is_file()


def test_the_configuration_names_the_folder(workspace: Workspace, root: Path) -> None:
    copy_of(KIND, workspace.top / "build")
    copy_of(KIND, workspace.top / "out" / "release")
    workspace.done("config", "build.dir-fmt", "out/release")
    workspace.done("smpdfu", "package", "-k", key(root))
    assert package_of(workspace.top / "out" / "release").is_file()
    assert not package_of(workspace.top / "build").exists()


def test_a_folder_is_guessed_only_on_demand_and_if_there_is_one(workspace: Workspace, root: Path) -> None:
    workspace.done("config", "build.dir-fmt", "out/{board}/{app}")
    build = copy_of(KIND, workspace.top / "out" / "nrf5340dk" / "app")
    refused = workspace.west("smpdfu", "package", "-k", key(root))
    assert refused.returncode == 2
    assert "build.guess-dir" in refused.stderr
    workspace.done("config", "build.guess-dir", "runners")
    workspace.done("smpdfu", "package", "-k", key(root))
    assert package_of(build).is_file()
    (workspace.top / "out" / "nrf52840dk").mkdir()
    assert workspace.west("smpdfu", "package", "-k", key(root)).returncode == 2


@pytest.mark.parametrize("form", ["{", "{0}", "a}"])
def test_a_format_that_is_none_is_refused(workspace: Workspace, form: str) -> None:
    workspace.done("config", "build.dir-fmt", form)
    refused = workspace.west("smpdfu", "package")
    assert refused.returncode == 2
    assert "build.dir-fmt" in refused.stderr


def test_without_a_build_folder_nothing_runs(workspace: Workspace) -> None:
    refused = workspace.west("smpdfu", "package")
    assert refused.returncode == 2
    assert "neither build nor the current folder is a build folder of Zephyr" in refused.stderr
    (workspace.top / "build").mkdir()
    (workspace.top / "build" / "CMakeCache.txt").write_text("CMAKE_BUILD_TYPE:STRING=Debug\n")
    assert workspace.west("smpdfu", "package").returncode == 2


def test_update_takes_the_package_of_the_folder(workspace: Workspace, root: Path) -> None:
    copy_of(KIND, workspace.top / "build")
    refused = workspace.west("smpdfu", "update", "--to", "virtual:desk")
    assert refused.returncode == 2
    assert "Run `west smpdfu package` first" in refused.stderr
    new = [sys.executable, "-m", "smpdfu", "virtual", "new", "desk", "--build", "build"]
    subprocess.run(new, cwd=workspace.top, env=workspace.environment, check=True, capture_output=True, timeout=HANG_S)
    workspace.done("smpdfu", "package", "-k", key(root), "-v", "2.0.0")
    plan = json.loads(workspace.done("smpdfu", "update", "--to", "virtual:desk", "--plan", "--json"))
    assert plan["steps"]
    workspace.done("smpdfu", "update", "--to", "virtual:desk")
    shown = [sys.executable, "-m", "smpdfu", "list", "--to", "virtual:desk"]
    listed = subprocess.run(shown, env=workspace.environment, capture_output=True, text=True, timeout=HANG_S)
    assert "2.0.0" in listed.stdout


def test_update_takes_a_package_that_is_given(workspace: Workspace) -> None:
    shutil.copy(copy_of(KIND, workspace.top / "build") / "dfu_application.zip", workspace.top / "other.zip")
    shutil.rmtree(workspace.top / "build")
    ended = workspace.west("smpdfu", "update", "--package", "other.zip", "--to", "virtual:none")
    assert "virtual" in ended.stderr
    assert "other.zip" not in ended.stderr
    assert ended.returncode not in (0, 2)
    refused = workspace.west("smpdfu", "package", "--package", "other.zip")
    assert (refused.returncode, "is for `west smpdfu update`" in refused.stderr) == (2, True)


def test_the_exit_code_is_that_of_smpdfu(workspace: Workspace, tmp_path: Path) -> None:
    copy_of(KIND, workspace.top / "build")
    assert workspace.west("smpdfu", "package", "--no-such-option").returncode == 2
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("no key\n")
    assert workspace.west("smpdfu", "package", "-k", damaged).returncode == 3


def test_a_folder_named_smpdfu_is_not_taken_for_the_program(workspace: Workspace, root: Path) -> None:
    (workspace.top / "smpdfu").unlink()
    (workspace.top / "smpdfu" / "scripts").mkdir(parents=True)
    shutil.copytree(root / "scripts", workspace.top / "smpdfu" / "scripts", dirs_exist_ok=True)
    (workspace.top / "smpdfu" / "__init__.py").write_text("raise RuntimeError('a folder of the workspace')\n")
    copy_of(KIND, workspace.top / "build")
    workspace.done("smpdfu", "package", "-k", key(root))


def test_where_smpdfu_is_not_installed_the_command_to_install_it_is_shown(
    workspace: Workspace, root: Path, lent: Path, tmp_path: Path, smpdfu_program: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True, timeout=HANG_S)
    workspace.python = tmp_path / "venv" / "bin" / "python"
    workspace.environment |= {"PYTHONPATH": str(lent), "PATH": os.defpath}
    copy_of(KIND, workspace.top / "build")
    refused = workspace.west("smpdfu", "package", "-k", key(root))
    assert refused.returncode == 2
    assert f"Run `{workspace.python} -m pip install {root}`" in refused.stderr
    path = f"{smpdfu_program}{os.pathsep}{os.defpath}"
    workspace.environment |= {"PATH": path, "PYTHONPATH": f"{lent}{os.pathsep}{root}"}
    workspace.done("smpdfu", "package", "-k", key(root))
    assert package_of(workspace.top / "build").is_file()


SLOW_TO_END = """\
import pathlib, sys, time
try:
    pathlib.Path(READY).touch()
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(1)
    print("ended well")
    sys.exit(130)
"""


def test_ctrl_c_is_left_to_smpdfu(workspace: Workspace, tmp_path: Path) -> None:
    """A program that needs its time to end well has it: west waits, and ends with its code."""
    copy_of(KIND, workspace.top / "build")
    program = tmp_path / "programs" / "smpdfu"
    program.parent.mkdir()
    ready = tmp_path / "ready"
    program.write_text(f"#!{sys.executable}\nREADY = {str(ready)!r}\n{SLOW_TO_END}")
    program.chmod(0o755)
    start = "import sys, importlib.metadata as m; real = m.version\n"
    start += (
        "def version(name):\n    if name == 'smpdfu':\n        raise m.PackageNotFoundError\n    return real(name)\n"
    )
    start += "m.version = version; from west.app.main import main; main(sys.argv[1:])"
    environment = workspace.environment | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        [sys.executable, "-c", start, "smpdfu", "package"],
        cwd=workspace.top,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + HANG_S
    while not ready.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=HANG_S)
    assert said == "ended well\n"
    assert process.returncode == 130
