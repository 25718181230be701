"""The key commands of ``smpdfu``, and passphrases."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

SLOT = ("-S", "0x20000")
HEADER = ("-H", "0x200", "--pad-header", "-v", "1.2.3+4")
HEADER_SIZE = 0x200
LINKED_AT = 0xC200


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_key_is_for_its_owner_and_never_replaced(tmp_path: Path, smpdfu: Call) -> None:
    path = tmp_path / "new.pem"
    done = smpdfu("keygen", "--json", "-k", path)
    told = done.document
    assert (done.code, told["type"], told["holds"], told["protected"]) == (0, "ecdsa-p256", "private", False)
    assert mode(path) == 0o600
    before = path.read_bytes()
    again = smpdfu("keygen", "-k", path)
    assert again.code == 3
    assert "--force" in again.sentence
    assert path.read_bytes() == before
    assert smpdfu("keygen", "-k", path, "--force").code == 0
    assert path.read_bytes() != before
    assert mode(path) == 0o600


def test_a_key_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, smpdfu: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.pem"
    path.write_text("somebody was faster")
    monkeypatch.setattr(Path, "exists", lambda _: False)
    done = smpdfu("keygen", "-k", path)
    monkeypatch.undo()
    assert done.code == 3
    assert path.read_text() == "somebody was faster"
    assert list(tmp_path.iterdir()) == [path]


def test_a_wide_umask_does_not_open_a_key(tmp_path: Path, smpdfu: Call) -> None:
    before = os.umask(0)
    try:
        assert smpdfu("keygen", "-k", tmp_path / "new.pem").code == 0
    finally:
        os.umask(before)
    assert mode(tmp_path / "new.pem") == 0o600


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ed25519", "x25519", "rsa-2048"])
def test_every_kind_of_key_is_made_and_told(tmp_path: Path, smpdfu: Call, kind: str) -> None:
    path, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    assert smpdfu("keygen", "-t", kind, "-k", path).code == 0
    assert smpdfu("getpub", "-k", path, "-e", "pem", "-o", public).code == 0
    private, half = (smpdfu("keyinfo", "--json", "-k", one).document for one in (path, public))
    assert (private["holds"], half["holds"]) == ("private", "public")
    assert private["type"] == half["type"] == kind
    assert private["public_key_sha256"] == half["public_key_sha256"]


def test_keyinfo_can_require(keys: Keys, smpdfu: Call) -> None:
    assert smpdfu("keyinfo", "-k", keys.signing, "--require", "private").code == 0
    assert smpdfu("keyinfo", "-k", keys.signing_public, "--require", "private").code == 2


def test_an_unknown_kind_is_a_usage_error(tmp_path: Path, smpdfu: Call) -> None:
    assert smpdfu("keygen", "-t", "rot13", "-k", tmp_path / "key.pem").code == 2
    assert not (tmp_path / "key.pem").exists()


def test_getpub_says_the_same_in_json(keys: Keys, smpdfu: Call) -> None:
    text = smpdfu("getpub", "-k", keys.signing, "-e", "pem")
    told = smpdfu("getpub", "--json", "-k", keys.signing, "-e", "pem").document
    assert told == {"encoding": "pem", "output": None, "content": text.out}
    raw_bytes = smpdfu("getpub", "-k", keys.signing, "-e", "raw").raw
    told = smpdfu("getpub", "--json", "-k", keys.signing, "-e", "raw").document
    assert told["content"] == raw_bytes.hex()


def test_a_private_key_is_written_for_its_owner(keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    out = tmp_path / "priv.c"
    assert smpdfu("getpriv", "-k", keys.encryption, "--minimal", "-o", out).code == 0
    assert mode(out) == 0o600
    assert "enc_priv_key_len = 67" in out.read_text()


@pytest.mark.parametrize("how", ["env", "file"])
def test_a_passphrase_comes_from_a_variable_or_a_file(
    raw: Path, keys: Keys, tmp_path: Path, smpdfu: Call, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{keys.passphrase}\n")
    monkeypatch.setenv("THE_SECRET", keys.passphrase)
    source = ("--passphrase-env", "THE_SECRET") if how == "env" else ("--passphrase-file", secret)
    out = tmp_path / "out.bin"
    done = smpdfu("sign", "-k", keys.protected, *source, *SLOT, *HEADER, raw, out)
    assert done.code == 0, done.err
    assert smpdfu("verify", "-k", keys.signing_public, out).code == 0
    made = tmp_path / "made.pem"
    told = smpdfu("keygen", "--json", "-k", made, *source).document
    assert told["protected"]
    assert b"ENCRYPTED" in made.read_bytes()
    assert smpdfu("keyinfo", "-k", made, *source).code == 0
    assert smpdfu("keyinfo", "-k", made).code == 3


def test_two_private_files_are_not_one_key(keys: Keys, smpdfu: Call) -> None:
    told = [smpdfu("keyinfo", "--json", "-k", one).document for one in (keys.signing, keys.other)]
    assert told[0]["public_key_sha256"] != told[1]["public_key_sha256"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("getpub", "--name-suffix", "_2"), 0),
        (("getpub", "-e", "pem", "--name-suffix", "_2"), 2),
        (("getpub", "--name-suffix", "a-b"), 2),
        (("getpub", "-e", "pem", "-l", "c"), 2),
        (("getpubhash", "-e", "raw", "--name-suffix", "_2"), 2),
    ],
)
def test_names_belong_to_source_code(keys: Keys, smpdfu: Call, words: tuple[str, ...], code: int) -> None:
    done = smpdfu(*words, "-k", keys.signing)
    assert done.code == code
    assert ("ecdsa_pub_key_2_len = 91" in done.out) is (code == 0)
