"""Keys that everybody has."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate, load_key, load_private
from smpdfu.image.keys.known_keys import KNOWN_KEYS, known_fingerprint, known_key, known_key_warnings, known_signers
from smpdfu.image.signing.build import ImageSpec, build

SPEC = ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=0x20000, pad_header=True)

# Public keys of MCUboot's samples, as its own sources have them (sim/mcuboot-sys/csupport/keys.c); the rest of the
# table was made from the same file and the repository's root-*.pem in the same way.
ROOT_ED25519 = "302a300506032b6570032100d4b31ba49a3add3f825d10ca7f31b50b0de87f37ccc49f1a403a5c1320ffb4e0"
ROOT_EC_P256 = (
    "3059301306072a8648ce3d020106082a8648ce3d030107034200042acb403ce8feed5ba44995a1a91daee8dbbe1937cd14fb2f245737e5"
    "953988d994b9d65aebd7cdd5308ad6fe48b24a6a810ee5f07d8b6834cc3a6afc538efac1"
)


def test_mcuboot_s_keys_are_known() -> None:
    assert known_key(bytes.fromhex(ROOT_ED25519)) == "MCUboot's sample key root-ed25519"
    assert known_key(bytes.fromhex(ROOT_EC_P256)) == "MCUboot's sample key root-ec-p256"
    for function in (hashlib.sha256, hashlib.sha512):
        assert known_fingerprint(function(bytes.fromhex(ROOT_EC_P256)).digest()) == "MCUboot's sample key root-ec-p256"


def test_all_our_own_development_keys_are_known(keys_dir: Path) -> None:
    files = sorted(keys_dir.glob("dev-*.pem"))
    assert len(files) >= 4
    for file in files:
        name = file.name.removesuffix(".pem").removesuffix(".pub")
        assert known_key(load_key(file.read_bytes()).public_bytes) == f"smpdfu's development key {name}"


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519", "x25519"])
def test_a_new_key_is_not_known(kind: str) -> None:
    assert known_key(generate(kind).public_bytes) is None


def test_the_table_has_fingerprints_and_no_keys() -> None:
    assert all(len(bytes.fromhex(fingerprint)) in (32, 48, 64) for fingerprint in KNOWN_KEYS)
    named = {name.rpartition(" ")[2] for name in KNOWN_KEYS.values()}
    roots = {"root-rsa-2048", "root-rsa-3072", "root-ec-p256", "root-ec-p384", "root-ed25519"}
    assert roots | {"enc-rsa2048", "enc-ec256", "enc-x25519", "enc-aes128kw", "enc-aes256kw"} <= named


@pytest.mark.parametrize("form", ["hash", "full"])
def test_an_image_tells_who_signed_it(form: str, firmware: bytes, keys_dir: Path) -> None:
    from dataclasses import replace
    from typing import cast

    from smpdfu.image.signing.spec import PublicKeyFormat

    spec = replace(SPEC, public_key_format=cast("PublicKeyFormat", form))
    key = load_private((keys_dir / "dev-sign-p256.pem").read_bytes())
    assert known_signers(build(spec, firmware, key)) == ("smpdfu's development key dev-sign-p256",)
    assert known_signers(build(spec, firmware, generate("ecdsa-p256"))) == ()
    assert known_signers(build(spec, firmware)) == ()


def test_warnings(signing_key: PrivateKey, encryption_key: PrivateKey) -> None:
    assert known_key_warnings([signing_key.public_bytes, b"x"], [encryption_key.public_bytes, b"y"]) == (
        "the key that signs is smpdfu's development key dev-sign-p256: anybody can sign with it",
        "it is encrypted for smpdfu's development key dev-encrypt-p256: anybody can decrypt it",
    )
    assert known_key_warnings() == ()
