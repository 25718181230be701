"""What a command writes: never over a private key or its own input, never with more rights, never a wait for a pipe."""

from __future__ import annotations

import os
import stat
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.files import holds_private_key, write_file_atomic, write_files_atomic
from smpdfu.image.keys.keys import generate
from smpdfu.untrusted import files

if TYPE_CHECKING:
    from tests.cli.conftest import Call

posix = pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
LAYOUT = ("--version", "1.0.0", "--header-size", "0x200", "--slot-size", "0x7a000", "--pad-header", "--align", "4")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("k.pem", "k2.pem"):
        Path(name).write_bytes(generate("ecdsa-p256").to_private_pem())
    Path("enc.pem").write_bytes(generate("x25519").to_pem())
    Path("app.bin").write_bytes(struct.pack("<16I", 0x2000_4000, *[0x201] * 15) + bytes(4032))
    os.link("k.pem", "hard.pem")
    Path("soft.pem").symlink_to("k.pem")
    return tmp_path


COMMANDS = {
    "getpub": ("getpub", "-k", "k.pem", "-o", "{}"),
    "getpub another key": ("getpub", "-k", "k2.pem", "-o", "{}"),
    "getpub pem": ("getpub", "-k", "k.pem", "-e", "pem", "-o", "{}"),
    "getpubhash": ("getpubhash", "-k", "k.pem", "-o", "{}"),
    "getpriv": ("getpriv", "-k", "k.pem", "-o", "{}"),
    "sign": ("sign", *LAYOUT, "-k", "k.pem", "app.bin", "{}"),
    "sign without it": ("sign", *LAYOUT, "app.bin", "{}"),
    "sign -o": ("sign", *LAYOUT, "-k", "k.pem", "app.bin", "ok.bin", "-o", "{}"),
    "sig-out": ("sign", *LAYOUT, "-k", "k.pem", "app.bin", "ok.bin", "--sig-out", "{}"),
    "vector": ("sign", *LAYOUT, "--vector-to-sign", "digest", "--fix-sig-pubkey", "k.pem", "app.bin", "{}"),
}


