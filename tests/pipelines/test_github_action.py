"""``action.yml``: its steps in the environment that GitHub's runner gives them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from smpdfu.image.keys.keys import load_private
from tests.build_folders import copy_of
from tests.pipelines.conftest import KeyPair, seal_hash
from tests.pipelines.github_actions import Finished, Runner

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="the steps are written for bash"
)


@pytest.fixture
def runner(root: Path, project: Path, tmp_path: Path, smpdfu_program: Path) -> Runner:
    (smpdfu_program / "calls").unlink(missing_ok=True)
    environment = dict(os.environ) | {"PYTHONPATH": str(root)}
    return Runner(root, project, tmp_path / "temporary", environment)


@pytest.fixture
def installed(smpdfu_program: Path) -> dict[str, dict[str, str]]:
    """The outputs of a step that installed this checkout."""
    return {"install": {"smpdfu": str(smpdfu_program / "smpdfu"), "python": sys.executable}}


def inputs(key: KeyPair, **others: str) -> dict[str, str]:
    """The product's key signs and seals: the build itself is sealed with a key that everybody has."""
    given = {"key": key.text, "nsib-key": key.text, "public-key": str(key.public), "version": "2.0.0"}
    return given | {name.replace("_", "-"): value for name, value in others.items()}


def test_a_package_is_made_checked_and_published(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair
) -> None:
    done = runner.run(inputs(release_key), installed)
    assert done.failed is None, done.log
    package = runner.workspace / done.outputs["package"]
    assert package == runner.workspace / "build" / "smpdfu" / "dfu_application.zip"
    assert done.outputs["sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
    images = json.loads(done.outputs["images"])
    assert [(one["core"], one["version"]) for one in images] == [("app", "2.0.0"), ("net", "0.0.0")]
    uploads = [given for name, given in done.used if name.startswith("actions/upload-artifact@")]
    assert uploads == [{"name": "smpdfu-package", "path": "build/smpdfu", "if-no-files-found": "error"}]
    assert f"{done.outputs['sha256']}  dfu_application.zip" in (runner.temporary / "summary").read_text()
    check_sums(package.parent)


def check_sums(folder: Path) -> None:
    """``SHA256SUMS`` has each published file, with its hash."""
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert {name: sum_ for sum_, name in lines} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "SHA256SUMS"
    }


