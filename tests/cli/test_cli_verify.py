"""``verify``: what it accepts, names and refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.image.format import Image, Tlv

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys, WriteHex

SLOT = ("-S", "0x20000")
HEADER_SIZE = 0x200
HEADER = ("-H", "0x200", "--pad-header", "-v", "1.2.3+4")


@pytest.fixture
def encrypted(raw: Path, keys: Keys, smpdfu: Call) -> Path:
    """``raw``, signed and encrypted."""
    path = raw.with_name("encrypted.bin")
    done = smpdfu("sign", "-k", keys.signing, "-E", keys.encryption_public, *SLOT, *HEADER, raw, path)
    assert done.code == 0, done.err
    return path


VERDICT_FIELDS = [
    *("file", "verdict", "accepted", "version", "size_bytes", "hash", "encrypted"),
    *("signature_checked", "key", "seal", "refusals", "unchecked", "warnings"),
]


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [one["code"] for one in found]


def test_verify_accepts_and_names_the_key(signed: Path, keys: Keys, smpdfu: Call) -> None:
    done = smpdfu("verify", "--json", "-k", keys.other, "-k", keys.signing_public, signed)
    told = done.document
    assert (done.code, list(told)) == (0, VERDICT_FIELDS)
    assert (told["accepted"], told["signature_checked"], told["key"]) == (True, True, str(keys.signing_public))
    assert (told["version"], told["refusals"], told["warnings"]) == ("1.2.3+4", [], [])
    people = smpdfu("verify", "-k", keys.signing, signed)
    assert (people.code, people.err) == (0, "")
    assert "accepted" in people.out
    assert str(keys.signing) in people.out


def test_verify_reads_hex(signed: Path, keys: Keys, tmp_path: Path, smpdfu: Call, write_hex: WriteHex) -> None:
    image = write_hex(tmp_path / "signed.hex", (0xC000, signed.read_bytes()))
    assert smpdfu("verify", "-k", keys.signing, image).code == 0


def test_without_a_key_verify_says_that_it_checked_the_hash_only(signed: Path, smpdfu: Call) -> None:
    done = smpdfu("verify", "--json", signed)
    told = done.document
    assert (done.code, told["accepted"], told["signature_checked"]) == (0, True, False)
    assert told["verdict"] == "not checked", "anybody can make an image with the right hash"
    assert codes(told["warnings"]) == ["hash-only"]
    assert "no key was given" in done.err


def test_verify_decrypts(encrypted: Path, keys: Keys, smpdfu: Call) -> None:
    done = smpdfu("verify", "-k", keys.signing, "--enc-key", keys.encryption, encrypted)
    assert done.code == 0, done.err
    assert "decrypted" in done.out
    wrong = smpdfu("verify", "--json", "-k", keys.signing, "--enc-key", keys.other, encrypted)
    assert (wrong.code, codes(wrong.document["refusals"])) == (3, ["encryption-key"])


def test_without_the_decryption_key_verify_checks_the_rest(encrypted: Path, keys: Keys, smpdfu: Call) -> None:
    """A build server has no key of a device."""
    blind = smpdfu("verify", "--json", "-k", keys.signing_public, encrypted)
    told = blind.document
    assert (blind.code, told["verdict"], told["accepted"], told["refusals"]) == (0, "not checked", None, [])
    assert (codes(told["unchecked"]), told["key"]) == (["encrypted"], str(keys.signing_public))
    people = smpdfu("verify", "-k", keys.signing_public, encrypted)
    assert (people.code, people.err) == (0, "")
    assert "not fully checked" in people.out
    assert "valid, by" in people.out
    asked = smpdfu("verify", "--require-all-checks", "-k", keys.signing_public, encrypted)
    assert "--enc-key" in asked.refused()
    whole = ("-k", keys.signing_public, "--enc-key", keys.encryption)
    assert smpdfu("verify", "--require-all-checks", *whole, encrypted).code == 0
    stranger = smpdfu("verify", "--json", "-k", keys.other, encrypted)
    assert (stranger.code, stranger.document["verdict"]) == (3, "refused")


def test_all_checks_need_a_key_for_the_signature(signed: Path, smpdfu: Call) -> None:
    assert "no key was given for its signature" in smpdfu("verify", "--require-all-checks", signed).refused()


def test_verify_asks_for_the_build_where_it_decides(
    raw: Path, signed: Path, keys: Keys, tmp_path: Path, smpdfu: Call
) -> None:
    full, clear = tmp_path / "full.bin", tmp_path / "clear.bin"
    made = smpdfu("sign", "-k", keys.signing, "--public-key-format", "full", *SLOT, *HEADER, raw, full)
    assert made.code == 0
    assert "MCUBOOT_HW_KEY" in made.err
    assert "--hw-key" in smpdfu("verify", "-k", keys.signing, full).refused()
    assert smpdfu("verify", "--hw-key", "-k", keys.signing, full).code == 0
    assert smpdfu("verify", "--hw-key", "-k", keys.signing, signed).code == 3
    words = ("-k", keys.signing, "-E", keys.encryption_public, "--clear", *SLOT, *HEADER)
    assert smpdfu("sign", *words, raw, clear).code == 0
    assert smpdfu("verify", "-k", keys.signing, clear).code == 0
    assert "without encryption" in smpdfu("verify", "--no-encryption", "-k", keys.signing, clear).refused()
    assert smpdfu("verify", "--no-encryption", "--enc-key", keys.encryption, clear).code == 2


def test_padded_signatures_are_for_some_backends(raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    out = tmp_path / "padded.bin"
    for number in range(64):  # the signature of one version in four has the full length
        words = ("-k", keys.signing, "--pad-sig", *SLOT, *HEADER[:-1], f"1.2.{number}", "--json")
        assert HEADER[-2] in ("-v", "--version")
        made = smpdfu("sign", *words, raw, out)
        signature = Image.from_bytes(out.read_bytes()).unprotected[-1].data
        padded = len(signature) > 2 + signature[1]
        assert ("padded-signature" in codes(made.document["warnings"])) == padded
        if padded:
            break
    assert padded
    told = smpdfu("verify", "--json", "-k", keys.signing, out)
    assert (told.code, codes(told.document["warnings"])) == (0, ["signature-form"])
    assert smpdfu("verify", "--backend", "tinycrypt", "-k", keys.signing, out).err == ""
    assert "mbedtls" in smpdfu("verify", "--backend", "mbedtls", "-k", keys.signing, out).refused()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


TLV_ORDER = ("hash", "keyhash", "signature")


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("payload", "hash"),
        ("header pad", "hash"),
        ("version", "hash"),
        ("hash", "hash"),
        ("keyhash", "unknown-key"),
        ("signature", "signature"),
    ],
)
def test_a_flipped_bit_is_refused_with_the_reason(
    signed: Path, keys: Keys, smpdfu: Call, where: str, code: str
) -> None:
    data = signed.read_bytes()
    image = Image.from_bytes(data)
    tlv = {name: offset + 4 + 20 for (offset, _, _), name in zip(image.tlv_offsets(), TLV_ORDER, strict=True)}
    at = {"payload": HEADER_SIZE + 100, "header pad": 40, "version": 20} | tlv
    signed.write_bytes(flipped(data, at[where]))
    done = smpdfu("verify", "--json", "-k", keys.signing, signed)
    told = done.document
    assert (done.code, told["accepted"]) == (3, False)
    assert code in codes(told["refusals"])
    assert told["error"]["exit_code"] == 3
    people = smpdfu("verify", "-k", keys.signing, signed)
    assert people.code == 3
    assert "would be refused" in people.sentence
    assert code in people.out


def test_a_wrong_key_is_named(signed: Path, keys: Keys, smpdfu: Call) -> None:
    done = smpdfu("verify", "-k", keys.other, signed)
    assert done.code == 3
    assert "a key that was not given" in done.sentence
    assert (done.out + done.err).count("signed with a key that was not given") == 1
    assert "unknown-key" in done.out


def test_verify_measures_the_slot(signed: Path, keys: Keys, smpdfu: Call) -> None:
    size = signed.stat().st_size
    assert smpdfu("verify", signed, "--slot-size", "0x20000", "--swap-mode", "swap-move").code == 0
    tight = -(-size // 4096) * 4096 + 4096  # no room for the trailer's sector
    done = smpdfu("verify", "--json", signed, "--slot-size", tight, "--swap-mode", "swap-move")
    assert (done.code, codes(done.document["refusals"])) == (3, ["too-large"])
    assert smpdfu("verify", signed, "--slot-size", size + 40, "--overwrite-only").code == 0
    assert smpdfu("verify", signed, "--slot-size", size + 39, "--overwrite-only").code == 3
    assert smpdfu("verify", signed, "--swap-mode", "swap-move").code == 2
    assert smpdfu("verify", signed, "--slot-size", "0x20000", "--sector-size", "4095").code == 2


def test_verify_compares_with_where_the_slot_is(signed: Path, smpdfu: Call) -> None:
    assert "reset vector" not in smpdfu("verify", signed, "--slot-address", "0xc000").err
    done = smpdfu("verify", signed, "--slot-address", "0x86000")
    assert done.code == 0
    assert "reset vector" in done.err


def test_verify_reads_both_byte_orders(raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    out = tmp_path / "big.bin"
    assert smpdfu("sign", "-k", keys.signing, "-e", "big", *SLOT, *HEADER, raw, out).code == 0
    assert smpdfu("verify", "-k", keys.signing, out).code == 0
    assert smpdfu("inspect", "--json", out).document["endian"] == "big"


def test_a_fault_of_one_image_does_not_hide_another(signed: Path, keys: Keys, smpdfu: Call) -> None:
    image = Image.from_bytes(signed.read_bytes())
    strange = replace(image, unprotected=(*image.unprotected, Tlv(0xA0, b"x")))
    signed.write_bytes(flipped(strange.to_bytes(), HEADER_SIZE))
    done = smpdfu("verify", "-k", keys.signing, signed)
    assert done.code == 3
    assert "tlv-not-allowed" in done.out
    assert "hash" in done.out
    assert "more, above" in done.sentence
