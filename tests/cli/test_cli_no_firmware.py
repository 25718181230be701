"""Whole flash images, images in a row, text and noise: named for what they are; ``sign`` does not wrap them."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import cbor2
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys

SIGN = ("sign", "-S", "0x40000", "-H", "0x200", "--pad-header", "-v", "1.0.0")
BOOTLOADER = struct.pack("<16I", 0x2000_4000, *[0x201] * 15) + bytes(0xC000 - 64)


def contents(kind: str, signed: bytes) -> bytes:
    if kind == "whole flash":
        return BOOTLOADER + signed
    if kind == "dfu_multi_image.bin":
        head = cbor2.dumps({"img": [{"id": 0, "size": len(signed)}, {"id": 1, "size": len(signed)}]})
        return len(head).to_bytes(2, "little") + head + signed + signed
    return b"a letter to the editor\n" * 90 if kind == "text" else Random(5).randbytes(4096)


@pytest.mark.parametrize("kind", ["whole flash", "dfu_multi_image.bin", "text", "noise"])
def test_what_is_no_firmware_is_named(
    kind: str, signed: Path, keys: Keys, tmp_path: Path, smpdfu: Call, our_imgtool: Call
) -> None:
    path, out = tmp_path / "handed-over.bin", tmp_path / "out.bin"
    path.write_bytes(contents(kind, signed.read_bytes()))
    name = {"noise": "vector table"}.get(kind, kind)
    assert name in smpdfu(*SIGN, "-k", keys.signing, path, out).refused()
    assert not out.exists()
    named = smpdfu("inspect", path).out.replace("\n", " ")
    assert {"noise": "unknown"}.get(kind, kind) in named
    assert "`smpdfu sign` makes" not in named
    sentence = smpdfu("upload", path, "--to", "virtual:none").refused()
    assert "`smpdfu sign` does that" not in sentence
    assert {"noise": "unknown"}.get(kind, kind) in sentence
    for words in (("--any-input",), ("--non-bootable",)):
        assert smpdfu(*SIGN, *words, path, out).code == 0
    assert our_imgtool(*SIGN, path, out).code == 0, "imgtool signs anything"


@pytest.mark.parametrize("text", [b"hello\n", b"1.2.3", b"none yet"])
def test_a_few_bytes_of_text_are_not_signed(text: bytes, keys: Keys, tmp_path: Path, smpdfu: Call) -> None:
    path, out = tmp_path / "version.txt", tmp_path / "out.bin"
    path.write_bytes(text)
    assert "looks like text" in smpdfu(*SIGN, "-k", keys.signing, path, out).refused()
    assert not out.exists()


def test_a_hex_of_a_whole_flash_is_named(signed: Path, tmp_path: Path, smpdfu: Call) -> None:
    from smpdfu.image.files import Segment, encode_firmware

    path = tmp_path / "merged.hex"
    parts = (Segment(0, BOOTLOADER[:0x4000]), Segment(0xC000, signed.read_bytes()))
    path.write_bytes(encode_firmware(parts, path))
    assert "whole flash" in smpdfu(*SIGN, path, tmp_path / "out.bin").refused()
    assert "whole flash" in smpdfu("inspect", path).out.replace("\n", " ")
