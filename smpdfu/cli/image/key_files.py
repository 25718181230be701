"""Keys that encrypt, decrypt and verify: PEM files, key URIs and AES-KW keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.cli.keys.passphrase import Passphrase, key_bytes, read_key
from smpdfu.errors import KeyFileError, SigningError

if TYPE_CHECKING:
    from smpdfu.image.keys.kek import EncryptionKey
    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.signing.encrypt import DecryptionKey, Recipient

_LONGEST_KEK_FILE = 256


def read_recipient(path: Path, passphrase: Passphrase) -> Recipient:
    """Whom to encrypt for: the key in a PEM file, of which the public half is enough, or an AES-KW key.

    Raises KeyFileError that names the file.
    """
    return _read_encryption_key(path, passphrase).public


def read_decryption_key(path: Path, passphrase: Passphrase) -> DecryptionKey:
    """What the device decrypts with: the private key in a PEM file, or an AES-KW key. KeyFileError names the file."""
    from smpdfu.image.signing.encrypt import DecryptionKey  # here: it loads cryptography

    key = _read_encryption_key(path, passphrase)
    if not isinstance(key, DecryptionKey):
        raise KeyFileError(f"{path} holds a public key; decryption needs the private one", str(path))
    return key


def read_verifier(name: str, passphrase: Passphrase) -> PublicKey:
    """The public half of a key that can verify signatures. Raises SigningError or OSError."""
    key = read_key(name, passphrase).public
    if key.kind.algorithm is None:
        raise SigningError(f"{name} holds a key of type {key.kind.name}, which cannot verify a signature")
    return key


def read_trusted(names: Iterable[str]) -> tuple[PublicKey, ...]:
    """The public halves of keys whose signatures a person accepts. Raises SigningError or OSError."""
    return tuple(read_verifier(name, Passphrase()) for name in names)


def _read_encryption_key(path: Path, passphrase: Passphrase) -> EncryptionKey:
    from smpdfu.image.keys.kek import KEK_SIZES, load_kek  # here: it loads cryptography

    head = key_bytes(path)[:_LONGEST_KEK_FILE]
    if b"-----BEGIN" in head or len(head) == _LONGEST_KEK_FILE or (head[:1] == b"\x30" and len(head) not in KEK_SIZES):
        return read_key(path, passphrase)
    try:
        return load_kek(head)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}", str(path)) from None