@posix
@pytest.mark.parametrize("name", ["k.pem", "./k.pem", "hard.pem", "soft.pem"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_private_key_is_never_overwritten(here: Path, command: str, name: str, smpdfu: Call) -> None:
    before = Path("k.pem").read_bytes()
    refused = smpdfu(*(word.format(name) for word in COMMANDS[command]))
    assert "--force" in refused.refused(3)
    assert Path("k.pem").read_bytes() == before
    assert not Path("ok.bin").exists()


@pytest.mark.parametrize("command", [one for one in COMMANDS if "sign" not in one or one == "sign"])
def test_force_replaces_it(here: Path, command: str, smpdfu: Call) -> None:
    before = Path("k.pem").read_bytes()
    done = smpdfu(*(word.format("k.pem") for word in COMMANDS[command]), "--force")
    assert done.code == 0, done.err
    assert Path("k.pem").read_bytes() != before


@pytest.mark.parametrize(
    "words",
    [
        ("getpub", "-k", "k.pem", "-o", "k.pem"),
        ("getpubhash", "-k", "k.pem", "-o", "k.pem"),
        ("sign", *LAYOUT, "-k", "k.pem", "app.bin", "k.pem"),
        ("sign", *LAYOUT, "-k", "k.pem", "app.bin", "ok.bin", "--sig-out", "k.pem"),
    ],
)
def test_the_other_door_keeps_them_too(here: Path, words: tuple[str, ...], our_imgtool: Call) -> None:
    before = Path("k.pem").read_bytes()
    assert "k.pem holds a private key" in our_imgtool(*words).refused(1)
    assert Path("k.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("sign", *LAYOUT, "app.bin", "app.bin"), "app.bin"),
        (("sign", *LAYOUT, "-E", "enc.pem", "app.bin", "enc.pem"), "enc.pem"),
        (("sign", *LAYOUT, "--custom-tlv-file", "0xa0", "enc.pem", "app.bin", "enc.pem"), "enc.pem"),
        (("getpub", "-k", "enc.pem", "-o", "enc.pem"), "enc.pem"),
        (("package", "--app", "app.bin", "-v", "1.0.0", "-k", "k.pem", "-o", "."), "app_update.bin"),
    ],
)
def test_no_output_is_an_input(here: Path, words: tuple[str, ...], name: str, smpdfu: Call) -> None:
    if words[0] == "package":
        Path("app.bin").rename(name)
        words = tuple(name if word == "app.bin" else word for word in words)
    before = Path(name).read_bytes()
    assert f"{name} is an input of this command" in smpdfu(*words).refused(3)
    assert Path(name).read_bytes() == before
    done = smpdfu(*words, "--force")
    assert done.code == 0, done.err
    assert Path(name).read_bytes() != before


def test_what_is_a_private_key(tmp_path: Path) -> None:
    path = tmp_path / "file"
    key = generate("ecdsa-p256")
    for text in (key.to_private_pem(), key.to_private_pem(b"secret"), b"for people\n" + key.to_private_pem()):
        path.write_bytes(text.replace(b"\n", b"\r\n"))
        assert holds_private_key(path)
        with pytest.raises(Exception, match="holds a private key"):
            write_files_atomic({tmp_path / "other": b"", path: b""})
        assert os.listdir(tmp_path) == ["file"]
    for text in (key.to_pem(), b"", b"-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0" + bytes(99)):
        path.write_bytes(text)  # the last: firmware with mbedTLS in it
        assert not holds_private_key(path)


@posix
@pytest.mark.parametrize(("before", "wanted", "after"), [
    (0o600, 0o644, 0o600), (0o640, 0o644, 0o640), (0o644, 0o600, 0o600), (0o666, 0o644, 0o644), (0o400, 0o644, 0o400),
])  # fmt: skip
def test_an_output_keeps_the_stricter_mode(tmp_path: Path, before: int, wanted: int, after: int) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(before)
    (tmp_path / "link").symlink_to(path)
    for name in ("out", "link"):
        write_file_atomic(tmp_path / name, b"new", mode=wanted)
        assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (after, b"new")


@posix
@pytest.mark.parametrize("words", [
    ("sign", *LAYOUT, "-k", "k.pem", "app.bin", "out"),
    ("getpub", "-k", "k.pem", "-o", "out"),
    ("getpriv", "-k", "k.pem", "-o", "out"),
])  # fmt: skip
def test_every_command_keeps_it(here: Path, words: tuple[str, ...], smpdfu: Call) -> None:
    Path("out").touch(0o600)
    assert smpdfu(*words).code == 0
    assert stat.S_IMODE(Path("out").stat().st_mode) == 0o600
    assert Path("out").stat().st_size > 0


PIPES = {
    "verify": ("verify", "pipe"),
    "inspect": ("inspect", "pipe"),
    "sign": ("sign", *LAYOUT, "pipe", "out.bin"),
    "sign to": ("sign", *LAYOUT, "app.bin", "pipe"),
    "key": ("sign", *LAYOUT, "-k", "pipe", "app.bin", "out.bin"),
    "encrypt": ("sign", *LAYOUT, "-E", "pipe", "app.bin", "out.bin"),
    "passphrase": ("sign", *LAYOUT, "-k", "k.pem", "--passphrase-file", "pipe", "app.bin", "out.bin"),
    "keyinfo": ("keyinfo", "-k", "pipe"),
    "tlv": ("sign", *LAYOUT, "--custom-tlv-file", "0xa0", "pipe", "app.bin", "out.bin"),
    "manifest": ("sign", *LAYOUT, "--manifest", "pipe", "app.bin", "out.bin"),
    "fix-sig": ("sign", *LAYOUT, "--fix-sig", "pipe", "--fix-sig-pubkey", "k.pem", "app.bin", "out.bin"),
    "package": ("package", "--app", "pipe", "-v", "1.0.0", "-k", "k.pem", "-o", "out"),
    "update": ("update", "pipe", "--to", "virtual:none", "--plan"),
    "upload": ("upload", "pipe", "--to", "virtual:none"),
    "fleet": ("fleet", "status", "pipe"),
    "fs upload": ("fs", "upload", "pipe", "/lfs1/x", "--to", "virtual:none"),
    "log": ("list", "--to", "virtual:none", "--log", "pipe"),
    "raw": ("raw", "64", "0", "--json-payload", "@pipe", "--to", "virtual:none"),
    "layout": ("virtual", "new", "x", "--layout", "pipe.yml"),
    "toml": ("list", "-c", "x"),
}


@posix
@pytest.mark.parametrize("command", PIPES)
def test_no_command_waits_for_a_pipe_that_nobody_writes_to(
    here: Path, command: str, smpdfu: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard this test never ends."""
    monkeypatch.setattr(files, "FIRST_BYTE_S", 0.05)
    os.mkfifo("pipe")
    os.link("pipe", "pipe.yml")
    if command == "passphrase":
        Path("k.pem").write_bytes(generate("ed25519").to_private_pem(b"secret"))
    if command == "toml":
        os.link("pipe", "smpdfu.toml")
    done = smpdfu(*PIPES[command])
    assert done.code in (2, 3, 4), done.err
    assert "pipe" in done.err or "its size is unknown" in done.err
