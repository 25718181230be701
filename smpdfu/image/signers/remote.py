"""A key elsewhere, as a ``Signer`` that checks what it gets; and the forms in which signatures come."""

from __future__ import annotations

import binascii
from base64 import b64decode, encodebytes
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from smpdfu.errors import KeyFileError, SignatureError, SigningError
from smpdfu.image.files import read_key_file
from smpdfu.image.keys.keys import KnownByPublicKey, PrivateKey, PublicKey, load_key
from smpdfu.image.tlv import TlvType

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class RemoteSigner(KnownByPublicKey):
    """A ``Signer`` whose private key is elsewhere. ``name`` is for people and holds no secret.

    ``sign`` gets the digest of an image and returns its signature, in any form that ``fitting_signature`` knows.
    ``sign_whole`` does the same for a pure signature of all bytes; None where the place cannot.
    """

    name: str
    public: PublicKey
    sign: Sign = field(repr=False)
    sign_whole: Sign | None = field(default=None, repr=False)

    def to_pem(self) -> bytes:
        """The public key, as text."""
        return self.public.to_pem()

    def sign_digest(self, digest: bytes) -> bytes:
        """The signature of an image with this digest, checked. Raises ``SigningError``."""
        return self._checked(self.sign(digest), digest)

    def sign_message(self, message: bytes) -> bytes:
        """The pure signature (Ed25519) of all these bytes, checked. Raises ``SigningError``."""
        if self.sign_whole is None or self.algorithm.signature_type != TlvType.ED25519:
            raise SigningError(f"{self.name} cannot make pure signatures")
        return self._checked(self.sign_whole(message), message)

    def _checked(self, answer: bytes, signed: bytes) -> bytes:
        try:
            return fitting_signature(self.public, answer, signed)
        except SignatureError:
            raise SignatureError(
                f"{self.name} gave {len(answer)} bytes that are not a signature by its {self.kind.name} public key. "
                "The key is another one, or signs in another way"
            ) from None


def fitting_signature(public: PublicKey, data: bytes, signed: bytes) -> bytes:
    """The signature in ``data``, as MCUboot wants it, when it is this key's over ``signed``.

    ``data`` may be the bare bytes or base64, an ECDSA signature DER or both numbers of equal length one after the
    other (as tokens and some clouds give it). ``signed`` is the digest of an image, or all of it for a pure signature.
    Raises ``SignatureError`` when no reading of ``data`` is a good signature.
    """
    for candidate in _readings(public, data):
        try:
            public.verify_digest(candidate, signed)
        except SignatureError:
            continue
        return candidate
    raise SignatureError(f"this is not a signature of the image by the {public.kind.name} key given")


def _readings(public: PublicKey, data: bytes) -> Iterator[bytes]:
    forms = [data]
    with suppress(binascii.Error, ValueError):
        forms.append(b64decode(b"".join(data.split()), validate=True))
    half = {TlvType.SHA256: 32, TlvType.SHA384: 48}.get(public.algorithm.hash_types[0], 0)
    for form in forms:
        yield form
        if public.algorithm.signature_type == TlvType.ECDSA_SIG and len(form) == 2 * half:
            yield encode_dss_signature(int.from_bytes(form[:half], "big"), int.from_bytes(form[half:], "big"))


# --- public keys beside the private one -----------------------------------------------------------------------------


def agreed_public(found: PublicKey | None, file: str | None, given: PublicKey | None, name: str) -> PublicKey:
    """The public key of a key elsewhere: ``found`` there, in the PEM ``file`` of its URI, or ``given``.

    Raises ``KeyFileError`` if there is none, if they are not all the same, or if such a key cannot sign.
    """
    known = [key for key in (found, None if file is None else read_public(file), given) if key is not None]
    if not known:
        raise KeyFileError(f"the public key of {name} is not known: give it as PEM, with ?pub=FILE in the URI")
    for other in known[1:]:
        if other.public_bytes != known[0].public_bytes:
            raise KeyFileError(f"{name} is {_short(known[0])}, and not the public key given, {_short(other)}")
    if known[0].kind.algorithm is None:
        raise KeyFileError(f"{name} is of type {known[0].kind.name}, which cannot sign")
    return known[0]


def _short(public: PublicKey) -> str:
    from smpdfu.image.keys.export import public_key_hash  # here: only this error needs it

    return f"{public.kind.name} {public_key_hash(public).hex()[:16]}"


def read_public(path: str) -> PublicKey:
    """The public key in a PEM file; a private one would be a key that did not stay where it is. ``KeyFileError``."""
    key = read_key_file(Path(path))
    if isinstance(key, PrivateKey):
        raise KeyFileError(f"{path} holds a private key; ?pub= names the public half", path)
    return key


def public_from_der(der: bytes, name: str, label: str = "PUBLIC KEY") -> PublicKey:
    """The public key in DER, which PEM calls ``label``; ``KeyFileError`` for one that MCUboot has no use for."""
    pem = f"-----BEGIN {label}-----\n".encode() + encodebytes(der) + f"-----END {label}-----\n".encode()
    try:
        return load_key(pem).public
    except KeyFileError as error:
        raise KeyFileError(f"{name}: {error}") from None
