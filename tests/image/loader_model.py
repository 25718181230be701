"""What a default Zephyr build of MCUboot (ECDSA-P256, no encryption) does with an image, read by no code of ours.

After ``bootutil_img_validate`` of ``image_validate.c``, ``tlv.c`` and ``boot_check_header_valid`` (2026).

``images`` makes images that no signer would: TLVs of any kind in either area, in any order and length, signed all the
same.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator, Sequence

from smpdfu.image.keys.keys import PrivateKey

_ALLOWED = {0x01, 0x02, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x30, 0x31, 0x32, 0x33}
_REFUSED_FLAGS = 0x4 | 0x8 | 0x10 | 0x200 | 0x400 | 0x800
KEYHASH, PUBKEY, SHA256, ECDSA_SIG, SEC_CNT = 0x01, 0x02, 0x10, 0x22, 0x50


class _RefusedError(Exception):
    pass


def takes(flash: bytes, keys: Sequence[PrivateKey], *, hw_key: bool = False, counter: int | None = None) -> bool:
    """Does it take the image at the start of ``flash``? ``counter`` is the security counter that it remembers."""
    try:
        _validate(flash, keys, hw_key, counter)
    except (_RefusedError, struct.error):
        return False
    return True


def _validate(flash: bytes, keys: Sequence[PrivateKey], hw_key: bool, counter: int | None) -> None:
    magic, _, hdr_size, protect_size, img_size, flags = struct.unpack_from("<IIHHII", flash)
    _want(magic == 0x96F3B83D and not flags & _REFUSED_FLAGS)
    protected_end = hdr_size + img_size + protect_size
    sha = hashlib.sha256(flash[:protected_end]).digest()
    key, hash_right, signature_right, counter_right = -1, False, False, False
    for offset, kind, data in _tlvs(flash, hdr_size + img_size, protect_size):
        _want(offset < protected_end or kind in _ALLOWED)
        if kind == SHA256:
            _want(data == sha)
            hash_right = True
        elif kind == (PUBKEY if hw_key else KEYHASH):
            _want(len(data) <= (152 if hw_key else 32))
            key = _find(data, keys, hw_key)
        elif kind == ECDSA_SIG and key >= 0:
            _want(len(data) <= 128)
            signature_right = _is_right(keys[key], data, sha)
            key = -1
        elif kind == SEC_CNT and counter is not None:
            _want(len(data) == 4 and struct.unpack("<I", data)[0] >= counter)
            counter_right = True
    _want(hash_right and signature_right and (counter is None or counter_right))


def _want(condition: bool) -> None:
    if not condition:
        raise _RefusedError


def _find(data: bytes, keys: Sequence[PrivateKey], hw_key: bool) -> int:
    names = [one.public_bytes if hw_key else hashlib.sha256(one.public_bytes).digest()[: len(data)] for one in keys]
    return names.index(data) if data in names else -1


def _is_right(key: PrivateKey, signature: bytes, sha: bytes) -> bool:
    from smpdfu.errors import SignatureError

    try:
        key.public.verify_digest(signature, sha)
    except SignatureError:
        return False
    return True


def _tlvs(flash: bytes, start: int, protect_size: int) -> Iterator[tuple[int, int, bytes]]:
    """Where the data of each TLV begin, its type, its data."""
    magic, total = struct.unpack_from("<HH", flash, start)
    if magic == 0x6908:
        _want(total == protect_size)
        magic, total = struct.unpack_from("<HH", flash, start + total)
    else:
        _want(protect_size == 0)
    _want(magic == 0x6907)
    protected_end, end, at = start + protect_size, start + protect_size + total, start + 4
    while at < end:
        if protect_size and at == protected_end:
            at += 4
            continue
        _want(at + 4 <= end)
        kind, length = struct.unpack_from("<HH", flash, at)
        _want(at + 4 + length <= end)
        yield at + 4, kind, flash[at + 4 : at + 4 + length]
        at += 4 + length


# --- images -----------------------------------------------------------------------------------------------------------


def _tlv(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def _protected(rng: random.Random, key: PrivateKey) -> bytes:
    """The protected area, or nothing."""
    usual = {0x40: 12, 0x50: 4, 0x74: 16, 0x75: 16, KEYHASH: 32, SHA256: 32}
    kinds = (0x40, 0x50, 0x50, 0x60, 0x70, 0x71, 0x74, 0x75, 0x76, 0xA0, 0xA1, 0x01, 0x02, 0x03, 0x10, 0x22, 0x25, 0x32)
    area, count = b"", rng.choice((0, 0, 1, 2, 3))
    for _ in range(count):
        kind = rng.choice(kinds)
        size = usual.get(kind, rng.choice((0, 1, 4, 5, 70)))
        size = rng.choice((0, 1, 3, size + 1, 2 * size)) if rng.random() < 0.25 else size
        data = rng.randbytes(size)
        if kind == SEC_CNT and size == 4:
            data = struct.pack("<I", rng.choice((0, 4, 5, 9)))
        if kind == KEYHASH and rng.random() < 0.5:
            data = hashlib.sha256(key.public_bytes).digest()[:size]
        area += _tlv(kind, data)
    return struct.pack("<HH", 0x6908, len(area) + 4) + area if count or rng.random() < 0.1 else b""


def _unprotected(rng: random.Random, sha: bytes, keys: Sequence[PrivateKey], other: PrivateKey) -> bytes:
    def named(key: PrivateKey, size: int = 32) -> bytes:
        return _tlv(KEYHASH, hashlib.sha256(key.public_bytes).digest()[:size])

    def signed(key: PrivateKey, value: bytes = sha) -> bytes:
        return _tlv(ECDSA_SIG, key.sign_digest(value))

    first, second = keys
    parts = [_tlv(SHA256, sha), named(first), signed(first)]
    odd = [_tlv(kind, data) for kind in (0x20, 0x21, 0x25, 0x30, 0x33, 0xA0, 0xFFFF) for data in (b"", b"\x01")]
    odd += [_tlv(SHA256, data) for data in (sha, sha[:31], b"", bytes(32))] + [_tlv(0x11, bytes(48)), _tlv(0x12, b"")]
    odd += [named(first), named(second), named(other), named(first, 0), named(first, 1), named(second, 16)]
    odd += [_tlv(KEYHASH, bytes(33)), _tlv(PUBKEY, first.public_bytes), _tlv(PUBKEY, b""), _tlv(PUBKEY, bytes(153))]
    odd += [signed(first), signed(second), signed(other), signed(first, bytes(32)), _tlv(ECDSA_SIG, b"")]
    odd += [_tlv(ECDSA_SIG, bytes(129)), _tlv(0x24, bytes(64)), _tlv(SEC_CNT, bytes(4))]
    if rng.random() < 0.15:
        rng.shuffle(parts)
    if rng.random() < 0.1:
        parts.pop(rng.randrange(len(parts)))
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(odd))
    area = b"".join(parts)
    total = len(area) + 4 + (rng.choice((-5, -4, -1, 1, 4)) if rng.random() < 0.04 else 0)
    return struct.pack("<HH", 0x6907, total) + area


def images(seed: int, count: int, keys: Sequence[PrivateKey], other: PrivateKey) -> Iterator[bytes]:
    """``count`` slots' beginnings, each with an image; ``other`` is a key that nobody knows."""
    rng = random.Random(seed)
    for _ in range(count):
        hdr_size, payload = rng.choice((32, 48, 0x200)), rng.randbytes(rng.choice((0, 1, 7, 8, 100)))
        protected, flags = _protected(rng, keys[0]), rng.choice((*[0] * 12, 0x1, 0x10, 0x20, 0x100, 0x800, 0x200, 0x4))
        sizes = (0, hdr_size, len(protected), len(payload), flags)
        header = struct.pack("<IIHHIIQI", 0x96F3B83D, *sizes, 1, 0) + b"\xff" * (hdr_size - 32)
        hashed = header + payload + protected
        yield hashed + _unprotected(rng, hashlib.sha256(hashed).digest(), keys, other) + b"\xff" * 64
