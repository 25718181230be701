"""The hash functions of the SHA TLVs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from smpdfu.image.tlv import TlvType

HASHES = {
    TlvType.SHA256: hashlib.sha256,
    TlvType.SHA384: hashlib.sha384,
    TlvType.SHA512: hashlib.sha512,
}


def digest(kind: int, parts: Iterable[Any]) -> bytes:
    """The hash of all parts (bytes-like), one after the other, by the function of this SHA TLV type."""
    state = HASHES[TlvType(kind)]()
    for part in parts:
        state.update(part)
    return state.digest()
