"""Rebuilt build folders for tests: each kind is made once in a run, and copied where a test changes something."""

from __future__ import annotations

import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

from smpdfu.image.keys.keys import PrivateKey, load_private
from tests.vectors.make_build_folders import make_build_folder, signing_key

_TEMPORARY = tempfile.TemporaryDirectory(prefix="smpdfu-builds-")
STAGED = "ncs3.4-dts-staged"


@cache
def built(kind: str) -> Path:
    """The folder of this kind. Nobody may change it."""
    folder = Path(_TEMPORARY.name) / kind
    make_build_folder(kind, folder)
    return folder


@cache
def key_of(kind: str) -> PrivateKey:
    """The key that the images of this kind are signed with."""
    return load_private(signing_key(kind).read_bytes())


def copy_of(kind: str, folder: Path) -> Path:
    """A copy of the folder of this kind, to be changed."""
    shutil.copytree(built(kind), folder)
    return folder


def change(file: Path, pattern: str, new: str) -> None:
    """Replace what ``pattern`` matches in a text file; there must be something."""
    text, count = re.subn(pattern, new, file.read_text("utf-8"), flags=re.MULTILINE)
    assert count, f"{pattern} is not in {file}"
    file.write_text(text, "utf-8")


def set_key(file: Path, key: str, value: str | None) -> None:
    """Set a key of a ``.config``; None: it is not set."""
    lines = [one for one in file.read_text("utf-8").splitlines() if key not in re.split("[ =]", one)]
    lines += [f"# {key} is not set" if value is None else f"{key}={value}"]
    file.write_text("\n".join(lines) + "\n", "utf-8")
