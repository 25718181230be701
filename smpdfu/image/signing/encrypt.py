"""Encryption of images: the body cipher, and the content key wrapped for the holder of a private key.

Source: MCUboot's ``encrypted_images.md`` and ``enc_key_public.h``. The payload is encrypted by AES-CTR with a random
content key and a counter that starts at 0; the key goes, wrapped, into a TLV. ECIES: an ephemeral key agrees on a
secret with the recipient's key; HKDF makes a cipher key and an HMAC key of it; the TLV is the ephemeral public key,
the HMAC of the wrapped key, the wrapped key. RSA-OAEP is that of RFC 8017, AES-KW that of RFC 3394. Randomness is a
parameter everywhere.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric import ec, padding, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smpdfu.errors import FormatError, SignatureError, SigningError
from smpdfu.image.keys.kek import KeyEncryptionKey
from smpdfu.image.keys.keys import PrivateKey, PublicKey
from smpdfu.image.tlv import Tlv, TlvType, tlv_name, wrapped_key_size

Random = Callable[[int], bytes]
"""Gives that many unpredictable bytes: ``os.urandom``, or in a test something that can be repeated."""

Recipient = PublicKey | KeyEncryptionKey
"""Whom an image is encrypted for: the device's key, of which the public half is enough if it has one."""

DecryptionKey = PrivateKey | KeyEncryptionKey
"""What the device decrypts with."""

_HKDF_INFO = b"MCUBoot_ECIES_v1"
_FIRST_COUNTER = bytes(16)
_P256 = ec.SECP256R1()
_P256_ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551  # FIPS 186-4, D.1.2.3


def ctr(data: bytes, key: bytes) -> bytes:
    """AES-CTR from counter 0 on: encrypts, and decrypts what it encrypted. ``key`` has 16 or 32 bytes."""
    cipher = Cipher(algorithms.AES(key), modes.CTR(_FIRST_COUNTER)).encryptor()
    return cipher.update(data) + cipher.finalize()


@dataclass(frozen=True, slots=True)
class Wrapping:
    """One way to wrap a content key: a row of ``WRAPPINGS``.

    ``hmac_sha`` are the values of imgtool's option that ask for it.
    """

    tlv_type: TlvType
    key_kind: str
    hmac_sha: tuple[str, ...]
    wrap: Callable[[Any, bytes, Random], bytes] = field(repr=False)
    unwrap: Callable[[Any, bytes], bytes] = field(repr=False)


def wrap_key(recipient: Recipient, content_key: bytes, random: Random, hmac_sha: str = "auto") -> Tlv:
    """The TLV with the content key, wrapped for this kind of key with the hash function of ``hmac_sha``.

    Raises ``SigningError`` for a kind of key that no MCUboot decrypts with, or not with that hash function.
    """
    rows = [row for row in WRAPPINGS if row.key_kind == recipient.kind.name]
    if not rows:
        kinds = ", ".join(dict.fromkeys(row.key_kind for row in WRAPPINGS))
        raise SigningError(f"MCUboot cannot decrypt with a key of type {recipient.kind.name}: use one of {kinds}")
    row = next((row for row in rows if hmac_sha in row.hmac_sha), None)
    if row is None:
        raise SigningError(f"with a key of type {recipient.kind.name} MCUboot knows no HMAC-SHA{hmac_sha}: X25519 does")
    return Tlv(row.tlv_type, row.wrap(recipient.public.raw, content_key, random))


def opens(key: DecryptionKey, tlv: Tlv) -> bool:
    """True if this TLV has a content key that is wrapped for keys of this kind."""
    return any(row.tlv_type == tlv.type and row.key_kind == key.kind.name for row in WRAPPINGS)


def unwrap_key(tlv: Tlv, key: DecryptionKey, key_size: int) -> bytes:
    """The content key of ``key_size`` bytes out of a key TLV.

    Raises ``SigningError`` when the key is of another kind than the TLV, ``FormatError`` when the TLV has the wrong
    size, ``SignatureError`` when it was wrapped for another key or changed since.
    """
    wrapping = next((row for row in WRAPPINGS if row.tlv_type == tlv.type), None)
    if wrapping is None or wrapping.key_kind != key.kind.name:
        raise SigningError(
            f"the content key is wrapped as {tlv_name(tlv.type)}: a key of type {key.kind.name} is wrong"
        )
    expected = wrapped_key_size(tlv.type, key_size)
    if len(tlv.data) != expected:
        raise FormatError(f"the {tlv.name} TLV has {len(tlv.data)} bytes; with AES-{key_size * 8} it has {expected}")
    try:
        content_key = wrapping.unwrap(key.raw, tlv.data)
    except (ValueError, InvalidUnwrap):  # a point that is not on the curve, a failed decryption
        raise SignatureError(_OTHER_KEY) from None
    if len(content_key) != key_size:
        raise FormatError(f"the content key has {len(content_key)} bytes, AES-{key_size * 8} needs {key_size}")
    return content_key


_OTHER_KEY = "the content key is wrapped for another decryption key, or was changed"


