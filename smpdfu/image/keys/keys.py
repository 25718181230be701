"""Keys: generate, read, write; sign and verify as MCUboot does.

A key file is PEM: PKCS#8, SEC1 or PKCS#1 for private keys, SubjectPublicKeyInfo for public ones. Every failure to read
one is ``KeyFileError``. Whatever signs images stands behind the ``Signer`` port, whatever checks them behind
``Verifier``: both get the image's digest, the value of its SHA TLV, so that a key may live in other hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from smpdfu.errors import KeyFileError, PassphraseError, SignatureError, SigningError, WrongPassphraseError
from smpdfu.image.hashes import digest
from smpdfu.image.keys import pem_text
from smpdfu.image.tlv import TlvType

PrivateEncoding = Literal["pkcs8", "openssl"]


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """One way to sign an image: a row of ``SIGNATURES``.

    ``sign(key, digest)`` and ``verify(key, signature, digest)`` take cryptography's key objects; ``digest`` is the hash
    of the image by one of ``hash_types``, of which the first is imgtool's default. Where there is a ``pure_hash``, the
    key can also sign the image itself, by the same two functions with the image in the digest's place; the SHA TLV of
    such an image is of that type. ``padded_size`` is how long old bootloaders want the signature.
    """

    signature_type: TlvType
    hash_types: tuple[TlvType, ...]
    sign: Callable[[Any, bytes], bytes] = field(repr=False)
    verify: Callable[[Any, bytes, bytes], object] = field(repr=False)
    padded_size: int = 0
    pure_hash: TlvType | None = None


@dataclass(frozen=True, slots=True)
class KeyKind:
    """A kind of key: a row of ``KINDS``. ``name`` is what ``keygen -t`` calls it, ``short_name`` stands in C names."""

    name: str
    short_name: str
    generate: Callable[[], Any] = field(repr=False)
    public_format: PublicFormat = PublicFormat.SubjectPublicKeyInfo
    private_encodings: tuple[PrivateEncoding, ...] = ()

    @property
    def algorithm(self) -> SignatureAlgorithm | None:
        """How a key of this kind signs; None for one that cannot."""
        return SIGNATURES.get(self.name)


class PublicHalf(Protocol):
    """The public half of a key that signs images, wherever the key is kept."""

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """How the key signs."""

    @property
    def public_bytes(self) -> bytes:
        """The public key as the bootloader has it built in."""

    @property
    def keyhash(self) -> bytes:
        """Value of the KEYHASH TLV."""


class Signer(PublicHalf, Protocol):
    """A private key that signs images, wherever it is kept."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign an image with this digest."""

    def sign_message(self, message: bytes) -> bytes:
        """Sign the hashed bytes of an image (a pure signature). Called only for keys with a ``pure_hash``."""


