"""``sign`` and ``verify``: what they write, say and refuse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from intelhex import IntelHex

from smpdfu.image.format import Image, Tlv

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys, MakeFirmware, WriteHex

SLOT = ("-S", "0x20000")
HEADER = ("-H", "0x200", "--pad-header", "-v", "1.2.3+4")
HEADER_SIZE = 0x200
LINKED_AT = 0xC200


@pytest.fixture
def encrypted(raw: Path, keys: Keys, smpdfu: Call) -> Path:
    """``raw``, signed and encrypted."""
    path = raw.with_name("encrypted.bin")
    done = smpdfu("sign", "-k", keys.signing, "-E", keys.encryption_public, *SLOT, *HEADER, raw, path)
    assert done.code == 0, done.err
    return path


# --- sign -----------------------------------------------------------------------------------------------------------


def test_one_signing_writes_any_number_of_files_that_agree(raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    outs = [tmp_path / name for name in ("1.bin", "2.hex", "3.bin")]
    more = [word for out in outs[1:] for word in ("-o", out)]
    where = ("--slot-address", "0xc000", "-x", "0xc000")
    done = smpdfu("sign", "-k", keys.signing, "-E", keys.encryption, *SLOT, *HEADER, raw, outs[0], *more, *where)
    assert (done.code, done.err) == (0, "")
    image = outs[0].read_bytes()
    assert IntelHex(str(outs[1])).tobinstr() == image
    assert IntelHex(str(outs[1])).minaddr() == 0xC000
    assert outs[2].read_bytes() == image


def test_signing_is_reproducible(raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    for name in ("a.bin", "b.bin"):
        assert smpdfu("sign", "-k", keys.signing, *SLOT, *HEADER, raw, tmp_path / name).code == 0
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


def test_sign_tells_what_it_made(raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    out = tmp_path / "out.hex"
    where = ("-x", "0xc000", "--no-link-check")
    done = smpdfu("sign", "--json", "-k", keys.signing, *SLOT, *HEADER, *where, raw, out)
    told = done.document
    image = Image.from_bytes(IntelHex(str(out)).tobinstr())
    assert image.hash is not None
    assert told == {
        "version": "1.2.3+4",
        "size_bytes": image.size_bytes,
        "slot_size_bytes": 0x20000,
        "hash": image.hash.hex(),
        "signature": "ecdsa-p256",
        "keyhash": told["keyhash"],
        "signatures": [{"type": "ecdsa-p256", "keyhash": told["keyhash"]}],
        "encryption": None,
        "clear": False,
        "files": [{"path": str(out), "format": "hex"}],
        "warnings": [],
    }
    people = smpdfu("sign", "-k", keys.signing, *SLOT, *HEADER, raw, tmp_path / "out.bin").out
    assert image.hash.hex() in people
    assert str(keys.signing) in people


def test_what_a_file_holds_is_decided_by_its_content(
    raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call, write_hex: WriteHex
) -> None:
    disguised = write_hex(tmp_path / "really-hex.bin", (LINKED_AT, raw.read_bytes()))
    for source, out in ((raw, "from-bin.bin"), (disguised, "from-hex.bin")):
        assert smpdfu("sign", "-k", keys.signing, *SLOT, *HEADER, source, tmp_path / out).code == 0
    assert (tmp_path / "from-bin.bin").read_bytes() == (tmp_path / "from-hex.bin").read_bytes()


def test_custom_tlvs_keep_their_order(raw: Path, tmp_path: Path, smpdfu: Call) -> None:
    data, out = tmp_path / "data", tmp_path / "out.bin"
    data.write_bytes(b"\0\1")
    tlvs = ("--custom-tlv", "0xa1", "text", "--custom-tlv-file", "0xa2", data, "--custom-tlv", "160", "0xbeef")
    assert smpdfu("sign", *SLOT, *HEADER, *tlvs, raw, out).code == 0
    made = Image.from_bytes(out.read_bytes())
    assert made.protected == (Tlv(0xA1, b"text"), Tlv(0xA0, b"\xbe\xef"), Tlv(0xA2, b"\0\1"))


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("-v", "1.2.x"), "version"),
        (("-v", "256.0.0"), "major"),
        (("-v", "-1"), "version"),
        (("-H", "16"), "header size"),
        (("-H", "0x10000"), "header size"),
        (("-H", "one"), "whole number"),
        (("-S", "9" * 200), "digits"),
        (("--align", "3"), "one of"),
        (("--align", "32", "--max-align", "8"), "align"),
        (("--max-align", "4"), "one of"),
        (("-R", "1"), "one of"),
        (("--encrypt-keylen", "192"), "one of"),
        (("-s", "4294967296"), "32 bits"),
        (("-s", "later"), "whole number"),
        (("-L", "0x100000000"), "32 bits"),
        (("-L", "1", "-F", "1"), "exclude"),
        (("-d", "1,2.0"), "dependencies"),
        (("-d", "(1,2.0),(2"), "dependencies"),
        (("-d", "(300,2.0)"), "image number"),
        (("-d", "(1,2.0.0.0.0)"), "version"),
        (("--custom-tlv", "0x10", "x"), "type"),
        (("--custom-tlv", "0x10000", "x"), "16 bits"),
        (("--custom-tlv", "0xa0", "0x123"), "two hex digits"),
        (("--custom-tlv", "0xa0", "1", "--custom-tlv", "160", "2"), "twice"),
        (("--overwrite-only", "--swap-mode", "swap-move"), "exclude"),
        (("-S", "64"), "slot"),
        (("-e", "middle"), "middle"),
        (("--passphrase-env", "A", "--passphrase-file", "b"), "not both"),
        (("--boot-record", "more than twelve"), "12 characters"),
    ],
)
def test_a_wrong_option_is_a_usage_error_and_nothing_is_written(
    raw: Path, tmp_path: Path, smpdfu: Call, more: tuple[str, ...], word: str
) -> None:
    done = smpdfu("sign", *SLOT, *HEADER, *more, raw, tmp_path / "out.bin")
    assert done.code == 2, done
    assert word in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "out.bin").exists()


def test_sign_needs_a_place_to_write_to(raw: Path, tmp_path: Path, smpdfu: Call) -> None:
    out = tmp_path / "out.bin"
    assert smpdfu("sign", *SLOT, *HEADER, raw).code == 2
    assert smpdfu("sign", *SLOT, *HEADER, raw, out, "-o", out).code == 2
    assert smpdfu("sign", *SLOT, *HEADER, raw, "-o", out).code == 0


@pytest.mark.parametrize(
    ("more", "limit"),
    [
        (("--swap-mode", "swap-scratch"), 0x20000 - 432),
        (("--swap-mode", "swap-scratch", "--align", "4"), 0x20000 - 1584),
        (("--swap-mode", "swap-move", "--align", "4"), 0x20000 - 8192),
        (("--swap-mode", "swap-move", "--align", "4", "--sector-size", "0x4000"), 0x20000 - 0x8000),
        (("--swap-mode", "overwrite-only"), 0x20000 - 40),
        (("--overwrite-only",), 0x20000 - 40),
    ],
)
def test_an_image_may_fill_what_the_bootloader_leaves_and_no_byte_more(
    tmp_path: Path, smpdfu: Call, more: tuple[str, ...], limit: int, firmware: MakeFirmware
) -> None:
    source, out = tmp_path / "app.bin", tmp_path / "out.bin"
    overhead = HEADER_SIZE + 4 + 36  # header, TLV info, SHA256
    source.write_bytes(firmware(limit - overhead))
    assert smpdfu("sign", *SLOT, *HEADER, *more, source, out).code == 0
    assert out.stat().st_size == limit
    out.unlink()
    source.write_bytes(firmware(limit - overhead + 1))
    done = smpdfu("sign", *SLOT, *HEADER, *more, source, out)
    assert done.code == 3
    assert f"takes {limit}" in done.sentence
    assert not out.exists()


def test_an_image_that_only_some_bootloaders_take_is_warned_about(
    tmp_path: Path, smpdfu: Call, firmware: MakeFirmware
) -> None:
    source = tmp_path / "app.bin"
    source.write_bytes(firmware(0x20000 - 6000))
    where = ("--slot-address", "0xc000")
    done = smpdfu("sign", "--json", *SLOT, *HEADER, *where, source, tmp_path / "out.bin")
    assert done.code == 0
    assert [one["code"] for one in done.document["warnings"]] == ["large-for-swap-move"]
    assert "warning: " in done.err
    told = smpdfu("sign", *SLOT, *HEADER, *where, "--swap-mode", "swap-scratch", source, tmp_path / "out.bin")
    assert told.err == ""


@dataclass(frozen=True)
class Linked:
    """Firmware by its reset vector, as .hex at ``base`` or as .bin, signed with some options: is it warned about?

    ``room``: the file begins with zeros in place of the header.
    """

    base: int | None
    reset: int
    options: str
    warned: bool
    room: bool = False


LINKED = (
    Linked(LINKED_AT, 0xC3A0, "", warned=False),
    Linked(None, 0xC3A0, "", warned=False),
    Linked(0, 0x1A0, "", warned=True),  # linked for the bootloader's place
    Linked(None, 0x1A0, "", warned=True),
    Linked(0x0100_0000, 0x0100_01A0, "", warned=True),  # the same on the network core
    Linked(0x0100_8A00, 0x0100_8BA0, "", warned=False),
    Linked(0x0100_2800, 0x0100_29A0, "", warned=False),  # behind a small b0n
    Linked(None, 0x0100_29A0, "--slot-address 0x01002800", warned=False),  # without the header, as it lies in flash
    Linked(None, 0x0100_2880, "--slot-address 0x01002800", warned=False),
    Linked(None, 0x0100_29A0, "--slot-address 0x01008800", warned=True),
    Linked(None, 0x0100_29A0, "-F 0x01002800", warned=False),
    Linked(None, 0xC3A0, "--slot-address 0xc000", warned=False),
    Linked(None, 0xC3A0, "--slot-address 0x86000", warned=True),
    Linked(None, 0xC1A0, "--slot-address 0xc000", warned=True),  # into the header
    Linked(LINKED_AT, 0xC3A0, "--slot-address 0x86000", warned=True),
    Linked(None, 0xC3A0, "-F 0xc000", warned=False),
    Linked(None, 0xC3A0, "-F 0x10000", warned=True),
    Linked(None, 0x2000_13A0, "-L 0x20001000", warned=False),
    Linked(LINKED_AT, 0xC3A0, "-x 0x86000", warned=False),  # where it is programmed to, not where it runs
    Linked(0xC000, 0xC3A0, "", warned=False, room=True),
    Linked(0xC000, 0xC1A0, "", warned=True, room=True),
    Linked(None, 0xC3A0, "--slot-address 0xc000", warned=False, room=True),
    Linked(None, 0xC3A0, "--slot-address 0x86000", warned=True, room=True),
    Linked(0, 0x1A0, "--no-link-check", warned=False),
    Linked(None, 0xC3A0, "--slot-address 0x86000 --no-link-check", warned=False),
)


@pytest.mark.parametrize("case", LINKED, ids=str)
def test_firmware_linked_for_another_place_is_noticed(
    case: Linked, out: Path, smpdfu: Call, firmware: MakeFirmware, write_hex: WriteHex
) -> None:
    source = out.with_name("app.bin" if case.base is None else "app.hex")
    data = bytes(HEADER_SIZE if case.room else 0) + firmware(reset=case.reset)
    if case.base is None:
        source.write_bytes(data)
    else:
        write_hex(source, (case.base, data))
    header = [word for word in HEADER if word != "--pad-header" or not case.room]
    done = smpdfu("sign", "--json", *SLOT, *header, *case.options.split(), source, out)
    assert done.code == 0, done.err
    found = [one["code"] for one in done.document["warnings"] if one["code"] != "no-load-address"]
    assert found == ["linked-elsewhere"] * case.warned
    assert len(done.err.splitlines()) == len(done.document["warnings"]) <= 1


def test_the_lowest_handler_tells_where_firmware_begins(out: Path, smpdfu: Call, firmware: MakeFirmware) -> None:
    code = bytearray(firmware(reset=0x9000))
    code[8:12] = (0x1A1).to_bytes(4, "little")
    source = out.with_name("app.bin")
    source.write_bytes(code)
    assert "linked" in smpdfu("sign", *SLOT, *HEADER, source, out).err


def test_the_samples_are_not_linked_for_slots(sample_hex: Path, tmp_path: Path, smpdfu: Call) -> None:
    whole = IntelHex(str(sample_hex))
    for base in (0, 0x0100_0000):
        source, out = tmp_path / f"{base}.bin", tmp_path / "out.bin"
        source.write_bytes(whole[base : base + 0x40000].tobinstr())
        done = smpdfu("sign", "-H", "0x200", "--pad-header", "-S", "0x40000", "-v", "1", source, out)
        assert done.code == 0
        assert "linked" in done.err


def test_an_image_is_not_signed_twice(signed: Path, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    done = smpdfu("sign", "-k", keys.signing, *SLOT, *HEADER, signed, tmp_path / "twice.bin")
    assert done.code == 3
    assert "already" in done.sentence
    assert not (tmp_path / "twice.bin").exists()


# --- verify ---------------------------------------------------------------------------------------------------------

VERDICT_FIELDS = [
    *("file", "verdict", "accepted", "version", "size_bytes", "hash", "encrypted"),
    *("signature_checked", "key", "refusals", "unchecked", "warnings"),
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
    assert "not checked in full" in people.out
    assert "right, by" in people.out
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
    assert "another key" in done.sentence
    assert (done.out + done.err).count("signed by another key") == 1
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
