"""What the pipelines of tests start from: keys, a build folder, and how smpdfu is installed without a network."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpdfu.image.keys.keys import generate, load_private
from tests.build_folders import copy_of

KIND = "ncs3.0-sysbuild-pm-staged"
_OURS = ("smpdfu", "pip")


@dataclass(frozen=True)
class KeyPair:
    """A key that nobody else has: the text of the private half, and files with each half."""

    text: str
    private: Path
    public: Path


@pytest.fixture(scope="session")
def lent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this Python without smpdfu: links, for ``PYTHONPATH``."""
    folder = tmp_path_factory.mktemp("lent")
    for entry in Path(pytest.__file__).parent.parent.iterdir():
        if not entry.name.lower().startswith(_OURS) and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def offline(lent: Path) -> dict[str, str]:
    """The environment in which ``pip install CHECKOUT`` asks no registry: everything else that it needs is lent."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMPDFU_", "PYTHON", "PIP_"))}
    # Of a switch that is "no-", pip reads the value as that of the thing itself: 0 is "no build isolation".
    pip = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    return kept | pip | {"PYTHONPATH": str(lent)}


@pytest.fixture(scope="session")
def smpdfu_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program ``smpdfu`` of this checkout; each call adds its arguments to ``calls`` beside it."""
    folder = tmp_path_factory.mktemp("program")
    program = folder / "smpdfu"
    start = f'{shlex.quote(sys.executable)} -m smpdfu "$@"'
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {shlex.quote(str(folder / "calls"))}\nexec {start}\n')
    program.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def release_key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """The key of a product."""
    return _pair(tmp_path_factory.mktemp("keys"), "release")


@pytest.fixture(scope="session")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """The key of another product."""
    return _pair(tmp_path_factory.mktemp("keys"), "other")


def _pair(folder: Path, name: str) -> KeyPair:
    key = generate("ecdsa-p256")
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.to_private_pem())
    private.chmod(0o600)
    public.write_bytes(key.to_pem())
    return KeyPair(key.to_private_pem().decode(), private, public)


def seal_hash(key: KeyPair) -> str:
    """The hash by which NSIB knows a key: the first 16 bytes of SHA-256 over x and y."""
    numbers = load_private(key.private.read_bytes()).public.raw.public_numbers()
    return hashlib.sha256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")).hexdigest()[:32]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder in which a pipeline runs: the job before left its build folder there."""
    folder = tmp_path / "project"
    folder.mkdir()
    copy_of(KIND, folder / "build")
    return folder
