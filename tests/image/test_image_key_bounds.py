"""Key files that demand minutes, hex files that demand gigabytes, and what a program that signs must not learn."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smpdfu.errors import FormatError, KeyFileError
from smpdfu.image import hexfile
from smpdfu.image.files import MAX_KEY_BYTES, read_key_file
from smpdfu.image.keys import kdf
from smpdfu.image.keys.keys import PrivateKey, PublicKey, generate, load_key
from smpdfu.image.keys.pem_text import MAX_PEM_BLOCK_BYTES
from smpdfu.image.signers import Surroundings, open_signer, shown_key


def der(kind: int, value: bytes) -> bytes:
    size = len(value)
    head = bytes([size]) if size < 0x80 else (b"\x82" + size.to_bytes(2, "big"))
    return bytes([kind]) + head + value


def integer(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def pem(label: str, data: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(data) + f"-----END {label}-----\n".encode()


def rsa_key_of(bits: int) -> bytes:
    """PKCS#1 with numbers of that length: the checks of the reader are what costs."""
    half = (1 << bits // 2) - 1
    numbers = (0, half * half, 65537, half * half - 2, half, half, half - 1, half - 1, half - 2)
    return pem(
        "RSA PRIVATE KEY", b"\x30\x83" + (rest := b"".join(map(_long, numbers))).__len__().to_bytes(3, "big") + rest
    )


def _long(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02\x83" + len(data).to_bytes(3, "big") + data


def test_the_longest_key_of_mcuboot_and_longer_ones_are_read() -> None:
    assert isinstance(load_key(generate("rsa-3072").to_private_pem()), PrivateKey)
    long = rsa.generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyFileError, match="cannot use a key of type rsa-4096"):
        load_key(long)


@pytest.mark.parametrize("bits", [90_000, 16_384])
def test_an_rsa_key_that_takes_long_is_not_looked_at(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    path.write_bytes(rsa_key_of(bits))
    assert MAX_PEM_BLOCK_BYTES < path.stat().st_size < MAX_KEY_BYTES
    with pytest.raises(KeyFileError, match="the key has more than 8 KiB"):
        read_key_file(path)


@pytest.mark.parametrize("label", ["PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
@pytest.mark.parametrize("end", [True, False])
def test_no_block_may_be_longer(label: str, end: bool) -> None:
    text = pem(label, bytes(10_000))
    with pytest.raises(KeyFileError):
        load_key(text if end else text.partition(b"-----END")[0], b"x")


PBKDF2, PBES2 = bytes.fromhex("2a864886f70d01050c"), bytes.fromhex("2a864886f70d01050d")
SCRYPT, AES256 = bytes.fromhex("2b06010401da47040b"), bytes.fromhex("60864801650304012a")
SHA1_3DES = bytes.fromhex("2a864886f70d010c0103")


def protected(derivation: bytes) -> bytes:
    scheme = der(0x30, der(6, AES256) + der(4, bytes(16)))
    algorithm = der(0x30, der(6, PBES2) + der(0x30, derivation + scheme))
    return pem("ENCRYPTED PRIVATE KEY", der(0x30, algorithm + der(4, bytes(64))))


def pbkdf2(iterations: int) -> bytes:
    return protected(der(0x30, der(6, PBKDF2) + der(0x30, der(4, bytes(8)) + integer(iterations))))


def scrypt(cost: int, block: int = 8, parallel: int = 1) -> bytes:
    numbers = integer(cost) + integer(block) + integer(parallel)
    return protected(der(0x30, der(6, SCRYPT) + der(0x30, der(4, bytes(8)) + numbers)))


COSTLY = {
    "pbkdf2": pbkdf2(2**31 - 1),
    "pbkdf2, a large number": pbkdf2(2**300),
    "scrypt": scrypt(1 << 24),
    "scrypt, wide": scrypt(1 << 14, block=1 << 20),
    "scrypt, parallel": scrypt(1 << 14, parallel=1 << 20),
    "pkcs12": pem(
        "ENCRYPTED PRIVATE KEY",
        der(0x30, der(0x30, der(6, SHA1_3DES) + der(0x30, der(4, bytes(8)) + integer(2**31 - 1))) + der(4, bytes(64))),
    ),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_passphrase_that_takes_years_to_try_is_not_tried(name: str) -> None:
    with pytest.raises(KeyFileError, match="cannot be opened in reasonable time"):
        load_key(COSTLY[name], b"secret")


def test_what_others_write_is_opened() -> None:
    key = generate("ecdsa-p256")
    assert load_key(key.to_private_pem(b"secret"), b"secret").public_bytes == key.public_bytes
    for body in (pbkdf2(2048), pbkdf2(kdf.MAX_ITERATIONS), scrypt(1 << 14), scrypt(1 << 17)):
        assert not kdf.too_costly(body.split(b"-----")[2])
    for body in (
        b"",
        b"!",
        b"AAAA",
        base64.b64encode(b"\x30\x84\xff\xff\xff\xff"),
        base64.b64encode(b"\x30\x80" * 900),
    ):
        assert not kdf.too_costly(body)


def test_a_large_hex_file_out_of_the_ordinary_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = hexfile.encode((hexfile.Segment(0, bytes(2000)),))
    odd = b":020000020000FC\n" + lines  # an extended segment address
    assert hexfile.decode(odd) == hexfile.decode(lines)
    monkeypatch.setattr(hexfile, "MAX_ODD_BYTES", 1000)
    assert hexfile.decode(lines)
    with pytest.raises(FormatError, match="only if its records are in the usual form"):
        hexfile.decode(odd)


@pytest.mark.parametrize(("uri", "shown"), [
    ("keys/k.pem", "keys/k.pem"),
    ("cmd:/opt/sign --pin 1234?pub=p.pem", "cmd:/opt/sign ..."),
    ("CMD:'/opt/my sign' --pin 1234", "cmd:/opt/my sign ..."),
    ("cmd:sign?pub=p.pem&timeout=3", "cmd:sign"),
    ("cmd:", "cmd:"),
    ("cmd:'--pin 1234", "cmd:"),
    ("awskms:alias/x", "awskms:alias/x"),
])  # fmt: skip
def test_of_a_program_only_its_name_is_shown(uri: str, shown: str) -> None:
    assert shown_key(uri) == shown


def test_a_program_gets_no_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = generate("ed25519")
    (tmp_path / "k.pem").write_bytes(key.to_private_pem())
    (tmp_path / "pub.pem").write_bytes(key.to_pem())
    script = tmp_path / "signer.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\nfrom smpdfu.image.keys.keys import load_private\n"
        f"Path({str(tmp_path / 'seen')!r}).write_text(repr(sorted(os.environ)))\n"
        f"key = load_private(Path({str(tmp_path / 'k.pem')!r}).read_bytes())\n"
        "sys.stdout.buffer.write(key.sign_digest(sys.stdin.buffer.read()))\n"
    )
    monkeypatch.setenv("RELEASE_PW", "secret")
    monkeypatch.setenv("OTHER", "harmless")
    uri = f"cmd:'{sys.executable}' '{script}'?pub={tmp_path / 'pub.pem'}"
    signer = open_signer(uri, Surroundings(withheld=("RELEASE_PW",)))
    PublicKey(key.kind, key.public.raw).verify_digest(signer.sign_digest(bytes(32)), bytes(32))
    seen = (tmp_path / "seen").read_text()
    assert ("RELEASE_PW" in seen, "OTHER" in seen, "SMPDFU_DIGEST" in seen) == (False, True, True)
