"""Keys that stay where they are, from the command line: both doors, a real token, real programs."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.image.keys.keys import generate, load_key

if TYPE_CHECKING:
    from tests.cli.conftest import Call
    from tests.soft_token import SoftToken
else:
    Call = Any

SIGN = ("--version", "1.2.3", "-H", "0x200", "-S", "0x20000", "--pad-header", "--no-link-check")
IMGTOOL_SIGN = SIGN[:-1]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Firmware."""
    file = tmp_path / "app.bin"
    file.write_bytes(struct.pack("<II", 0x2000_4000, 0xC201) + bytes(range(256)) * 16)
    return file


def imgtool_accepts(public: Path, image: Path) -> bool:
    words = (sys.executable, "-m", "imgtool.main", "verify", "-k", str(public), str(image))
    done = subprocess.run(words, capture_output=True, text=True)
    return done.returncode == 0 and "Image was correctly validated" in done.stdout


# --- a token --------------------------------------------------------------------------------------------------------


def test_sign_with_a_token(smpdfu: Call, soft_token: SoftToken, app: Path, tmp_path: Path) -> None:
    uri, out = soft_token.uri("ecdsa-p256"), tmp_path / "out.bin"
    done = smpdfu("sign", app, out, "-k", uri, *SIGN, "--json")
    assert done.code == 0, done.err
    assert done.document["signature"] == "ecdsa-p256"
    public = soft_token.public_file("ecdsa-p256", tmp_path)
    assert imgtool_accepts(public, out)
    assert smpdfu("verify", out, "-k", public).code == 0
    assert smpdfu("verify", out, "-k", uri).code == 0
    assert smpdfu("verify", out, "-k", soft_token.uri("ed25519")).code == 3


