"""``verify`` as a bootloader that remembers: versions, security counters; and what it says of encrypted images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3+4")
COUNTER_OFFSET = 0x200 + 5000 + 4


@pytest.mark.parametrize(
    ("current", "code", "word"),
    [
        ("1.2.2", None, ""),
        ("1.2.3", None, ""),
        ("1.2.3+4", None, ""),
        ("1.2.3+5", None, "build number"),
        ("1.2.4", "downgrade", "older than 1.2.4"),
        ("2.0.0", "downgrade", "older"),
        ("1.3.0+1", "downgrade", "older"),
    ],
)
def test_an_older_version_is_refused(
    signed: Path, keys: Keys, smpdfu: Call, current: str, code: str | None, word: str
) -> None:
    done = smpdfu("verify", "--json", signed, "-k", keys.signing, "--current-version", current)
    told = done.document
    assert done.code == (0 if code is None else 3)
    assert told["accepted"] is (code is None)
    assert [(one["code"], one["offset"]) for one in told["refusals"]] == ([] if code is None else [(code, 20)])
    assert word in "".join(one["message"] for one in told["refusals"] + told["warnings"])


@pytest.mark.parametrize(("own", "current", "good"), [(7, 7, True), (7, 6, True), (7, 8, False), (0, 1, False)])
def test_a_lower_security_counter_is_refused(
    raw: Path, keys: Keys, out: Path, smpdfu: Call, own: int, current: int, good: bool
) -> None:
    for endian in ("little", "big"):
        assert smpdfu("sign", "-k", keys.signing, *LAYOUT, "-e", endian, "-s", own, raw, out).code == 0
        done = smpdfu("verify", out, "-k", keys.signing, "--current-counter", current)
        if good:
            assert done.code == 0
        else:
            assert f"[byte 0x{COUNTER_OFFSET:x}]" in done.refused()


def test_an_image_without_a_counter_is_refused_where_one_is_wanted(signed: Path, keys: Keys, smpdfu: Call) -> None:
    sentence = smpdfu("verify", signed, "-k", keys.signing, "--current-counter", 0).refused()
    assert "no security counter" in sentence
    assert "sign -s" in sentence


@pytest.mark.parametrize(
    "words", [("--current-version", "1.x"), ("--current-counter", "-1"), ("--current-counter", "x")]
)
def test_what_cannot_be_compared_is_a_usage_error(signed: Path, smpdfu: Call, words: tuple[str, str]) -> None:
    assert smpdfu("verify", signed, *words).code == 2


def test_without_decryption_the_signature_of_an_encrypted_image_is_checked_over_its_hash(
    raw: Path, keys: Keys, out: Path, smpdfu: Call
) -> None:
    assert smpdfu("sign", "-k", keys.signing, "-E", keys.encryption_public, *LAYOUT, raw, out).code == 0
    done = smpdfu("verify", out, "-k", keys.signing)
    assert done.code == 0
    assert "over the hash in the image" in done.out
    whole = smpdfu("verify", out, "-k", keys.signing, "--enc-key", keys.encryption)
    assert whole.code == 0
    assert "valid, by" in whole.out
    wrong = smpdfu("verify", out, "-k", keys.signing, "--enc-key", keys.other)
    assert wrong.code == 3


def test_every_reason_is_told_at_once(raw: Path, keys: Keys, out: Path, smpdfu: Call) -> None:
    assert smpdfu("sign", "-k", keys.other, *LAYOUT, "-s", 1, raw, out).code == 0
    memory = ("--current-version", "2.0.0", "--current-counter", 9)
    told = smpdfu("verify", "--json", out, "-k", keys.signing, "--slot-size", "0x3000", *memory).document
    assert {one["code"] for one in told["refusals"]} == {"unknown-key", "too-large", "downgrade", "security-counter"}
