"""Compressed images: what goes in comes out, the bootloader's checks are ours, and nothing takes much memory."""

from __future__ import annotations

import lzma
import tracemalloc
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import FormatError, ImageError
from smpdfu.image.format import Flag, Image, Tlv, TlvType, Version
from smpdfu.image.hashes import digest
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.compress import (
    COMPRESSION_TLVS,
    COMPRESSIONS,
    Lzma,
    compress,
    expand,
    original_header,
    original_parts,
)
from smpdfu.image.tlv import protected_size_bytes
from smpdfu.image.trailer import SlotGeometry, SwapMode
from smpdfu.image.verification.verify import Code, Verdict, verify

SPEC = ImageSpec(Version(1, 2, 3), 0x40, 0, pad_header=True, compression="lzma2", security_counter=3)
CODE = bytes.fromhex("00200020c1c20000") + bytes.fromhex("00f000f80a1b2c3d") * 400 + bytes(range(251)) * 4
LZMA2 = COMPRESSIONS["lzma2"]
FLAGS = pytest.mark.parametrize("flags", COMPRESSIONS.values(), ids=list(COMPRESSIONS))


def resigned(image: Image, key: PrivateKey, *protected: Tlv) -> Image:
    """The image with other protected TLVs, and the hash and signature that fit."""
    header = replace(image.header, protect_tlv_size=protected_size_bytes(protected))
    image = replace(image, header=header, protected=protected)
    value = digest(TlvType.SHA256, image.hashed_parts())
    signed = (Tlv(TlvType.KEYHASH, key.keyhash), Tlv(TlvType.ECDSA_SIG, key.sign_digest(value)))
    return replace(image, unprotected=(Tlv(TlvType.SHA256, value), *signed))


def refusals(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.refusals]


def without(image: Image, kind: TlvType) -> list[Tlv]:
    return [tlv for tlv in image.protected if tlv.type != kind]


# --- the stream -----------------------------------------------------------------------------------------------------


@FLAGS
@settings(max_examples=60)
@given(data=st.binary(max_size=300) | st.binary(max_size=20).map(lambda block: block * 3000))
def test_what_goes_in_comes_out(flags: Flag, data: bytes) -> None:
    payload = compress(data, flags, Lzma())
    assert b"".join(expand(payload, flags, len(data))) == data
    assert b"".join(expand(payload + bytes(15), flags, len(data))) == data


@given(
    dictsize=st.integers(4096, 1 << 20),
    pb=st.integers(0, 4),
    lc=st.integers(0, 4),
    lp=st.integers(0, 4),
    preset=st.integers(0, 9),
)
def test_every_parameter_that_lzma2_has_works(dictsize: int, pb: int, lc: int, lp: int, preset: int) -> None:
    if lc + lp > 4:
        with pytest.raises(ImageError, match="together they must be at most 4"):
            Lzma(dictsize, pb, lc, lp, preset)
        return
    payload = compress(CODE, LZMA2, Lzma(dictsize, pb, lc, lp, preset))
    assert b"".join(expand(payload, LZMA2, len(CODE))) == CODE
    assert payload[1] == (pb * 5 + lp) * 9 + lc


@pytest.mark.parametrize(
    ("dictsize", "code"), [(4096, 0), (4097, 1), (6144, 1), (8192, 2), (131072, 10), (131073, 11), (1 << 22, 20)]
)
def test_the_size_of_the_dictionary_is_the_next_that_can_be_said(dictsize: int, code: int) -> None:
    assert Lzma(dictsize).header()[0] == code


@pytest.mark.parametrize("changes", [{"dictsize": 4095}, {"dictsize": 1 << 30}, {"pb": 5}, {"preset": 10}, {"lc": -1}])
def test_parameters_that_lzma2_does_not_have_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ImageError, match="must be"):
        Lzma(**changes)
    with pytest.raises(ImageError, match="must be"):
        replace(SPEC, **{f"compression_lzma_{name}": value for name, value in changes.items()})  # type: ignore[arg-type]  # names of fields


@FLAGS
def test_every_cut_is_noticed(flags: Flag) -> None:
    data = CODE[:300]
    payload = compress(data, flags, Lzma())
    for end in range(len(payload)):
        with pytest.raises(FormatError):
            b"".join(expand(payload[:end], flags, len(data)))


