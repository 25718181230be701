"""The judge: every refusal has its code and offset. That every changed bit is noticed: ``test_image_flips``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smpdfu.image.format import Flag, Header, Image, Tlv, TlvType, Version
from smpdfu.image.hashes import digest
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import build
from smpdfu.image.signing.encrypt import ctr
from smpdfu.image.trailer import SlotGeometry, SwapMode, max_image_size_bytes
from smpdfu.image.verification.verify import Code, Verdict, verify
from tests.image.full_spec import SPEC
from tests.resigned import resigned


def codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.refusals]


def with_tlvs(image: Image, unprotected: tuple[Tlv, ...]) -> Image:
    return replace(image, unprotected=unprotected)


# --- signatures -----------------------------------------------------------------------------------------------------


def test_the_key_that_signed_is_named(signed: Image, signing_key: PrivateKey, other_key: PrivateKey) -> None:
    verdict = verify(signed, (other_key, signing_key.public))
    assert (verdict.accepted, verdict.key_index, verdict.signature_checked) == (True, 1, True)
    assert (verdict.refusals, verdict.warnings, verdict.plain) == ((), (), signed)


def test_another_key_is_refused(signed: Image, signing_key: PrivateKey, other_key: PrivateKey) -> None:
    verdict = verify(signed, (other_key.public,))
    assert (codes(verdict), verdict.key_index, verdict.signature_checked) == ([Code.UNKNOWN_KEY], None, True)
    assert signing_key.keyhash.hex()[:16] in verdict.refusals[0].message


def test_without_keys_only_the_hash_is_checked(signed: Image, firmware: bytes) -> None:
    for image, words in ((signed, "no key was given"), (build(SPEC, firmware), "is not signed")):
        verdict = verify(image)
        assert (verdict.accepted, verdict.signature_checked, verdict.key_index) == (True, False, None)
        assert [finding.code for finding in verdict.warnings] == [Code.HASH_ONLY]
        assert words in verdict.warnings[0].message


def test_an_unsigned_image_is_refused_where_keys_are(firmware: bytes, signing_key: PrivateKey) -> None:
    image = build(SPEC, firmware)
    verdict = verify(image, (signing_key,))
    assert codes(verdict) == [Code.NOT_SIGNED]
    assert verdict.refusals[0].offset == image.unprotected_offset


def test_the_hash_of_the_key_must_precede_the_signature(signed: Image, signing_key: PrivateKey) -> None:
    sha, keyhash, signature = signed.unprotected
    orders: tuple[tuple[tuple[Tlv, ...], list[str]], ...] = (
        ((keyhash, signature, sha), []),
        ((keyhash, sha, signature), []),
        ((sha, signature, keyhash), [Code.UNKNOWN_KEY]),
        ((signature, sha, keyhash), [Code.UNKNOWN_KEY]),
        ((sha, signature), [Code.UNKNOWN_KEY]),
        ((sha, keyhash), [Code.NOT_SIGNED]),
        ((keyhash, signature), [Code.NO_HASH]),
        ((), [Code.NO_HASH]),
    )
    for order, expected in orders:
        verdict = verify(with_tlvs(signed, order), (signing_key,))
        assert codes(verdict) == expected
        assert verdict.accepted == (verdict.key_index is not None)
    misplaced = verify(with_tlvs(signed, (sha, signature, keyhash)), (signing_key,))
    assert "does not follow" in misplaced.refusals[0].message
    anonymous = verify(with_tlvs(signed, (sha, signature)), (signing_key,))
    assert anonymous.refusals[0].message == "the image is signed with a key that was not given"


def test_of_several_signatures_the_last_by_a_known_key_decides(
    signed: Image, signing_key: PrivateKey, other_key: PrivateKey
) -> None:
    sha, keyhash, signature = signed.unprotected
    second = (Tlv(TlvType.KEYHASH, other_key.keyhash), Tlv(TlvType.ECDSA_SIG, other_key.sign_digest(sha.data)))
    bad = (second[0], Tlv(TlvType.ECDSA_SIG, other_key.sign_digest(bytes(32))))
    both = (signing_key, other_key)
    for tlvs, keys, index in (
        ((sha, keyhash, signature, *second), both, 1),
        ((sha, *second, keyhash, signature), both, 0),
        ((sha, keyhash, signature, *second), (signing_key,), 0),
        ((sha, *bad, keyhash, signature), (signing_key,), 0),
        ((sha, *bad, keyhash, signature), both, 0),
    ):
        verdict = verify(with_tlvs(signed, tlvs), keys)
        assert (verdict.accepted, verdict.key_index) == (True, index)
        assert bool(verdict.warnings) == (bad[1] in tlvs and keys == both)
    assert [finding.code for finding in verdict.warnings] == [Code.OTHER_SIGNATURE]
    verdict = verify(with_tlvs(signed, (sha, keyhash, signature, *bad)), both)
    assert (codes(verdict), verdict.key_index) == ([Code.SIGNATURE], None)


@pytest.mark.parametrize("kind", ["ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072"])
def test_other_kinds_of_signature_are_checked(kind: str, firmware: bytes, signing_key: PrivateKey) -> None:
    key = generate(kind)
    image = build(SPEC, firmware, key)
    assert verify(image, (signing_key, key)).key_index == 1
    changed = replace(image, payload=bytes([image.payload[0] ^ 1]) + image.payload[1:])
    assert codes(verify(changed, (key,))) == [Code.HASH]
    sha, keyhash, signature = image.unprotected
    wrong = Tlv(signature.type, signature.data[:20] + bytes([signature.data[20] ^ 1]) + signature.data[21:])
    assert codes(verify(with_tlvs(image, (sha, keyhash, wrong)), (key,))) == [Code.SIGNATURE]


def test_ed25519_goes_with_sha512_too(firmware: bytes) -> None:
    key = generate("ed25519")
    image = build(SPEC, firmware)
    value = digest(TlvType.SHA512, image.hashed_parts())
    keyhash = Tlv(TlvType.KEYHASH, digest(TlvType.SHA512, (key.public_bytes,)))
    tlvs = (Tlv(TlvType.SHA512, value), keyhash, Tlv(TlvType.ED25519, key.sign_digest(value)))
    assert verify(with_tlvs(image, tlvs), (key,)).accepted


def test_a_hash_of_another_kind_than_the_keys_is_none(firmware: bytes, signing_key: PrivateKey) -> None:
    image = build(SPEC, firmware, generate("ecdsa-p384"))
    assert verify(image).accepted
    verdict = verify(image, (signing_key,))
    assert codes(verdict) == [Code.NO_HASH]
    assert "no SHA256 TLV" in verdict.refusals[0].message
    assert "it has SHA384" in verdict.refusals[0].message
    bare = verify(with_tlvs(image, ()), (signing_key,)).refusals[0]
    assert bare.message == "the image has no SHA256 TLV, so nothing shows whether it is undamaged"


# --- the hash -------------------------------------------------------------------------------------------------------


def test_a_key_is_used_with_its_own_hash_only(firmware: bytes, signing_key: PrivateKey) -> None:
    other = generate("ecdsa-p384")
    image = build(SPEC, firmware)
    keyhash = Tlv(TlvType.KEYHASH, digest(TlvType.SHA256, (other.public_bytes,)))
    signature = Tlv(TlvType.ECDSA_SIG, other.sign(firmware))
    verdict = verify(with_tlvs(image, (*image.unprotected, keyhash, signature)), (signing_key, other))
    assert codes(verdict) == [Code.UNKNOWN_KEY]


def test_a_changed_payload_is_told_apart_from_a_changed_signature(signed: Image, signing_key: PrivateKey) -> None:
    changed = replace(signed, payload=signed.payload[:-1] + b"\x00")
    verdict = verify(changed, (signing_key,))
    assert codes(verdict) == [Code.HASH]
    assert verdict.refusals[0].offset == signed.unprotected_offset + 4
    forged = tuple(
        Tlv(tlv.type, digest(TlvType.SHA256, changed.hashed_parts())) if tlv.type == TlvType.SHA256 else tlv
        for tlv in signed.unprotected
    )
    verdict = verify(with_tlvs(changed, forged), (signing_key,))
    assert codes(verdict) == [Code.SIGNATURE]
    assert verdict.refusals[0].offset == signed.unprotected_offset + 4 + 36 + 36


def test_every_hash_must_be_right(signed: Image, signing_key: PrivateKey) -> None:
    image = with_tlvs(signed, (*signed.unprotected, Tlv(TlvType.SHA256, bytes(32))))
    assert codes(verify(image, (signing_key,))) == [Code.HASH]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_hash_of_another_size_is_wrong(size: int, signed: Image, signing_key: PrivateKey) -> None:
    sha, *rest = signed.unprotected
    image = with_tlvs(signed, (Tlv(TlvType.SHA256, (sha.data + b"\0")[:size]), *rest))
    assert Code.HASH in codes(verify(image, (signing_key,)))


# --- structure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TlvType.SEC_CNT, TlvType.DEPENDENCY, TlvType.BOOT_RECORD, 0xA0, 0x00, 0x03, 0xFFFE])
def test_what_must_be_protected_is_refused_elsewhere(kind: int, signed: Image, signing_key: PrivateKey) -> None:
    image = with_tlvs(signed, (*signed.unprotected, Tlv(kind, bytes(4))))
    verdict = verify(image, (signing_key,))
    assert Code.TLV_NOT_ALLOWED in codes(verdict)
    assert verdict.refusals[0].offset == signed.size_bytes


@pytest.mark.parametrize("kind", [0x21, TlvType.ED25519, TlvType.ENC_KW, TlvType.SHA512])
def test_what_the_bootloader_passes_over_does_no_harm(kind: int, signed: Image, signing_key: PrivateKey) -> None:
    assert verify(with_tlvs(signed, (*signed.unprotected, Tlv(kind, b"x"))), (signing_key,)).accepted


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (Flag.ENCRYPTED_AES128 | Flag.ENCRYPTED_AES256, [Code.FLAGS, Code.ENCRYPTION_KEY]),
        (Flag.ENCRYPTED_AES128, [Code.ENCRYPTION_KEY]),
        (Flag.NON_BOOTABLE, [Code.NON_BOOTABLE]),
        (Flag.PIC | Flag.ROM_FIXED | Flag.RAM_LOAD, []),
    ],
)
def test_flags(flags: Flag, expected: list[str], signed: Image, signing_key: PrivateKey) -> None:
    image = resigned(replace(signed, header=replace(signed.header, flags=flags)), signing_key)
    verdict = verify(image, (signing_key,), role="secondary")
    assert codes(verdict) == expected
    assert all(finding.offset == 16 for finding in verdict.refusals if finding.code != Code.ENCRYPTION_KEY)


# --- encryption -----------------------------------------------------------------------------------------------------


def test_the_plain_image_is_handed_out(
    encrypted: Image, firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    verdict = verify(encrypted, (signing_key,), enc_key=encryption_key)
    assert verdict.plain is not None
    assert verdict.plain.payload[: len(firmware)] == firmware
    assert verdict.plain == replace(encrypted, payload=verdict.plain.payload)


def test_without_the_decryption_key_the_signature_is_still_checked(
    encrypted: Image, signing_key: PrivateKey, other_key: PrivateKey
) -> None:
    verdict = verify(encrypted, (signing_key,))
    assert (codes(verdict), verdict.plain, verdict.key_index) == ([], None, 0)
    assert ([finding.code for finding in verdict.unchecked], verdict.accepted) == ([Code.ENCRYPTED], None)
    stranger = verify(encrypted, (other_key,))
    assert (codes(stranger), stranger.accepted, len(stranger.unchecked)) == ([Code.UNKNOWN_KEY], False, 1)
    assert (codes(verify(encrypted)), verify(encrypted).accepted) == ([], None)
    sha, keyhash, _, content_key = encrypted.unprotected
    forged = Tlv(TlvType.ECDSA_SIG, other_key.sign_digest(sha.data))
    assert codes(verify(with_tlvs(encrypted, (sha, keyhash, forged, content_key)), (signing_key,))) == [Code.SIGNATURE]


def test_without_the_decryption_key_all_else_is_checked(
    encrypted: Image, signing_key: PrivateKey, firmware: bytes, encryption_key: PrivateKey
) -> None:
    *tlvs, content_key = encrypted.unprotected
    cut = with_tlvs(encrypted, (*tlvs, replace(content_key, data=content_key.data[:-1])))
    assert codes(verify(cut, (signing_key,))) == [Code.ENCRYPTION_KEY]
    assert codes(verify(with_tlvs(encrypted, tuple(tlvs)), (signing_key,))) == [Code.ENCRYPTION_KEY]
    assert codes(verify(encrypted, (signing_key,), slot=SlotGeometry(0x2000))) == [Code.TOO_LARGE]
    pure = build(replace(SPEC, pure=True), firmware, (key := generate("ed25519")), encryption_key.public)
    verdict = verify(pure, (key,))
    assert (codes(verdict), verdict.key_index, verdict.accepted) == ([], None, None)
    assert [finding.code for finding in verdict.unchecked] == [Code.ENCRYPTED, Code.SIGNATURE]


def test_the_wrong_decryption_key_is_refused(encrypted: Image, signing_key: PrivateKey, other_key: PrivateKey) -> None:
    for key, words in (
        (other_key, "another decryption key"),
        (generate("x25519"), "x25519"),
        (generate("ed25519"), "ed25519"),
    ):
        verdict = verify(encrypted, (signing_key,), enc_key=key)
        assert (codes(verdict), verdict.plain) == ([Code.ENCRYPTION_KEY], None)
        assert words in verdict.refusals[0].message
        assert verdict.refusals[0].offset == encrypted.size_bytes - 117


def test_a_payload_encrypted_with_another_key_is_refused(
    encrypted: Image, firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    image = replace(encrypted, payload=ctr(firmware + bytes(-len(firmware) % 16), bytes(16)))
    assert codes(verify(image, (signing_key,), enc_key=encryption_key)) == [Code.HASH]


def test_the_length_of_the_content_key_is_the_headers(
    encrypted: Image, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    image = replace(encrypted, header=replace(encrypted.header, flags=Flag.ENCRYPTED_AES256))
    verdict = verify(image, (signing_key,), enc_key=encryption_key)
    assert codes(verdict) == [Code.ENCRYPTION_KEY]
    assert "113 bytes" in verdict.refusals[0].message


def test_roles(encrypted: Image, firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey) -> None:
    clear = build(replace(SPEC, clear=True), firmware, signing_key, encryption_key.public)
    keys = (signing_key,)
    assert [finding.code for finding in verify(clear, keys, enc_key=encryption_key).warnings] == [Code.CLEAR]
    assert verify(clear, keys).accepted
    assert verify(clear, keys, role="primary").accepted
    assert codes(verify(clear, keys, enc_key=encryption_key, role="secondary")) == [Code.HASH]
    assert verify(encrypted, keys, enc_key=encryption_key, role="secondary").accepted
    assert codes(verify(encrypted, keys, enc_key=encryption_key, role="primary")) == [Code.HASH]


@pytest.mark.parametrize("size", [0x34, 0x28])
def test_an_encrypted_header_that_is_no_multiple_of_16_is_refused(
    size: int, firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    """imgtool makes such images, and the device does not boot after installing one."""
    from smpdfu.image.signing.encrypt import wrap_key

    content_key = bytes(range(16))
    header = Header(Version(1), len(firmware), size, flags=Flag.ENCRYPTED_AES128)
    image = resigned(Image(header, bytes(size - 32), firmware), signing_key)
    tlv = wrap_key(encryption_key, content_key, lambda size: bytes(range(1, size + 1)))
    image = replace(image, payload=ctr(firmware, content_key), unprotected=(*image.unprotected, tlv))
    verdict = verify(image, (signing_key,), enc_key=encryption_key)
    assert codes(verdict) == [Code.ENCRYPTED_HEADER]
    assert verdict.refusals[0].offset == 8


# --- the slot -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", SwapMode)
def test_the_image_must_fit(mode: SwapMode, signing_key: PrivateKey) -> None:
    slot = SlotGeometry(0x10000, mode=mode)
    limit = max_image_size_bytes(slot)
    for spare, expected in ((0, []), (-1, [Code.TOO_LARGE])):
        probe = build(SPEC, b"\x01", signing_key)
        size = limit - spare - probe.size_bytes + 1
        image = build(SPEC, b"\x01" * size, signing_key)
        growth = image.size_bytes - (limit - spare)  # an ECDSA signature has 70 to 72 bytes
        image = build(SPEC, b"\x01" * (size - growth), signing_key)
        if image.size_bytes == limit - spare:
            verdict = verify(image, (signing_key,), slot=slot)
            assert codes(verdict) == expected
            if expected:
                assert verdict.refusals[0].offset == limit


def test_the_trailer_keeps_room_for_content_keys(encrypted: Image, encryption_key: PrivateKey) -> None:
    exact = SlotGeometry(encrypted.size_bytes + 1584 + 32, mode=SwapMode.SCRATCH)
    assert verify(encrypted, enc_key=encryption_key, slot=exact).accepted
    smaller = replace(exact, size_bytes=exact.size_bytes - 1)
    assert codes(verify(encrypted, enc_key=encryption_key, slot=smaller)) == [Code.TOO_LARGE]
    tiny = SlotGeometry(1584, mode=SwapMode.SCRATCH)
    verdict = verify(encrypted, enc_key=encryption_key, slot=tiny)
    assert [(finding.code, finding.offset) for finding in verdict.refusals] == [(Code.TOO_LARGE, 0)]


def test_the_reset_vector_is_compared_only_with_a_slot_that_was_told(
    signed: Image, encrypted: Image, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    # the firmware is linked for 0xc200 on; with a header of 0x40 it fits a slot at 0xc1c0
    for address, expected in ((None, []), (0xC1C0, []), (0x20000, [Code.RESET_VECTOR])):
        for image in (signed, encrypted):
            verdict = verify(image, (signing_key,), enc_key=encryption_key, slot_address=address)
            assert verdict.accepted
            assert [finding.code for finding in verdict.warnings] == expected
    assert verify(encrypted, (signing_key,), slot_address=0x20000).warnings == ()  # unreadable without the key
    assert verdict.warnings[0].offset == 0x44
