"""Encryption: the right key gets the plain bytes back, nobody else gets anything; randomness is what was given."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import FormatError, KeyFileError, SignatureError, SigningError
from smpdfu.image.keys.kek import KeyEncryptionKey, load_kek
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing import encrypt
from smpdfu.image.signing.encrypt import WRAPPINGS, DecryptionKey, Wrapping, ctr, unwrap_key, wrap_key
from smpdfu.image.tlv import Tlv, TlvType

SIZES = (16, 32)
CHECKED = ("ecdsa-p256", "x25519", "aes-kw")  # every bit of their TLVs is checked; so it is with RSA, slowly


def made(kind: str) -> DecryptionKey:
    return KeyEncryptionKey(os.urandom(16)) if kind == "aes-kw" else generate(kind)


KEYS = {kind: made(kind) for kind in dict.fromkeys(row.key_kind for row in WRAPPINGS)}
OTHERS = {kind: made(kind) for kind in KEYS}
ROWS = pytest.mark.parametrize("row", WRAPPINGS, ids=lambda row: row.tlv_type.name)


def stream(size: int) -> bytes:
    return hashlib.shake_256(b"seed").digest(size)


# --- the body cipher ------------------------------------------------------------------------------------------------


@given(st.binary(max_size=100), st.sampled_from(SIZES).map(os.urandom))
def test_the_body_is_decrypted_by_the_same_key_only(data: bytes, key: bytes) -> None:
    assert ctr(ctr(data, key), key) == data
    if len(data) > 16:
        assert ctr(ctr(data, key), bytes(len(key))) != data


def test_the_key_stream_is_aes_of_the_counter() -> None:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = stream(16)
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    counters = b"".join(index.to_bytes(16, "big") for index in range(300))
    assert ctr(bytes(4800), key) == block.update(counters)


# --- wrapping -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@ROWS
def test_the_content_key_is_unwrapped_by_the_recipient_only(row: Wrapping, size: int) -> None:
    kind, content_key = row.key_kind, stream(size)
    tlv = wrap_key(KEYS[kind].public, content_key, os.urandom, row.hmac_sha[0])
    assert tlv.type == row.tlv_type
    assert unwrap_key(tlv, KEYS[kind], size) == content_key
    with pytest.raises(SignatureError):
        unwrap_key(tlv, OTHERS[kind], size)


@pytest.mark.parametrize(
    ("kind", "hmac_sha", "tlv_type", "lengths"),
    [
        ("ecdsa-p256", "auto", TlvType.ENC_EC256, (113, 129)),
        ("ecdsa-p256", "256", TlvType.ENC_EC256, (113, 129)),
        ("x25519", "auto", TlvType.ENC_X25519, (80, 96)),
        ("x25519", "256", TlvType.ENC_X25519, (80, 96)),
        ("x25519", "512", TlvType.ENC_X25519_SHA512, (112, 128)),
        ("rsa-2048", "512", TlvType.ENC_RSA2048, (256, 256)),
        ("aes-kw", "auto", TlvType.ENC_KW, (24, 40)),
    ],
)
def test_tlvs_have_mcuboots_sizes(kind: str, hmac_sha: str, tlv_type: TlvType, lengths: tuple[int, int]) -> None:
    for size, length in zip(SIZES, lengths, strict=True):
        tlv = wrap_key(KEYS[kind], stream(size), os.urandom, hmac_sha)
        assert (tlv.type, len(tlv.data)) == (tlv_type, length)


def test_p256_has_no_hmac_sha512() -> None:
    with pytest.raises(SigningError, match="knows no HMAC-SHA512"):
        wrap_key(KEYS["ecdsa-p256"], stream(16), os.urandom, "512")


@pytest.mark.parametrize("kind", CHECKED)
@pytest.mark.parametrize("size", SIZES)
def test_every_byte_of_the_tlv_counts(kind: str, size: int) -> None:
    tlv = wrap_key(KEYS[kind], stream(size), os.urandom)
    assert unwrap_key(tlv, KEYS[kind], size) == stream(size)
    for position in range(len(tlv.data)):
        for bit in range(8):
            changed = bytearray(tlv.data)
            changed[position] ^= 1 << bit
            if kind == "x25519" and (position, bit) == (31, 7):
                continue  # RFC 7748, section 5: the top bit of a coordinate is not used
            with pytest.raises(SignatureError):
                unwrap_key(Tlv(tlv.type, bytes(changed)), KEYS[kind], size)


@pytest.mark.parametrize("kind", KEYS)
@given(
    data=st.binary(max_size=300),
    size=st.sampled_from(SIZES),
    kind_of_tlv=st.sampled_from([row.tlv_type for row in WRAPPINGS]),
)
def test_garbage_is_no_content_key(kind: str, data: bytes, size: int, kind_of_tlv: int) -> None:
    with pytest.raises((FormatError, SigningError)):
        unwrap_key(Tlv(kind_of_tlv, data), KEYS[kind], size)


def test_an_x25519_point_of_low_order_is_refused() -> None:
    with pytest.raises(SignatureError):
        unwrap_key(Tlv(TlvType.ENC_X25519, bytes(80)), KEYS["x25519"], 16)


@pytest.mark.parametrize(
    ("kind", "flagged", "real", "words"),
    [
        ("ecdsa-p256", 16, 32, "the ENC_EC256 TLV has 129 bytes; with AES-128 it has 113"),
        ("ecdsa-p256", 32, 16, "the ENC_EC256 TLV has 113 bytes; with AES-256 it has 129"),
        ("x25519", 32, 16, "the ENC_X25519 TLV has 80 bytes; with AES-256 it has 96"),
        ("rsa-2048", 16, 32, "the content key has 32 bytes, AES-128 needs 16"),
        ("rsa-2048", 32, 16, "the content key has 16 bytes, AES-256 needs 32"),
    ],
)
def test_the_length_of_the_key_must_be_the_one_in_the_header(kind: str, flagged: int, real: int, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        unwrap_key(wrap_key(KEYS[kind], stream(real), os.urandom), KEYS[kind], flagged)


@pytest.mark.parametrize("size", [0, 64, 112, 114])
def test_a_tlv_of_another_size_is_malformed(size: int) -> None:
    with pytest.raises(FormatError, match=f"has {size} bytes"):
        unwrap_key(Tlv(TlvType.ENC_EC256, bytes(size)), KEYS["ecdsa-p256"], 16)


@pytest.mark.parametrize("kind", ["ecdsa-p384", "rsa-3072", "ed25519"])
def test_keys_that_no_bootloader_decrypts_with_are_refused(kind: str) -> None:
    key = generate(kind)
    with pytest.raises(SigningError, match="cannot decrypt with a key of type"):
        wrap_key(key, stream(16), os.urandom)
    with pytest.raises(SigningError, match="is wrong"):
        unwrap_key(Tlv(TlvType.ENC_EC256, bytes(113)), key, 16)


def test_what_is_wrapped_is_what_the_specification_says() -> None:
    """ECIES-P256 by hand, from MCUboot's encrypted_images.md: HKDF is written out with HMAC (RFC 5869)."""
    recipient = KEYS["ecdsa-p256"]
    assert isinstance(recipient, PrivateKey)
    content_key = stream(16)
    data = wrap_key(recipient, content_key, os.urandom).data
    point, tag, wrapped = data[:65], data[65:97], data[97:]
    ephemeral = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    shared = recipient.raw.exchange(ec.ECDH(), ephemeral)
    prk = hmac.digest(bytes(32), shared, "sha256")
    okm = b""
    for index in (1, 2):
        okm += hmac.digest(prk, okm[-32:] + b"MCUBoot_ECIES_v1" + bytes([index]), "sha256")
    assert hmac.digest(okm[16:48], wrapped, "sha256") == tag
    assert ctr(wrapped, okm[:16]) == content_key