class Verifier(PublicHalf, Protocol):
    """A public key that a bootloader trusts."""

    def verify_digest(self, signature: bytes, digest: bytes) -> None:
        """Raises ``SignatureError`` unless the signature is this key's, of an image with this digest."""

    def verify_message(self, signature: bytes, message: bytes) -> None:
        """Raises ``SignatureError`` unless this is this key's pure signature of an image with these hashed bytes."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; a ``Verifier`` where its kind can sign. ``raw`` is cryptography's object."""

    kind: KeyKind
    raw: Any = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """The public key itself; for a private key, its public half."""
        return self

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """How this key signs; raises ``SigningError`` for a kind that cannot."""
        if self.kind.algorithm is None:
            raise SigningError(f"a key of type {self.kind.name} is for encryption; it cannot sign or verify")
        return self.kind.algorithm

    @property
    def public_bytes(self) -> bytes:
        """DER, as the bootloader has it built in: SubjectPublicKeyInfo; PKCS#1 for RSA."""
        return cast("bytes", self.public.raw.public_bytes(Encoding.DER, self.kind.public_format))

    @property
    def keyhash(self) -> bytes:
        """Value of the KEYHASH TLV: the hash of ``public_bytes`` by the algorithm's default hash function."""
        return digest(self.algorithm.hash_types[0], (self.public_bytes,))

    def verify(self, signature: bytes, message: bytes) -> None:
        """Verify a signature of a message by the hash of the message."""
        self.verify_digest(signature, digest(self.algorithm.hash_types[0], (message,)))

    def verify_digest(self, signature: bytes, digest: bytes) -> None:
        """Raises ``SignatureError`` unless the signature was made over this digest by this key."""
        try:
            self.algorithm.verify(self.public.raw, signature, digest)
        except (InvalidSignature, ValueError):  # ValueError: a signature of impossible shape
            raise SignatureError(f"the {self.kind.name} signature does not verify") from None

    def verify_message(self, signature: bytes, message: bytes) -> None:
        """Raises ``SignatureError`` unless this is this key's pure signature of these bytes."""
        if self.algorithm.pure_hash is None:
            raise SignatureError(f"a key of type {self.kind.name} cannot make pure signatures")
        self.verify_digest(signature, message)

    def to_pem(self) -> bytes:
        """SubjectPublicKeyInfo, as text."""
        return cast("bytes", self.public.raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


class KnownByPublicKey:
    """Base of signers that hold no private key: what is known of the key is what its public half, ``public``, tells."""

    __slots__ = ()
    public: PublicKey

    @property
    def kind(self) -> KeyKind:
        """What kind of key it is."""
        return self.public.kind

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """How the key signs; raises ``SigningError`` for a kind that cannot."""
        return self.public.algorithm

    @property
    def public_bytes(self) -> bytes:
        """The public key as the bootloader has it built in."""
        return self.public.public_bytes

    @property
    def keyhash(self) -> bytes:
        """Value of the KEYHASH TLV."""
        return self.public.keyhash


@dataclass(frozen=True, slots=True)
class PrivateKey(PublicKey):
    """A private key with its public half; a ``Signer`` where its kind can sign."""

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self.kind, self.raw.public_key())

    def sign(self, message: bytes) -> bytes:
        """Sign the hash of a message."""
        return self.sign_digest(digest(self.algorithm.hash_types[0], (message,)))

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign an image with this digest, as MCUboot wants it. ECDSA is deterministic (RFC 6979)."""
        return self.algorithm.sign(self.raw, digest)

    def sign_message(self, message: bytes) -> bytes:
        """The pure signature of these bytes; raises ``SigningError`` for a kind of key that makes none."""
        if self.algorithm.pure_hash is None:
            raise SigningError(f"a key of type {self.kind.name} cannot make pure signatures: only Ed25519 keys can")
        return self.algorithm.sign(self.raw, message)

    def to_private_pem(self, passphrase: bytes | None = None) -> bytes:
        """PKCS#8, as text; encrypted when there is a passphrase. ``ValueError`` for an empty one."""
        protection = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        return cast("bytes", self.raw.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))

    def to_private_der(self, encoding: PrivateEncoding) -> bytes:
        """The bare key: PKCS#8, or what OpenSSL calls traditional (SEC1, PKCS#1)."""
        form = PrivateFormat.PKCS8 if encoding == "pkcs8" else PrivateFormat.TraditionalOpenSSL
        return cast("bytes", self.raw.private_bytes(Encoding.DER, form, NoEncryption()))


# --- the algorithms -------------------------------------------------------------------------------------------------


def _ecdsa(hash_type: TlvType, function: HashAlgorithm, padded_size: int) -> SignatureAlgorithm:
    def sign(key: Any, digest: bytes) -> bytes:
        scheme = ec.ECDSA(Prehashed(function), deterministic_signing=True)
        return cast("bytes", key.sign(digest, scheme))

    def verify(key: Any, signature: bytes, digest: bytes) -> None:
        key.verify(_without_zeros(signature), digest, ec.ECDSA(Prehashed(function)))

    return SignatureAlgorithm(TlvType.ECDSA_SIG, (hash_type,), sign, verify, padded_size)


def _without_zeros(signature: bytes) -> bytes:
    """A DER signature without the zeros that ``--pad-sig`` puts behind it; anything else stays and will not verify."""
    end = 2 + signature[1] if len(signature) >= 2 else len(signature)
    return signature if signature[end:].strip(b"\0") else signature[:end]


def _rsa_pss(signature_type: TlvType) -> SignatureAlgorithm:
    scheme = padding.PSS(padding.MGF1(SHA256()), salt_length=32)
    function = Prehashed(SHA256())
    return SignatureAlgorithm(
        signature_type,
        (TlvType.SHA256,),
        lambda key, digest: cast("bytes", key.sign(digest, scheme, function)),
        lambda key, signature, digest: key.verify(signature, digest, scheme, function),
    )


