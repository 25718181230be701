"""The key commands of ``smpdfu-imgtool`` beside those of the real imgtool."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

KINDS = ("ecdsa-p256", "ecdsa-p384", "ed25519", "x25519", "rsa-2048", "rsa-3072")

PUBLIC = (
    ("getpub",),
    ("getpub", "-e", "lang-c"),
    ("getpub", "-e", "lang-rust"),
    ("getpub", "--encoding", "pem"),
    ("getpub", "-e", "raw"),
    ("getpub", "-l", "c"),
    ("getpub", "--lang", "rust"),
    ("getpub", "--name-suffix", "_2"),
    ("getpub", "-e", "lang-rust", "--name-suffix", "_two"),
    ("getpubhash",),
    ("getpubhash", "-e", "lang-c", "--name-suffix", "X"),
    ("getpubhash", "-e", "raw"),
    ("keyinfo",),
    ("keyinfo", "--require", "public"),
    ("keyinfo", "--require", "private"),
)
PRIVATE = (
    ("getpriv",),
    ("getpriv", "--minimal"),
    ("getpriv", "-f", "pkcs8"),
    ("getpriv", "-f", "openssl"),
    ("getpriv", "--minimal", "-f", "pkcs8"),
    ("getpriv", "--minimal", "--format", "openssl"),
)


# imgtool cannot shorten P-384 keys: test_a_p384_key_is_shortened_too. RSA keys of 3072 bits take long to load.
KEY_COMMANDS = [
    (kind, words)
    for kind in KINDS
    for words in PUBLIC + PRIVATE
    if (kind != "ecdsa-p384" or "--minimal" not in words)
    and (kind != "rsa-3072" or words in (("getpub",), ("getpriv", "--minimal")))
]


@pytest.mark.parametrize(
    ("kind", "words"), KEY_COMMANDS, ids=lambda value: value if value in KINDS else " ".join(value)
)
def test_key_commands_agree(
    kinds: dict[str, tuple[Path, Path]], imgtool: Call, our_imgtool: Call, kind: str, words: tuple[str, ...]
) -> None:
    for path in kinds[kind] if words in PUBLIC else kinds[kind][:1]:
        theirs, ours = imgtool(*words, "-k", path), our_imgtool(*words, "-k", path)
        assert (ours.code, ours.raw) == (theirs.code, theirs.raw)


def test_a_p384_key_is_shortened_too(kinds: dict[str, tuple[Path, Path]], our_imgtool: Call) -> None:
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    path = kinds["ecdsa-p384"][0]
    whole = load_pem_private_key(path.read_bytes(), None)
    for form in ("pkcs8", "openssl"):
        text = our_imgtool("getpriv", "--minimal", "-f", form, "-k", path).out
        body = text[text.index("{") + 1 : text.index("}")]
        short = load_der_private_key(
            bytes(int(byte, 16) for byte in body.replace("\n", "").split(",") if byte.strip()), None
        )
        assert short.public_key() == whole.public_key()


def test_outputs_are_the_same_files(keys: Keys, imgtool: Call, our_imgtool: Call, tmp_path: Path) -> None:
    for command, encoding in (("getpub", "lang-c"), ("getpub", "pem"), ("getpub", "raw"), ("getpubhash", "raw")):
        for program, name in ((imgtool, "theirs"), (our_imgtool, "ours")):
            done = program(command, "-k", keys.signing, "-e", encoding, "-o", tmp_path / name)
            assert (done.code, done.raw) == (0, b"")
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_each_reads_the_keys_of_the_other(
    kinds: dict[str, tuple[Path, Path]], imgtool: Call, our_imgtool: Call, tmp_path: Path, kind: str
) -> None:
    ours = tmp_path / "ours.pem"
    assert our_imgtool("keygen", "-t", kind, "-k", ours).code == 0
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    first = ours.read_text().splitlines()[0]
    assert first == kinds[kind][0].read_text().splitlines()[0] == "-----BEGIN PRIVATE KEY-----"
    assert imgtool("getpub", "-k", ours).raw == our_imgtool("getpub", "-k", ours).raw


def test_a_protected_key_of_each_opens_in_the_other(
    keys: Keys, our_imgtool: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgtool.keys import load

    monkeypatch.setenv("THE_SECRET", keys.passphrase)
    ours = tmp_path / "ours.pem"
    assert our_imgtool("keygen", "-t", "ecdsa-p256", "-p", "-k", ours, "--passphrase-env", "THE_SECRET").code == 0
    assert load(str(ours)) is None  # imgtool's way of saying that it needs the passphrase
    assert load(str(ours), keys.passphrase.encode()) is not None
    done = our_imgtool("getpub", "-k", keys.protected, "--passphrase-env", "THE_SECRET")
    assert done.out == our_imgtool("getpub", "-k", keys.signing).out


def test_a_key_is_never_replaced(keys: Keys, tmp_path: Path, our_imgtool: Call) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(keys.signing.read_bytes())
    done = our_imgtool("keygen", "-t", "ecdsa-p256", "-k", path)
    assert done.code == 1
    assert "--force" in done.sentence
    assert path.read_bytes() == keys.signing.read_bytes()
    assert our_imgtool("keygen", "-t", "ecdsa-p256", "-k", path, "--force").code == 0
    assert path.read_bytes() != keys.signing.read_bytes()
