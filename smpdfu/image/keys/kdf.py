"""How much work a protected key file demands before its passphrase can even be tried: a file could demand years.

Source: RFC 5958 (EncryptedPrivateKeyInfo), RFC 8018 (PBES2, PBKDF2, and PBES1's iteration count), RFC 7914 (scrypt).
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

MAX_ITERATIONS = 10_000_000
"""Some seconds of PBKDF2; OpenSSL's default is 2,048 and that of Python's cryptography 20,000."""
MAX_SCRYPT_BYTES = 1 << 28
_MAX_PARALLEL = 16
_MAX_DEPTH = 8
_SEQUENCE, _INTEGER, _OID = 0x30, 0x02, 0x06
_SCRYPT = bytes.fromhex("2b060104 01da47040b")
_Node = tuple[int, bytes]


def too_costly(body: bytes) -> str:
    """Why this is too much work, or "". ``body`` is the base64 of an EncryptedPrivateKeyInfo.

    What is no DER is not judged: reading the key will tell.
    """
    try:
        nodes = list(_nodes(binascii.a2b_base64(body)))
    except ValueError:
        return ""
    # An algorithm's parameters stand behind its identifier: salt, then numbers.
    numbers = [int.from_bytes(value, "big") for kind, value in nodes if kind == _INTEGER]
    if (_OID, _SCRYPT) in nodes:
        cost, block, *more = (*numbers, 0, 0)
        size = 128 * cost * block
        if size > MAX_SCRYPT_BYTES or more[0] > _MAX_PARALLEL:
            return f"scrypt takes {size >> 20} MiB, and at most {MAX_SCRYPT_BYTES >> 20} MiB are given"
        return ""
    most = max(numbers, default=0)
    return f"{most:.3g} iterations, and at most {MAX_ITERATIONS} are made" if most > MAX_ITERATIONS else ""


def _nodes(data: bytes, depth: int = 0) -> Iterator[_Node]:
    """Tag and value of everything in a row of DER, outer before inner. ``ValueError`` for what is none."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        kind, size, at = data[at], data[at + 1], at + 2
        if size > 0x80:
            count = size - 0x80
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + size > len(data):
            raise ValueError("cut off")
        value = data[at : at + size]
        yield kind, value
        if kind == _SEQUENCE and depth < _MAX_DEPTH:
            yield from _nodes(value, depth + 1)
        at += size
