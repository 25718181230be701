"""Keys for a bootloader's build: byte for byte what the real imgtool writes, for every kind of key."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from imgtool import keys as theirs

from smpdfu.errors import SigningError
from smpdfu.image.keys.export import private_key_bytes, public_hash_bytes, public_key_bytes
from smpdfu.image.keys.keys import KINDS, PrivateEncoding, PrivateKey, generate


def usual(kind: str) -> PrivateKey:
    """A key that imgtool can cut: it gives up on one RSA key in 26, whose private exponent has a byte less or two."""
    key = generate(kind)
    while kind.startswith("rsa") and key.raw.private_numbers().d.bit_length() <= key.raw.key_size - 8:
        key = generate(kind)
    return key


KEYS = {kind: usual(kind) for kind in KINDS}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def imgtool_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same keys, loaded by imgtool."""
    folder: Path = tmp_path_factory.mktemp("keys")
    for kind, key in KEYS.items():
        (folder / kind).write_bytes(key.to_private_pem())
    return {kind: theirs.load(str(folder / kind)) for kind in KEYS}


def text_of(emit: Any, **options: str) -> bytes:
    out = io.StringIO()
    emit(file=out, **options)
    return out.getvalue().encode()


def raw_of(emit: Any) -> bytes:
    out = io.BytesIO()
    emit(file=out)
    return out.getvalue()


@every_kind
@pytest.mark.parametrize("suffix", ["", "_2"])
def test_public_keys_are_imgtools(kind: str, suffix: str, imgtool_keys: dict[str, Any]) -> None:
    their, public = imgtool_keys[kind], KEYS[kind].public
    for key in (KEYS[kind], public):
        assert public_key_bytes(key, "lang-c", suffix) == text_of(their.emit_c_public, name_suffix=suffix)
        assert public_key_bytes(key, "lang-rust", suffix) == text_of(their.emit_rust_public, name_suffix=suffix)
        assert public_key_bytes(key, "pem") == text_of(their.emit_public_pem)
        assert public_key_bytes(key, "raw") == raw_of(their.emit_raw_public)
        assert public_hash_bytes(key, "lang-c", suffix) == text_of(their.emit_c_public_hash, name_suffix=suffix)
        assert public_hash_bytes(key, "raw") == raw_of(their.emit_raw_public_hash)


PRIVATE: tuple[tuple[str, PrivateEncoding | None], ...] = (
    ("rsa-2048", None),
    ("rsa-3072", "openssl"),
    ("ecdsa-p256", None),
    ("ecdsa-p256", "openssl"),
    ("ecdsa-p256", "pkcs8"),
    ("ecdsa-p384", None),
    ("ecdsa-p384", "openssl"),
    ("x25519", None),
    ("x25519", "pkcs8"),
)


@pytest.mark.parametrize(("kind", "encoding"), PRIVATE)
@pytest.mark.parametrize("minimal", [False, True])
def test_private_keys_are_imgtools(
    kind: str, encoding: PrivateEncoding | None, minimal: bool, imgtool_keys: dict[str, Any]
) -> None:
    ours = private_key_bytes(KEYS[kind], encoding, minimal=minimal)
    if minimal and kind == "ecdsa-p384":  # imgtool cuts these at the offsets of P-256
        assert len(ours) < len(private_key_bytes(KEYS[kind], encoding))
        return
    out = io.StringIO()
    imgtool_keys[kind].emit_private(minimal, encoding, file=out)
    assert ours.decode() == out.getvalue()


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "x25519"])
@pytest.mark.parametrize("minimal", [False, True])
def test_a_private_key_that_is_cut_is_still_the_key(kind: str, minimal: bool) -> None:
    for encoding in KINDS[kind].private_encodings:
        array = private_key_bytes(KEYS[kind], encoding, minimal=minimal).decode()
        der = bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", array))
        raw: Any = load_der_private_key(der, None)
        assert PrivateKey(KINDS[kind], raw).public_bytes == KEYS[kind].public_bytes


@pytest.mark.parametrize(
    ("kind", "encoding"), [("ed25519", None), ("ed25519", "pkcs8"), ("rsa-2048", "pkcs8"), ("x25519", "openssl")]
)
def test_forms_that_no_bootloader_reads_are_refused(kind: str, encoding: PrivateEncoding | None) -> None:
    with pytest.raises(SigningError, match=kind):
        private_key_bytes(KEYS[kind], encoding)


def test_an_unknown_encoding_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="lang-c"):
        public_key_bytes(KEYS["ecdsa-p256"], "lang-ada")
    with pytest.raises(ValueError, match="lang-c"):
        public_hash_bytes(KEYS["ecdsa-p256"], "pem")