@pytest.mark.parametrize("size", [0, 1, len(CODE) - 1, len(CODE) + 1, 0xFFFFFFFF])
def test_another_size_than_said_is_noticed(size: int) -> None:
    with pytest.raises(FormatError, match=r"that it gives|and gives"):
        b"".join(expand(compress(CODE, LZMA2, Lzma()), LZMA2, size))


@pytest.mark.parametrize("rest", [bytes(16), b"\1", bytes(3) + b"x"])
def test_what_follows_the_stream_is_noticed(rest: bytes) -> None:
    with pytest.raises(FormatError, match="more data after"):
        b"".join(expand(compress(CODE, LZMA2, Lzma()) + rest, LZMA2, len(CODE)))


@given(data=st.binary(max_size=200), flags=st.integers(0, 0xFFF).map(Flag), size=st.integers(0, 1000))
def test_garbage_is_told_in_a_sentence(data: bytes, flags: Flag, size: int) -> None:
    with pytest.raises(FormatError):
        b"".join(expand(b"\x29" + data, flags, size))
    try:
        b"".join(expand(b"\x0a" + data, flags, size))
    except FormatError as error:
        assert error.args[0].count("\n") == 0  # noqa: PT017 - most garbage raises, not all


def test_a_bomb_takes_little_memory() -> None:
    """A few kilobytes that become 16 MiB; and a dictionary that says 4 GiB."""
    size = 0x0100_0000
    payload = compress(bytes(size), LZMA2, Lzma())
    assert len(payload) < size // 5000
    tracemalloc.start()
    with pytest.raises(FormatError, match="more than the 1000000 bytes"):
        b"".join(expand(payload, LZMA2, 1_000_000))
    assert sum(map(len, expand(payload, LZMA2, size))) == size
    with pytest.raises(FormatError, match="a dictionary of 4294967295 bytes"):
        b"".join(expand(b"\x28" + payload[1:], LZMA2, size))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


# --- building -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"])
@pytest.mark.parametrize("compression", list(COMPRESSIONS))
@pytest.mark.parametrize("encrypted", [False, True])
def test_compressed_images_are_accepted(
    kind: str, compression: str, encrypted: bool, encryption_key: PrivateKey
) -> None:
    key = generate(kind)
    spec = replace(SPEC, compression=compression)  # type: ignore[arg-type]  # one of its choices
    image = build(spec, CODE, key, encryption_key.public if encrypted else None)
    assert image.header.flags & COMPRESSIONS[compression] == COMPRESSIONS[compression]
    assert (image.tlv(TlvType.COMP_DEC_SIZE) is not None) == encrypted
    verdict = verify(image, (key,), enc_key=encryption_key)
    assert (verdict.accepted, [finding.code for finding in verdict.warnings]) == (True, [Code.COMPRESSED])
    assert verdict.plain is not None
    assert b"".join(expand(verdict.plain.payload, image.header.flags, len(CODE))) == CODE


def test_what_it_says_of_itself_stands_before_what_was_asked_for(signing_key: PrivateKey) -> None:
    """As in imgtool's images: the counter, then the original's size, hash and signature, then the custom TLVs."""
    image = build(replace(SPEC, custom_tlvs=(Tlv(0xA0, b"text"),)), CODE, signing_key)
    own = (TlvType.DECOMP_SIZE, TlvType.DECOMP_SHA, TlvType.DECOMP_SIGNATURE)
    assert [tlv.type for tlv in image.protected] == [TlvType.SEC_CNT, *own, 0xA0]


def test_inside_is_the_image_that_would_have_been_made_without(signing_key: PrivateKey) -> None:
    image = build(replace(SPEC, boot_record="SPE"), CODE, signing_key)
    plain = build(replace(SPEC, boot_record="SPE", compression="disabled"), CODE, signing_key)
    assert b"".join(original_parts(image, len(CODE))) == plain.hashed_bytes()
    assert original_header(image, len(CODE)) == (plain.header, plain.protected)
    assert (image.tlv(TlvType.DECOMP_SHA), image.tlv(TlvType.DECOMP_SIGNATURE)) == (
        plain.hash,
        plain.tlv(TlvType.ECDSA_SIG),
    )
    assert image.size_bytes < plain.size_bytes


def test_what_does_not_get_smaller_stays_as_it_is(signing_key: PrivateKey, encryption_key: PrivateKey) -> None:
    noise = Random(1).randbytes(500)
    image = build(SPEC, noise, signing_key)
    assert image == build(replace(SPEC, compression="disabled"), noise, signing_key)
    encrypted = build(SPEC, noise, signing_key, encryption_key.public)  # imgtool forgets to encrypt this one
    assert encrypted.encryption_key_tlv is not None
    assert encrypted.payload[:500] != noise
    assert verify(encrypted, (signing_key,), enc_key=encryption_key).accepted


