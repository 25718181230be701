"""Makes ``secure_dfu.json``: init packets that nrfutil 6.1.7 makes, with the command of each.

    .venv/bin/python -m tests.vectors.make_secure_dfu /path/to/nrfutil

nrfutil 6.1.7 runs on Python 3.10 at most, so it is in an environment of its own and in no CI. The firmware comes from
``tests/securedfu/nrf52_firmware.py``, which makes the same bytes each time. The key was made for this and signs nothing
else. nrfutil's signatures are random, so that a new run changes them.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.securedfu.nrf52_firmware import write_all

FILE = Path(__file__).parent / "secure_dfu.json"
SECRET = int.from_bytes(hashlib.sha256(b"smpdfu golden vectors of Secure DFU").digest(), "big") >> 1

_APP = "--application app.hex --application-version 7 --hw-version 52 --sd-req 0x100 --key-file key.pem"
_SD = "--softdevice sd.hex --hw-version 52 --sd-req 0xCA --key-file key.pem"
_BL = "--bootloader bl.hex --bootloader-version 3 --hw-version 52 --sd-req 0x100 --key-file key.pem"
COMMANDS = {
    "application": _APP,
    "application, not signed": _APP.replace(" --key-file key.pem", ""),
    "application, bin": _APP.replace("app.hex", "app.bin"),
    "application without a SoftDevice": "--application app_no_sd.hex --application-version 1 --hw-version 52 --sd-req "
    "0x00 --key-file key.pem",
    "application, version string": "--application app.hex --application-version-string 2.7.31 --hw-version 52 --sd-req "
    "0x100 --key-file key.pem",
    "application, largest numbers": "--application app.hex --application-version 0xFFFFFFFE --hw-version 4294967295 "
    "--sd-req 0x100 --key-file key.pem",
    "application, version 0": "--application app.hex --application-version 0 --hw-version 0 --sd-req 0x100 "
    "--key-file key.pem",
    "application, several SoftDevices": _APP.replace("0x100", "0x100,0xCA,0xC1"),
    "application, SoftDevice or none": _APP.replace("0x100", "0x00,0x100").replace("app.hex", "app_no_sd.hex"),
    "application, debug mode": "--application app.hex --debug-mode --key-file key.pem",
    "application, no validation": f"{_APP} --app-boot-validation NO_VALIDATION",
    "application, SHA-256 at boot": f"{_APP} --app-boot-validation VALIDATE_GENERATED_SHA256",
    "application, ECDSA at boot": f"{_APP} --app-boot-validation VALIDATE_ECDSA_P256_SHA256",
    "external application": "--application app.hex --application-version 7 --hw-version 52 --external-app "
    "--sd-req 0x100 --key-file key.pem",
    "bootloader": _BL,
    "SoftDevice": _SD,
    "SoftDevice, ECDSA at boot": f"{_SD} --sd-boot-validation VALIDATE_ECDSA_P256_SHA256",
    "SoftDevice and bootloader": f"{_BL} --softdevice sd.hex",
    "SoftDevice and bootloader, ECDSA at boot": f"{_BL} --softdevice sd.hex --sd-boot-validation "
    "VALIDATE_ECDSA_P256_SHA256",
    "SoftDevice and application": f"{_SD} --application app.hex --application-version 7 --sd-id 0x100",
    "SoftDevice, bootloader and application": f"{_BL} --softdevice sd.hex --application app.hex "
    "--application-version 7 --sd-id 0x100".replace("--sd-req 0x100", "--sd-req 0xCA"),
}


def key_pem() -> str:
    """The private key, as nrfutil reads it (SEC1)."""
    key = ec.derive_private_key(SECRET, ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def make(nrfutil: str, folder: Path, options: str) -> dict[str, Any]:
    """Run nrfutil in ``folder``; returns the command and what is in the package."""
    command = f"nrfutil pkg generate {options} out.zip"
    words = [nrfutil, *shlex.split(command)[1:]]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    with zipfile.ZipFile(folder / "out.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        images = {
            name: {
                "dat": archive.read(one["dat_file"]).hex(),
                "firmware_sha256": hashlib.sha256(archive.read(one["bin_file"])).hexdigest(),
            }
            for name, one in manifest["manifest"].items()
        }
    return {"command": command, "manifest": manifest, "images": images}


def main() -> None:
    """Write the vectors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_all(folder)
        (folder / "key.pem").write_text(key_pem())
        vectors = {title: make(sys.argv[1], folder, options) for title, options in COMMANDS.items()}
    FILE.write_text(json.dumps({"key": key_pem(), "packages": vectors}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
