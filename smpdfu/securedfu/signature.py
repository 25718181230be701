"""Signatures of init packets: made by any key that signs images, and verified as the bootloader of the SDK does.

ECDSA over P-256 and SHA-256. A signature is r and s, 32 bytes each, and a public key is x and y, 32 bytes each; every
number has its least significant byte first. Source: nRF5 SDK 17, ``nrf_dfu_validation.c``; nrfutil 6.1.7.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from smpdfu.errors import SignatureError, SigningError
from smpdfu.image.keys.keys import SIGNATURES
from smpdfu.image.secure_dfu.bounds import SIGNATURE_BYTES
from smpdfu.image.signing import ecdsa_form

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicHalf, Signer, Verifier

_HALF = 32


def check_key(key: PublicHalf) -> None:
    """Raise ``SigningError`` for a key that is not on the curve P-256."""
    if key.algorithm is not SIGNATURES["ecdsa-p256"]:
        name = next(name for name, algorithm in SIGNATURES.items() if algorithm is key.algorithm)
        raise SigningError(
            f"the key is of type {name}: the bootloader of the nRF5 SDK checks ECDSA P-256 signatures only"
        ).because("secure-dfu-key-type", kind=name)


def sign(key: Signer, message: bytes) -> bytes:
    """The signature of a message, 64 bytes; raises ``SigningError`` for a key of another type."""
    check_key(key)
    pair = ecdsa_form.numbers(key.sign_digest(sha256(message).digest()), _HALF, "mbedtls")
    if pair is None:
        raise SigningError("the key gave a signature that is no ECDSA signature on the curve P-256")
    return b"".join(number.to_bytes(_HALF, "little") for number in pair)


def verify(key: Verifier, signature: bytes, message: bytes) -> None:
    """Raise ``SignatureError`` unless the signature is this key's, of this message."""
    check_key(key)
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"the signature has {len(signature)} bytes and not {SIGNATURE_BYTES}")
    pair = int.from_bytes(signature[:_HALF], "little"), int.from_bytes(signature[_HALF:], "little")
    key.verify_digest(ecdsa_form.to_der(pair), sha256(message).digest())


def bootloader_key(key: PublicHalf) -> bytes:
    """A public key as the bootloader has it built in (``dfu_public_key.c``): 64 bytes."""
    check_key(key)
    x, y = key.public_bytes[-2 * _HALF : -_HALF], key.public_bytes[-_HALF:]
    return x[::-1] + y[::-1]