_ED25519 = SignatureAlgorithm(
    TlvType.ED25519,
    (TlvType.SHA256, TlvType.SHA512),
    lambda key, digest: cast("bytes", key.sign(digest)),
    lambda key, signature, digest: key.verify(signature, digest),
    pure_hash=TlvType.SHA512,
)

# One row for each kind of key that can sign.
SIGNATURES = {
    "ecdsa-p256": _ecdsa(TlvType.SHA256, SHA256(), 72),
    "ecdsa-p384": _ecdsa(TlvType.SHA384, SHA384(), 103),  # imgtool's number; the longest has 104
    "ed25519": _ED25519,
    "rsa-2048": _rsa_pss(TlvType.RSA2048_PSS),
    "rsa-3072": _rsa_pss(TlvType.RSA3072_PSS),
}

_BOTH: tuple[PrivateEncoding, ...] = ("pkcs8", "openssl")


def _curve(name: str, short_name: str, curve: ec.EllipticCurve) -> KeyKind:
    return KeyKind(name, short_name, partial(ec.generate_private_key, curve), private_encodings=_BOTH)


def _rsa(bits: int) -> KeyKind:
    return KeyKind(
        f"rsa-{bits}", "rsa", partial(rsa.generate_private_key, 65537, bits), PublicFormat.PKCS1, ("openssl",)
    )


# One row for each kind of key, in imgtool's order.
KINDS = {
    kind.name: kind
    for kind in (
        _rsa(2048),
        _rsa(3072),
        _curve("ecdsa-p256", "ecdsa", ec.SECP256R1()),
        _curve("ecdsa-p384", "ecdsap384", ec.SECP384R1()),
        KeyKind("ed25519", "ed25519", ed25519.Ed25519PrivateKey.generate),
        KeyKind("x25519", "x25519", x25519.X25519PrivateKey.generate, private_encodings=("pkcs8",)),
    )
}


# --- making and reading ---------------------------------------------------------------------------------------------


def generate(kind: str) -> PrivateKey:
    """A new key of a kind of ``KINDS``; ``ValueError`` for another."""
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a type of key: use one of {', '.join(KINDS)}")
    return PrivateKey(KINDS[kind], KINDS[kind].generate())


def load_key(pem: bytes, passphrase: bytes | None = None) -> PrivateKey | PublicKey:
    """Read a key file, private or public. If the file is not encrypted, the passphrase is not used.

    Raises ``KeyFileError``: not PEM, a key that MCUboot has no use for, a passphrase that is missing or wrong.
    """
    pem_text.check(pem)
    private = b"PRIVATE KEY-----" in pem
    try:
        raw = _load_private(pem, passphrase) if private else load_pem_public_key(pem)
    except UnsupportedAlgorithm as error:
        raise KeyFileError(f"the key is of a type that is not supported: {error}") from None
    except (ValueError, TypeError):
        if private and pem_text.is_encrypted(pem):
            raise WrongPassphraseError("the passphrase does not open this key, or the file is damaged") from None
        raise KeyFileError("the key file is damaged, or is not a key") from None
    kind = _kind_of(raw)
    return PrivateKey(kind, raw) if private else PublicKey(kind, raw)


def load_private(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Read a private key as ``load_key`` does; raises ``KeyFileError`` for a public one, too."""
    key = load_key(pem, passphrase)
    if not isinstance(key, PrivateKey):
        raise KeyFileError("this is a public key; the private key is needed here")
    return key


def _load_private(pem: bytes, passphrase: bytes | None) -> Any:
    if not pem_text.is_encrypted(pem):
        return load_pem_private_key(pem, None)
    if not passphrase:
        raise PassphraseError("the private key is protected by a passphrase, and none was given")
    return load_pem_private_key(pem, passphrase)


_CURVES = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384"}


def _kind_of(raw: Any) -> KeyKind:
    if isinstance(raw, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        name = _CURVES.get(raw.curve.name, f"ecdsa on the curve {raw.curve.name}")
    elif isinstance(raw, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        name = f"rsa-{raw.key_size}"
    elif isinstance(raw, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        name = "ed25519"
    elif isinstance(raw, (x25519.X25519PrivateKey, x25519.X25519PublicKey)):
        name = "x25519"
    else:
        name = type(raw).__name__
    if name not in KINDS:
        raise KeyFileError(f"MCUboot cannot use a key of type {name}: use one of {', '.join(KINDS)}")
    return KINDS[name]