@pytest.mark.parametrize("kind", KEYS)
def test_the_same_randomness_gives_the_same_tlv(kind: str) -> None:
    assert wrap_key(KEYS[kind], stream(16), stream) == wrap_key(KEYS[kind], stream(16), stream)
    if kind != "aes-kw":  # RFC 3394 has nothing random in it
        assert wrap_key(KEYS[kind], stream(16), os.urandom) != wrap_key(KEYS[kind], stream(16), os.urandom)


@pytest.mark.parametrize("extreme", [b"\0" * 40, b"\xff" * 40])
def test_extreme_randomness_still_gives_a_key(extreme: bytes) -> None:
    tlv = wrap_key(KEYS["ecdsa-p256"], stream(16), lambda size: extreme[:size])
    assert unwrap_key(tlv, KEYS["ecdsa-p256"], 16) == stream(16)


def test_the_order_of_p256_is_right() -> None:
    """(order - 1) * G is -G: the same x as G, another y."""
    one, minus_one = (
        ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
        for scalar in (1, encrypt._P256_ORDER - 1)
    )
    assert one.x == minus_one.x
    assert one.y != minus_one.y


def test_key_wrap_is_that_of_rfc_3394() -> None:
    """Sections 4.1 and 4.3: 128 bits of key data with a 128-bit and with a 256-bit key encryption key."""
    data = bytes.fromhex("00112233445566778899aabbccddeeff")
    for size, expected in (
        (16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (32, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
    ):
        tlv = wrap_key(KeyEncryptionKey(bytes(range(size))), data, os.urandom)
        assert tlv.data.hex() == expected


@pytest.mark.parametrize("size", [0, 15, 24, 33])
def test_a_key_encryption_key_has_16_or_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="16 or 32"):
        KeyEncryptionKey(bytes(size))
    with pytest.raises(KeyFileError):
        load_kek(b64encode(bytes(size)))


@given(secret=st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32))
def test_key_encryption_keys_are_read_back(secret: bytes) -> None:
    key = KeyEncryptionKey(secret)
    assert load_kek(b64encode(secret) + b"\n") == load_kek(secret) == key
    assert secret.hex() not in repr(key)
    with pytest.raises(KeyFileError, match="hex"):
        load_kek(secret.hex().encode())


@given(st.binary(max_size=70))
def test_garbage_is_a_key_encryption_key_or_a_sentence(data: bytes) -> None:
    with contextlib.suppress(KeyFileError):
        assert len(load_kek(data).raw) in SIZES
