"""Every bit of an image counts: one that is changed is noticed, wherever it is, and nothing raises.

Noticed is what is refused, or gets a warning: that only some builds take it, or that bootloaders do not look at it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import FormatError
from smpdfu.image.format import COMPRESSED_FLAGS, ENCRYPTION_KEY_TYPES, Image, TlvType
from smpdfu.image.keys.kek import KeyEncryptionKey
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.signing.build import build
from smpdfu.image.trailer import SlotGeometry
from smpdfu.image.verification.verify import Verdict, verify
from tests.image.full_spec import SPEC


def unnoticed(image: Image, judge: Callable[[Image], Verdict]) -> list[tuple[int, int]]:
    """(byte, bit) of each change to a file that is still accepted, without another warning."""
    data, found = image.to_bytes(), []
    before = {finding.code for finding in judge(image).warnings}
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            try:
                verdict = judge(Image.from_bytes(bytes(changed), image.endian))
            except FormatError:
                continue
            if verdict.accepted and {finding.code for finding in verdict.warnings} <= before:
                found.append((position, bit))
    return found


def test_every_bit_of_a_signed_image_counts(signed: Image, signing_key: PrivateKey) -> None:
    keys = (signing_key.public,)
    assert verify(signed, keys).accepted
    assert unnoticed(signed, lambda image: verify(image, keys)) == []


def test_every_bit_of_an_encrypted_image_counts(
    encrypted: Image, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    keys = (signing_key.public,)
    assert verify(encrypted, keys, enc_key=encryption_key).accepted
    assert unnoticed(encrypted, lambda image: verify(image, keys, enc_key=encryption_key)) == []


PURE = {"pure": True}
IDS = {"vid": "example.com", "cid": "board", "manifest": bytes(40), "boot_record": "SPE"}
KEK = KeyEncryptionKey(bytes(range(16)))


@pytest.mark.parametrize(
    ("kind", "changes", "enc_key"),
    [
        ("ed25519", PURE, None),
        ("ed25519", {"sha": "512", "public_key_format": "full"}, None),
        ("ed25519", {"sha": "512"}, KEK),
        ("rsa-2048", IDS | {"endian": "big"}, None),
        ("rsa-2048", {"compression": "lzma2"}, None),
        ("rsa-2048", {"compression": "lzma2armthumb", "encrypt_keylen": 256}, KEK),
    ],
    ids=["pure", "full key", "AES-KW", "ids, big-endian", "compressed", "compressed, AES-KW"],
)
def test_every_bit_counts_whatever_the_format(
    kind: str, changes: dict[str, object], enc_key: KeyEncryptionKey | None, firmware: bytes
) -> None:
    key = generate(kind)
    spec = replace(SPEC, **changes)  # type: ignore[arg-type]  # names of fields
    code = firmware if spec.compression == "disabled" else firmware + bytes(600)
    image = build(spec, code, key, enc_key)

    def judge(changed: Image) -> Verdict:
        return verify(changed, (key.public,), enc_key=enc_key, build=LoaderBuild(hw_key="public_key_format" in changes))

    assert bool(image.header.flags & COMPRESSED_FLAGS) == (spec.compression != "disabled")
    assert judge(image).accepted
    assert unnoticed(image, judge) == []


def test_signatures_by_keys_that_are_not_known_may_be_anything(firmware: bytes) -> None:
    first, second = generate("ed25519"), generate("ed25519")
    image = build(SPEC, firmware, (first, second))
    positions = {offset: tlv for offset, _, tlv in image.tlv_offsets()}
    starts = [offset for offset, tlv in positions.items() if tlv.type == TlvType.KEYHASH]
    ends = [*starts[1:], image.size_bytes]
    for key, start, end in zip((first, second), starts, ends, strict=True):
        found = {position for position, _ in unnoticed(image, partial(verify, keys=(key,)))}
        other = set(range(starts[0], image.size_bytes)) - set(range(start, end))
        assert found < other
        assert len(found) >= len(other) - 8  # types and lengths count


def test_every_bit_of_an_unsigned_image_counts(firmware: bytes) -> None:
    image = build(SPEC, firmware)
    assert verify(image).accepted
    assert unnoticed(image, verify) == []


def test_only_the_content_key_of_a_clear_image_is_not_protected(
    firmware: bytes, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    image = build(replace(SPEC, clear=True), firmware, signing_key, encryption_key.public)
    start = next(offset for offset, _, tlv in image.tlv_offsets() if tlv.type in ENCRYPTION_KEY_TYPES)
    keys = (signing_key.public,)
    found = unnoticed(image, lambda changed: verify(changed, keys, enc_key=encryption_key))
    assert {position for position, _ in found} >= set(range(start + 4, image.size_bytes))
    assert min(position for position, _ in found) == start  # its type: any other key TLV may stand there


@settings(max_examples=200)
@given(data=st.data())
def test_changed_files_never_raise(
    data: st.DataObject, encrypted: Image, signing_key: PrivateKey, encryption_key: PrivateKey
) -> None:
    changed = bytearray(encrypted.to_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = Image.from_bytes(bytes(changed))
    except FormatError:
        return
    slot = SlotGeometry(0x20000)
    for role in (None, "primary", "secondary"):
        verdict = verify(image, (signing_key,), enc_key=encryption_key, slot=slot, slot_address=0xC000, role=role)
        assert not verdict.accepted or verdict.warnings or bytes(changed) == encrypted.to_bytes()
        for finding in (*verdict.refusals, *verdict.warnings):
            assert "\n" not in finding.message
