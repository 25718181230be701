"""The programs in ``examples/`` run as they are, against virtual devices, with public names only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from smpdfu import Core, Image, ImageSpec, PackageImage, PrivateKey, Version, build, load_private, new_package
from smpdfu.image.files import Segment, encode_firmware
from tests.cli.device.conftest import CODE, FILES, firmware, sealed
from tests.deadlines import HANG_S
from tests.test_public_api import DOCUMENTED

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
USES = {"sign", "package", "upload", "update", "fleet", "watch_log", "files"}
LONGEST_PROGRAM = 20
"""Statements and lines of their arguments; docstrings, imports and blank lines are not counted."""


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    """The development key."""
    return load_private((ROOT / "keys" / "dev-sign-p256.pem").read_bytes())


def image(core: Core, version: str, key: PrivateKey) -> bytes:
    """A signed image of a synthetic firmware."""
    address = CODE[core]
    code = firmware(address, 3000, ord(version[0]))
    code = sealed(code, address, key) if core is Core.NET else code
    fixed = address if core is Core.NET else address - 0x200
    spec = ImageSpec(Version.from_text(version), header_size=0x200, slot_size=0, pad_header=True, rom_fixed=fixed)
    return build(spec, code, key).to_bytes()


@pytest.fixture
def package(tmp_path: Path, key: PrivateKey) -> Path:
    """Version 2 for both cores."""
    images = [(PackageImage.from_bytes(image(core, "2.0.0", key), FILES[core]), CODE[core]) for core in Core]
    path = tmp_path / "dfu_application.zip"
    new_package(images).write(path)
    return path


def run(program: str, *arguments: object) -> str:
    """What a program prints; it must succeed."""
    words = [sys.executable, *program.split(), *map(str, arguments)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def new_device(name: str, folder: Path, key: PrivateKey) -> str:
    """A virtual device that runs version 1; its address."""
    app, public = folder / f"{name}.bin", ROOT / "keys" / "dev-sign-p256.pub.pem"
    app.write_bytes(image(Core.APP, "1.0.0", key))
    run("-m smpdfu", "virtual", "new", name, "--key", public, "--app", app)
    return f"virtual:{name}"


def test_sign(tmp_path: Path) -> None:
    output = tmp_path / "image.bin"
    (tmp_path / "zephyr.bin").write_bytes(firmware(CODE[Core.APP], 3000, 7))
    run("examples/sign.py", ROOT / "keys" / "dev-sign-p256.pem", tmp_path / "zephyr.bin", "1.2.3", output)
    assert str(Image.from_bytes(output.read_bytes()).header.version) == "1.2.3"


def test_package(tmp_path: Path) -> None:
    """The program writes what ``smpdfu package`` writes."""
    merged, dev = tmp_path / "merged.hex", ROOT / "keys" / "dev-sign-p256.pem"
    parts = tuple(Segment(CODE[core], firmware(CODE[core], 3000, 7)) for core in Core)
    merged.write_bytes(encode_firmware(parts, merged))
    run("examples/package.py", dev, merged, "1.2.3", tmp_path / "ours")
    run("-m smpdfu", "package", "--merged", merged, "-k", dev, "-v", "1.2.3", "-o", tmp_path / "theirs")
    names = {path.name for path in (tmp_path / "theirs").iterdir()}
    assert names == {"dfu_application.zip", *FILES.values()}
    for name in names:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


def test_upload(tmp_path: Path, key: PrivateKey) -> None:
    path = tmp_path / "app_update.bin"
    path.write_bytes(image(Core.APP, "2.0.0", key))
    told = run("examples/upload.py", new_device("bench", tmp_path, key), path).splitlines()
    assert told[-3:] == ["verified: True", "slot 0: 1.0.0", "slot 1: 2.0.0"]
    size = path.stat().st_size
    assert f"{size} of {size} bytes" in told


def test_update(tmp_path: Path, key: PrivateKey, package: Path) -> None:
    address = new_device("bench", tmp_path, key)
    told = run("examples/update.py", address, package).splitlines()
    assert told[-1] == "changed proven: True"
    assert "upload the image of the application core" in told[0]
    assert run("examples/update.py", address, package) == "up to date proven: True\n"


def test_files(tmp_path: Path, key: PrivateKey) -> None:
    path = tmp_path / "settings.bin"
    path.write_bytes(bytes(range(256)) * 9)
    told = run("examples/files.py", new_device("bench", tmp_path, key), path, "/lfs1/settings.bin")
    assert told == "2304 bytes, verified: True, same: True\n"


def test_a_fleet_and_its_log(tmp_path: Path, key: PrivateKey, package: Path) -> None:
    names = ("roof-1", "roof-2")
    devices = "".join(f'[[device]]\nname = "{one}"\naddress = "{new_device(one, tmp_path, key)}"\n' for one in names)
    path = tmp_path / "roofs.toml"
    path.write_text(f'[packages]\ndefault = "{package.name}"\n{devices}')
    told = run("examples/fleet.py", path).splitlines()
    assert sorted(told) == ["complete", "roof-1: done ", "roof-2: done "]
    events = [line.split() for line in run("examples/watch_log.py", path).splitlines()]
    assert events[-1] == ["leave"]
    assert ["step", "roof-1", "upload", "app"] in events
    assert ["end", "roof-2", "done"] in events


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES} == USES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_needs_public_names_only_and_is_short(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("smpdfu"):
            assert node.module == "smpdfu" or node.module.startswith(DOCUMENTED), node.module
    docstring = ast.get_docstring(tree)
    assert docstring is not None
    assert f"python {path.name}" in docstring
    code = [
        line for line in text.split('"""', 2)[2].splitlines() if line.strip() and not line.strip().startswith('"""')
    ]
    assert len([line for line in code if not line.startswith(("import ", "from "))]) <= LONGEST_PROGRAM
