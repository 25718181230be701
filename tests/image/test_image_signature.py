"""Signing: over which hash, by which keys, in which form; and what the judge makes of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from smpdfu.errors import ImageError, SignatureError, SigningError
from smpdfu.image.format import Image, Tlv, TlvType, Version
from smpdfu.image.hashes import digest
from smpdfu.image.keys.keys import SIGNATURES, PrivateKey, Verifier, generate
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.signatures import NO_SIGNER, SHA_TYPES, image_hash_type, signer_id
from smpdfu.image.verification.verify import Code, verify

SPEC = ImageSpec(Version(1, 2, 3), 0x20, 0, pad_header=True)
PURE = replace(SPEC, pure=True)
KEYS = {kind: generate(kind) for kind in SIGNATURES}
FIRMWARE = bytes(range(100))
KINDS = pytest.mark.parametrize("kind", KEYS)


def types(image: Image) -> list[int]:
    return [tlv.type for tlv in image.unprotected]


def refusals(image: Image, keys: Sequence[Verifier]) -> list[str]:
    return [finding.code for finding in verify(image, keys).refusals]


def warnings(image: Image, keys: Sequence[Verifier]) -> list[str]:
    return [finding.code for finding in verify(image, keys).warnings]


# --- the hash -------------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("sha", ["auto", *SHA_TYPES])
def test_a_hash_goes_with_the_kinds_of_keys_that_bootloaders_have_it_for(kind: str, sha: str) -> None:
    spec = replace(SPEC, sha=sha)  # type: ignore[arg-type]  # one of its choices
    known = SIGNATURES[kind].hash_types
    if sha != "auto" and SHA_TYPES[sha] not in known:
        with pytest.raises(ImageError, match=f"do not go with {SHA_TYPES[sha].name}"):
            build(spec, FIRMWARE, KEYS[kind])
        return
    image = build(spec, FIRMWARE, KEYS[kind])
    expected = known[0] if sha == "auto" else SHA_TYPES[sha]
    assert types(image) == [expected, TlvType.KEYHASH, SIGNATURES[kind].signature_type]
    assert image.tlv(TlvType.KEYHASH) == digest(expected, (KEYS[kind].public_bytes,))
    assert verify(image, (KEYS[kind].public,)).accepted


@pytest.mark.parametrize("sha", SHA_TYPES)
def test_without_a_key_any_hash_will_do(sha: str) -> None:
    image = build(replace(SPEC, sha=sha), FIRMWARE)  # type: ignore[arg-type]  # one of its choices
    assert types(image) == [SHA_TYPES[sha]]
    assert verify(image).accepted


def test_the_boot_record_names_the_first_key_by_the_hash_of_the_image() -> None:
    key = KEYS["ed25519"]
    assert signer_id(TlvType.SHA512, (key,)) == digest(TlvType.SHA512, (key.public_bytes,))
    assert signer_id(TlvType.SHA512, ()) == NO_SIGNER


# --- the form -------------------------------------------------------------------------------------------------------


@KINDS
def test_the_key_may_be_there_in_full(kind: str) -> None:
    image = build(replace(SPEC, public_key_format="full"), FIRMWARE, KEYS[kind])
    assert image.tlv(TlvType.PUBKEY) == KEYS[kind].public_bytes
    assert image.tlv(TlvType.KEYHASH) is None
    assert verify(image, (KEYS[kind].public,), build=LoaderBuild(hw_key=True)).accepted
    assert refusals(image, (KEYS[kind],)) == [Code.KEY_FORMAT]


@pytest.mark.parametrize(("kind", "sizes"), [("ecdsa-p256", {72}), ("ecdsa-p384", {103, 104}), ("ed25519", {64})])
def test_signatures_are_padded_where_their_length_varies(kind: str, sizes: set[int]) -> None:
    for number in range(20):
        image = build(replace(SPEC, pad_sig=True), FIRMWARE + bytes([number]), KEYS[kind])
        assert len(image.unprotected[-1].data) in sizes
        assert verify(image, (KEYS[kind],)).accepted


# --- pure signatures ------------------------------------------------------------------------------------------------


def test_a_pure_signature_is_over_the_image() -> None:
    key = KEYS["ed25519"]
    image = build(PURE, FIRMWARE, key)
    assert types(image) == [TlvType.SHA512, TlvType.SIG_PURE, TlvType.KEYHASH, TlvType.ED25519]
    assert image.tlv(TlvType.SIG_PURE) == b"\1"
    key.raw.public_key().verify(image.unprotected[-1].data, image.hashed_bytes())
    verdict = verify(image, (KEYS["ecdsa-p256"], key.public))
    assert (verdict.accepted, verdict.key_index) == (True, 1)
    assert refusals(image, (generate("ed25519"),)) == [Code.UNKNOWN_KEY]


@pytest.mark.parametrize("kind", [kind for kind, row in SIGNATURES.items() if row.pure_hash is None])
def test_other_keys_make_no_pure_signatures(kind: str) -> None:
    key = KEYS[kind]
    for keys in ((key,), (KEYS["ed25519"], key), ()):
        with pytest.raises(ImageError, match="pure"):
            build(PURE, FIRMWARE, keys)
    with pytest.raises(SigningError, match="pure"):
        key.sign_message(FIRMWARE)
    with pytest.raises(SignatureError, match="pure"):
        key.verify_message(b"", FIRMWARE)
    verdict = verify(build(PURE, FIRMWARE, KEYS["ed25519"]), (key,))
    assert "none of the given keys makes pure signatures" in verdict.refusals[0].message
    assert Code.NO_HASH in [finding.code for finding in verdict.refusals]


def test_the_hash_is_not_chosen_with_a_pure_signature() -> None:
    with pytest.raises(ImageError, match="--sha cannot be chosen"):
        replace(PURE, sha="512")


def test_a_signature_of_the_hash_is_none_of_the_image_and_the_other_way_round() -> None:
    key = KEYS["ed25519"]
    plain, pure = build(replace(SPEC, sha="512"), FIRMWARE, key), build(PURE, FIRMWARE, key)
    marked = replace(plain, unprotected=(*plain.unprotected, Tlv(TlvType.SIG_PURE, b"\1")))
    bare = replace(pure, unprotected=tuple(tlv for tlv in pure.unprotected if tlv.type != TlvType.SIG_PURE))
    for image in (marked, bare):
        assert refusals(image, (key,)) == [Code.SIGNATURE]


@pytest.mark.parametrize(("value", "code"), [(b"\0", Code.SIGNATURE), (b"", Code.TLV_SIZE), (b"\1\0", Code.TLV_SIZE)])
def test_the_mark_of_a_pure_signature_has_one_value(value: bytes, code: Code) -> None:
    image = build(PURE, FIRMWARE, KEYS["ed25519"])
    tlvs = (replace(tlv, data=value) if tlv.type == TlvType.SIG_PURE else tlv for tlv in image.unprotected)
    assert refusals(replace(image, unprotected=tuple(tlvs)), (KEYS["ed25519"],)) == [code]


def test_a_pure_image_without_a_hash_boots_and_cannot_be_named() -> None:
    image = build(PURE, FIRMWARE, KEYS["ed25519"])
    bare = replace(image, unprotected=image.unprotected[1:])
    assert [finding.code for finding in verify(bare, (KEYS["ed25519"],)).warnings] == [Code.NO_HASH]
    assert refusals(bare, (KEYS["ed25519"],)) == []
    assert refusals(bare, ()) == [Code.NO_HASH]


def test_an_encrypted_pure_image_is_checked_with_the_key_only(encryption_key: PrivateKey) -> None:
    key = KEYS["ed25519"]
    image = build(PURE, FIRMWARE, key, encryption_key.public)
    verdict = verify(image, (key,), enc_key=encryption_key)
    assert verdict.accepted
    assert Code.PURE_ENCRYPTED in [finding.code for finding in verdict.warnings]
    closed = verify(image, (key,))
    assert (closed.accepted, [one.code for one in closed.unchecked]) == (None, [Code.ENCRYPTED, Code.SIGNATURE])
    assert "cannot be checked without decryption" in closed.unchecked[1].message


# --- several signatures ---------------------------------------------------------------------------------------------


@KINDS
def test_each_key_is_enough(kind: str) -> None:
    first, second = KEYS[kind], generate(kind)
    image = build(SPEC, FIRMWARE, (first, second))
    signature = SIGNATURES[kind].signature_type
    assert types(image)[1:] == [TlvType.KEYHASH, signature, TlvType.KEYHASH, signature]
    for keys, index in (((first,), 0), ((second,), 0), ((first, second), 1), ((second, first), 0)):
        verdict = verify(image, keys)
        assert (verdict.accepted, verdict.key_index, verdict.warnings) == (True, index, ())
    assert refusals(image, (generate(kind),)) == [Code.UNKNOWN_KEY]


def test_one_signer_in_a_list_is_one_signer() -> None:
    key = KEYS["ecdsa-p256"]
    assert build(SPEC, FIRMWARE, [key]) == build(SPEC, FIRMWARE, key)
    assert build(SPEC, FIRMWARE, []) == build(SPEC, FIRMWARE)


def test_kinds_of_keys_may_be_mixed_where_they_have_a_hash_in_common() -> None:
    """Older bootloaders pass over signatures of other kinds; newer ones refuse them, which is said."""
    keys = (KEYS["ecdsa-p256"], KEYS["ed25519"], KEYS["rsa-2048"])
    image = build(SPEC, FIRMWARE, keys)
    for key in keys:
        assert refusals(image, (key,)) == []
        assert warnings(image, (key,)) == [Code.MIXED_SIGNATURES]
    with pytest.raises(ImageError, match="over one hash"):
        build(SPEC, FIRMWARE, (KEYS["ecdsa-p256"], KEYS["ecdsa-p384"]))
    assert image_hash_type(replace(SPEC, sha="512"), (KEYS["ed25519"],)) == TlvType.SHA512


def test_the_same_key_does_not_sign_twice() -> None:
    with pytest.raises(ImageError, match="twice"):
        build(SPEC, FIRMWARE, (KEYS["ed25519"], KEYS["ecdsa-p256"], KEYS["ed25519"]))


def test_a_keyhash_of_a_longer_hash_stops_the_bootloader() -> None:
    image = build(SPEC, FIRMWARE, KEYS["ecdsa-p256"])
    longer = Tlv(TlvType.KEYHASH, bytes(48))
    assert refusals(replace(image, unprotected=(*image.unprotected, longer)), (KEYS["ecdsa-p256"],)) == [Code.TLV_SIZE]


@pytest.mark.parametrize("kind", [kind for kind in SIGNATURES if not kind.startswith("rsa")])
def test_the_same_input_gives_the_same_bytes(kind: str) -> None:
    for spec in (SPEC, replace(SPEC, pure=SIGNATURES[kind].pure_hash is not None)):
        assert build(spec, FIRMWARE, KEYS[kind]) == build(spec, FIRMWARE, KEYS[kind])


@KINDS
@pytest.mark.parametrize("size", [0, 1, 31, 33, 4096])
def test_a_digest_or_a_signature_of_an_impossible_length_does_not_verify(kind: str, size: int) -> None:
    """It may come from an image, and is no fault of our caller's."""
    key = KEYS[kind].public
    good = KEYS[kind].sign_digest(digest(key.algorithm.hash_types[0], (FIRMWARE,)))
    for signature, value in ((good, bytes(size)), (bytes(size), bytes(32)), (bytes(size), bytes(size))):
        with pytest.raises(SignatureError):
            key.verify_digest(signature, value)
