"""imgtool without chance: the keys of the vectors, and randomness that can be repeated. Used by ``make_vectors.py``."""

from __future__ import annotations

import contextlib
import hashlib
import math
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smpdfu.image.keys.keys import KINDS, PublicKey
from smpdfu.image.signing.encrypt import wrap_key


class Stream:
    """Bytes that look random and are the same each time; ``given`` remembers them."""

    def __init__(self, seed: str) -> None:
        self.seed, self.given = seed.encode(), list[bytes]()

    def __call__(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        self.given.append(hashlib.shake_256(self.seed + len(self.given).to_bytes(4, "big")).digest(size))
        return self.given[-1]


SMALL_PRIMES = math.prod(
    number for number in range(3, 2000, 2) if all(number % factor for factor in range(3, number, 2))
)


def rsa_key(bits: int, purpose: str = "") -> rsa.RSAPrivateKey:
    """The RSA key of this size that ``Stream`` leads to."""
    stream = Stream(f"RSA-{bits}{purpose}")

    def prime() -> int:
        while True:
            found = int.from_bytes(stream(bits // 16), "big") | 3 << bits // 2 - 2 | 1
            if math.gcd(found, SMALL_PRIMES) == 1 and found % 65537 != 1 and pow(2, found - 1, found) == 1:
                return found

    p, q, e = prime(), prime(), 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    parts = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(p, q, d, *parts, public).private_key()


def private_keys() -> dict[str, Any]:
    """The private keys of the vectors: for tests only, anybody can make them."""
    stream = Stream("keys of the vectors")
    number = int.from_bytes(stream(32), "big")
    return {
        "p256": ec.derive_private_key(number % 2**255, ec.SECP256R1()),
        "p256-enc": ec.derive_private_key(number // 3, ec.SECP256R1()),
        "p384": ec.derive_private_key(number, ec.SECP384R1()),
        "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(stream(32)),
        "x25519": x25519.X25519PrivateKey.from_private_bytes(stream(32)),
        "rsa-2048": rsa_key(2048),
        "rsa-3072": rsa_key(3072),
        "rsa-enc": rsa_key(2048, "for encryption"),
        "p256-other": ec.derive_private_key(number // 5, ec.SECP256R1()),
        "ed25519-other": ed25519.Ed25519PrivateKey.from_private_bytes(stream(32)),
    }


def key_files() -> dict[str, str]:
    """The contents of a file for each key."""
    stream = Stream("secrets of the vectors")
    secrets = {f"kek-{8 * size}": b64encode(stream(size)).decode() + "\n" for size in (16, 32)}
    return secrets | {
        name: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for name, key in private_keys().items()
    }


def pss(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    """RSASSA-PSS with SHA-256 (RFC 8017, 8.1.1 and 9.1.1) and a salt of 32 bytes 0x5a."""
    numbers, size, salt = key.private_numbers(), key.key_size // 8, b"\x5a" * 32
    digest = hashlib.sha256(bytes(8) + hashlib.sha256(message).digest() + salt).digest()
    block = bytes(size - 66) + b"\x01" + salt
    mask = b"".join(hashlib.sha256(digest + index.to_bytes(4, "big")).digest() for index in range(size // 32))
    masked = bytearray(one ^ other for one, other in zip(block, mask, strict=False))
    masked[0] &= 0x7F
    encoded = int.from_bytes(bytes(masked) + digest + b"\xbc", "big")
    return pow(encoded, numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


@dataclass(frozen=True)
class PublicRsa:
    """cryptography's public key, but for the randomness that it encrypts with."""

    key: rsa.RSAPublicKey
    stream: Stream

    def public_bytes(self, **form: Any) -> bytes:
        """As the key does."""
        return self.key.public_bytes(**form)

    def encrypt(self, content_key: bytes, _padding: object) -> bytes:
        """By our own OAEP, which takes its randomness as a parameter."""
        return wrap_key(PublicKey(KINDS["rsa-2048"], self.key), content_key, self.stream).data


@contextlib.contextmanager
def pinned(stream: Stream) -> Iterator[None]:
    """imgtool without chance."""
    from imgtool import image
    from imgtool.keys import ECDSA256P1, ECDSA384P1, RSA

    def ephemeral(curve: ec.EllipticCurve, _backend: object = None) -> ec.EllipticCurvePrivateKey:
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        return ec.derive_private_key(int.from_bytes(stream(40), "big") % (order - 1) + 1, curve)

    def signing(function: Any) -> Callable[[Any, bytes], bytes]:
        def raw_sign(key: Any, payload: bytes) -> bytes:
            signature: bytes = key.key.sign(payload, ec.ECDSA(function(), deterministic_signing=True))
            return signature

        return raw_sign

    with contextlib.ExitStack() as patches:
        for target, name, value in (
            (image.os, "urandom", stream),
            (image.ec, "generate_private_key", ephemeral),
            (ECDSA256P1, "raw_sign", signing(SHA256)),
            (ECDSA384P1, "raw_sign", signing(SHA384)),
            (RSA, "sign", lambda key, payload: pss(key.key, payload)),
            (RSA, "_get_public", lambda key: PublicRsa(key.key.public_key(), stream)),
        ):
            patches.enter_context(mock.patch.object(target, name, value))
        made = x25519.X25519PrivateKey

        class Pinned:
            generate = staticmethod(lambda: made.from_private_bytes(stream(32)))

        patches.enter_context(mock.patch.object(image, "X25519PrivateKey", Pinned))
        yield
