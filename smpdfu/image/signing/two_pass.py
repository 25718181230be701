"""Signing in two passes: hand out what is to be signed, and take in the signature made elsewhere.

For keys that no program here can reach: the first pass writes the digest (or all bytes that it covers), somebody signs
it, the second pass makes the image with that signature. imgtool puts in whatever it is given; here a signature that is
not the key's over this very image is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

from smpdfu.errors import SignatureError, SigningError
from smpdfu.image.keys.keys import KnownByPublicKey
from smpdfu.image.signing.build import build

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey
    from smpdfu.image.signing.encrypt import Recipient
    from smpdfu.image.signing.spec import ImageSpec

# The longest signature of each kind; a P-384 one in DER has up to 104 bytes.
_LONGEST_SIGNATURE = {"ecdsa-p256": 72, "ecdsa-p384": 104, "ed25519": 64, "rsa-2048": 256, "rsa-3072": 384}


@dataclass(frozen=True, slots=True)
class Vector:
    """What is to be signed: ``payload``, all bytes that the signature covers, and ``digest``, their hash.

    ECDSA and RSA sign the payload by way of its hash, Ed25519 the digest as a message of its own; a pure Ed25519
    signature is over the payload.
    """

    payload: bytes = field(repr=False)
    digest: bytes


@dataclass(frozen=True, slots=True)
class AbsentSigner(KnownByPublicKey):
    """The signer of a first pass: it is known who will sign, and the signature is not there yet."""

    public: PublicKey

    def sign_digest(self, digest: bytes) -> bytes:
        """The place of a signature, as long as the longest, so that an image that fits now fits then."""
        return bytes(_LONGEST_SIGNATURE[self.kind.name])

    def sign_message(self, message: bytes) -> bytes:
        """The same for a pure signature."""
        return self.sign_digest(message)


@dataclass(frozen=True, slots=True)
class GivenSigner(AbsentSigner):
    """The signer of a second pass: has one signature, and gives it for the image that it was made for.

    ``signature`` is bare or base64; ECDSA also as two numbers of equal length, as tokens give it.
    """

    signature: bytes = field(repr=False)

    def sign_digest(self, digest: bytes) -> bytes:
        """The signature, if it is of an image with this digest; raises ``SignatureError``."""
        from smpdfu.image.signers.remote import fitting_signature  # here: most keys sign themselves

        try:
            return fitting_signature(self.public, self.signature, digest)
        except SignatureError:
            self._refuse()

    def sign_message(self, message: bytes) -> bytes:
        """The signature, if it is a pure one of these bytes; raises ``SignatureError``."""
        if self.algorithm.pure_hash is None:
            raise SigningError(f"a key of type {self.kind.name} cannot make pure signatures: only Ed25519 keys can")
        return self.sign_digest(message)

    def _refuse(self) -> NoReturn:
        raise SignatureError(
            f"the given signature ({len(self.signature)} bytes) does not verify with the given {self.kind.name} public "
            "key for this image: it was made with another key, or for another input, version or options"
        )


def vector_to_sign(
    spec: ImageSpec, payload: bytes, public: PublicKey | None = None, recipient: Recipient | None = None
) -> Vector:
    """The first pass: what must be signed so that ``build`` with a ``GivenSigner`` and the same request succeeds.

    ``public`` is the key that will sign; without it the hash function is the request's and a boot record names nobody.
    Raises what ``build`` raises.
    """
    if spec.compression != "disabled":
        raise SigningError(
            "a compressed image has two signatures, one inside the other: it cannot be signed in two passes"
        )
    signer = None if public is None else AbsentSigner(public)
    image = build(replace(spec, clear=recipient is not None), payload, signer, recipient)
    if image.hash is None:
        raise SigningError("the image has no hash to sign")
    return Vector(image.hashed_bytes(), image.hash)
