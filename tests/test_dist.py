"""Wheel and source distribution: what they hold, that they are reproducible, and that the wheel works by itself."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

import pytest
from packaging.metadata import Metadata

from tests.deadlines import HANG_S

EPOCH = {"SOURCE_DATE_EPOCH": "1767225600"}
NOT_SHIPPED = (".ci/", ".git-blame-ignore-revs")
"""What git keeps and the source distribution does not hold: the steps of one host's CI, and git's own."""


@dataclass(frozen=True)
class Dist:
    """Both archives of one build."""

    wheel: Path
    sdist: Path


def run(words: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMPDFU_", "PYTHON"))}
    done = subprocess.run(
        words, cwd=cwd, env=kept | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kept_files(root: Path) -> list[str]:
    """The files that git keeps, or would keep after ``git add .``; the test is skipped without git."""
    if shutil.which("git") is None or not (root / ".git").exists():
        pytest.skip("this is not a git checkout")
    words = ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return [name for name in run(words, root).split("\0") if name and (root / name).is_file()]


def build(source: Path, folder: Path) -> Dist:
    run([sys.executable, "-m", "hatchling", "build", "-d", folder], source, **EPOCH)
    return Dist(next(folder.glob("*.whl")), next(folder.glob("*.tar.gz")))


def checkout(root: Path, folder: Path, mode: int, when: int) -> Path:
    """A copy of what git keeps, as somebody else checked it out: other access modes, other times."""
    for name in kept_files(root):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, place)
        place.chmod(mode | (root / name).stat().st_mode & 0o100)
        os.utime(place, (when, when))
    return folder


@pytest.fixture(scope="module")
def dist(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dist:
    folder = tmp_path_factory.mktemp("dist")
    return build(checkout(root, folder / "source", 0o644, 1_700_000_000), folder / "dist")


@pytest.fixture(scope="module")
def programs(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh virtual environment that has the wheel; what the wheel needs is lent, not installed."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", place], place.parent)
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    words = ["--disable-pip-version-check", "install", "-q", "--no-index", "--no-deps"]
    run([sys.executable, "-m", "pip", "--python", python, *words, dist.wheel], place.parent)
    libraries = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], place.parent).strip()
    lent = Path(pytest.__file__).parent.parent
    (Path(libraries) / "lent.pth").write_text(f"{lent}\n")  # its own .pth files, ours among them, do not count
    return python.parent


def contents(sdist: Path) -> dict[str, bytes]:
    """The files of a source distribution without the folder that holds them all."""
    found = {}
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None, member.name
            found["/".join(PurePosixPath(member.name).parts[1:])] = file.read()
    return found


def test_the_source_distribution_holds_what_git_keeps(root: Path, dist: Dist) -> None:
    wanted = {name for name in kept_files(root) if not name.startswith(NOT_SHIPPED)}
    found = contents(dist.sdist)
    assert set(found) == wanted | {"PKG-INFO"}
    assert all((root / name).read_bytes() == found[name] for name in wanted)
    for part in ("docs/", "tests/", "keys/", "sample_images/", "CHANGELOG.md", "LICENSE", "README.md", "Makefile"):
        assert any(name.startswith(part) for name in found), part


def test_the_wheel_holds_the_package_alone(root: Path, dist: Dist) -> None:
    with zipfile.ZipFile(dist.wheel) as archive:
        names = set(archive.namelist())
    package = {name for name in names if ".dist-info/" not in name}
    assert package == {name for name in kept_files(root) if name.startswith("smpdfu/")}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_another_checkout_gives_the_same_bytes(root: Path, dist: Dist, tmp_path: Path) -> None:
    other = build(checkout(root, tmp_path / "source", 0o600, 1_000_000_000), tmp_path / "dist")
    assert other.wheel.read_bytes() == dist.wheel.read_bytes()
    assert other.sdist.read_bytes() == dist.sdist.read_bytes()


def test_the_source_distribution_gives_the_same_wheel(dist: Dist, tmp_path: Path) -> None:
    with tarfile.open(dist.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    source = next(tmp_path.iterdir())
    assert build(source, tmp_path / "dist").wheel.read_bytes() == dist.wheel.read_bytes()


def test_the_metadata_is_valid(root: Path, dist: Dist) -> None:
    with zipfile.ZipFile(dist.wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        raw = archive.read(name)
    assert raw == contents(dist.sdist)["PKG-INFO"]
    found = Metadata.from_email(raw, validate=True)
    assert found.license_expression == "Apache-2.0"
    assert found.license_files == ["LICENSE"]
    assert found.author
    assert found.description == (root / "README.md").read_text("utf-8")
    assert found.description_content_type == "text/markdown"
    classifiers = BytesParser().parsebytes(raw).get_all("Classifier", [])
    assert any(one.startswith("Operating System :: ") for one in classifiers)
    assert not any(one.startswith("License :: ") for one in classifiers), "the license expression says it (PEP 639)"


def test_the_installed_wheel_works(programs: Path, tmp_path: Path) -> None:
    found = run([programs / "python", "-c", "import smpdfu; print(smpdfu.__file__, smpdfu.__version__)"], tmp_path)
    assert found.startswith(str(programs.parent)), "another smpdfu than that of the wheel was tried"
    assert run([programs / "smpdfu", "--version"], tmp_path).strip() == found.split()[-1]
    assert "update" in run([programs / "smpdfu", "--help"], tmp_path)
    assert "sign" in run([programs / "smpdfu-imgtool", "--help"], tmp_path)


def test_the_demo_of_an_installed_wheel_works_in_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    homes = {"SMPDFU_VIRTUAL_HOME": str(tmp_path / "devices"), "SMPDFU_STATE_HOME": str(tmp_path / "state")}
    made = json.loads(run([programs / "smpdfu", "virtual", "new", "desk", "--demo", "--json"], empty, **homes))
    commands = [shlex.split(one["command"]) for one in made["demo"]["commands"]]
    assert len(commands) == 4
    said = [run([programs / words[0], *words[1:]], empty, **homes) for words in commands]
    assert "1.0.0" in said[0]
    assert "2.0.0" in said[-1]
    again = run([programs / "smpdfu", "tutorial", "other", "--run"], empty, **homes)
    assert "Update both cores" in again
