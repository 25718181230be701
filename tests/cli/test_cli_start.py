"""Starting: nothing slow is loaded before it is needed, and leaving: the exit code and all output get through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Keys

ROOT = Path(__file__).parent.parent.parent
LAYOUT = ("-H", "0x200", "--pad-header", "-S", "0x20000", "-v", "1.2.3")
# Runs a program and prints, at the very end, which modules it has loaded.
LOADED = """
import json, os, sys
real_exit = os._exit
def tell(code):
    sys.stderr.write(json.dumps(sorted(sys.modules)))
    sys.stderr.flush()
    real_exit(code)
os._exit = tell
from smpdfu.__main__ import {entry} as entry
try:
    entry()
finally:
    tell(0)
"""


def started(entry: str, *arguments: object, code: str | None = None) -> subprocess.CompletedProcess[str]:
    program = f"from smpdfu.__main__ import {entry} as entry; entry()" if code is None else code.format(entry=entry)
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def loaded(entry: str, *arguments: object) -> set[str]:
    done = started(entry, *arguments, code=LOADED)
    return set(json.loads(done.stderr.splitlines()[-1]))


SLOW = {"asyncio", "bleak", "cbor2", "imgtool", "intelhex", "pkcs11", "rich", "serial", "uuid", "yaml", "zipfile"}


def test_the_version_needs_next_to_nothing() -> None:
    assert not loaded("imgtool", "version") & (SLOW | {"cryptography", "typer", "hashlib", "smpdfu.image.format"})


def test_signing_loads_what_signs_and_no_more(raw: Path, keys: Keys, out: Path) -> None:
    found = loaded("imgtool", "sign", "-k", keys.signing, *LAYOUT, raw, out)
    assert out.exists()
    assert "cryptography" in found
    assert not found & (SLOW | {"typer", "smpdfu.dfu", "smpdfu.link", "smpdfu.virtual", "smpdfu.image.verify"})


def test_our_own_hex_needs_no_intelhex(raw: Path, out: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.hex", out.with_suffix(".hex")
    assert started("imgtool", "sign", *LAYOUT, "-x", "0xc000", raw, source).returncode == 0
    text = source.read_text()
    source.write_text(text.replace(text.splitlines()[1] + "\n", "", 1))  # no header any more: firmware again
    assert "intelhex" not in loaded("imgtool", "sign", *LAYOUT, source, target)


@pytest.mark.parametrize("entry", ["main", "imgtool"])
@pytest.mark.parametrize(
    ("words", "code"), [(("verify", "missing.bin"), (3, 2)), (("sign", "--bogus"), (2, 2)), (("--help",), (0, 0))]
)
def test_the_exit_code_gets_through(entry: str, words: tuple[str, ...], code: tuple[int, int]) -> None:
    done = started(entry, *words)
    assert done.returncode == code[entry == "imgtool"], done.stderr
    assert done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_all_that_is_said_gets_through() -> None:
    done = started("imgtool", "version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.5.0\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_that_nobody_takes_is_a_failure() -> None:
    program = "from smpdfu.__main__ import imgtool; imgtool()"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 1
