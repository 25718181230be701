"""``pkcs11:`` keys, by a real SoftHSM2 token."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import KeyFileError, PassphraseError, SignatureError, SigningError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import generate
from smpdfu.image.signers import Surroundings, open_signer
from smpdfu.image.signing.build import ImageSpec, build, lay_out
from smpdfu.image.verification.verify import verify

if TYPE_CHECKING:
    from tests.soft_token import SoftToken

KINDS = ("ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072")
SPEC = ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=0x20000, pad_header=True)


@pytest.mark.parametrize("kind", KINDS)
def test_imgtool_accepts_what_the_token_signed(
    kind: str, soft_token: SoftToken, firmware: bytes, tmp_path: Path
) -> None:
    signer = open_signer(soft_token.uri(kind))
    assert signer.kind.name == kind
    assert signer.public_bytes == soft_token.keys[kind].public_bytes
    image = build(SPEC, firmware, signer)
    file = tmp_path / "signed.bin"
    file.write_bytes(lay_out(image, SPEC))
    assert verify(image, [soft_token.keys[kind].public]).accepted
    public = soft_token.public_file(kind, tmp_path)
    words = (sys.executable, "-m", "imgtool.main", "verify", "-k", str(public), str(file))
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Image was correctly validated" in done.stdout


def test_pure_signature(soft_token: SoftToken) -> None:
    message = bytes(range(256)) * 9
    signature = open_signer(soft_token.uri("ed25519")).sign_message(message)
    assert signature == soft_token.keys["ed25519"].sign_message(message)
    with pytest.raises(SigningError, match="cannot make pure signatures"):
        open_signer(soft_token.uri("ecdsa-p256")).sign_message(message)


# --- the right key --------------------------------------------------------------------------------------------------


def test_another_key_than_the_public_one_given_is_refused(soft_token: SoftToken, tmp_path: Path) -> None:
    public = soft_token.public_file("ecdsa-p256", tmp_path)
    assert open_signer(soft_token.uri("ecdsa-p256", pub=public)).kind.name == "ecdsa-p256"
    with pytest.raises(KeyFileError, match=r"is ecdsa-p384 [0-9a-f]{16}, and not the public key given, ecdsa-p256"):
        open_signer(soft_token.uri("ecdsa-p384", pub=public))
    with pytest.raises(KeyFileError, match="not the public key given"):
        open_signer(soft_token.uri("ed25519"), Surroundings(generate("ed25519").public))


def test_a_public_key_that_is_not_the_private_one_s_makes_no_image(soft_token: SoftToken, firmware: bytes) -> None:
    soft_token.bring_in(generate("ecdsa-p256"), "torn", 0x21, "--no-public-key")
    import pkcs11
    from pkcs11.util.ec import decode_ec_public_key

    other = decode_ec_public_key(generate("ecdsa-p256").public_bytes)
    with (
        pkcs11.lib(soft_token.module).get_token(token_label="release keys").open(rw=True, user_pin="739164") as session
    ):
        session.create_object(
            other | {pkcs11.Attribute.LABEL: "torn", pkcs11.Attribute.ID: b"\x21", pkcs11.Attribute.TOKEN: True}
        )
    with pytest.raises(SignatureError, match="not a signature by its ecdsa-p256 public key"):
        build(SPEC, firmware, open_signer(soft_token.uri("torn")))


def test_a_token_without_the_public_key(soft_token: SoftToken, tmp_path: Path) -> None:
    curve, rsa = generate("ecdsa-p256"), generate("rsa-2048")
    soft_token.bring_in(curve, "bare-curve", 0x31, "--no-public-key")
    soft_token.bring_in(rsa, "bare-rsa", 0x32, "--no-public-key")
    assert open_signer(soft_token.uri("bare-rsa")).public_bytes == rsa.public_bytes
    with pytest.raises(KeyFileError, match=r"public key of the key 'bare-curve' .* is not known.*\?pub=FILE"):
        open_signer(soft_token.uri("bare-curve"))
    file = tmp_path / "release.pub.pem"
    file.write_bytes(curve.to_pem())
    signer = open_signer(soft_token.uri("bare-curve", pub=file))
    curve.public.verify_digest(signer.sign_digest(bytes(32)), bytes(32))


def test_two_keys_of_one_name(soft_token: SoftToken) -> None:
    first, second = generate("ecdsa-p256"), generate("ecdsa-p256")
    soft_token.bring_in(first, "twin", 0x41)
    soft_token.bring_in(second, "twin", 0x42)
    with pytest.raises(KeyFileError, match=r"stands for 2 keys: choose one with id=%4[12], id=%4[12]"):
        open_signer(soft_token.uri("twin"))
    assert open_signer(soft_token.uri("twin;id=%42")).public_bytes == second.public_bytes


# --- PINs -----------------------------------------------------------------------------------------------------------


def test_a_pin_is_asked_for_when_nothing_says_where_it_is(soft_token: SoftToken) -> None:
    questions: list[str] = []

    def ask(question: str) -> bytes:
        questions.append(question)
        return b"739164"

    signer = open_signer(soft_token.uri("ed25519", pin_source=""), Surroundings(ask=ask))
    signer.sign_digest(bytes(32))
    signer.sign_digest(bytes(32))
    assert questions == ["PIN of the token 'release keys'"]


def test_a_pin_from_a_variable(soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_PIN", "739164")
    assert open_signer(soft_token.uri("ed25519", pin_source="env:RELEASE_PIN")).kind.name == "ed25519"
    monkeypatch.delenv("RELEASE_PIN")
    with pytest.raises(PassphraseError, match="RELEASE_PIN, which should hold the PIN, is not set"):
        open_signer(soft_token.uri("ed25519", pin_source="env:RELEASE_PIN"))


def test_a_wrong_pin_is_tried_once_and_never_shown(soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_PIN", "secret-4711")
    with pytest.raises(PassphraseError, match="smpdfu tried it once only") as caught:
        open_signer(soft_token.uri("ed25519", pin_source="env:RELEASE_PIN"))
    assert "4711" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert "739164" not in repr(open_signer(soft_token.uri("ed25519")))


def test_a_pin_that_is_no_text(soft_token: SoftToken, tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(PassphraseError, match="not UTF-8"):
        open_signer(soft_token.uri("ed25519", pin_source=file))


def test_nobody_to_ask(soft_token: SoftToken) -> None:
    with pytest.raises(KeyFileError, match="PIN of the token 'release keys' is needed"):
        open_signer(soft_token.uri("ed25519", pin_source=""))


# --- places that are not there --------------------------------------------------------------------------------------


def test_the_library_may_be_in_a_variable(soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = soft_token.uri("ed25519", module_path="")
    monkeypatch.delenv("PKCS11_MODULE_PATH", raising=False)
    with pytest.raises(KeyFileError, match=r"PKCS#11 library .*module-path=FILE, or set PKCS11_MODULE_PATH"):
        open_signer(uri)
    monkeypatch.setenv("PKCS11_MODULE_PATH", soft_token.module)
    assert open_signer(uri).kind.name == "ed25519"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("object=ed25519", "object=nothing"), r"'nothing' .* does not exist. Private keys on the token: .*'ed25519'"),
        (("release%20keys", "other"), "there is no such token. Tokens: 'release keys'"),
        (("token=release%20keys", "serial=00"), "no such token"),
        (("libsofthsm2.so", "libnothing.so"), "library .*libnothing.so cannot be used: cannot open"),
    ],
)
def test_what_is_not_there(soft_token: SoftToken, change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(KeyFileError, match=sentence):
        open_signer(soft_token.uri("ed25519").replace(*change))


def test_the_token_may_be_named_by_anything_that_is_unique(soft_token: SoftToken) -> None:
    by_model = soft_token.uri("ed25519").replace("token=release%20keys", "model=SoftHSM%20v2")
    by_nothing = soft_token.uri("ed25519").replace("token=release%20keys;", "")
    assert open_signer(by_model).public_bytes == open_signer(by_nothing).public_bytes


def test_two_tokens_of_one_name(soft_token: SoftToken, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    environment = os.environ | {"SOFTHSM2_CONF": str(configuration)}  # read once in a process: this takes another
    for _ in range(2):
        words = ("--init-token", "--free", "--label", "release keys", "--pin", "739164", "--so-pin", "84629173")
        subprocess.run(("softhsm2-util", *words), env=environment, check=True, capture_output=True)
    program = f"from smpdfu.image.signers import open_signer; open_signer({soft_token.uri('ed25519')!r})"
    done = subprocess.run((sys.executable, "-c", program), env=environment, capture_output=True, text=True)
    assert "is not one but several: 2 tokens fit" in done.stderr
    assert "add serial=" in done.stderr


def test_a_library_that_is_none(soft_token: SoftToken, tmp_path: Path) -> None:
    file = tmp_path / "libnone.so"
    file.write_bytes(b"not a library")
    with pytest.raises(KeyFileError, match=r"libnone\.so cannot be used"):
        open_signer(soft_token.uri("ed25519", module_path=file))
