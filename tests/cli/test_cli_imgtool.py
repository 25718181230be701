"""``smpdfu-imgtool`` beside the real imgtool: verify, exit codes, what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from intelhex import IntelHex

from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

SIGN = ("sign", "-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3")


# --- verify ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(imgtool: Call, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that imgtool signed."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "raw.bin").write_bytes(bytes(range(256)) * 16)
    out = folder / "image.bin"
    assert imgtool(*SIGN, "-k", keys.signing, folder / "raw.bin", out).code == 0
    return out


Damage = Callable[[bytes], bytes]


def flip(at: int) -> Damage:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


TLV_INFO = 0x200 + 4096
DAMAGES: dict[str, Damage] = {
    "none": lambda data: data,
    "payload": flip(0x300),
    "header": flip(0x18),
    "magic": flip(0),
    "TLV magic": flip(TLV_INFO),
    "hash": flip(TLV_INFO + 4 + 4 + 5),
    "signature": flip(-3),
}


@pytest.mark.parametrize("key", ["", "signing", "signing_public", "other", "p384", "ed25519", "rsa"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_says_what_imgtool_says(
    image: Path, keys: Keys, kinds: dict[str, tuple[Path, Path]], tmp_path: Path, imgtool: Call, our_imgtool: Call,
    damage: str, key: str,
) -> None:  # fmt: skip
    others = {"p384": kinds["ecdsa-p384"][1], "ed25519": kinds["ed25519"][1], "rsa": kinds["rsa-2048"][1]}
    with_key = () if not key else ("-k", others.get(key) or getattr(keys, key))
    damaged = tmp_path / "image.bin"
    damaged.write_bytes(DAMAGES[damage](image.read_bytes()))
    theirs, ours = imgtool("verify", *with_key, damaged), our_imgtool("verify", *with_key, damaged)
    assert (ours.code, ours.out) == (theirs.code, theirs.out)


def test_verify_reads_hex(image: Path, keys: Keys, tmp_path: Path, imgtool: Call, our_imgtool: Call) -> None:
    path = tmp_path / "image.hex"
    memory = IntelHex()
    memory.puts(0xC000, image.read_bytes())
    memory.write_hex_file(str(path))
    theirs, ours = (program("verify", "-k", keys.signing, path) for program in (imgtool, our_imgtool))
    assert (ours.code, ours.out) == (theirs.code, theirs.out) == (0, theirs.out)


def test_an_encrypted_image_is_as_invalid_as_imgtool_says(
    keys: Keys, image: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call
) -> None:
    out = tmp_path / "out.bin"
    source = image.with_name("raw.bin")
    assert our_imgtool(*SIGN, "-k", keys.signing, "-E", keys.encryption_public, source, out).code == 0
    theirs, ours = imgtool("verify", out), our_imgtool("verify", out)
    assert (ours.code, ours.out) == (theirs.code, theirs.out)


def test_a_cut_image_is_a_sentence_and_not_a_traceback(image: Path, tmp_path: Path, our_imgtool: Call) -> None:
    cut = tmp_path / "cut.bin"
    for size in (0, 1, 31, 32, 0x1FF, 0x300, TLV_INFO + 2, TLV_INFO + 20, image.stat().st_size - 1):
        cut.write_bytes(image.read_bytes()[:size])
        done = our_imgtool("verify", cut)
        assert done.code in (1, 2), size
        assert done.sentence
        assert len(done.err.splitlines()) == 1


# --- exit codes -----------------------------------------------------------------------------------------------------

# What imgtool refuses with a sentence, and its exit code; {raw}, {key}... are files.
REFUSED = (
    "",
    "--nonsense",
    "nonsense",
    "sign",
    "sign {raw}",
    "sign -H 16 -S 0x20000 -v 1 {raw} {out}",
    "sign -H 0x200 -S 0x20000 -v 1 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1.x {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 01.2 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 {raw}.missing {out}",
    "sign -H 0x200 --pad-header -S 0x1000 -v 1 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 --align 3 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 --max-align 4 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 -s never {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 -d 1,2 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 -R 1 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 -L 1 -F 1 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 --custom-tlv 0x10 x {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 --custom-tlv 0xa0 0x1 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 --custom-tlv 0xa0 x --custom-tlv 160 y {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 --encrypt-keylen 192 {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 -k {public} {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 -x zero {raw} {out}",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 {raw} {out}.hex",
    "sign -H 0x200 --pad-header -S 0x20000 -v 1 --boot-record thirteen_letters {raw} {out}",
    "verify {raw}.missing",
    "verify",
    "keygen -k {out}",
    "keygen -t rot13 -k {out}",
    "keygen -t ecdsa-p256",
    "getpub",
    "getpub -k {key} -e lang-go",
    "getpub -k {key} -e pem -l c",
    "getpub -k {key} -e pem --name-suffix x",
    "getpub -k {key} --name-suffix a-b",
    "getpubhash -k {key} -e raw --name-suffix x",
    "getpubhash -k {key} -e pem",
    "getpriv -k {key} -f raw",
    "keyinfo -k {public} --require private",
    "keyinfo -k {protected}",
)  # fmt: skip
# Commands that imgtool begins by asking on a terminal; without one it gives up with another code.
ASKS = {"keygen -k {out}"}


@pytest.mark.parametrize("line", REFUSED)
def test_what_imgtool_refuses_is_refused_with_its_code(
    image: Path, keys: Keys, tmp_path: Path, imgtool: Call, our_imgtool: Call, line: str
) -> None:
    files = {
        "raw": image.with_name("raw.bin"),
        "out": tmp_path / "out",
        "key": keys.signing,
        "public": keys.signing_public,
        "protected": keys.protected,
    }
    words = [word.format_map(files) for word in line.split()]
    ours = our_imgtool(*words)
    assert ours.code == 2
    assert ours.err.splitlines()[-1].startswith("Error: ") or not words
    assert list(tmp_path.iterdir()) == []
    if line not in ASKS:
        assert imgtool(*words).code == 2


# Where imgtool ends in a traceback, or does harm and says nothing.
HARM = (
    "-v 256.0.0",
    "-v 1.2.65536",
    "-H 0x10000",
    "-s 0x100000000",
    "-d (256,1.0)",
    "-L 0x100000000",
    "-k {raw}",
    "-k {raw}.missing",
    "-k {protected}",
    "--align 32 --max-align 8",
    "--custom-tlv 0xa0 0xzz",
    "--custom-tlv 0x9f x",
    "--overwrite-only -S 4680",  # fits imgtool's limit, and not the bootloader's
    "-E {enc} -H 0x34",  # the bootloader would decrypt it wrongly
)


@pytest.mark.parametrize("more", HARM)
def test_where_imgtool_stumbles_we_say_a_sentence(
    image: Path, keys: Keys, tmp_path: Path, our_imgtool: Call, more: str
) -> None:
    source = image.with_name("raw.bin")
    files = {"raw": source, "protected": keys.protected, "enc": keys.encryption_public}
    done = our_imgtool(*SIGN, *more.format_map(files).split(), source, tmp_path / "out")
    assert done.code in (1, 2), done
    assert done.err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_options_at_imgtools_defaults_are_taken(image: Path, tmp_path: Path, our_imgtool: Call) -> None:
    words = (
        "--public-key-format",
        "hash",
        "--sha=auto",
        "--hmac-sha",
        "auto",
        "--compression",
        "disabled",
        "-e",
        "little",
    )
    assert our_imgtool(*SIGN, *words, image.with_name("raw.bin"), tmp_path / "out").code == 0


def test_create_is_sign(image: Path, tmp_path: Path, our_imgtool: Call) -> None:
    source = image.with_name("raw.bin")
    assert our_imgtool(*SIGN, source, tmp_path / "sign").code == 0
    assert our_imgtool("create", *SIGN[1:], source, tmp_path / "create").code == 0
    assert (tmp_path / "sign").read_bytes() == (tmp_path / "create").read_bytes()


def test_the_version_is_the_one_that_is_spoken(imgtool: Call, our_imgtool: Call) -> None:
    assert our_imgtool("version").out == imgtool("version").out


def test_help_lists_every_command_of_imgtool(imgtool: Call, our_imgtool: Call) -> None:
    from imgtool.main import imgtool as group

    done = our_imgtool("-h")
    assert done.code == 0
    assert all(name in done.out for name in group.commands)


def test_every_option_of_every_command_of_imgtool_is_known() -> None:
    from imgtool.main import imgtool as group

    from smpdfu.cli.imgtool.parser import parser_of

    for name, command in group.commands.items():
        ours = {option for action in parser_of(name)._actions for option in action.option_strings}
        theirs = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
        assert theirs <= ours, name


def test_an_option_takes_what_stands_behind_it(image: Path, tmp_path: Path, imgtool: Call, our_imgtool: Call) -> None:
    """A value that starts with ``-``, values tied to the option, flags in one word."""
    lines = (
        "--boot-record -x --custom-tlv 0xa0 -v -v1.2 -H 0x200 -S0x20000 --pad-header",
        "--custom-tlv=0xa0 --pad -v=1",
        "--custom-tlv 0xa0 = --vid=a=b --version 1.2.3 --header-size=64 --pad-header --slot-size=0o400000 -cR0",
        "-e little --dependencies=(0,1.2.3+4) -H32 -S 131072 -v 1 --pad-header -s-1",
        "-v 1 -H 32 -S 131072 --pad-header --",
    )
    source = image.with_name("raw.bin")
    for line in lines:
        found = []
        for name, program in (("theirs", imgtool), ("ours", our_imgtool)):
            done = program("sign", *line.split(), source, tmp_path / name)
            found.append((done.code != 0, (tmp_path / name).read_bytes() if done.code == 0 else b""))
        assert found[0] == found[1], line


def test_starting_up_imports_nothing_heavy() -> None:
    """A build calls this program for every image: what it needs is imported when it is needed."""
    words = ["sign", "-v", "1", "-S", "1", "in", "out"]
    code = f"import sys, smpdfu.cli.imgtool.commands as door; door.parse({words}); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S, env=environment)
    assert done.returncode == 0, done.stderr
    assert not {"typer", "rich", "cryptography", "intelhex", "cbor2", "asyncio"} & set(done.stdout.split())


def test_a_fault_of_ours_is_no_traceback(
    image: Path, tmp_path: Path, our_imgtool: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smpdfu.image.signing.order.sign", lambda _: 1 / 0)
    source = image.with_name("raw.bin")
    assert "ZeroDivisionError" in our_imgtool(*SIGN, source, tmp_path / "out").refused(1)
    monkeypatch.setenv("SMPDFU_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        our_imgtool(*SIGN, source, tmp_path / "out")
