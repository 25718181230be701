"""What people hand over by mistake: each time one sentence, its exit code, no traceback, no half file."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

LAYOUT = ("-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3")
TLV_INFO = 0x200 + 5000


def nothing_is_left(out: Path) -> bool:
    return list(out.parent.iterdir()) == []


# --- files that are something else ----------------------------------------------------------------------------------


def archive(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, data in members.items():
            made.writestr(name.replace("_", "."), data)
    return target.getvalue()


SECURE_DFU = json.dumps({"manifest": {"application": {"bin_file": "a.bin", "dat_file": "a.dat"}}}).encode()
PACKAGE = json.dumps({"format-version": 1, "files": []}).encode()
ELSE = {
    "empty": (b"", "is empty"),
    "elf": (b"\x7fELF" + bytes(100), "ELF"),
    "uf2": (bytes.fromhex("5546320a57515d9e") + bytes(504), "UF2"),
    "secure dfu zip": (archive(manifest_json=SECURE_DFU), "Secure DFU"),
    "dfu_application.zip": (archive(manifest_json=PACKAGE), "dfu_application.zip"),
    "other zip": (archive(readme_txt=b"hello"), "zip"),
    "cut zip": (archive(readme_txt=b"hello")[:40], "zip"),
    "key": (b"-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n", "key"),
    "broken hex": (b":0400000000000000FC\n:0400040000000000FF\n", "hex"),
    "hex without data": (b":00000001FF\n", "without data"),
}


@pytest.mark.parametrize("what", ELSE)
def test_what_is_no_firmware_is_named(tmp_path: Path, out: Path, smpdfu: Call, our_imgtool: Call, what: str) -> None:
    data, word = ELSE[what]
    path = tmp_path / "handed-over.bin"
    path.write_bytes(data)
    fault = "manifest.json lists 0 files" if what == "dfu_application.zip" else word  # verify reads a package
    for outcome, named in ((smpdfu("sign", *LAYOUT, path, out), word), (smpdfu("verify", path), fault)):
        sentence = outcome.refused()
        assert named.lower() in sentence.lower()
        assert (str(path) if named is word else path.name) in sentence
    assert our_imgtool("sign", *LAYOUT, path, out).code == 2
    assert our_imgtool("verify", path).code in (1, 2)
    assert nothing_is_left(out)


@pytest.mark.parametrize("data", [b"what is this?" * 40, bytes(5000), b"\xff" * 5000, b"\x3d\xb8\xf3", b"\n"])
def test_verify_says_that_it_is_no_image(tmp_path: Path, smpdfu: Call, data: bytes) -> None:
    path = tmp_path / "noise.bin"
    path.write_bytes(data)
    assert "header" in smpdfu("verify", path).refused()


def test_unsigned_firmware_is_no_image(raw: Path, smpdfu: Call) -> None:
    assert "not an MCUboot header" in smpdfu("verify", raw).refused()


@pytest.mark.parametrize("name", ["app.hex", "app.bin"])
def test_hex_and_bin_under_the_wrong_name(tmp_path: Path, raw: Path, out: Path, smpdfu: Call, name: str) -> None:
    path = tmp_path / name
    if name == "app.hex":
        path.write_bytes(raw.read_bytes())
        assert "not Intel HEX" in smpdfu("sign", *LAYOUT, path, out).refused()
        assert nothing_is_left(out)
        return
    path.write_bytes(b":020000040000FA\n:0400000001020304F2\n:00000001FF\n")
    assert smpdfu("sign", *LAYOUT, "--any-input", path, out).code == 0
    assert out.read_bytes()[0x200:0x204] == b"\1\2\3\4"


def test_a_merged_hex_is_not_one_image(sample_hex: Path, out: Path, smpdfu: Call) -> None:
    refused = smpdfu("sign", *LAYOUT, sample_hex, out)
    assert "one image cannot hold both" in refused.refused()
    assert "`smpdfu package --merged`" in refused.err
    assert nothing_is_left(out)


CUTS = (1, 3, 4, 31, 32, 33, 0x1FF, 0x200, 0x201, 0x500, TLV_INFO - 1, *range(TLV_INFO, TLV_INFO + 150, 7))


def test_an_image_cut_anywhere_is_said_to_be_cut(signed: Path, keys: Keys, smpdfu: Call) -> None:
    whole = signed.read_bytes()
    cuts = [size for size in CUTS if size < len(whole)] + [len(whole) - 1]
    assert len(cuts) > 25
    for size in cuts:
        signed.write_bytes(whole[:size])
        sentence = smpdfu("verify", "-k", keys.signing, signed).refused()
        assert str(signed) in sentence, (size, sentence)
        assert smpdfu("inspect", signed).code == (3 if size >= 4 else 0)  # shorter ones could be anything
    signed.write_bytes(whole)
    assert smpdfu("verify", "-k", keys.signing, signed).code == 0


@pytest.mark.parametrize("command", ["sign", "verify", "inspect", "getpub", "keyinfo"])
def test_a_file_that_is_not_there(tmp_path: Path, out: Path, smpdfu: Call, command: str) -> None:
    missing = tmp_path / "missing"
    words = {"sign": (*LAYOUT, missing, out), "getpub": ("-k", missing), "keyinfo": ("-k", missing)}
    sentence = smpdfu(command, *words.get(command, (missing,))).refused()
    assert "missing" in sentence
    assert nothing_is_left(out)


def test_a_folder_is_no_file(tmp_path: Path, out: Path, smpdfu: Call) -> None:
    for outcome in (smpdfu("sign", *LAYOUT, tmp_path, out), smpdfu("verify", tmp_path), smpdfu("inspect", tmp_path)):
        assert str(tmp_path) in outcome.refused()
    assert nothing_is_left(out)


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"", "empty"),
        (b"hello", "PEM"),
        (b"\x30\x81\x87\x02\x01\x00", "DER"),
        (b"-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----\n", "damaged"),
        (b"-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n", "key"),
    ],
)
def test_a_bad_key_file(raw: Path, out: Path, smpdfu: Call, text: bytes, word: str) -> None:
    key = raw.with_name("bad.pem")
    key.write_bytes(text)
    for outcome in (
        smpdfu("sign", "-k", key, *LAYOUT, raw, out),
        smpdfu("sign", "-E", key, *LAYOUT, raw, out),
        smpdfu("getpub", "-k", key),
    ):
        sentence = outcome.refused()
        assert str(key) in sentence
        assert word in sentence
    assert nothing_is_left(out)


def test_a_public_key_cannot_sign_or_decrypt(raw: Path, signed: Path, keys: Keys, out: Path, smpdfu: Call) -> None:
    for outcome in (
        smpdfu("sign", "-k", keys.signing_public, *LAYOUT, raw, out),
        smpdfu("verify", "--enc-key", keys.encryption_public, signed),
        smpdfu("getpriv", "-k", keys.signing_public),
    ):
        assert "public key" in outcome.refused()
    assert nothing_is_left(out)


def test_a_key_that_only_encrypts_cannot_sign(raw: Path, signed: Path, out: Path, smpdfu: Call) -> None:
    key = raw.with_name("x25519.pem")
    assert smpdfu("keygen", "-t", "x25519", "-k", key).code == 0
    assert "cannot sign" in smpdfu("sign", "-k", key, *LAYOUT, raw, out).refused()
    assert "cannot verify" in smpdfu("verify", "-k", key, signed).refused()
    assert nothing_is_left(out)


def test_a_protected_key_without_its_passphrase(
    raw: Path, keys: Keys, out: Path, smpdfu: Call, our_imgtool: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, empty = raw.with_name("secret"), raw.with_name("empty")
    secret.write_text("wrong horse\n")
    empty.write_text("")
    monkeypatch.setenv("WRONG_SECRET", "wrong horse")
    monkeypatch.delenv("NO_SECRET", raising=False)
    for more in (
        (),
        ("--passphrase-env", "NO_SECRET"),
        ("--passphrase-env", "WRONG_SECRET"),
        ("--passphrase-file", secret),
        ("--passphrase-file", empty),
        ("--passphrase-file", raw.with_name("missing")),
    ):
        for outcome, code in (
            (smpdfu("sign", "-k", keys.protected, *more, *LAYOUT, raw, out), 3),
            (our_imgtool("sign", "-k", keys.protected, *more, *LAYOUT, raw, out), 1),
        ):
            sentence = outcome.refused(code)
            assert "passphrase" in sentence
            assert "wrong horse" not in outcome.err + outcome.out
    assert nothing_is_left(out)


def test_a_new_key_needs_a_passphrase_that_is_one(
    tmp_path: Path, out: Path, smpdfu: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY_SECRET", "")
    assert "empty" in smpdfu("keygen", "-k", out, "--passphrase-env", "EMPTY_SECRET").refused()
    assert "terminal" in smpdfu("keygen", "-k", out, "-p").refused()
    assert nothing_is_left(out)


def test_an_unexpected_failure_does_not_show_the_passphrase(
    raw: Path, keys: Keys, out: Path, smpdfu: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", keys.passphrase)
    monkeypatch.setattr("smpdfu.image.signing.order.sign", lambda _: 1 / 0)
    done = smpdfu("sign", "-k", keys.protected, "--passphrase-env", "THE_SECRET", *LAYOUT, raw, out)
    assert done.code == 1
    assert keys.passphrase not in done.err + done.out
