"""The key encryption key of AES-KW: one secret that the device and whoever encrypts for it share.

MCUboot's own sample keys of this kind (``enc-aes128kw.b64``, ``enc-aes256kw.b64``) are files with the bytes in base64.
"""

from __future__ import annotations

import binascii
import os
from base64 import b64decode
from dataclasses import dataclass, field

from smpdfu.errors import KeyFileError
from smpdfu.image.keys.keys import KeyKind, PrivateKey, PublicKey

KEK_SIZES = (16, 32)
_HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class KeyEncryptionKey:
    """A symmetric key of 16 or 32 bytes that wraps content keys. Raises ``ValueError`` for another size."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) not in KEK_SIZES:
            raise ValueError(f"a key encryption key has 16 or 32 bytes, not {len(self.raw)}")

    @property
    def kind(self) -> KeyKind:
        """What kind of key it is."""
        return KIND

    @property
    def public(self) -> KeyEncryptionKey:
        """The key itself, which also encrypts. It is secret, in spite of the name."""
        return self


KIND = KeyKind("aes-kw", "aes_kw", lambda: KeyEncryptionKey(os.urandom(KEK_SIZES[0])))

EncryptionKey = PrivateKey | PublicKey | KeyEncryptionKey


def load_kek(data: bytes) -> KeyEncryptionKey:
    """Read a key encryption key: 16 or 32 bytes in base64, or bare. Raises ``KeyFileError``."""
    text = b"".join(data.split())
    if set(text) <= _HEX_DIGITS and len(text) in (32, 64):
        raise KeyFileError("the key encryption key is in hex: write it in base64, as MCUboot's tools do")
    if len(data) in KEK_SIZES:
        return KeyEncryptionKey(data)
    try:
        secret = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) not in KEK_SIZES:
        raise KeyFileError("not a key file: neither PEM nor an AES-KW key of 16 or 32 bytes in base64")
    return KeyEncryptionKey(secret)
