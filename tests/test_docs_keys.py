"""Every command in docs/guides/keys.md runs, in the order in which it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.soft_token import SoftToken


def commands(page: Path) -> str:
    """All shell blocks of a page, as one script."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE))


def test_the_commands_of_docs_keys(root: Path, soft_token: SoftToken, tmp_path: Path) -> None:
    for tool in ("pkcs11-tool", "openssl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: apt-get install opensc openssl)")
    programs, tokens = tmp_path / "bin", tmp_path / "tokens"
    programs.mkdir()
    tokens.mkdir()
    (programs / "smpdfu").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m smpdfu "$@"\n')
    (programs / "smpdfu").chmod(0o755)
    (tmp_path / "app.bin").write_bytes((0x2001_0000).to_bytes(4, "little") + (0xC245).to_bytes(4, "little") * 99)
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    script = commands(root / "docs" / "guides" / "keys.md")
    assert script.count("smpdfu") >= 10
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf"),
        "PKCS11_MODULE_PATH": soft_token.module,
        "PIN": "739164",
        "SO_PIN": "84629173",
    }
    done = subprocess.run(("sh", "-eu", "-c", script), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "739164" not in done.stdout + done.stderr
    assert "const unsigned char ecdsa_pub_key[]" in (tmp_path / "release_key.c").read_text()
    for name in ("app_update.bin", "program.bin", "two-passes.bin"):
        public = tmp_path / ("release.pub.pem" if name == "app_update.bin" else "elsewhere.pub.pem")
        words = (sys.executable, "-m", "imgtool.main", "verify", "-k", str(public), str(tmp_path / name))
        assert "correctly validated" in subprocess.run(words, capture_output=True, text=True).stdout, name
