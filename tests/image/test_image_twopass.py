"""Signing in two passes: what is handed out fits what is taken in, and nothing else does."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest

from smpdfu.errors import ImageError, SignatureError, SigningError, TooLargeError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import KINDS, PrivateKey, generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.two_pass import AbsentSigner, GivenSigner, vector_to_sign
from smpdfu.image.verification.verify import verify

SPEC = ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=0x20000, pad_header=True, boot_record="SPE")
SIGNING_KINDS = tuple(name for name, kind in KINDS.items() if kind.algorithm)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("kind", SIGNING_KINDS)
def test_the_two_passes_make_an_image(kind: str, encrypted: bool, firmware: bytes, encryption_key: PrivateKey) -> None:
    key, recipient = generate(kind), encryption_key.public if encrypted else None
    vector = vector_to_sign(SPEC, firmware, key.public, recipient)
    key.public.verify(key.sign_digest(vector.digest), vector.payload)
    signer = GivenSigner(key.public, b64encode(key.sign_digest(vector.digest)))
    image = build(SPEC, firmware, signer, recipient)
    assert image.hash == vector.digest
    assert verify(image, [key.public], enc_key=encryption_key).accepted


def test_a_pure_signature(firmware: bytes) -> None:
    key, spec = generate("ed25519"), replace(SPEC, pure=True)
    vector = vector_to_sign(spec, firmware, key.public)
    image = build(spec, firmware, GivenSigner(key.public, key.sign_message(vector.payload)))
    assert verify(image, [key.public]).accepted
    with pytest.raises(SignatureError, match="the given signature"):
        build(spec, firmware, GivenSigner(key.public, key.sign_digest(vector.digest)))


def test_one_pass_and_two_make_the_same(firmware: bytes, signing_key: PrivateKey) -> None:
    vector = vector_to_sign(SPEC, firmware, signing_key.public)
    signer = GivenSigner(signing_key.public, signing_key.sign(vector.payload))
    assert build(SPEC, firmware, signer) == build(SPEC, firmware, signing_key)


def test_without_a_key_the_request_decides(firmware: bytes) -> None:
    spec = replace(SPEC, boot_record=None, sha="384")
    vector = vector_to_sign(spec, firmware)
    key = generate("ecdsa-p384")
    image = build(spec, firmware, GivenSigner(key.public, key.sign_digest(vector.digest)))
    assert verify(image, [key.public]).accepted


# --- what is not taken in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SIGNING_KINDS)
def test_what_is_no_signature(kind: str, firmware: bytes) -> None:
    key = generate(kind)
    good = key.sign_digest(vector_to_sign(SPEC, firmware, key.public).digest)
    flipped = bytes([*good[:-1], good[-1] ^ 1])
    wrong = (b"", b"garbage", b"A" * len(good), flipped, b64encode(flipped), good[:-1], good + b"\1", good * 2)
    for data in wrong:
        with pytest.raises(
            SignatureError, match=rf"given signature \({len(data)} bytes\) does not verify with the given {kind}"
        ):
            build(SPEC, firmware, GivenSigner(key.public, data))


def test_a_signature_of_another_image_key_or_version(firmware: bytes, signing_key: PrivateKey) -> None:
    signature = signing_key.sign_digest(vector_to_sign(SPEC, firmware, signing_key.public).digest)
    signer = GivenSigner(signing_key.public, signature)
    assert build(SPEC, firmware, signer)
    for spec, code, given in (
        (SPEC, firmware + b"\0", signer),
        (replace(SPEC, version=Version(1, 2, 4)), firmware, signer),
        (SPEC, firmware, GivenSigner(generate("ecdsa-p256").public, signature)),
        (SPEC, firmware, GivenSigner(generate("ed25519").public, signature)),
    ):
        with pytest.raises(SignatureError, match="with another key, or for another input, version or options"):
            build(spec, code, given)


def test_a_boot_record_names_the_key_so_it_must_be_known(firmware: bytes, signing_key: PrivateKey) -> None:
    signature = signing_key.sign_digest(vector_to_sign(SPEC, firmware).digest)
    with pytest.raises(SignatureError):
        build(SPEC, firmware, GivenSigner(signing_key.public, signature))


def test_what_does_not_fit_is_said_in_the_first_pass(firmware: bytes, signing_key: PrivateKey) -> None:
    spec = replace(SPEC, slot_size=0x800)
    with pytest.raises(TooLargeError):
        vector_to_sign(spec, firmware * 10, signing_key.public)
    with pytest.raises(ImageError):
        vector_to_sign(SPEC, b"", signing_key.public)
    with pytest.raises(SigningError, match="is for encryption; it cannot sign"):
        vector_to_sign(SPEC, firmware, generate("x25519").public)
    with pytest.raises(SigningError, match="two signatures, one inside the other"):
        vector_to_sign(replace(SPEC, compression="lzma2"), firmware, signing_key.public)


def test_kinds_that_make_no_pure_signatures(signing_key: PrivateKey) -> None:
    with pytest.raises(SigningError, match="cannot make pure signatures"):
        GivenSigner(signing_key.public, b"").sign_message(b"")


@pytest.mark.parametrize("kind", SIGNING_KINDS)
def test_the_place_of_a_signature_is_large_enough(kind: str) -> None:
    key = generate(kind)
    absent = AbsentSigner(key.public)
    assert len(key.sign_digest(bytes(48 if kind == "ecdsa-p384" else 32))) <= len(absent.sign_digest(b""))
    assert (absent.kind, absent.public_bytes, absent.keyhash) == (key.kind, key.public_bytes, key.keyhash)


def test_a_signature_is_not_shown(signing_key: PrivateKey) -> None:
    assert "hidden" not in repr(GivenSigner(signing_key.public, b"hidden"))
