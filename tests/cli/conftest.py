"""Command lines run inside the test process, and the files they need."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command line did: its exit code, what it wrote."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one error line."""
        lines = [line for line in self.err.splitlines() if line.lower().startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0][len("error: ") :]

    def refused(self, code: int = 3) -> str:
        """Assert that it was refused as it should be, without a traceback; the sentence."""
        assert self.code == code, self
        assert "Traceback" not in self.err + self.out
        return self.sentence


Call = Callable[..., Outcome]
"""A command line: ``call("sign", path, ...)``; arguments are made text."""


def call(entry: Callable[[], Any], program: str, arguments: tuple[object, ...]) -> Outcome:
    """Run ``entry`` as if ``program`` had been started with these arguments, stdin not being a terminal."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    kept, sys.argv = sys.argv, [program, *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            try:
                entry()
                code = 0
            except SystemExit as leave:
                code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    finally:
        sys.argv = kept
    buffer = out.detach()
    assert isinstance(buffer, io.BytesIO)
    return Outcome(code, buffer.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def smpdfu() -> Call:
    """``smpdfu`` in process; the tree of its commands, which takes longest, is made once."""
    from typer.main import get_command

    from smpdfu.cli.app import main, typer_app

    commands = get_command(typer_app.build_app())

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(typer_app, "build_app", lambda words: commands)
            main.run()

    return lambda *arguments: call(run, "smpdfu", arguments)


@pytest.fixture(scope="session")
def our_imgtool() -> Call:
    """``smpdfu-imgtool`` in process."""
    from smpdfu.cli.imgtool.commands import run

    return lambda *arguments: call(run, "smpdfu-imgtool", arguments)


@pytest.fixture(scope="session")
def imgtool() -> Call:
    """The real imgtool in process; a traceback of its own counts as exit code 1, as it does in a process."""
    from imgtool.keys.general import KeyClass
    from imgtool.main import imgtool as entry

    def run() -> None:
        KeyClass.emit_private.__defaults__ = (sys.stdout,)  # imgtool takes the stdout of when it was imported
        try:
            entry(prog_name="imgtool")
        except Exception as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.exit(1)

    return lambda *arguments: call(run, "imgtool", arguments)


@dataclass(frozen=True)
class Keys:
    """Key files of one kind each, all made by the real imgtool or by cryptography through it."""

    signing: Path
    signing_public: Path
    other: Path
    encryption: Path
    encryption_public: Path
    protected: Path
    passphrase: str = "correct horse"


@pytest.fixture(scope="session")
def keys(imgtool: Call, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """P-256 keys made by imgtool; ``protected`` is ``signing`` behind a passphrase."""
    from imgtool.keys import ECDSA256P1, load

    folder = tmp_path_factory.mktemp("keys")
    for name in ("signing", "other", "encryption"):
        assert imgtool("keygen", "-t", "ecdsa-p256", "-k", folder / f"{name}.pem").code == 0
        made = imgtool("getpub", "-k", folder / f"{name}.pem", "-e", "pem", "-o", folder / f"{name}.pub.pem")
        assert made.code == 0
    signing = load(str(folder / "signing.pem"))
    assert isinstance(signing, ECDSA256P1)
    signing.export_private(str(folder / "protected.pem"), Keys.passphrase.encode())
    return Keys(
        signing=folder / "signing.pem",
        signing_public=folder / "signing.pub.pem",
        other=folder / "other.pem",
        encryption=folder / "encryption.pem",
        encryption_public=folder / "encryption.pub.pem",
        protected=folder / "protected.pem",
    )


HEADER_SIZE = 0x200
LAYOUT = ("-H", hex(HEADER_SIZE), "--pad-header", "-S", "0x20000", "-v", "1.2.3+4")

MakeFirmware = Callable[..., bytes]
WriteHex = Callable[..., Path]


@pytest.fixture(scope="session")
def firmware() -> MakeFirmware:
    """``firmware(size, reset)``: a vector table, all handlers at ``reset`` (in a slot at 0xc000), bytes behind it."""

    def make(size: int = 5000, reset: int = 0xC3A0) -> bytes:
        table = (0x2000_1000).to_bytes(4, "little") + (reset | 1).to_bytes(4, "little") * 15
        return (table + bytes(index * 7 & 0xFF for index in range(size)))[:size]

    return make


@pytest.fixture(scope="session")
def write_hex() -> WriteHex:
    """``write_hex(path, (address, bytes), ...)``: an Intel HEX file, written by the intelhex package."""
    from intelhex import IntelHex

    def write(path: Path, *parts: tuple[int, bytes]) -> Path:
        memory = IntelHex()
        for address, data in parts:
            memory.puts(address, data)
        memory.write_hex_file(str(path))
        return path

    return write


@pytest.fixture
def raw(tmp_path: Path, firmware: MakeFirmware) -> Path:
    """``firmware()`` as .bin."""
    path = tmp_path / "app.bin"
    path.write_bytes(firmware())
    return path


@pytest.fixture
def signed(raw: Path, keys: Keys, smpdfu: Call) -> Path:
    """The same, signed with ``keys.signing`` for a slot of 128 KiB, the header of 0x200 bytes put before it."""
    path = raw.with_name("signed.bin")
    assert smpdfu("sign", "-k", keys.signing, *LAYOUT, raw, path).code == 0
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A place to write to, in a folder of its own: what is left there is easily seen."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "out.bin"


KINDS = ("ecdsa-p256", "ecdsa-p384", "ed25519", "x25519", "rsa-2048", "rsa-3072")


@pytest.fixture(scope="session")
def kinds(imgtool: Call, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """For every kind of key a private and a public key file: those of the vectors, for imgtool fails at some keys.

    Its ``getpriv --minimal`` takes the numbers of an RSA key for as long as they mostly are: one key in 26 is refused.
    """
    folder = tmp_path_factory.mktemp("kinds")
    pinned = json.loads((Path(__file__).parents[1] / "vectors" / "images.json").read_text())["keys"]
    made = {}
    for kind in KINDS:
        private, public = folder / f"{kind}.pem", folder / f"{kind}.pub.pem"
        private.write_text(pinned[kind.removeprefix("ecdsa-")])
        assert imgtool("getpub", "-k", private, "-e", "pem", "-o", public).code == 0
        made[kind] = private, public
    return made
