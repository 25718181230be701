"""A build that encrypts is encrypted again with the key file that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpdfu.dfu.build_folder.packing.making import make_build_package
from smpdfu.dfu.package.images import Role
from smpdfu.errors import SigningError
from smpdfu.image.keys.keys import load_private
from smpdfu.image.verification.verify import verify
from tests.build_folders import built, copy_of, key_of, set_key

ENCRYPTED = "ncs3.0-sysbuild-pm-staged-encrypted"
KEY_FILE = "SB_CONFIG_BOOT_ENCRYPTION_KEY_FILE"
ROOT = Path(__file__).resolve().parents[2]


def test_the_key_that_the_build_encrypts_with_is_taken() -> None:
    """Nothing else has to be given than the key that signs."""
    made = make_build_package(built(ENCRYPTED), signer=key_of(ENCRYPTED))
    image = made.package.image(Role.APP)
    assert image is not None
    assert image.image.encrypted
    key = load_private((ROOT / "keys" / "dev-encrypt-p256.pem").read_bytes())
    assert verify(image.image, [key_of(ENCRYPTED).public], enc_key=key).accepted is True


def test_a_key_file_of_the_build_that_is_no_key_is_named(tmp_path: Path) -> None:
    folder = copy_of(ENCRYPTED, tmp_path / "build")
    (tmp_path / "key.pem").write_text("-----BEGIN NOTHING-----")
    set_key(folder / "zephyr" / ".config", KEY_FILE, f'"{tmp_path}/key.pem"')
    with pytest.raises(SigningError, match=r"key\.pem: the key file is damaged"):
        make_build_package(folder, signer=key_of(ENCRYPTED))
