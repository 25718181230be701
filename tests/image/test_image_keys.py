"""Keys: made, written, read, used; every bad file is a KeyFileError with a sentence."""

from __future__ import annotations

import hashlib
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import KeyFileError, SignatureError, SigningError
from smpdfu.image.files import read_key_file, write_key_file
from smpdfu.image.keys.keys import (
    KINDS,
    SIGNATURES,
    PrivateKey,
    PublicKey,
    generate,
    load_key,
    load_private,
)
from smpdfu.image.keys.pem_text import is_encrypted

PASSPHRASE = b"correct horse"


@pytest.fixture(scope="module")
def keys() -> dict[str, PrivateKey]:
    """One key of each kind."""
    return {name: generate(name) for name in KINDS}


every_kind = pytest.mark.parametrize("kind", KINDS)
every_signing_kind = pytest.mark.parametrize("kind", SIGNATURES)


@every_kind
def test_keys_are_read_back(kind: str, keys: dict[str, PrivateKey]) -> None:
    key = keys[kind]
    for pem, passphrase in ((key.to_private_pem(), None), (key.to_private_pem(PASSPHRASE), PASSPHRASE)):
        again = load_private(pem, passphrase)
        assert again.kind is KINDS[kind]
        assert again.to_private_pem() == key.to_private_pem()
    public = load_key(key.to_pem())
    assert not isinstance(public, PrivateKey)
    assert public.public_bytes == key.public_bytes == key.public.public_bytes
    assert public.to_pem() == key.to_pem()
    assert public.public is public


