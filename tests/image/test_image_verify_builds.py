"""The judge and the build of the bootloader: what some builds refuse and others take, and how each reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smpdfu.errors import ImageError
from smpdfu.image.format import Image, Tlv, TlvType
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.signing.build import build
from smpdfu.image.signing.ecdsa_form import BACKENDS
from smpdfu.image.verification.rollback import with_rollback
from smpdfu.image.verification.verify import Code, verify
from tests.image.full_spec import SPEC
from tests.image.test_image_verify import codes, with_tlvs
from tests.resigned import with_protected

HW_KEY = LoaderBuild(hw_key=True)


def test_a_key_in_full_is_found_by_builds_for_it_alone(
    signed: Image, signing_key: PrivateKey, other_key: PrivateKey
) -> None:
    sha, keyhash, signature = signed.unprotected
    full = Tlv(TlvType.PUBKEY, signing_key.public_bytes)
    image = with_tlvs(signed, (sha, full, signature))
    assert verify(image, (signing_key,), build=HW_KEY).accepted
    assert codes(verify(image, (other_key,), build=HW_KEY)) == [Code.UNKNOWN_KEY]
    by_default, by_hash = verify(image, (signing_key,)), verify(signed, (signing_key,), build=HW_KEY)
    assert (codes(by_default), codes(by_hash)) == ([Code.KEY_FORMAT], [Code.KEY_FORMAT])
    assert by_default.refusals[0].facts == {"wanted": "KEYHASH"}
    assert by_hash.refusals[0].facts == {"wanted": "PUBKEY"}
    for built in (LoaderBuild(), HW_KEY):
        assert verify(with_tlvs(signed, (sha, keyhash, full, signature)), (signing_key,), build=built).accepted


# --- protected TLVs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "size", "readers"),
    [
        (TlvType.SEC_CNT, 3, "security counter"),
        (TlvType.SEC_CNT, 5, "security counter"),
        (TlvType.DEPENDENCY, 11, "several image pairs install nothing"),
        (TlvType.UUID_VID, 15, "MCUBOOT_UUID_VID"),
        (TlvType.UUID_CID, 17, "MCUBOOT_UUID_CID"),
        (TlvType.DECOMP_SIZE, 3, "decompress"),
    ],
)
def test_what_only_some_builds_read_may_have_another_size(
    kind: int, size: int, readers: str, signed: Image, signing_key: PrivateKey
) -> None:
    verdict = verify(with_protected(signed, signing_key, Tlv(kind, bytes(size))), (signing_key,))
    assert (verdict.accepted, [finding.code for finding in verdict.warnings]) == (True, [Code.TLV_SIZE])
    assert verdict.warnings[0].offset == signed.protected_offset + 4
    assert readers in verdict.warnings[0].message


@pytest.mark.parametrize("size", [0, 11, 13, 24])
def test_a_dependency_of_another_size_counts_where_there_are_several_image_pairs(
    size: int, signed: Image, signing_key: PrivateKey
) -> None:
    """Upstream's and Nordic's loaders take no image of the update then (``boot_verify_dependencies``)."""
    image = with_protected(signed, signing_key, Tlv(TlvType.DEPENDENCY, bytes(size)), Tlv(0xA0, b"x"))
    several = verify(image, (signing_key,), build=LoaderBuild(image_pairs=2))
    assert codes(several) == [Code.TLV_SIZE]
    assert "installs nothing" in several.refusals[0].message
    one = verify(image, (signing_key,), build=LoaderBuild(image_pairs=1))
    assert (one.accepted, one.warnings) == (True, ())
    right = verify(signed, (signing_key,), build=LoaderBuild(image_pairs=2))
    assert (right.accepted, right.warnings) == (True, ())


def test_a_counter_of_another_size_is_refused_where_one_is_stored(signed: Image, signing_key: PrivateKey) -> None:
    image = with_protected(signed, signing_key, Tlv(TlvType.SEC_CNT, bytes([9, 0, 0])))
    verdict = with_rollback(verify(image, (signing_key,)), image, None, 3)
    assert codes(verdict) == ["security-counter"]
    assert "3 bytes" in verdict.refusals[0].message


def test_an_empty_last_protected_tlv_counts_as_unprotected(signed: Image, signing_key: PrivateKey) -> None:
    """MCUboot's ``bootutil_tlv_iter_is_prot`` asks where the data begin; the allow list then refuses the type."""
    empty, text = Tlv(0xA0, b""), Tlv(0xA1, b"x")
    refused = verify(with_protected(signed, signing_key, text, empty), (signing_key,))
    assert codes(refused) == [Code.TLV_NOT_ALLOWED]
    assert refused.refusals[0].offset == signed.protected_offset + 4 + text.size_bytes
    assert "empty" in refused.refusals[0].message
    assert verify(with_protected(signed, signing_key, empty, text), (signing_key,)).accepted
    assert verify(with_protected(signed, signing_key, Tlv(TlvType.ENC_KW, b"")), (signing_key,)).accepted  # allowed


