"""The judge against a model of the loader: TLVs in every order, number, length and area; and what the model has not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smpdfu.errors import FormatError
from smpdfu.image.format import Image, Tlv, TlvType
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.signing.build import build
from smpdfu.image.signing.encrypt import wrap_key
from smpdfu.image.verification.rollback import with_rollback
from smpdfu.image.verification.verify import Code, verify
from tests.image.full_spec import SPEC
from tests.image.loader_model import images, takes
from tests.image.test_image_verify import codes
from tests.resigned import with_protected

WITHOUT_ENCRYPTION = LoaderBuild(encryption=False)
PURE = Tlv(TlvType.SIG_PURE, b"\x01")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("hw_key", "counter"), [(False, None), (True, None), (False, 5)])
def test_the_judge_says_what_the_loader_does(
    seed: int, hw_key: bool, counter: int | None, signing_key: PrivateKey, other_key: PrivateKey
) -> None:
    keys = (signing_key, generate("ecdsa-p256"))
    known, taken = keys[:1] if hw_key else keys, 0
    for flash in images(seed, 300, keys, other_key):
        expected = takes(flash, known, hw_key=hw_key, counter=counter)
        taken += expected
        assert is_accepted(flash, known, replace(WITHOUT_ENCRYPTION, hw_key=hw_key), counter) == expected, flash.hex()
    assert taken > (0 if hw_key or counter else 50), "too few images are good for anything"


def is_accepted(flash: bytes, keys: tuple[PrivateKey, ...], built: LoaderBuild, counter: int | None) -> bool:
    try:
        image = Image.from_bytes(flash)
    except FormatError:
        return False
    return with_rollback(verify(image, keys, build=built), image, None, counter).accepted is True


def counters(*values: int) -> tuple[Tlv, ...]:
    return tuple(Tlv(TlvType.SEC_CNT, value.to_bytes(4, "little")) for value in values)


@pytest.mark.parametrize(
    ("tlvs", "good"),
    [
        (counters(5), True),
        (counters(9, 5), True),
        (counters(9, 4), False),
        (counters(4, 9), False),
        ((*counters(9), Tlv(TlvType.SEC_CNT, b"\x09")), False),
    ],
)
def test_of_several_counters_each_counts(
    tlvs: tuple[Tlv, ...], good: bool, signed: Image, signing_key: PrivateKey
) -> None:
    image = with_protected(signed, signing_key, *tlvs)
    verdict = with_rollback(verify(image, (signing_key,)), image, None, 5)
    assert codes(verdict) == ([] if good else ["security-counter"])


@pytest.mark.parametrize("data", [b"\x01", b"", b"\x00", b"\x01\x01"])
def test_a_protected_sig_pure_is_passed_over_where_hashes_are_checked(
    data: bytes, signed: Image, signing_key: PrivateKey
) -> None:
    image = with_protected(signed, signing_key, Tlv(TlvType.SIG_PURE, data), Tlv(0xA0, b"x"))
    verdict = verify(image, (signing_key,))
    assert (verdict.accepted, verdict.key_index) == (True, 0)
    assert Code.SIGNATURE_FORM in [one.code for one in verdict.warnings]
    bare = verify(replace(signed, unprotected=(*signed.unprotected, PURE)), (signing_key,))
    assert codes(bare) == [Code.NO_HASH]  # unprotected, it is for bootloaders with pure signatures alone


def test_the_first_sig_pure_counts(firmware: bytes) -> None:
    key = generate("ed25519")
    image = build(replace(SPEC, pure=True), firmware, key)
    sha, pure, *rest = image.unprotected
    assert pure == PURE
    no, none = Tlv(TlvType.SIG_PURE, b"\x00"), Tlv(TlvType.SIG_PURE, b"")
    for first, second, found in ((pure, none, []), (no, pure, [Code.SIGNATURE]), (none, pure, [Code.TLV_SIZE])):
        assert codes(verify(replace(image, unprotected=(sha, first, second, *rest)), (key,))) == found


def test_a_protected_content_key_is_found(firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey) -> None:
    """``boot_enc_load`` looks into both areas, the protected one first."""
    plain = build(replace(SPEC, clear=True), firmware, signing_key, encryption_key.public)
    content_key = plain.encryption_key_tlv
    assert content_key is not None
    image = with_protected(plain, signing_key, content_key)
    assert image.encryption_key_tlv == content_key
    from smpdfu.image.signing.encrypt import ctr, unwrap_key

    secret = replace(image, payload=ctr(image.payload, unwrap_key(content_key, encryption_key, 16)))
    assert verify(secret, (signing_key,), enc_key=encryption_key, role="secondary").accepted


def test_sha512_wraps_no_content_key_where_nothing_decrypts(signed: Image, signing_key: PrivateKey) -> None:
    """MCUBOOT_HMAC_SHA512 is an option of encryption."""
    tlv = wrap_key(generate("x25519").public, bytes(16), lambda size: bytes(range(size)), "512")
    image = replace(signed, unprotected=(*signed.unprotected, tlv))
    assert verify(image, (signing_key,)).accepted
    assert codes(verify(image, (signing_key,), build=WITHOUT_ENCRYPTION)) == [Code.TLV_NOT_ALLOWED]


def test_big_endian_images_are_for_other_chips(firmware: bytes, signing_key: PrivateKey) -> None:
    verdict = verify(build(replace(SPEC, endian="big"), firmware, signing_key), (signing_key,))
    assert (verdict.accepted, [one.code for one in verdict.warnings]) == (True, [Code.BYTE_ORDER])


def test_no_secondary_slot_has_an_encrypted_image_with_a_pure_signature(
    firmware: bytes, encryption_key: PrivateKey
) -> None:
    """The signature is checked over the flash, where the ciphertext is."""
    key = generate("ed25519")
    image = build(replace(SPEC, pure=True), firmware, key, encryption_key.public)
    assert codes(verify(image, (key,), enc_key=encryption_key, role="secondary")) == [Code.PURE_ENCRYPTED]
