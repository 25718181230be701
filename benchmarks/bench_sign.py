"""Signing against imgtool 2.5.0: whole processes (start-up, .bin, encrypted, Intel HEX), then in process, per MiB.

Every line is ours : imgtool from one run, the median of the ratios pair by pair; BENCH_RUNS says how many pairs.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from imgtool import image as peer_image
from imgtool.keys import load as load_peer_key
from imgtool.version import decode_version
from intelhex import IntelHex

from benchmarks.pairs import compare, compare_calls
from smpdfu.image.files import read_key_file
from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey
from smpdfu.image.signing.order import Order, sign
from smpdfu.image.signing.spec import ImageSpec

BIN = Path(sys.executable).parent
KEYS = Path(__file__).parent.parent / "keys"
SIGNING_KEY, ENCRYPTION_KEY = KEYS / "dev-sign-p256.pem", KEYS / "dev-encrypt-p256.pub.pem"
SIGN = ["sign", "-k", str(SIGNING_KEY), "-H", "0x200", "--pad-header", "-S", "0x2000000", "-v", "1.2.3"]
ENCRYPT = ["-E", str(ENCRYPTION_KEY)]
MIB = 1 << 20
CODE_ADDRESS = 0xC200


def firmware(size: int) -> bytes:
    """Bytes that look like nothing in particular."""
    return bytes(range(256)) * (size // 256)


def processes(folder: Path) -> None:
    """The same arguments to smpdfu-imgtool and to imgtool."""

    def both(title: str, *arguments: str) -> None:
        compare(title, [str(BIN / "smpdfu-imgtool"), *arguments], [str(BIN / "imgtool"), *arguments])

    source, out, out_hex, in_hex = (str(folder / name) for name in ("in.bin", "out.bin", "out.hex", "in.hex"))
    Path(source).write_bytes(firmware(MIB))
    memory = IntelHex()
    memory.frombytes(firmware(MIB), CODE_ADDRESS)
    memory.write_hex_file(in_hex)
    both("start-up (version)", "version")
    both("sign 1 MiB .bin", *SIGN, source, out)
    both("sign and encrypt 1 MiB .bin", *SIGN, *ENCRYPT, source, out)
    both("sign 1 MiB .bin to .hex", *SIGN, "-x", hex(CODE_ADDRESS), source, out_hex)
    both("sign 1 MiB .hex to .hex", *SIGN, in_hex, out_hex)


def in_process(folder: Path, size: int) -> None:
    """From a file to a signed file, keys read before; once without and once with encryption."""
    source = folder / f"{size}.bin"
    source.write_bytes(firmware(size))
    for title, encrypted in (("sign", False), ("sign and encrypt", True)):
        ours, peer = ours_in_process(source, encrypted=encrypted), peer_in_process(source, encrypted=encrypted)
        compare_calls(f"{title} {size // MIB} MiB in process", ours, peer)


def ours_in_process(source: Path, *, encrypted: bool) -> Callable[[], object]:
    """One signing by us."""
    key = read_key_file(SIGNING_KEY)
    assert isinstance(key, PrivateKey)
    recipient = read_key_file(ENCRYPTION_KEY).public if encrypted else None
    spec = ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=0x2000000, pad_header=True)
    order = Order(spec, source, (source.with_suffix(".ours"),), (key,), recipient)
    return lambda: sign(order)


def peer_in_process(source: Path, *, encrypted: bool) -> Callable[[], object]:
    """One signing by imgtool, as its main.py does it."""
    key, enc_key = load_peer_key(str(SIGNING_KEY)), load_peer_key(str(ENCRYPTION_KEY)) if encrypted else None

    def run() -> None:
        made = peer_image.Image(
            version=decode_version("1.2.3"),
            header_size=0x200,
            pad_header=True,
            pad=False,
            confirm=False,
            align=1,
            slot_size=0x2000000,
            max_sectors=128,
            overwrite_only=False,
            endian="little",
            load_addr=0,
            rom_fixed=None,
            erased_val="0xff",
            save_enctlv=False,
            security_counter=None,
            max_align=8,
        )
        made.load(str(source))
        with redirect_stdout(io.StringIO()):  # it says that it signs
            made.create(key, "hash", enc_key, encrypt_keylen=128)
        made.save(str(source.with_suffix(".peer")), None)

    return run


def main() -> None:
    """Print one line a case."""
    print("signing, against imgtool 2.5.0 (a ratio below 1: we need less)")
    with tempfile.TemporaryDirectory() as name:
        processes(Path(name))
        for size in (MIB, 16 * MIB):
            in_process(Path(name), size)


if __name__ == "__main__":
    main()