def test_such_a_tlv_is_not_made(signed: Image, signing_key: PrivateKey) -> None:
    empty, text = Tlv(0xA0, b""), Tlv(0xA1, b"x")
    build(replace(SPEC, custom_tlvs=(empty, text)), b"\x01", signing_key)
    with pytest.raises(ImageError, match="0x00a0 is the last protected TLV and empty"):
        build(replace(SPEC, custom_tlvs=(text, empty)), b"\x01", signing_key)


# --- encryption -------------------------------------------------------------------------------------------------------


def test_a_build_without_encryption_takes_no_aes_flag(
    encrypted: Image, firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    clear = build(replace(SPEC, clear=True), firmware, signing_key, encryption_key.public)
    plain = LoaderBuild(encryption=False)
    for image in (clear, encrypted):
        for role in (None, "primary", "secondary"):
            verdict = verify(image, (signing_key,), role=role, build=plain)
            assert Code.ENCRYPTED in codes(verdict)
            assert verdict.refusals[0].offset == 16
    assert verify(clear, (signing_key,), role="primary", build=LoaderBuild(encryption=True)).accepted


def test_content_keys_of_several_types_go_to_several_builds(
    encrypted: Image, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    *tlvs, content_key = encrypted.unprotected
    other = Tlv(TlvType.ENC_X25519, bytes(80))
    for order in ((content_key, other), (other, content_key)):
        image = with_tlvs(encrypted, (*tlvs, *order))
        verdict = verify(image, (signing_key,), enc_key=encryption_key)
        assert (codes(verdict), verdict.plain is not None) == ([], True)
        assert [finding.code for finding in verdict.warnings] == [Code.SEVERAL_KEYS]
    first_of_a_type = with_tlvs(encrypted, (*tlvs, replace(content_key, data=bytes(113)), content_key))
    assert codes(verify(first_of_a_type, (signing_key,), enc_key=encryption_key)) == [Code.ENCRYPTION_KEY]


def test_the_hash_function_of_content_keys_is_the_builds(firmware: bytes, signing_key: PrivateKey) -> None:
    recipient = generate("x25519")
    for hmac_sha, other in (("256", "512"), ("512", "256")):
        image = build(replace(SPEC, hmac_sha=hmac_sha), firmware, signing_key, recipient.public)  # type: ignore[arg-type]
        fitting, wrong = (LoaderBuild(hmac_sha=one) for one in (hmac_sha, other))  # type: ignore[arg-type]
        assert verify(image, (signing_key,), enc_key=recipient, build=fitting).warnings == ()
        assert Code.TLV_NOT_ALLOWED in codes(verify(image, (signing_key,), enc_key=recipient, build=wrong))
        found = verify(image, (signing_key,), enc_key=recipient)
        assert (found.accepted, [one.code for one in found.warnings]) == (True, [Code.HMAC_SHA] * (hmac_sha == "512"))


# --- signatures as backends read them ---------------------------------------------------------------------------------


def integers(der: bytes) -> tuple[bytes, bytes]:
    """The values of the two integers in a strict signature."""
    first = 4 + der[3]
    return der[4:first], der[first + 2 :]


def sequence(*values: bytes, long: bool = False, behind: bytes = b"") -> bytes:
    """Integers with these values in a sequence; ``long``: its length in two bytes, as DER does not have it."""
    body = b"".join(b"\x02" + bytes([len(value)]) + value for value in values)
    return b"\x30" + (b"\x81" if long else b"") + bytes([len(body)]) + body + behind


def odd_forms(der: bytes) -> dict[str, tuple[bytes, frozenset[str]]]:
    """Signatures that are no strict DER, and the backends that read the right numbers in them."""
    first, second = integers(der)
    return {
        "one zero behind": (der + b"\0", frozenset({"tinycrypt", "psa"})),
        "two zeros behind": (der + b"\0\0", frozenset({"tinycrypt", "psa"})),
        "something behind": (der + b"x", frozenset({"tinycrypt", "psa"})),
        "a long length": (sequence(first, second, long=True), frozenset({"tinycrypt", "mbedtls"})),
        "zeros before the second": (sequence(first, bytes(3) + second), frozenset({"tinycrypt", "mbedtls", "psa"})),
        "two zeros before the first": (sequence(bytes(3) + first, second), frozenset({"tinycrypt", "mbedtls"})),
        "bytes before the first": (sequence(b"\x55\0\0" + first, second), frozenset({"tinycrypt"})),
        "another sequence tag": (b"\x31" + der[1:], frozenset({"psa"})),
        "a third integer": (sequence(first, second, b"\1"), frozenset({"tinycrypt", "psa"})),
    }


@pytest.mark.parametrize("form", odd_forms(bytes([0x30, 4, 2, 1, 1, 2, 1, 1])))
def test_what_is_no_strict_der_some_backends_take(form: str, signed: Image, signing_key: PrivateKey) -> None:
    sha, keyhash, _ = signed.unprotected
    signature = first_even(signing_key, sha.data)
    data, readers = odd_forms(signature)[form]
    image = with_tlvs(signed, (sha, keyhash, Tlv(TlvType.ECDSA_SIG, data)))
    for backend in BACKENDS:
        verdict = verify(image, (signing_key,), build=LoaderBuild(backend=backend))
        assert (verdict.accepted, bool(verdict.warnings)) == (backend in readers, False), backend
    verdict = verify(image, (signing_key,))
    assert (verdict.accepted, verdict.key_index) == (True, 0)
    assert [finding.code for finding in verdict.warnings] == [Code.SIGNATURE_FORM] * (len(readers) < 3)
    padded = form.endswith("behind") and "zero" in form
    assert all((finding.facts["form"] == "padded") == padded for finding in verdict.warnings)


def first_even(key: PrivateKey, value: bytes) -> bytes:
    """The signature; its integers have an even number of bytes, which the reader of PSA builds depends on."""
    der = key.sign_digest(value)
    first, second = (data.lstrip(b"\0").rjust(32, b"\0") for data in integers(der))
    return sequence(*((b"\0" if data[0] & 0x80 else b"") + data for data in (first, second)))


def test_p384_is_read_by_psa_alone(firmware: bytes) -> None:
    key = generate("ecdsa-p384")
    image = build(SPEC, firmware, key)
    sha, keyhash, signature = image.unprotected
    padded = with_tlvs(image, (sha, keyhash, Tlv(signature.type, signature.data + b"\0")))
    for backend in (None, "psa", "tinycrypt"):
        verdict = verify(padded, (key,), build=LoaderBuild(backend=backend))
        assert (verdict.accepted, verdict.warnings) == (True, ())


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072"])
def test_a_bootloader_stops_at_a_signature_of_a_length_that_it_does_not_read(kind: str, firmware: bytes) -> None:
    key = generate(kind)
    image = build(SPEC, firmware, key)
    sha, keyhash, signature = image.unprotected
    ecdsa = kind.startswith("ecdsa")
    largest = 128 if ecdsa else len(signature.data)
    for size, expected in ((largest, []), (largest + 1, [Code.SIGNATURE])):
        long = Tlv(signature.type, signature.data.ljust(size, b"\0"))
        verdict = verify(with_tlvs(image, (sha, keyhash, long)), (key,))
        assert codes(verdict) == expected
        verdict = verify(with_tlvs(image, (sha, keyhash, long, keyhash, signature)), (key,))
        assert codes(verdict) == expected, "a later signature does not help"
        strange = Tlv(TlvType.KEYHASH, bytes(len(keyhash.data)))
        assert codes(verify(with_tlvs(image, (sha, strange, long, keyhash, signature)), (key,))) == []


def test_a_part_of_a_keys_hash_is_enough(signed: Image, signing_key: PrivateKey, other_key: PrivateKey) -> None:
    sha, keyhash, signature = signed.unprotected
    for size in (0, 1, 31):
        image = with_tlvs(signed, (sha, Tlv(TlvType.KEYHASH, keyhash.data[:size]), signature))
        verdict = verify(image, (signing_key, other_key))
        assert (verdict.accepted, verdict.key_index) == (True, 0)
        assert [finding.code for finding in verdict.warnings] == [Code.TLV_SIZE]
    assert codes(verify(image, (other_key,))) == [Code.UNKNOWN_KEY]
    first = with_tlvs(signed, (sha, Tlv(TlvType.KEYHASH, b""), signature))
    assert codes(verify(first, (other_key, signing_key))) == [Code.SIGNATURE], "the first key that fits is taken"


def test_bootloaders_for_pure_signatures_do_not_look_at_the_hash(firmware: bytes) -> None:
    key = generate("ed25519")
    image = build(replace(SPEC, pure=True), firmware, key)
    sha, *rest = image.unprotected
    wrong = with_tlvs(image, (Tlv(sha.type, bytes(64)), *rest))
    verdict = verify(wrong, (key,))
    assert (verdict.accepted, [finding.code for finding in verdict.warnings]) == (True, [Code.HASH])
    assert codes(verify(wrong)) == [Code.HASH], "without a key nothing else tells whether it is whole"
    bare = verify(with_tlvs(image, tuple(rest)), (key,))
    assert (bare.accepted, bare.key_index, [one.code for one in bare.warnings]) == (True, 0, [Code.NO_HASH])
    changed = replace(wrong, payload=bytes([wrong.payload[0] ^ 1]) + wrong.payload[1:])
    assert codes(verify(changed, (key,))) == [Code.SIGNATURE]
