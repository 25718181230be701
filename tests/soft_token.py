"""A real PKCS#11 token for the tests: SoftHSM2, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpdfu.image.keys.keys import PrivateKey, generate

PIN = "739164"
LABEL = "release keys"
KINDS = ("ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072")
_MODULES = (
    os.environ.get("SOFTHSM2_MODULE", ""),
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True)
class SoftToken:
    """A token with a key of each kind, whose label is the kind. The keys are known here to check what it does."""

    folder: Path
    module: str
    keys: dict[str, PrivateKey]

    @property
    def pin_file(self) -> Path:
        """The PIN, as a file."""
        return self.folder / "pin.txt"

    def uri(self, label: str, **query: object) -> str:
        """The URI of a key in this token; its PIN comes from a file unless ``query`` says else."""
        options = {"module-path": self.module, "pin-source": f"file:{self.pin_file}"}
        options |= {name.replace("_", "-"): str(value) for name, value in query.items()}
        given = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"pkcs11:token={LABEL.replace(' ', '%20')};object={label}?{given}"

    def bring_in(self, key: PrivateKey, label: str, number: int, *more: str) -> None:
        """Put a key into the token under a label and an ID."""
        file = self.folder / "import.pem"
        file.write_bytes(key.to_private_pem())
        words = ("--token", LABEL, "--pin", PIN, "--label", label, "--id", f"{number:02x}", *more)
        _tool("--import", str(file), *words)
        file.unlink()

    def public_file(self, kind: str, folder: Path) -> Path:
        """The public half of a key, as a file."""
        path = folder / f"{kind}.pub.pem"
        path.write_bytes(self.keys[kind].to_pem())
        return path


def make_token(folder: Path) -> SoftToken:
    """A new token; skips the test where SoftHSM2 is not there."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed (pip install 'smpdfu[hsm]')")
    module = next((path for path in _MODULES if path and Path(path).is_file()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM2 is not installed (Debian: apt-get install softhsm2)")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)  # read once, when the library is loaded into this process
    _tool("--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "84629173")
    token = SoftToken(folder, module, {kind: generate(kind) for kind in KINDS})
    token.pin_file.write_text(f"{PIN}\n")
    for number, (kind, key) in enumerate(token.keys.items(), 1):
        token.bring_in(key, kind, number)
    return token


def _tool(*words: str) -> None:
    done = subprocess.run(("softhsm2-util", *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
