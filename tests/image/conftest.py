"""Keys and firmware that the tests of the image room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpdfu.image.format import Image
from smpdfu.image.keys.keys import PrivateKey, generate, load_private
from smpdfu.image.signing.build import build
from tests.image.full_spec import SPEC


@pytest.fixture(scope="session")
def signing_key(keys_dir: Path) -> PrivateKey:
    """The public development key that signs."""
    return load_private((keys_dir / "dev-sign-p256.pem").read_bytes())


@pytest.fixture(scope="session")
def encryption_key(keys_dir: Path) -> PrivateKey:
    """The public development key that decrypts."""
    return load_private((keys_dir / "dev-encrypt-p256.pem").read_bytes())


@pytest.fixture(scope="session")
def other_key() -> PrivateKey:
    """A key that nobody trusts."""
    return generate("ecdsa-p256")


@pytest.fixture(scope="session")
def firmware() -> bytes:
    """A vector table for the slot at 0xc000 (header 0x200), then bytes without a pattern; no multiple of 16."""
    vectors = (0x2001_0000).to_bytes(4, "little") + (0xC245).to_bytes(4, "little") * 15
    return vectors + bytes(index * index % 251 for index in range(43))


@pytest.fixture(scope="session")
def signed(firmware: bytes, signing_key: PrivateKey) -> Image:
    """An image with every kind of protected TLV."""
    return build(SPEC, firmware, signing_key)


@pytest.fixture(scope="session")
def encrypted(firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey) -> Image:
    """The same, encrypted."""
    return build(SPEC, firmware, signing_key, encryption_key.public)