def test_the_flags_of_the_request_stay(signing_key: PrivateKey) -> None:
    """imgtool forgets --non-bootable inside a compressed image, whose hash then is wrong."""
    image = build(replace(SPEC, non_bootable=True, load_addr=0x2000_0000), CODE, signing_key)
    assert image.header.flags == LZMA2 | Flag.NON_BOOTABLE | Flag.RAM_LOAD
    assert refusals(verify(image, (signing_key,))) == [Code.NON_BOOTABLE]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pad_header": False}, "filled as erased flash"),
        ({"pad_value": 0}, "filled as erased flash"),
        ({"pure": True}, "pure"),
    ],
)
def test_what_no_bootloader_decompresses_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        replace(SPEC, **changes)  # type: ignore[arg-type]  # names of fields


def test_headers_that_are_filled_as_erased_flash_are_good(signing_key: PrivateKey) -> None:
    for changes, room in (
        ({"header_size": 32, "pad_header": False}, 32),
        ({"pad_header": False, "pad_value": 255}, 64),
    ):
        image = build(replace(SPEC, **changes), bytes(room) + CODE, signing_key)  # type: ignore[arg-type]  # names of fields
        assert verify(image, (signing_key,)).accepted


def test_one_signature_only(signing_key: PrivateKey, other_key: PrivateKey) -> None:
    with pytest.raises(ImageError, match="one signature only"):
        build(SPEC, CODE, (signing_key, other_key))


# --- judging --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(signing_key: PrivateKey) -> Image:
    return build(SPEC, CODE, signing_key)


@pytest.mark.parametrize("kind", [TlvType.DECOMP_SIZE, TlvType.DECOMP_SHA, TlvType.DECOMP_SIGNATURE])
def test_what_the_bootloader_needs_must_be_there(kind: TlvType, packed: Image, signing_key: PrivateKey) -> None:
    image = resigned(packed, signing_key, *without(packed, kind))
    verdict = verify(image, (signing_key,))
    assert refusals(verdict) == [Code.DECOMPRESSION]
    assert kind.name in verdict.refusals[0].message
    needs_key = kind == TlvType.DECOMP_SIGNATURE
    assert verify(image).accepted == needs_key  # without keys no signature is looked for


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (TlvType.DECOMP_SIZE, (len(CODE) - 1).to_bytes(4, "little"), "more than the"),
        (TlvType.DECOMP_SIZE, (len(CODE) + 1).to_bytes(4, "little"), "and says"),
        (TlvType.DECOMP_SIZE, b"\xff" * 4, "only"),
        (TlvType.DECOMP_SHA, bytes(32), "does not have the hash"),
        (TlvType.DECOMP_SIGNATURE, bytes(70), "does not verify"),
    ],
)
def test_what_is_said_of_the_inside_must_be_true(
    kind: TlvType, data: bytes, words: str, packed: Image, signing_key: PrivateKey
) -> None:
    changed = resigned(packed, signing_key, *without(packed, kind), Tlv(kind, data))
    verdict = verify(changed, (signing_key,))
    assert refusals(verdict) == [Code.DECOMPRESSION]
    assert words in verdict.refusals[0].message
    both = resigned(packed, signing_key, *packed.protected, Tlv(kind, data))
    if kind != TlvType.DECOMP_SIZE:  # of several sizes, the first counts, as in the bootloader
        assert refusals(verify(both, (signing_key,))) == [Code.DECOMPRESSION]


@pytest.mark.parametrize("kind", [TlvType.DECOMP_SIZE, TlvType.COMP_DEC_SIZE])
def test_sizes_have_four_bytes(kind: TlvType, packed: Image, signing_key: PrivateKey) -> None:
    changed = resigned(packed, signing_key, *packed.protected, Tlv(kind, bytes(8)))
    assert refusals(verify(changed, (signing_key,))) == [Code.TLV_SIZE]


def test_the_stream_is_checked_though_it_is_signed(packed: Image, signing_key: PrivateKey) -> None:
    for payload in (packed.payload[:-3] + b"abc", b"\x29" + packed.payload[1:], packed.payload[:2] + bytes(9)):
        header = replace(packed.header, img_size=len(payload))
        image = resigned(replace(packed, header=header, payload=payload), signing_key, *packed.protected)
        assert refusals(verify(image, (signing_key,))) == [Code.DECOMPRESSION]


