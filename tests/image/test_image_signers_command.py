"""``cmd:`` keys, by real programs: openssl, and scripts that do everything wrong."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smpdfu.errors import KeyFileError, SignatureError, SigningError, SmpdfuError
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import KINDS, PrivateKey, generate
from smpdfu.image.signers import Surroundings, open_signer, process
from smpdfu.image.signers.process import readable
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.verification.verify import verify
from tests.processes import is_there

SPEC = ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=0x20000, pad_header=True)

Script = Callable[[str], str]
"""``cmd:`` URI of a Python script with this body, without its options."""


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def make(body: str) -> str:
        file = tmp_path / "signer.py"
        file.write_text(f"import os, sys, time, subprocess\nfrom base64 import b64encode\n{body}\n")
        return f"cmd:'{sys.executable}' -I '{file}'"

    return make


def with_public(uri: str, key: PrivateKey, tmp_path: Path, *more: str) -> str:
    file = tmp_path / "its.pub.pem"
    file.write_bytes(key.to_pem())
    return "&".join((f"{uri}?pub={file}", *more))


# --- programs that sign ---------------------------------------------------------------------------------------------

_PSS = "-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32 -pkeyopt rsa_mgf1_md:sha256"
OPENSSL = {
    "ecdsa-p256": "-pkeyopt digest:sha256",
    "ecdsa-p384": "-pkeyopt digest:sha384",
    "rsa-2048": f"-pkeyopt digest:sha256 {_PSS}",
    "rsa-3072": f"-pkeyopt digest:sha256 {_PSS}",
}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("kind", OPENSSL)
def test_openssl_signs(kind: str, firmware: bytes, tmp_path: Path) -> None:
    key, file = generate(kind), tmp_path / "its key.pem"
    file.write_bytes(key.to_private_pem())
    uri = f"cmd:openssl pkeyutl -sign -inkey '{file}' {OPENSSL[kind]}"
    image = build(SPEC, firmware, open_signer(with_public(uri, key, tmp_path)))
    assert verify(image, [key.public]).accepted


_SIGN = """
from smpdfu.image.keys.keys import load_private
key = load_private({pem!r})
data = sys.stdin.buffer.read()
signature = key.sign_digest(data)
"""


def signing(key: PrivateKey, rest: str) -> str:
    root = str(Path(__file__).parents[2])
    return f"sys.path.insert(0, {root!r})" + _SIGN.format(pem=key.to_private_pem()) + rest


ANSWERS = {
    "bare": "sys.stdout.buffer.write(signature)",
    "base64": "print(b64encode(signature).decode())",
    "base64-lines": "t = b64encode(signature).decode(); print(t[:20]); print(t[20:])",
}


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.algorithm])
def test_every_kind_of_key(kind: str, firmware: bytes, script: Script, tmp_path: Path) -> None:
    key = generate(kind)
    uri = with_public(script(signing(key, ANSWERS["bare"])), key, tmp_path)
    assert verify(build(SPEC, firmware, open_signer(uri)), [key.public]).accepted


@pytest.mark.parametrize("answer", ANSWERS)
def test_forms_of_a_signature(answer: str, script: Script, tmp_path: Path, signing_key: PrivateKey) -> None:
    uri = with_public(script(signing(signing_key, ANSWERS[answer])), signing_key, tmp_path)
    assert open_signer(uri).sign_digest(bytes(32)) == signing_key.sign_digest(bytes(32))


def test_two_numbers_as_tokens_give_them(script: Script, tmp_path: Path, signing_key: PrivateKey) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    both = decode_dss_signature(signing_key.sign_digest(bytes(32)))
    raw = b"".join(number.to_bytes(32, "big") for number in both)
    uri = with_public(script(f"sys.stdout.buffer.write({raw!r})"), signing_key, tmp_path)
    assert open_signer(uri).sign_digest(bytes(32)) == signing_key.sign_digest(bytes(32))


def test_the_program_is_told_what_is_wanted(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_VAULT", "vault-1")
    key, heard = generate("ed25519"), tmp_path / "heard"
    body = signing(
        key,
        f"open({str(heard)!r}, 'a').write(' '.join(os.environ.get(n, '-') for n in "
        "('OUR_VAULT', 'SMPDFU_KEY_TYPE', 'SMPDFU_INPUT', 'SMPDFU_DIGEST')) + f' {len(data)}\\n')\n" + ANSWERS["bare"],
    )
    signer = open_signer(with_public(script(body), key, tmp_path))
    signer.sign_digest(bytes(64))
    assert signer.sign_message(bytes(100_000)) == key.sign_message(bytes(100_000))
    assert heard.read_text() == "vault-1 ed25519 digest sha512 64\nvault-1 ed25519 message - 100000\n"


def test_words_are_not_read_by_a_shell(tmp_path: Path, script: Script, signing_key: PrivateKey) -> None:
    marker = tmp_path / "marker"
    words = [";", "touch", str(marker), "$HOME", "a b?c=d"]
    body = signing(signing_key, f"assert sys.argv[1:] == {words!r}, sys.argv\n")
    uri = script(body + ANSWERS["bare"]) + f" ; touch {marker} $HOME 'a b?c=d'"
    assert open_signer(with_public(uri, signing_key, tmp_path)).sign_digest(bytes(32))
    assert not marker.exists()


def test_what_it_says_is_handed_on(script: Script, tmp_path: Path, signing_key: PrivateKey) -> None:
    said: list[str] = []
    body = signing(signing_key, "print('touch the \\x1b[31mkey\\x1b[0m now', file=sys.stderr)\n" + ANSWERS["bare"])
    uri = with_public(script(body), signing_key, tmp_path)
    open_signer(uri, Surroundings(tell=said.append)).sign_digest(bytes(32))
    assert "".join(said) == "touch the key now\n"


# --- programs that do not -------------------------------------------------------------------------------------------

FAULTS = {
    "exit code": ("sys.exit(3)", "failed with exit code 3$"),
    "exit code and reason": ("sys.exit('the vault is sealed')", "failed with exit code 1: the vault is sealed$"),
    "killed": ("os.kill(os.getpid(), 9)", "was stopped by signal 9"),
    "nothing": ("", "wrote no signature to stdout"),
    "no signature": ("print('hello')", "gave 6 bytes that are not a signature by its ecdsa-p256 public key"),
    "zeros": ("sys.stdout.buffer.write(bytes(72))", "gave 72 bytes that are not a signature"),
    "too much": ("sys.stdout.buffer.write(bytes(1 << 22)); time.sleep(600)", "wrote more than 16384 bytes"),
    "without end": ("while True: sys.stdout.buffer.write(bytes(1 << 16))", "wrote more than 16384 bytes"),
    "much on stderr": ("sys.exit('x' * 1_000_000)", "failed with exit code 1: x{400}$"),
    "hangs": ("time.sleep(600)", "did not sign within 1 s and was stopped$"),
    "hangs with children": ("subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])", "did not sign"),
    "closes stdout and hangs": ("os.close(1); time.sleep(600)", "did not sign within 1 s"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_program_that_does_not_sign(fault: str, script: Script, tmp_path: Path, signing_key: PrivateKey) -> None:
    body, sentence = FAULTS[fault]
    uri = with_public(script(body), signing_key, tmp_path, *(("timeout=1",) if "hangs" in fault else ()))
    with pytest.raises(SigningError, match=f"^the program .*{sentence}") as caught:
        open_signer(uri).sign_digest(bytes(32))
    assert "signer.py" not in str(caught.value), "the arguments may hold what is not for a log"


def test_a_program_that_leaves_another_behind(
    script: Script, tmp_path: Path, signing_key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_S", 0.1)
    body = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'], start_new_session=True)"
    with pytest.raises(SigningError, match="left a program running that still holds its output"):
        open_signer(with_public(script(body), signing_key, tmp_path)).sign_digest(bytes(32))


def test_the_children_of_a_program_that_is_stopped_end_with_it(
    script: Script, tmp_path: Path, signing_key: PrivateKey
) -> None:
    file = tmp_path / "child"
    child = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    body = (
        f"subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"while not os.path.exists({str(file)!r}) or not open({str(file)!r}).read(): time.sleep(0.01)\n"
        "while True: sys.stdout.buffer.write(bytes(1 << 16))"
    )
    with pytest.raises(SigningError, match="wrote more than"):
        open_signer(with_public(script(body), signing_key, tmp_path)).sign_digest(bytes(32))
    number = int(file.read_text())
    while is_there(number):
        time.sleep(0.01)


def test_the_signature_of_another_key(script: Script, firmware: bytes, tmp_path: Path, signing_key: PrivateKey) -> None:
    uri = with_public(script(signing(generate("ecdsa-p256"), ANSWERS["bare"])), signing_key, tmp_path)
    with pytest.raises(SignatureError, match="The key is another one, or signs in another way"):
        build(SPEC, firmware, open_signer(uri))


def test_the_signature_of_something_else(
    script: Script, firmware: bytes, tmp_path: Path, signing_key: PrivateKey
) -> None:
    elsewhere = signing_key.sign_digest(bytes(32))
    uri = with_public(script(f"sys.stdout.buffer.write({elsewhere!r})"), signing_key, tmp_path)
    with pytest.raises(SignatureError, match="not a signature by its"):
        build(SPEC, firmware, open_signer(uri))


# --- URIs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("cmd:", "names no program"),
        ("cmd:  ", "names no program"),
        ("cmd:sign 'it", "cannot be split into words: No closing quotation"),
        ("cmd:/no/such/program?pub=PUB", "the program /no/such/program cannot be started: No such file"),
        ("cmd:/?pub=PUB", "cannot be started: Permission denied"),
        ("cmd:sign", r"public key of the program sign is not known: .*\?pub=FILE"),
        ("cmd:sign?pub=/no/such.pem", "cannot read the key file /no/such.pem"),
        ("cmd:sign?pub=PRIVATE", "holds a private key"),
        ("cmd:sign?pub=X25519", "of type x25519, which cannot sign"),
        ("cmd:sign?pub=PUB&timeout=0", "timeout '0' of the cmd: URI must be 1 to 3600 seconds"),
        ("cmd:sign?pub=PUB&timeout=soon", "must be 1 to 3600"),
        ("cmd:sign?pub=PUB&timeout=99999999999999", "must be 1 to 3600"),
        ("cmd:sign\0?pub=PUB", "cannot be started: embedded null byte"),
    ],
)
def test_bad_uris(uri: str, sentence: str, tmp_path: Path, keys_dir: Path) -> None:
    other = tmp_path / "x25519.pem"
    other.write_bytes(generate("x25519").to_pem())
    files = {"X25519": other, "PRIVATE": keys_dir / "dev-sign-p256.pem", "PUB": keys_dir / "dev-sign-p256.pub.pem"}
    for name, file in files.items():
        uri = uri.replace(name, str(file))
    with pytest.raises(SmpdfuError, match=sentence) as caught:
        open_signer(uri).sign_digest(bytes(32))
    assert isinstance(caught.value, KeyFileError)


def test_what_steers_a_terminal_is_not_shown() -> None:
    assert readable(b"a\x1b[2Jb\x07c\r\n\x9bd\xff") == "abc \n\ufffdd\ufffd"