def test_the_private_key_is_in_no_argument_and_in_no_file(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair, smpdfu_program: Path
) -> None:
    done = runner.run(inputs(release_key), installed)
    assert done.failed is None, done.log
    secret = release_key.text.splitlines()[1]
    calls = (smpdfu_program / "calls").read_text()
    assert "env:SIGNING_KEY" in calls
    assert secret not in calls
    assert secret not in done.log
    files = [path for folder in (runner.workspace, runner.temporary) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_the_secret_of_another_product_is_found(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair, other_key: KeyPair
) -> None:
    done = runner.run(inputs(other_key, public_key=str(release_key.public)), installed)
    assert done.failed == "Check the result with the public keys"
    assert "signature" in done.log
    assert not any(name.startswith("actions/upload-artifact@") for name, _ in done.used)


def test_a_sample_key_is_refused_unless_it_is_no_release(
    runner: Runner, installed: dict[str, dict[str, str]], keys_dir: Path
) -> None:
    sample = inputs(KeyPair((keys_dir / "dev-sign-p256.pem").read_text(), Path(), keys_dir / "dev-sign-p256.pub.pem"))
    assert runner.run(sample, installed).failed == "Make the package"
    assert runner.run(sample | {"release": "True"}, installed).failed is not None  # only false is no release
    assert runner.run(sample | {"release": "false"}, installed).failed is None


def test_a_seal_that_everybody_can_make_is_refused(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair
) -> None:
    done = runner.run(inputs(release_key, nsib_key=""), installed)
    assert done.failed == "Check the result with the public keys"
    assert "anybody can seal with it" in done.log


def test_without_a_key_the_images_of_the_build_are_packed(
    runner: Runner, installed: dict[str, dict[str, str]], keys_dir: Path
) -> None:
    public = str(keys_dir / "dev-sign-p256.pub.pem")
    done = runner.run({"public-key": public, "release": "false", "output": "dist", "artifact": ""}, installed)
    assert done.failed is None, done.log
    assert done.outputs["package"] == "dist/dfu_application.zip"
    assert not any(name.startswith("actions/upload-artifact@") for name, _ in done.used)


@pytest.mark.parametrize("where", ["key", "version", "net-version", "mcuboot-version", "build-dir", "output"])
def test_an_input_is_never_a_command(
    where: str, runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair
) -> None:
    evil = 'x"; touch hacked; $(touch hacked) `touch hacked` #'
    done = runner.run(inputs(release_key) | {where: evil}, installed)
    assert (done.failed is None) == (where == "output")
    assert not list(runner.workspace.rglob("hacked"))


def test_what_is_no_key_is_not_repeated(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair, smpdfu_program: Path
) -> None:
    secret = release_key.text.splitlines()[1]
    done = runner.run(inputs(release_key) | {"key": secret}, installed)
    assert done.failed == "Make the package"
    assert "SIGNING_KEY is neither" in done.log
    assert secret not in done.log
    assert not (smpdfu_program / "calls").exists()


def test_a_key_can_have_a_passphrase(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair
) -> None:
    text = load_private(release_key.text.encode()).to_private_pem(b"a good one").decode()
    given = inputs(release_key) | {"key": text}
    assert runner.run(given, installed).failed == "Make the package"
    done = runner.run(given | {"passphrase": "a good one"}, installed)
    assert done.failed is None, done.log


def test_the_firmware_for_nsib_is_sealed_with_its_own_key(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair, other_key: KeyPair
) -> None:
    text = load_private(other_key.text.encode()).to_private_pem(b"another one").decode()
    given = inputs(release_key, nsib_key=text, nsib_passphrase="another one")
    done = runner.run(given, installed)
    assert done.failed is None, done.log
    (seal,) = (one["seal"] for one in json.loads(done.outputs["images"]) if one["core"] == "net")
    assert seal["key_hash"] == seal_hash(other_key)


def test_mcuboots_own_package_is_checked_and_published(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair
) -> None:
    copy_of("ncs3.0-pm-mcuboot-update", runner.workspace / "other")
    given = inputs(release_key, build_dir="other", nsib_key=release_key.text)
    done = runner.run(given, installed)
    assert done.failed is None, done.log
    assert done.outputs["mcuboot"] == "other/smpdfu/dfu_mcuboot.zip"
    assert done.log.count("accepted") == 3, "the application, and MCUboot for each slot"
    check_sums(runner.workspace / "other" / "smpdfu")


def test_each_image_can_have_a_version_of_its_own(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair
) -> None:
    copy_of("ncs3.0-pm-mcuboot-update", runner.workspace / "other")
    given = inputs(
        release_key, build_dir="other", nsib_key=release_key.text, net_version="3.1.0", mcuboot_version="4.0.0"
    )
    done = runner.run(given, installed)
    assert done.failed is None, done.log
    made = json.loads((runner.workspace / "other" / "smpdfu" / "package.json").read_text())
    assert {one["version"] for one in made["mcuboot"]["images"]} == {"4.0.0"}
    done = runner.run(inputs(release_key, net_version="3.1.0"), installed)
    assert done.failed is None, done.log
    images = json.loads(done.outputs["images"])
    assert [(one["core"], one["version"]) for one in images] == [("app", "2.0.0"), ("net", "3.1.0")]


def test_the_evidence_is_made_checked_and_published(
    runner: Runner, installed: dict[str, dict[str, str]], release_key: KeyPair, other_key: KeyPair
) -> None:
    keys = {"nsib_key": other_key.text, "nsib_public_key": str(other_key.public), "provenance_key": other_key.text}
    given = inputs(release_key, **keys, provenance_public_key=str(other_key.public))
    done = runner.run(given, installed)
    assert done.failed is None, done.log
    folder = runner.workspace / "build" / "smpdfu"
    assert {"sbom.cdx.json", "provenance.intoto.json"} < {path.name for path in folder.iterdir()}
    check_sums(folder)
    wrong = given | {"provenance-public-key": ""}
    assert "Give provenance-public-key, too" in runner.run(wrong, installed).log
    wrong = given | {"provenance-public-key": str(release_key.public)}
    assert runner.run(wrong, installed).failed == "Check the result with the public keys"
    wrong = given | {"nsib-public-key": str(release_key.public)}
    assert runner.run(wrong, installed).failed == "Check the result with the public keys"


def test_the_action_installs_its_own_checkout(runner: Runner, release_key: KeyPair, offline: dict[str, str]) -> None:
    runner.environment = offline
    done = run_of_python(runner, inputs(release_key))
    assert done.failed is None, done.log
    assert Path(done.outputs["smpdfu"]) == runner.temporary / "smpdfu" / "bin" / "smpdfu"
    set_up = [given for name, given in done.used if name.startswith("actions/setup-python@")]
    assert set_up == [{"python-version": "3.13"}]


def run_of_python(runner: Runner, given: dict[str, str]) -> Finished:
    """Run with this Python as the ``python3`` that was set up."""
    programs = runner.workspace.parent / "set-up"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    runner.environment = runner.environment | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    return runner.run(given)