# --- ECIES ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Curve:
    """What ECIES needs of a curve; ``point_size`` is that of an encoded public key."""

    point_size: int
    ephemeral: Callable[[Random], Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    agree: Callable[[Any, Any], bytes]


def _p256_ephemeral(random: Random) -> Any:
    # FIPS 186-4, B.4.1: 64 bits more than the order has, so that every scalar is equally likely.
    return ec.derive_private_key(int.from_bytes(random(40), "big") % (_P256_ORDER - 1) + 1, _P256)


_ECIES_P256 = _Curve(
    65,
    _p256_ephemeral,
    lambda public: cast("bytes", public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
    lambda point: ec.EllipticCurvePublicKey.from_encoded_point(_P256, point),
    lambda private, public: cast("bytes", private.exchange(ec.ECDH(), public)),
)
_ECIES_X25519 = _Curve(
    32,
    lambda random: x25519.X25519PrivateKey.from_private_bytes(random(32)),
    lambda public: cast("bytes", public.public_bytes_raw()),
    x25519.X25519PublicKey.from_public_bytes,
    lambda private, public: cast("bytes", private.exchange(public)),
)


def _ecies(
    tlv_type: TlvType, key_kind: str, hmac_sha: tuple[str, ...], curve: _Curve, function: HashAlgorithm
) -> Wrapping:
    """A row: ECIES on a curve, with HKDF and HMAC by a hash function."""
    tag_end = curve.point_size + function.digest_size

    def derive(private: Any, public: Any, key_size: int) -> tuple[bytes, bytes]:
        length = key_size + function.digest_size
        okm = HKDF(function, length, salt=None, info=_HKDF_INFO).derive(curve.agree(private, public))
        return okm[:key_size], okm[key_size:]

    def wrap(public: Any, content_key: bytes, random: Random) -> bytes:
        ephemeral = curve.ephemeral(random)
        cipher_key, mac_key = derive(ephemeral, public, len(content_key))
        wrapped = ctr(content_key, cipher_key)
        return curve.encode(ephemeral.public_key()) + hmac.digest(mac_key, wrapped, function.name) + wrapped

    def unwrap(private: Any, data: bytes) -> bytes:
        point, tag, wrapped = data[: curve.point_size], data[curve.point_size : tag_end], data[tag_end:]
        cipher_key, mac_key = derive(private, curve.decode(point), len(wrapped))
        if not hmac.compare_digest(hmac.digest(mac_key, wrapped, function.name), tag):
            raise SignatureError(_OTHER_KEY)
        return ctr(wrapped, cipher_key)

    return Wrapping(tlv_type, key_kind, hmac_sha, wrap, unwrap)


# --- RSA-OAEP and AES-KW --------------------------------------------------------------------------------------------

_OAEP = padding.OAEP(padding.MGF1(SHA256()), SHA256(), label=None)
_LABEL_HASH = hashlib.sha256().digest()


def _oaep_encrypt(public: Any, message: bytes, random: Random) -> bytes:
    """RSAES-OAEP-ENCRYPT (RFC 8017, 7.1.1) with a seed of ``random``: cryptography's takes OpenSSL's own randomness."""
    numbers = public.public_numbers()
    size = public.key_size // 8
    filling = bytes(size - len(message) - 2 * len(_LABEL_HASH) - 2)
    block = _LABEL_HASH + filling + b"\x01" + message
    seed = random(len(_LABEL_HASH))
    masked_block = _masked(block, seed)
    encoded = b"\0" + _masked(seed, masked_block) + masked_block
    cipher: int = pow(int.from_bytes(encoded, "big"), numbers.e, numbers.n)
    return cipher.to_bytes(size, "big")


def _masked(data: bytes, seed: bytes) -> bytes:
    """``data`` XOR MGF1 of the seed (RFC 8017, B.2.1)."""
    blocks = -(-len(data) // len(_LABEL_HASH))
    mask = b"".join(hashlib.sha256(seed + index.to_bytes(4, "big")).digest() for index in range(blocks))
    return bytes(one ^ other for one, other in zip(data, mask, strict=False))


_RSA_OAEP = Wrapping(
    TlvType.ENC_RSA2048,
    "rsa-2048",
    ("auto", "256", "512"),  # there is no HMAC in it: imgtool takes any
    _oaep_encrypt,
    lambda private, data: cast("bytes", private.decrypt(data, _OAEP)),
)
_AES_KW = Wrapping(
    TlvType.ENC_KW,
    "aes-kw",
    ("auto", "256", "512"),
    lambda secret, content_key, _random: aes_key_wrap(secret, content_key),
    aes_key_unwrap,
)

# One row for each key TLV.
WRAPPINGS = (
    _ecies(TlvType.ENC_EC256, "ecdsa-p256", ("auto", "256"), _ECIES_P256, SHA256()),
    _ecies(TlvType.ENC_X25519, "x25519", ("auto", "256"), _ECIES_X25519, SHA256()),
    _ecies(TlvType.ENC_X25519_SHA512, "x25519", ("512",), _ECIES_X25519, SHA512()),
    _RSA_OAEP,
    _AES_KW,
)
