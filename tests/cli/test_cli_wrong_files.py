"""What people hand over by mistake: `inspect` says what it is and what to do, `verify` that it is no image."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Call, MakeFirmware, WriteHex


@dataclass(frozen=True)
class Wrong:
    """A wrong file: its bytes, its kind, a word of what to do; and whether it is a damaged one of its kind."""

    data: bytes
    kind: str
    todo: str
    fact: str = ""
    damaged: bool = False


def zipped(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, data in members.items():
            made.writestr(name.replace("_", "."), data)
    return target.getvalue()


# An init packet of hardware version 52, signed: fields 1 and 2 of the init command are fw_version and hw_version.
INIT = bytes.fromhex("0801 1208 0807 1034 1a02 8002".replace(" ", ""))
SIGNED = b"\x12" + bytes([len(INIT) + 6]) + b"\x0a" + bytes([len(INIT)]) + INIT + bytes.fromhex("1000 1a00")
ELF = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHII", 2, 40, 1, 0xC2A1) + bytes(40)
UF2 = struct.pack("<IIIIIIII", 0x0A324655, 0x9E5D5157, 0x2000, 0x26000, 256, 0, 3, 0xADA52840) + bytes(480)
SREC = b"S00600004844521B\nS2140C2000000000000000000000000000000000BF\nS9030000FC\n"
SUIT = b"\xd8\x6b\xa2\x02\x40\x03\x45\xa2\x01\x01\x02\x09"


def package(packet: bytes) -> bytes:
    """A Secure DFU zip of the nRF5 SDK."""
    manifest = {"manifest": {"application": {"bin_file": "app.bin", "dat_file": "app.dat"}}}
    return zipped(manifest_json=json.dumps(manifest).encode(), app_bin=bytes(100), app_dat=packet)


SUIT_MANIFEST = json.dumps({"format-version": 1, "files": [{"file": "root.suit"}]}).encode()
PACKAGE_MANIFEST = json.dumps({"format-version": 1, "files": [{"file": "app_update.bin"}]}).encode()
PC_PROGRAM = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQ", 3, 62, 1, 0x1040) + bytes(40)
HEX = b":0400000001020304F2\n:00000001FF\n"
NET_HEX = b":020000040100F9\n:0400000000100021CB\n:00000001FF\n"

WRONG = {
    "secure dfu zip": Wrong(package(SIGNED), "nrf5 secure dfu zip", "smpdfu secure-dfu show", "hardware version  52"),
    "secure dfu zip, its packet cut": Wrong(
        package(SIGNED[:9]), "nrf5 secure dfu zip", "smpdfu secure-dfu show", "cut off"
    ),
    "suit package": Wrong(zipped(manifest_json=SUIT_MANIFEST), "suit dfu zip", "dfu_application.zip"),
    "suit envelope": Wrong(SUIT, "suit envelope", "smpdfu sign", "sequence number   9"),
    "manifest without its zip": Wrong(PACKAGE_MANIFEST, "json", "the whole package", "app_update.bin"),
    "other json": Wrong(b'{"name": "x"}', "json", "description"),
    "broken json": Wrong(b'{"name": ', "json", "description", "not proper JSON"),
    "elf": Wrong(ELF, "elf", ".hex or .bin", "Arm"),
    "native_sim": Wrong(PC_PROGRAM, "elf", "native_sim", "x86-64"),
    "uf2": Wrong(UF2, "uf2", ".hex or .bin", "nRF52840"),
    "s-records": Wrong(SREC, "motorola s-record", "objcopy", "0xc2000"),
    "gzip": Wrong(gzip.compress(b"firmware", mtime=0), "compressed file", "Unpack"),
    "bzip2": Wrong(bz2.compress(b"firmware"), "compressed file", "Unpack"),
    "a zip of anything": Wrong(zipped(readme_txt=b"hello"), "zip", "dfu_application.zip"),
    "unsigned hex": Wrong(HEX, "intel hex", "smpdfu sign", "application core"),
    "unsigned hex of the network core": Wrong(NET_HEX, "intel hex", "smpdfu sign", "network core"),
    "hex of an stm32": Wrong(HEX.replace(b":04", b":020000040800F2\n:04"), "intel hex", "another chip", "neither core"),
    "hex with a wrong checksum": Wrong(HEX.replace(b"F2", b"F3"), "intel hex", "checksum", damaged=True),
    "hex that is cut off": Wrong(HEX[:20], "intel hex", "no end record", damaged=True),
    "hex with a damaged first line": Wrong(b":04000000010203\xc3\xa4\n", "text", "first line is damaged"),
    "public key": Wrong(
        b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "pem", "smpdfu key info", "public key"
    ),
    "certificate": Wrong(b"-----BEGIN CERTIFICATE-----\nAA==\n", "pem", "openssl x509", "a certificate"),
    "openssh private key": Wrong(b"-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n", "pem", "ssh-keygen", "OpenSSH"),
    "ssh public key": Wrong(b"ssh-ed25519 AAAA me@here\n", "ssh public key", "smpdfu key gen"),
    "der key": Wrong(b"\x30\x06\x02\x01\x00\x02\x01\x00", "der key or certificate", "openssl pkey"),
    "windows program": Wrong(b"MZ" + bytes(100), "program for a pc", "PC"),
    "login page": Wrong(b"<!DOCTYPE html><html><title>Sign in</title>", "web page", "Download the file again"),
    "git lfs pointer": Wrong(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pointer", "git lfs pull"),
    "linker map": Wrong(b"Memory Configuration\n\nName Origin Length\n" * 9, "text", "neither firmware nor a key"),
    "erased flash": Wrong(b"\xff" * 4096, "erased flash", "This part of the flash is empty"),
    "old image": Wrong(bytes.fromhex("3cb8f396") + bytes(60), "mcuboot image of the format before 1.1", "again"),
    "noise": Wrong(bytes(range(256)) * 4, "unknown", "encrypted"),
    "nothing": Wrong(b"", "empty", "The file is empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_inspect_says_what_it_is_and_what_to_do(tmp_path: Path, smpdfu: Call, name: str) -> None:
    wrong = WRONG[name]
    path = tmp_path / "handed-over.bin"
    path.write_bytes(wrong.data)
    done = smpdfu("inspect", "--json", path)
    assert done.document["kind"] == wrong.kind
    people = smpdfu("inspect", path)
    assert people.code == done.code == (3 if wrong.damaged else 0)
    assert wrong.kind in people.out
    assert wrong.todo in (people.sentence if wrong.damaged else people.out)
    assert " ".join(wrong.fact.split()) in " ".join(people.out.split())
    assert "Traceback" not in people.err


@pytest.mark.parametrize("name", WRONG)
def test_verify_says_why_it_is_no_image(tmp_path: Path, smpdfu: Call, name: str) -> None:
    path = tmp_path / "handed-over.bin"
    path.write_bytes(WRONG[name].data)
    sentence = smpdfu("verify", path).refused()
    assert str(path) in sentence
    assert len(sentence) > len(str(path)) + 8


def test_firmware_signed_for_b0n_is_told_from_firmware_that_is_not(
    tmp_path: Path, smpdfu: Call, firmware: MakeFirmware, write_hex: WriteHex
) -> None:
    from smpdfu.image.nsib.firmware_info import INFO_MAGIC
    from smpdfu.image.nsib.seal import VALIDATION_MAGIC

    plain = bytearray(firmware(5000, 0x0100_8A00))
    plain[0x200 : 0x200 + len(INFO_MAGIC)] = INFO_MAGIC
    unsealed = write_hex(tmp_path / "net.hex", (0x0100_8800, bytes(plain)))
    assert "b0n's signature is missing" in smpdfu("inspect", unsealed).out
    sealed = write_hex(tmp_path / "signed.hex", (0x0100_8800, bytes(plain) + VALIDATION_MAGIC))
    told = smpdfu("inspect", sealed).out
    assert "it is signed for b0n" in told
    assert "network core" in told


def test_images_behind_a_bootloader_are_found(
    tmp_path: Path, smpdfu: Call, firmware: MakeFirmware, signed: Path, write_hex: WriteHex
) -> None:
    dump = tmp_path / "dump.bin"
    dump.write_bytes(firmware(0xC000, 0x400) + signed.read_bytes())
    assert "at 0xc000" in smpdfu("inspect", dump).out
    merged = write_hex(tmp_path / "merged.hex", (0, firmware(0xC000, 0x400) + signed.read_bytes()))
    assert "at 0xc000" in smpdfu("inspect", merged).out


@pytest.mark.parametrize("spoil", [lambda data: data[:100], lambda data: data[:-1], lambda data: data[:0x210]])
def test_a_damaged_image_is_still_called_one(
    tmp_path: Path, smpdfu: Call, signed: Path, spoil: Callable[[bytes], bytes]
) -> None:
    signed.write_bytes(spoil(signed.read_bytes()))
    assert "mcuboot image" in smpdfu("inspect", signed).out
    assert "; this is" not in smpdfu("verify", signed).refused()
