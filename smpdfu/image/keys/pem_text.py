"""What the text of a key file tells without reading the key: cryptography is not needed for it."""

from __future__ import annotations

import re

from smpdfu.errors import KeyFileError
from smpdfu.image.keys import kdf

# RSA-8192, four times what MCUboot takes, has 6.3 KB; the work to check an RSA key grows with the cube of its length.
MAX_PEM_BLOCK_BYTES = 8 << 10
_BLOCK = re.compile(rb"-----BEGIN [^-\r\n]{1,60}-----(.*?)(?=-----|\Z)", re.DOTALL)


def is_encrypted(pem: bytes) -> bool:
    """True if this key file needs a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem or b"Proc-Type: 4,ENCRYPTED" in pem


def ssh_hint(pem: bytes, name: str = "FILE") -> str | None:
    """How to make a key file of what OpenSSH wrote, in one sentence; None for anything else."""
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" in pem:
        return (
            f"this is an OpenSSH private key: `ssh-keygen -p -m PEM -f {name}` rewrites the file as PEM (copy it first)"
        )
    if pem.startswith((b"ssh-", b"ecdsa-sha2-")):
        return f"this is an OpenSSH public key: `ssh-keygen -e -m PKCS8 -f {name}` prints it as PEM"
    return None


def check(pem: bytes) -> None:
    """Raise ``KeyFileError`` for what is no PEM key file by its text, or would take minutes to read."""
    if hint := ssh_hint(pem):
        raise KeyFileError(hint)
    if b"-----BEGIN" not in pem:
        raise KeyFileError(f"not a PEM key file: {_guess(pem)}")
    _check_bounds(pem)


def _check_bounds(pem: bytes) -> None:
    """Raise ``KeyFileError`` for a key whose length, or whose passphrase's derivation, would take minutes."""
    for block in _BLOCK.finditer(pem):
        if len(block[1]) > MAX_PEM_BLOCK_BYTES:
            raise KeyFileError(f"the key has more than {MAX_PEM_BLOCK_BYTES >> 10} KiB: no key for MCUboot is so large")
        if b"BEGIN ENCRYPTED" in block[0] and (reason := kdf.too_costly(block[1])):
            raise KeyFileError(f"the key cannot be opened in reasonable time: {reason}")


def _guess(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data.startswith(b"\x30"):
        return "it looks like DER; convert it with `openssl pkey -inform der`"
    return "it has no -----BEGIN line"
