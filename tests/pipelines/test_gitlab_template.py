"""``templates/package.yml``: its job in the environment that GitLab's runner gives it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.build_folders import copy_of
from tests.pipelines.conftest import KeyPair, seal_hash
from tests.pipelines.gitlab_ci import run_job, template

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the job is written for a POSIX shell")

SHELLS = [shell for shell in ("bash", "dash") if shutil.which(shell)]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(root: Path, project: Path, smpdfu_program: Path) -> Run:
    """Run the job with smpdfu in its image, with these CI/CD variables and inputs."""

    def call(variables: dict[str, str], shell: str = SHELLS[0], **given: Any) -> tuple[int, str]:
        path = f"{smpdfu_program}{os.pathsep}{os.environ['PATH']}"
        environment = dict(os.environ) | {"PYTHONPATH": str(root), "PATH": path} | variables
        job = template(root, install="", **given).jobs["smpdfu-package"]
        return run_job(job, project, environment, shell)

    (smpdfu_program / "calls").unlink(missing_ok=True)
    return call


def signing(key: KeyPair, *, text: bool = False) -> dict[str, str]:
    """The variables with which one key signs and seals: the build itself is sealed with a key that everybody has."""
    value = key.text if text else str(key.private)
    return {"SMPDFU_SIGNING_KEY": value, "SMPDFU_NSIB_KEY": value}


@pytest.fixture
def project(project: Path, release_key: KeyPair) -> Path:
    shutil.copy(release_key.public, project / "release.pub.pem")
    return project


@pytest.mark.parametrize("shell", SHELLS)
def test_a_package_is_made_checked_and_published(shell: str, run: Run, project: Path, release_key: KeyPair) -> None:
    code, log = run(signing(release_key), shell, version="2.0.0")
    assert code == 0, log
    images = json.loads((project / "dist" / "package.json").read_text())["images"]
    assert [(one["core"], one["version"]) for one in images] == [("app", "2.0.0"), ("net", "0.0.0")]
    assert log.count("accepted") == 2
    sums = (project / "dist" / "SHA256SUMS").read_text()
    names = re.findall(r"^[0-9a-f]{64}  (.*)$", sums, re.MULTILINE)
    assert {*names, "SHA256SUMS"} == {path.name for path in (project / "dist").iterdir()}


def test_a_key_can_be_text(run: Run, project: Path, release_key: KeyPair, smpdfu_program: Path) -> None:
    code, log = run(signing(release_key, text=True))
    assert code == 0, log
    secret = release_key.text.splitlines()[1]
    assert secret not in log
    assert secret not in (smpdfu_program / "calls").read_text()
    assert [path for path in project.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_firmware_for_nsib_is_sealed_with_its_own_key(
    shell: str, run: Run, project: Path, release_key: KeyPair, other_key: KeyPair
) -> None:
    keys = {"SMPDFU_SIGNING_KEY": release_key.text, "SMPDFU_NSIB_KEY": str(other_key.private)}
    code, log = run(keys, shell)
    assert code == 0, log
    images = json.loads((project / "dist" / "package.json").read_text())["images"]
    assert [one["seal"]["key_hash"] for one in images if one["core"] == "net"] == [seal_hash(other_key)]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_image_can_have_a_version_of_its_own(shell: str, run: Run, project: Path, release_key: KeyPair) -> None:
    keys = signing(release_key, text=True)
    code, log = run(keys, shell, version="2.0.0", net_version="3.1.0")
    assert code == 0, log
    images = json.loads((project / "dist" / "package.json").read_text())["images"]
    assert [(one["core"], one["version"]) for one in images] == [("app", "2.0.0"), ("net", "3.1.0")]
    copy_of("ncs3.0-pm-mcuboot-update", project / "other")
    code, log = run(keys, shell, version="2.0.0", mcuboot_version="4.0.0", build_dir="other", output="own")
    assert code == 0, log
    made = json.loads((project / "own" / "package.json").read_text())
    assert {one["version"] for one in made["mcuboot"]["images"]} == {"4.0.0"}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_evidence_is_made_checked_and_published(
    shell: str, run: Run, project: Path, release_key: KeyPair, other_key: KeyPair
) -> None:
    keys = {f"SMPDFU_{name}_KEY": other_key.text for name in ("NSIB", "PROVENANCE")}
    keys["SMPDFU_SIGNING_KEY"] = release_key.text
    right = {"nsib_public_key": str(other_key.public), "provenance_public_key": str(other_key.public)}
    code, log = run(keys, shell, **right)
    assert code == 0, log
    assert {"sbom.cdx.json", "provenance.intoto.json"} < {path.name for path in (project / "dist").iterdir()}
    for name in right:
        shutil.rmtree(project / "dist")
        code, log = run(keys, shell, **right | {name: str(release_key.public)})
        assert code == 3, log
        assert not (project / "dist" / "SHA256SUMS").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_key_of_another_product_ends_the_job(shell: str, run: Run, other_key: KeyPair, project: Path) -> None:
    code, log = run(signing(other_key), shell)
    assert code == 3, log
    assert "signature" in log
    assert not (project / "dist" / "SHA256SUMS").exists()


def test_a_seal_that_everybody_can_make_ends_the_job(run: Run, release_key: KeyPair, project: Path) -> None:
    code, log = run({"SMPDFU_SIGNING_KEY": str(release_key.private)})
    assert code == 3, log
    assert "anybody can seal with it" in log
    assert not (project / "dist" / "SHA256SUMS").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_no_key_ends_the_job(shell: str, run: Run, release_key: KeyPair) -> None:
    secret = release_key.text.splitlines()[1]
    code, log = run({"SMPDFU_SIGNING_KEY": secret}, shell)
    assert code == 2
    assert "SMPDFU_SIGNING_KEY is neither" in log
    assert secret not in log


@pytest.mark.parametrize("where", ["version", "net_version", "mcuboot_version", "build_dir", "output", "public_key"])
def test_an_input_is_never_a_command(where: str, run: Run, project: Path, release_key: KeyPair) -> None:
    evil = 'x"; touch hacked; $(touch hacked) `touch hacked` #'
    code, _ = run(signing(release_key), **{where: evil})
    assert (code == 0) == (where == "output")
    assert not list(project.rglob("hacked"))


def test_the_job_installs_what_it_is_told_to(
    root: Path, project: Path, release_key: KeyPair, offline: dict[str, str]
) -> None:
    job = template(root, install=str(root)).jobs["smpdfu-package"]
    programs = project.parent / "image"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = offline | signing(release_key) | {"PATH": path}
    code, log = run_job(job, project, environment, SHELLS[0])
    assert code == 0, log
    assert (project / ".smpdfu" / "bin" / "smpdfu").exists()
    assert (project / "dist" / "SHA256SUMS").exists()
