"""What ``smpdfu-imgtool`` says to what both programs refuse: imgtool's own sentence comes first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.keys.keys import PrivateKey, generate

if TYPE_CHECKING:
    from tests.cli.conftest import Call

SIGN = "sign -H 0x200 --pad-header -S 0x20000 -v 1.2.3"

# {raw}, {key}... are files. imgtool refuses each with a sentence of its own or of click's.
REFUSED = f"""
unknown
getpub
getpub -k
getpub -k {{key}} -e foo
getpub -k {{key}} -e pem -l c
getpub -k {{key}} -e raw --name-suffix _2
getpub -k {{key}} --name-suffix a+b
getpubhash -k {{key}} -e raw --name-suffix _2
getpubhash -k {{key}} --name-suffix a/b
keyinfo -k {{key}} --require public
keyinfo -k {{public}} --require private
keyinfo -k {{key}} --require both
keyinfo -k {{protected}}
sign
sign -q
sign -qx {{raw}}
sign --kex
sign --keyx=1 {{raw}}
sign --encryptt x
sign --custom-tl 1 2 {{raw}} {{out}}
sign -1
getpub --outpu x
sign {{raw}} {{out}} -H 32 -S 0x20000
sign {{raw}} {{out}} -H 32 -S many -v 1
sign {{raw}} {{out}} -H 31 -S 0x20000 -v 1
sign {{raw}} {{out}} -H 32 -S 0x20000 -v 1.x
sign {{raw}} {{out}} -H 32 -S 0x20000 -v 1
{SIGN} {{raw}}
{SIGN} {{raw}} {{out}} {{out}}
{SIGN} {{missing}} {{out}}
{SIGN} -k {{public}} {{raw}} {{out}}
{SIGN} -s much {{raw}} {{out}}
{SIGN} -d x {{raw}} {{out}}
{SIGN} -M x {{raw}} {{out}}
{SIGN} -R 3 {{raw}} {{out}}
{SIGN} --align 3 {{raw}} {{out}}
{SIGN} --pad=x {{raw}} {{out}}
{SIGN} --boot-record thirteenchars {{raw}} {{out}}
{SIGN} --custom-tlv 0xa0 0x123 {{raw}} {{out}}
{SIGN} --custom-tlv 0xa0 x --custom-tlv 160 y {{raw}} {{out}}
{SIGN} --custom-tlv 0x10 x {{raw}} {{out}}
{SIGN} --custom-tlv 0x50 x {{raw}} {{out}}
getpriv -k {{ed25519}}
getpriv -k {{rsa}} -f pkcs8
{SIGN} -L 0x1000 -F 0x2000 {{raw}} {{out}}
{SIGN} -k {{ed25519}} --pure --sha 512 {{raw}} {{out}}
{SIGN} -E {{key}} --hmac-sha 512 {{raw}} {{out}}
{SIGN} -k {{key}} --fix-sig {{signature}} {{raw}} {{out}}
{SIGN} {{raw}} {{hex}}
{SIGN} -S 0x1000 --align 8 {{raw}} {{out}}
verify {{missing}}
dumpinfo {{missing}}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("words")
    key: PrivateKey = generate("ecdsa-p256")
    contents = {
        "key": key.to_private_pem(),
        "public": key.to_pem(),
        "protected": key.to_private_pem(b"secret"),
        "ed25519": generate("ed25519").to_private_pem(),
        "rsa": generate("rsa-2048").to_private_pem(),
        "raw": bytes([1]) * 4096,
        "signature": b"AAAA",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in (*contents, "missing", "out", "hex")} | {"hex": folder / "out.hex"}


def last(text: str) -> str:
    """The sentence, without the help before it."""
    return text[text.rindex("Error: ") :].rstrip(".\n")


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_imgtools_sentence_comes_first(line: str, files: dict[str, Path], imgtool: Call, our_imgtool: Call) -> None:
    words = [word.format(**files) for word in line.split()]
    theirs, ours = imgtool(*words), our_imgtool(*words)
    assert ours.code == theirs.code == 2, (ours.err, theirs.err)
    assert last(ours.err).startswith(last(theirs.err))


# Where imgtool forgets to fill in what is allowed.
@pytest.mark.parametrize(
    "line",
    [
        f"{SIGN} --custom-tlv 0x9f x {{raw}} {{out}}",
        f"{SIGN} --custom-tlv 0xffff x {{raw}} {{out}}",
        f"{SIGN} -k {{key}} --sha 512 {{raw}} {{out}}",
        f"{SIGN} -k {{key}} --sha 384 {{raw}} {{out}}",
        f"{SIGN} -k {{rsa}} --sha 512 {{raw}} {{out}}",
        f"{SIGN} -k {{ed25519}} --sha 384 {{raw}} {{out}}",
    ],
)
def test_imgtools_sentence_comes_with_what_is_allowed(
    line: str, files: dict[str, Path], imgtool: Call, our_imgtool: Call
) -> None:
    words = [word.format(**files) for word in line.split()]
    theirs, ours = imgtool(*words), our_imgtool(*words)
    assert ours.code == theirs.code == 2, (ours.err, theirs.err)
    begin, placeholder, _ = last(theirs.err).partition("{")
    assert placeholder
    assert last(ours.err).startswith(begin)
    assert "{" not in last(ours.err)


def test_without_arguments_there_is_the_help_and_nothing_else(imgtool: Call, our_imgtool: Call) -> None:
    ours = our_imgtool()
    assert (ours.code, ours.err) == (2, our_imgtool("--help").out)


def test_a_public_key_is_named_public_only_as_imgtools_tests_want_it(files: dict[str, Path], our_imgtool: Call) -> None:
    done = our_imgtool(*SIGN.split(), "-k", files["public"], files["raw"], files["out"])
    assert "public-only" in done.refused(2)