@pytest.mark.parametrize("encoding", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_older_private_formats_are_read(encoding: PrivateFormat, keys: dict[str, PrivateKey]) -> None:
    for kind in ("ecdsa-p256", "rsa-2048"):
        pem = keys[kind].raw.private_bytes(Encoding.PEM, encoding, NoEncryption())
        assert load_private(pem).public_bytes == keys[kind].public_bytes
        sealed = keys[kind].raw.private_bytes(Encoding.PEM, encoding, BestAvailableEncryption(PASSPHRASE))
        assert is_encrypted(sealed)
        assert load_private(sealed, PASSPHRASE).public_bytes == keys[kind].public_bytes


@every_signing_kind
def test_signatures_verify_with_the_right_key_over_the_right_message(kind: str, keys: dict[str, PrivateKey]) -> None:
    key = keys[kind]
    signature = key.sign(b"message")
    key.public.verify(signature, b"message")
    key.verify(signature, b"message")
    with pytest.raises(SignatureError):
        key.verify(signature, b"messagf")
    with pytest.raises(SignatureError):
        generate(kind).verify(signature, b"message")
    for position in range(len(signature)):
        changed = bytearray(signature)
        changed[position] ^= 0x01
        with pytest.raises(SignatureError):
            key.verify(bytes(changed), b"message")


@every_signing_kind
def test_imgtool_and_we_verify_each_others_signatures(kind: str, keys: dict[str, PrivateKey], tmp_path: Path) -> None:
    from imgtool import keys as theirs

    (tmp_path / "key.pem").write_bytes(keys[kind].to_private_pem())
    their: Any = theirs.load(str(tmp_path / "key.pem"))
    if kind == "ed25519":  # imgtool gives these keys the digest, the others the message
        message = hashlib.sha256(b"message").digest()
        their.verify_digest(keys[kind].sign(b"message"), message)
        keys[kind].verify(their.sign_digest(message), b"message")
    else:
        their.verify(keys[kind].sign(b"message"), b"message")
        keys[kind].verify(their.sign(b"message"), b"message")


@every_signing_kind
@given(signature=st.binary(max_size=120))
def test_garbage_is_no_signature(kind: str, signature: bytes, keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(SignatureError):
        keys[kind].verify(signature, b"message")


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ed25519"])
def test_signatures_are_the_same_each_time(kind: str, keys: dict[str, PrivateKey]) -> None:
    assert len({keys[kind].sign(b"message") for _ in range(8)}) == 1


def test_ecdsa_signatures_are_those_of_rfc_6979() -> None:
    # RFC 6979, A.2.5 (P-256) and A.2.6 (P-384): message "sample".
    for curve, private, r in (
        (
            ec.SECP256R1(),
            0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721,
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
        ),
        (
            ec.SECP384R1(),
            0x6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5,
            "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
        ),
    ):
        raw = ec.derive_private_key(private, curve)
        key = load_private(raw.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        assert r in key.sign(b"sample").hex()


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_padded_ecdsa_signatures_verify(zeros: int, signing_key: PrivateKey) -> None:
    signature = signing_key.sign(b"message")
    signing_key.verify(signature + bytes(zeros), b"message")
    with pytest.raises(SignatureError):
        signing_key.verify(signature + bytes(zeros) + b"\x01", b"message")


def test_keyhash_is_over_the_bytes_that_the_bootloader_has(keys: dict[str, PrivateKey]) -> None:
    for kind, function in (
        ("ecdsa-p256", hashlib.sha256),
        ("ecdsa-p384", hashlib.sha384),
        ("rsa-2048", hashlib.sha256),
    ):
        assert keys[kind].keyhash == function(keys[kind].public_bytes).digest()
    pkcs1 = keys["rsa-2048"].public.raw.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert keys["rsa-2048"].public_bytes == pkcs1


def test_x25519_cannot_sign(keys: dict[str, PrivateKey]) -> None:
    key = keys["x25519"]
    with pytest.raises(SigningError, match="x25519"):
        key.sign(b"message")
    with pytest.raises(SigningError, match="x25519"):
        key.public.verify(b"", b"message")
    with pytest.raises(SigningError, match="x25519"):
        _ = key.keyhash


def test_an_unknown_kind_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="ecdsa-p256"):
        generate("ecdsa-p255")


def test_secrets_are_not_shown(signing_key: PrivateKey) -> None:
    number = signing_key.raw.private_numbers().private_value
    assert str(number) not in repr(signing_key)
    assert "ecdsa-p256" in repr(signing_key)


# --- bad key files --------------------------------------------------------------------------------------------------


def unsupported_curve() -> bytes:
    raw = ec.generate_private_key(ec.SECP521R1())
    return raw.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def dsa_key() -> bytes:
    raw = dsa.generate_private_key(1024)
    return raw.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def der_key() -> bytes:
    return generate("ecdsa-p256").to_private_der("pkcs8")


def cut_key() -> bytes:
    return generate("ecdsa-p256").to_private_pem()[:120]


def protected_key() -> bytes:
    return generate("ecdsa-p256").to_private_pem(PASSPHRASE)


@pytest.mark.parametrize(
    ("make", "passphrase", "words"),
    [
        (lambda: b"", None, "empty"),
        (lambda: b"hello", None, "no -----BEGIN"),
        (der_key, None, "DER"),
        (cut_key, None, "the key file is damaged"),
        (lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None, "damaged"),
        (lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None, "is not a key"),
        (unsupported_curve, None, "secp521r1"),
        (dsa_key, None, "use one of"),
        (protected_key, None, "protected by a passphrase, and none was given"),
        (protected_key, b"", "protected by a passphrase, and none was given"),
        (protected_key, b"wrong", "passphrase does not open"),
    ],
)
def test_a_bad_key_file_is_told_in_a_sentence(make: Callable[[], bytes], passphrase: bytes | None, words: str) -> None:
    with pytest.raises(KeyFileError, match=words) as caught:
        load_key(make(), passphrase)
    assert "\n" not in str(caught.value)


@given(
    st.binary(max_size=300),
    st.sampled_from(("PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY", "X")),
)
def test_garbage_is_no_key(data: bytes, label: str) -> None:
    import base64

    framed = b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), base64.encodebytes(data), label.encode())
    for pem in (data, framed, framed[: len(framed) // 2]):
        with pytest.raises(KeyFileError):
            load_key(pem, b"passphrase")


def test_a_passphrase_that_is_not_needed_does_no_harm(signing_key: PrivateKey) -> None:
    assert load_key(signing_key.to_private_pem(), b"x").public_bytes == signing_key.public_bytes


def test_a_public_key_is_not_a_private_one(signing_key: PrivateKey) -> None:
    with pytest.raises(KeyFileError, match="public key"):
        load_private(signing_key.to_pem())


# --- key files ------------------------------------------------------------------------------------------------------


def test_key_files_are_private_and_never_overwritten(tmp_path: Path, signing_key: PrivateKey) -> None:
    path = tmp_path / "key.pem"
    write_key_file(path, signing_key.to_private_pem())
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeyFileError, match="exists already") as caught:
        write_key_file(path, b"another")
    assert caught.value.path == str(path)
    assert path.read_bytes() == signing_key.to_private_pem()
    assert [file.name for file in tmp_path.iterdir()] == ["key.pem"]
    write_key_file(path, b"another", overwrite=True)
    assert path.read_bytes() == b"another"


def test_the_passphrase_is_asked_for_only_where_it_is_needed(tmp_path: Path, signing_key: PrivateKey) -> None:
    asked: list[str] = []

    def ask() -> bytes:
        asked.append("")
        return PASSPHRASE

    path = tmp_path / "key.pem"
    for pem, times in (
        (signing_key.to_pem(), 0),
        (signing_key.to_private_pem(), 0),
        (signing_key.to_private_pem(PASSPHRASE), 1),
    ):
        path.write_bytes(pem)
        assert isinstance(read_key_file(path, ask), PublicKey)
        assert len(asked) == times
    with pytest.raises(KeyFileError, match="none was given") as caught:
        read_key_file(path)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["missing.pem", "."])
def test_a_key_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="cannot read the key file") as caught:
        read_key_file(tmp_path / name)
    assert caught.value.path == str(tmp_path / name)