@pytest.mark.parametrize("flags", [Flag.COMPRESSED_LZMA1, Flag.COMPRESSED_ARM_THUMB, LZMA2 | Flag.COMPRESSED_LZMA1])
def test_other_compressions_are_refused(flags: Flag, packed: Image, signing_key: PrivateKey) -> None:
    image = resigned(replace(packed, header=replace(packed.header, flags=flags)), signing_key, *packed.protected)
    assert refusals(verify(image, (signing_key,))) == [Code.DECOMPRESSION]


def test_the_filter_must_be_the_one_that_was_used(signing_key: PrivateKey) -> None:
    packed = build(replace(SPEC, compression="lzma2armthumb"), CODE, signing_key)
    image = resigned(replace(packed, header=replace(packed.header, flags=LZMA2)), signing_key, *packed.protected)
    verdict = verify(image, (signing_key,))
    assert "does not have the hash" in verdict.refusals[0].message


def test_a_header_that_is_not_filled_as_erased_flash_is_told(packed: Image, signing_key: PrivateKey) -> None:
    """What imgtool makes of a file with room for the header: Nordic's bootloader refuses it."""
    zeros = replace(packed, header_pad=bytes(32))
    original, kept = original_header(zeros, len(CODE))
    inside = Image(original, bytes(32), CODE, kept)
    sha = digest(TlvType.SHA256, inside.hashed_parts())
    tlvs = [tlv for tlv in packed.protected if tlv.type not in (TlvType.DECOMP_SHA, TlvType.DECOMP_SIGNATURE)]
    tlvs += [Tlv(TlvType.DECOMP_SHA, sha), Tlv(TlvType.DECOMP_SIGNATURE, signing_key.sign_digest(sha))]
    verdict = verify(resigned(zeros, signing_key, *tlvs), (signing_key,))
    assert refusals(verdict) == [Code.DECOMPRESSION]
    assert verdict.refusals[0].facts == {"header": "not erased"}


def test_the_image_inside_must_fit_the_slot(packed: Image, signing_key: PrivateKey) -> None:
    original, _ = original_header(packed, len(CODE))
    needed = original.hdr_size + original.img_size + original.protect_tlv_size
    for size, expected in ((needed + 1, []), (needed, [Code.DECOMPRESSION])):
        slot = SlotGeometry(size, mode=SwapMode.OVERWRITE_ONLY)
        assert refusals(verify(packed, (signing_key,), slot=slot)) == expected


def test_the_last_key_named_decides_inside(packed: Image, signing_key: PrivateKey, other_key: PrivateKey) -> None:
    image = replace(packed, unprotected=(*packed.unprotected, Tlv(TlvType.KEYHASH, other_key.keyhash)))
    verdict = verify(image, (signing_key,))
    assert refusals(verdict) == [Code.DECOMPRESSION]
    assert "is unknown" in verdict.refusals[0].message


def test_a_wrong_hash_outside_spares_the_work(
    packed: Image, signing_key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lzma, "LZMADecompressor", None)
    damaged = replace(packed, payload=bytes(len(packed.payload)))
    assert refusals(verify(damaged, (signing_key,))) == [Code.HASH]


def test_every_compression_tlv_is_one_of_the_formats() -> None:
    assert {kind.name for kind in COMPRESSION_TLVS} == {
        name for name in TlvType.__members__ if "DECOMP" in name or "COMP_DEC" in name
    }


@settings(max_examples=150)
@given(data=st.data())
def test_changed_compressed_images_never_raise(data: st.DataObject, packed: Image, signing_key: PrivateKey) -> None:
    """Changed inside and signed again: an attacker with a key, or a build that went wrong."""
    payload = bytearray(packed.payload)
    for _ in range(data.draw(st.integers(0, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(0, 1 << 32 - 1) | st.just(len(CODE)))
    tlvs = without(packed, TlvType.DECOMP_SIZE)
    tlvs.append(Tlv(TlvType.DECOMP_SIZE, size.to_bytes(4, "little")))
    verdict = verify(resigned(replace(packed, payload=bytes(payload)), signing_key, *tlvs), (signing_key,))
    same = b"".join(_or_nothing(bytes(payload), size)) == CODE
    assert verdict.accepted == same


def _or_nothing(payload: bytes, size: int) -> list[bytes]:
    try:
        return list(expand(payload, LZMA2, size)) if size < 1 << 20 else []
    except FormatError:
        return []