def test_sign_with_a_token_by_imgtool_s_command_line(
    our_imgtool: Call, soft_token: SoftToken, app: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.hex"
    done = our_imgtool("sign", "-k", soft_token.uri("rsa-2048"), *IMGTOOL_SIGN, "-x", "0xc000", app, out)
    assert (done.code, done.out) == (0, "image.py: sign the payload\n"), done.err
    assert imgtool_accepts(soft_token.public_file("rsa-2048", tmp_path), out)


def test_package_with_a_token(smpdfu: Call, soft_token: SoftToken, sample_hex: Path, tmp_path: Path) -> None:
    out = tmp_path / "made"
    words = ("--merged", sample_hex, "--version", "1.2.3", "-k", soft_token.uri("ecdsa-p256"), "--no-link-check")
    done = smpdfu("package", *words, "-o", out)
    assert done.code == 0, done.err
    public = soft_token.public_file("ecdsa-p256", tmp_path)
    assert imgtool_accepts(public, out / "app_update.bin")


def test_the_public_half_of_a_token_s_key(smpdfu: Call, soft_token: SoftToken, tmp_path: Path) -> None:
    uri, file = soft_token.uri("ed25519"), tmp_path / "pub.pem"
    assert smpdfu("getpub", "-k", uri, "-e", "pem", "-o", file).code == 0
    assert load_key(file.read_bytes()).public_bytes == soft_token.keys["ed25519"].public_bytes
    told = smpdfu("keyinfo", "-k", uri, "--json").document
    assert (told["holds"], told["type"], told["protected"], told["known_as"]) == ("private", "ed25519", True, None)
    assert "the key of this URI cannot be read" in smpdfu("getpriv", "-k", uri).refused()


def test_a_pin_from_the_passphrase_options(
    smpdfu: Call, soft_token: SoftToken, app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, out = soft_token.uri("ecdsa-p256", pin_source=""), tmp_path / "out.bin"
    refused = smpdfu("sign", app, out, "-k", uri, *SIGN)
    assert "there is no terminal to ask on" in refused.refused()
    assert "--passphrase-env NAME" in refused.err
    monkeypatch.setenv("RELEASE_PIN", "secret-4711")
    wrong = smpdfu("sign", app, out, "-k", uri, *SIGN, "--passphrase-env", "RELEASE_PIN", "--json")
    assert "the PIN is wrong" in wrong.refused()
    assert "4711" not in wrong.err + wrong.out
    assert not out.exists()
    assert smpdfu("sign", app, out, "-k", uri, *SIGN, "--passphrase-file", soft_token.pin_file).code == 0


def test_the_wrong_key_of_a_token_makes_no_file(smpdfu: Call, soft_token: SoftToken, app: Path, tmp_path: Path) -> None:
    out, public = tmp_path / "out.bin", soft_token.public_file("ecdsa-p256", tmp_path)
    out.write_bytes(b"the release of last week")
    done = smpdfu("sign", app, out, "-k", soft_token.uri("ecdsa-p384", pub=public), *SIGN)
    assert "not the public key given" in done.refused()
    assert out.read_bytes() == b"the release of last week"


def test_debug_shows_no_pin(soft_token: SoftToken, app: Path, tmp_path: Path) -> None:
    uri = soft_token.uri("nothing", pin_source="env:RELEASE_PIN")
    words = (sys.executable, "-m", "smpdfu", "sign", str(app), str(tmp_path / "out.bin"), "-k", uri, *SIGN)
    import os

    environment = os.environ | {"SMPDFU_DEBUG": "1", "RELEASE_PIN": "739164"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 3
    assert "739164" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("uri", ["pkcs11:token=release;object=new", "cmd:sign", "awskms:alias/new"])
@pytest.mark.parametrize("door", ["smpdfu", "our_imgtool"])
def test_keygen_makes_no_file_of_a_uri(
    uri: str, door: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = request.getfixturevalue(door)("keygen", "-t", "ecdsa-p256", "-k", uri)
    assert "with the tools of its place" in done.refused(3 if door == "smpdfu" else 1)
    assert list(tmp_path.iterdir()) == []


# --- programs -------------------------------------------------------------------------------------------------------


def test_a_program_signs_and_what_it_says_is_seen(smpdfu: Call, app: Path, tmp_path: Path) -> None:
    key = generate("ecdsa-p256")
    secret, public, out = tmp_path / "secret.pem", tmp_path / "pub.pem", tmp_path / "out.bin"
    secret.write_bytes(key.to_private_pem())
    public.write_bytes(key.to_pem())
    script = tmp_path / "sign.sh"
    script.write_text(
        "#!/bin/sh\necho 'touch the key' >&2\nexec openssl pkeyutl -sign -inkey \"$1\" -pkeyopt digest:sha256\n"
    )
    script.chmod(0o755)
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    done = smpdfu("sign", app, out, "-k", f"cmd:{script} {secret}?pub={public}", *SIGN, "--json")
    assert done.code == 0, done.err
    assert "touch the key" in done.err
    assert imgtool_accepts(public, out)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("exit 7", "failed with exit code 7"),
        ("echo nonsense", "gave 9 bytes that are not a signature by its ecdsa-p256 public key"),
        ("echo sealed >&2; exit 1", "failed with exit code 1: sealed"),
    ],
)
def test_a_program_that_does_not_sign(
    body: str, sentence: str, smpdfu: Call, app: Path, tmp_path: Path, keys_dir: Path
) -> None:
    script, out = tmp_path / "sign.sh", tmp_path / "out.bin"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    out.write_bytes(b"the release of last week")
    uri = f"cmd:{script}?pub={keys_dir / 'dev-sign-p256.pub.pem'}"
    assert sentence in smpdfu("sign", app, out, "-k", uri, *SIGN).refused()
    assert out.read_bytes() == b"the release of last week"


# --- two passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"])
@pytest.mark.parametrize("door", ["smpdfu", "our_imgtool"])
def test_two_passes(kind: str, door: str, request: pytest.FixtureRequest, app: Path, tmp_path: Path) -> None:
    call, options = request.getfixturevalue(door), SIGN if door == "smpdfu" else IMGTOOL_SIGN
    key = generate(kind)
    public, vector, signature, out = (tmp_path / name for name in ("pub.pem", "digest", "signature", "out.bin"))
    public.write_bytes(key.to_pem())
    sha = () if kind != "ecdsa-p384" else ("--sha", "384")
    assert call("sign", *options, *sha, "--vector-to-sign", "digest", app, vector).code == 0
    signature.write_bytes(b64encode(key.sign_digest(vector.read_bytes())))
    fixed = ("--fix-sig", signature, "--fix-sig-pubkey", public)
    done = call("sign", *options, *fixed, app, out)
    assert done.code == 0, done.err
    assert imgtool_accepts(public, out)
    out.unlink()
    signature.write_bytes(b64encode(key.sign_digest(bytes(len(vector.read_bytes())))))
    refused = call("sign", *options, *fixed, app, out)
    assert "the given signature" in refused.refused(3 if door == "smpdfu" else 1)
    assert not out.exists()


# --- keys that everybody has ----------------------------------------------------------------------------------------


def test_a_known_key_is_a_warning_and_no_release(smpdfu: Call, app: Path, tmp_path: Path, keys_dir: Path) -> None:
    out, key, recipient = tmp_path / "out.bin", keys_dir / "dev-sign-p256.pem", keys_dir / "dev-encrypt-p256.pub.pem"
    done = smpdfu("sign", app, out, "-k", key, "-E", recipient, *SIGN, "--swap-mode", "swap-move", "--json")
    assert done.code == 0, done.err
    messages = [one["message"] for one in done.document["warnings"] if one["code"] == "known-key"]
    assert messages == [
        "the key that signs is smpdfu's development key dev-sign-p256: anybody can sign with it",
        "it is encrypted for smpdfu's development key dev-encrypt-p256: anybody can decrypt it",
    ]
    out.unlink()
    assert "so it cannot be released" in smpdfu("sign", app, out, "-k", key, *SIGN, "--release").refused()
    own = tmp_path / "own.pem"
    assert smpdfu("keygen", "-k", own, "-t", "ecdsa-p256").code == 0
    mixed = smpdfu("sign", app, out, "-k", own, "-E", recipient, *SIGN, "--release")
    assert "encrypted for smpdfu's development key" in mixed.refused()
    assert "has no signature, so it cannot be released" in smpdfu("sign", app, out, *SIGN, "--release").refused()
    assert not out.exists()
    assert smpdfu("sign", app, out, "-k", own, *SIGN, "--release").code == 0
    assert smpdfu("verify", out, "-k", own, "--release").code == 0


def test_verify_and_keyinfo_know_them_too(smpdfu: Call, app: Path, tmp_path: Path, keys_dir: Path) -> None:
    out, key = tmp_path / "out.bin", keys_dir / "dev-sign-p256.pem"
    assert smpdfu("sign", app, out, "-k", key, *SIGN).code == 0
    seen = smpdfu("verify", out)
    assert seen.code == 0
    assert "signed with smpdfu's development key dev-sign-p256: anybody can sign with it" in seen.err
    done = smpdfu("verify", out, "-k", key, "--release", "--json")
    assert done.code == 3
    assert "cannot be released" in json.loads(done.out)["error"]["message"]
    info = smpdfu("keyinfo", "-k", key, "--json")
    assert info.document["known_as"] == "smpdfu's development key dev-sign-p256"
    assert "which everybody has" in info.err


def test_no_package_for_customers_with_a_known_key(
    smpdfu: Call, sample_hex: Path, tmp_path: Path, keys_dir: Path
) -> None:
    words = ("--merged", sample_hex, "--version", "1.2.3", "-o", tmp_path / "made", "--no-link-check")
    refused = smpdfu("package", *words, "-k", keys_dir / "dev-sign-p256.pem", "--release")
    assert "cannot be released" in refused.refused()
    assert not (tmp_path / "made").exists()


def test_a_program_gets_no_passphrase_and_its_arguments_are_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smpdfu: Call
) -> None:
    key = generate("ed25519")
    (tmp_path / "k.pem").write_bytes(key.to_private_pem(b"secret"))
    (tmp_path / "pub.pem").write_bytes(key.to_pem())
    (tmp_path / "app.bin").write_bytes(struct.pack("<16I", 0x2000_4000, *[0x201] * 15) + bytes(1000))
    script = tmp_path / "signer.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\nfrom smpdfu.image.keys.keys import load_private\n"
        "assert 'RELEASE_PW' not in os.environ\n"
        f"key = load_private(Path({str(tmp_path / 'k.pem')!r}).read_bytes(), b'secret')\n"
        "sys.stdout.buffer.write(key.sign_digest(sys.stdin.buffer.read()))\n"
    )
    monkeypatch.setenv("RELEASE_PW", "secret")
    uri = f"cmd:'{sys.executable}' '{script}' --pin 8472?pub={tmp_path / 'pub.pem'}"
    keys = ("-k", uri, "--passphrase-env", "RELEASE_PW")
    layout = ("-v", "1.0.0", "-H", "0x200", "-S", "0x7a000", "--pad-header")
    sign = ("sign", *layout, *keys, str(tmp_path / "app.bin"), str(tmp_path / "out.bin"))
    for words in (sign, (*sign, "--json"), ("keyinfo", "-k", uri), ("keyinfo", "-k", uri, "--json")):
        done = smpdfu(*words)
        assert done.code == 0, done.err
        assert "8472" not in str(done)
