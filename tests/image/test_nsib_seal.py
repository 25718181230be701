"""NSIB's seal: what cannot be sealed and why, two passes, and which key sealed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.errors import FormatError, ImageError, SignatureError, SigningError, SmpdfuError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import KINDS, PrivateKey, PublicKey, generate
from smpdfu.image.nsib.firmware_info import VALID, FirmwareInfo
from smpdfu.image.nsib.order import SealOrder, seal_file, write_vector
from smpdfu.image.nsib.provision import ProvisionedKey
from smpdfu.image.nsib.seal import (
    SEAL_BYTES,
    ValidationInfo,
    check_firmware,
    raw_public_key,
    refusal,
    seal,
    vector_to_sign,
)
from smpdfu.image.nsib.sealed_by import SealState, public_key_of, sealed_by
from smpdfu.image.nsib.trusted_keys import Nsib, judge_seal
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.ecdsa_form import numbers
from smpdfu.image.signing.two_pass import GivenSigner
from tests.nsib_bench import ADDRESS, b0n_takes, network_firmware, unchecked_seal

KEY, NEXT, STRANGER = (generate("ecdsa-p256") for _ in range(3))
FIRMWARE = network_firmware()
SEALED = seal(FIRMWARE, ADDRESS, KEY)
SPEC = ImageSpec(Version(1), header_size=0x200, slot_size=0x20000, pad_header=True)


def code_of(function: Callable[..., object], *arguments: object) -> str:
    """The code of the refusal."""
    with pytest.raises((FormatError, SigningError)) as refused:
        function(*arguments)
    return refused.value.code


# --- what cannot be sealed ------------------------------------------------------------------------------------------

FOREIGN = FIRMWARE.replace(bytes.fromhex("02350000"), bytes.fromhex("025b0000"))
UNSEALABLE = {
    "seal-no-info": (bytes(range(256)) * 9, "needs CONFIG_FW_INFO=y"),
    "seal-other-chip": (FOREIGN, "nRF91 series"),
    "seal-invalidated": (network_firmware(info=FirmwareInfo(3001, 7, ADDRESS, VALID & ~1)), "0x9102fffe"),
    "seal-address": (network_firmware(address=0x1002800), "names the address 0x01002800"),
    "seal-size": (network_firmware() + b"more", "names 3001 bytes of firmware, and the file has 3005"),
    "seal-outside": (FIRMWARE[:4] + bytes(4) + FIRMWARE[8:], "Reset handler is not within signed region"),
    "seal-twice": (SEALED, "sealed already"),
    "seal-mcuboot-image": (build(SPEC, FIRMWARE, KEY).to_bytes(), "signed for MCUboot already"),
}


@pytest.mark.parametrize("code", UNSEALABLE)
def test_it_says_what_is_wrong_with_the_firmware(code: str) -> None:
    firmware, words = UNSEALABLE[code]
    for make in (check_firmware, vector_to_sign):
        assert code_of(make, firmware, ADDRESS) == code
    with pytest.raises(FormatError, match=words):
        seal(firmware, ADDRESS, KEY)


def test_an_encrypted_image_is_told_of() -> None:
    image = build(SPEC, FIRMWARE, KEY, generate("x25519").public).to_bytes()
    with pytest.raises(FormatError, match="signed and encrypted for MCUboot"):
        seal(image, ADDRESS, KEY)


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "ecdsa-p256"])
def test_only_p256_keys_seal(kind: str) -> None:
    key = generate(kind)
    with pytest.raises(SigningError, match=kind):
        seal(FIRMWARE, ADDRESS, key)
    with pytest.raises(SigningError, match=kind):
        sealed_by(SEALED, (key.public,))


@pytest.mark.parametrize("offset", [0, 3000, 3002, 3005])
def test_a_seal_does_not_begin_inside_or_between_words(offset: int) -> None:
    assert code_of(seal, FIRMWARE, ADDRESS, KEY, offset) == "seal-offset"


@pytest.mark.parametrize(("offset", "found"), [(3004, True), (3008, False)])
def test_a_seal_at_a_given_offset(offset: int, found: bool) -> None:
    sealed = seal(FIRMWARE, ADDRESS, KEY, offset)
    assert sealed == FIRMWARE.ljust(offset, b"\xff") + SEALED[-SEAL_BYTES:]
    assert sealed_by(sealed, [KEY.public]).accepted is found
    assert (refusal(sealed, ADDRESS, [KEY.public]) is None) is found


# --- two passes -----------------------------------------------------------------------------------------------------


def raw(der: bytes) -> bytes:
    pair = numbers(der, 32, "psa")
    assert pair is not None
    return b"".join(one.to_bytes(32, "big") for one in pair)


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "der": bytes,
    "raw": raw,
    "base64 of der": b64encode,
    "base64 of raw": lambda der: b64encode(raw(der)),
    "padded": lambda der: der.ljust(72, b"\0"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_signature_made_elsewhere_is_put_in(form: str) -> None:
    vector = vector_to_sign(FIRMWARE, ADDRESS)
    signature = KEY.sign(vector.payload)  # which hashes it
    assert signature == KEY.sign_digest(vector.digest)
    sealed = seal(FIRMWARE, ADDRESS, GivenSigner(KEY.public, FORMS[form](signature)))
    assert sealed == SEALED
    assert b0n_takes(sealed, KEY.public)
    assert not b0n_takes(sealed, STRANGER.public)


@pytest.mark.parametrize(
    "signature",
    [STRANGER.sign(vector_to_sign(FIRMWARE, ADDRESS).payload), KEY.sign(FIRMWARE), b"", bytes(64), b"nonsense" * 9],
    ids=["another key", "over the firmware itself", "empty", "zeros", "nonsense"],
)
def test_another_signature_is_not_put_in(signature: bytes) -> None:
    with pytest.raises(SignatureError, match="the given signature"):
        seal(FIRMWARE, ADDRESS, GivenSigner(KEY.public, signature))


def test_a_signer_that_gives_nonsense_makes_no_seal() -> None:
    class Nonsense(PrivateKey):
        def sign_digest(self, digest: bytes) -> bytes:
            return b"not DER"

    with pytest.raises(SignatureError):
        seal(FIRMWARE, ADDRESS, Nonsense(KEY.kind, KEY.raw))


# --- who sealed -----------------------------------------------------------------------------------------------------


def hashes(*keys: PublicKey) -> list[bytes]:
    return [ProvisionedKey.of(key).hash for key in keys]


def test_the_first_of_several_keys_is_found() -> None:
    for keys in ((NEXT.public, KEY.public), hashes(NEXT.public, KEY.public)):
        found = sealed_by(SEALED, keys)
        assert (str(found), list(found.revokes), found.key_hash) == ("key 2", [0], hashes(KEY.public)[0])
    assert str(sealed_by(SEALED, [KEY.public, NEXT.public])) == "key 1"
    assert sealed_by(SEALED + b"\xff" * 99, [KEY.public]).accepted


def test_a_revoked_key_does_not_count() -> None:
    revoked = replace(ProvisionedKey.of(KEY.public), revoked=True)
    found = sealed_by(SEALED, [ProvisionedKey.of(NEXT.public), revoked])
    assert (found.state, found.position, list(found.revokes)) == (SealState.REVOKED, 1, [])
    assert str(sealed_by(SEALED, [revoked, ProvisionedKey.of(KEY.public)])) == "key 2"


@pytest.mark.parametrize(
    ("firmware", "said"),
    [
        (FIRMWARE, "no seal"),
        (b"", "no seal"),
        (SEALED[:-1], "no seal"),
        (SEALED[:2000] + b"\0" + SEALED[2001:], "hash wrong"),
        (SEALED[:3016] + b"\0\0\0\0" + SEALED[3020:], "hash wrong"),
        (SEALED[:-1] + bytes([SEALED[-1] ^ 1]), "signature wrong"),
        (seal(FIRMWARE, ADDRESS, STRANGER), "unknown key"),
    ],
)
def test_what_a_seal_is_worth(firmware: bytes, said: str) -> None:
    for keys in ([KEY.public], hashes(KEY.public), [ProvisionedKey.of(KEY.public)]):
        found = sealed_by(firmware, keys)
        assert (str(found), found.accepted, list(found.revokes)) == (said, False, [])


def test_a_key_that_is_no_point_of_the_curve_verifies_nothing() -> None:
    block = ValidationInfo.find(SEALED, 3001)
    assert block is not None
    forged = replace(block, public_key=b"\x01" * 64)
    found = sealed_by(FIRMWARE + b"\xff" * 3 + forged.to_bytes(), [ProvisionedKey(sealed_key_hash(forged))])
    assert found.state is SealState.SIGNATURE_WRONG
    assert public_key_of(block).public_bytes == KEY.public_bytes


def sealed_key_hash(block: ValidationInfo) -> bytes:
    found = sealed_by(FIRMWARE + b"\xff" * 3 + block.to_bytes(), []).key_hash
    assert found is not None
    return found


@given(at=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_no_flipped_bit_goes_unnoticed(at: int, bit: int) -> None:
    """But in the three bytes between the firmware and the seal, which nobody signs."""
    spoiled = bytearray(SEALED)
    spoiled[at] ^= 1 << bit
    unsigned = range(3001, 3004)
    assert sealed_by(bytes(spoiled), [KEY.public]).accepted is (at in unsigned)


@given(
    size=st.integers(0x200 + 60, 2000),
    address=st.integers(0, (1 << 30) - 0x400).map(lambda one: 4 * one),
    version=st.integers(0, 0xFFFFFFFF),
)
@settings(max_examples=50, deadline=None)
def test_any_firmware_is_read_back(size: int, address: int, version: int) -> None:
    firmware = network_firmware(size, address, info=FirmwareInfo(size, version, address))
    sealed = seal(firmware, address, KEY)
    assert refusal(sealed, address, [KEY.public]) is None
    block = ValidationInfo.find(sealed, size)
    assert block is not None
    assert (block.address, block.public_key, block.to_bytes()) == (address, raw_public_key(KEY), sealed[-SEAL_BYTES:])


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_bin_needs_an_address_and_a_hex_has_one(tmp_path: Path) -> None:
    source, out, text = tmp_path / "net.bin", tmp_path / "out.bin", tmp_path / "out.hex"
    source.write_bytes(FIRMWARE)
    with pytest.raises(FormatError, match=r"net\.bin: a \.bin file does not say") as refused:
        seal_file(SealOrder(source, (out,)), KEY)
    assert refused.value.code == "seal-where"
    seal_file(SealOrder(source, (out, text), ADDRESS), KEY)
    assert out.read_bytes() == SEALED
    write_vector(SealOrder(source, (tmp_path / "hash.hex", tmp_path / "hash.bin"), ADDRESS), "payload")
    assert (tmp_path / "hash.bin").read_bytes() == vector_to_sign(FIRMWARE, ADDRESS).payload
    with pytest.raises(FormatError, match="sealed already"):
        seal_file(SealOrder(text, (out,)), KEY)
    with pytest.raises(FormatError, match=r"the \.hex file begins at 0x01008800"):
        seal_file(SealOrder(text, (out,), 0x1002800), KEY)


def test_a_seal_and_its_signature_need_two_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the same output file"):
        SealOrder(tmp_path / "in", (tmp_path / "out",), sig_out=tmp_path / "out")


def test_nothing_is_written_when_nothing_is_sealed(tmp_path: Path) -> None:
    source, out = tmp_path / "net.bin", tmp_path / "out.bin"
    source.write_bytes(FIRMWARE)
    out.write_bytes(b"the release of last week")
    with pytest.raises(SmpdfuError):
        seal_file(SealOrder(source, (out,), ADDRESS), GivenSigner(KEY.public, b"no signature"))
    assert out.read_bytes() == b"the release of last week"


# --- what b0 and b0n look at besides the seal ------------------------------------------------------------------------

_INFO_AT = 0x200


def changed(at: int, word: int) -> bytes:
    """Firmware with another word, rightly sealed around that."""
    return unchecked_seal(FIRMWARE[:at] + word.to_bytes(4, "little") + FIRMWARE[at + 4 :], ADDRESS, KEY)


OUTSIDE = {
    "reset handler in front of it": (4, ADDRESS - 3, "Reset handler"),
    "reset handler behind it": (4, ADDRESS + len(FIRMWARE), "Reset handler"),
    "vector table behind it": (_INFO_AT + 28, ADDRESS + len(FIRMWARE), "Boot address"),
    "vector table in front of it": (_INFO_AT + 28, ADDRESS - 0x800, "Boot address"),
    "interfaces behind it": (_INFO_AT + 12, len(FIRMWARE) - _INFO_AT + 1, "Firmware info"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_right_seal_around_firmware_that_does_not_start(name: str) -> None:
    at, word, words = OUTSIDE[name]
    sealed = changed(at, word)
    assert sealed_by(sealed, [KEY.public]).accepted
    assert refusal(sealed, ADDRESS, [KEY.public]) == f"{words} is not within signed region."
    assert not b0n_takes(sealed, KEY.public)


def test_a_key_that_looks_like_erased_memory_stops_the_bootloader() -> None:
    own, erased = ProvisionedKey.of(KEY.public), ProvisionedKey(b"\xff\xff" + bytes(14))
    by, fault = judge_seal(SEALED, (own, erased), Nsib.B0N)
    assert (by.state, by.accepted, by.position) == (SealState.KEYS_UNUSABLE, False, 1)
    assert fault is not None
    assert "the hash of key 2 has 0xffff in it" in fault.message
    by, fault = judge_seal(SEALED, (replace(erased, revoked=True), own), Nsib.B0N)
    assert (by.accepted, fault) == (True, None)


def test_the_address_comes_before_the_word_that_says_valid() -> None:
    """As in ``validate_firmware`` of ``bl_validation.c``."""
    invalid = network_firmware(info=FirmwareInfo(3001, 7, ADDRESS, VALID & ~1))
    assert refusal(invalid, ADDRESS + 4, ()) == "The firmware doesn't belong at destination addr."
    assert refusal(invalid, ADDRESS, ()) == "Firmware has been invalidated: 0x9102fffe."
