"""Signing against imgtool 2.5.0, whole processes: start-up, .bin, encrypted, Intel HEX."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from intelhex import IntelHex

from benchmarks.pairs import compare

BIN = Path(sys.executable).parent
KEYS = Path(__file__).parent.parent / "keys"
SIGN = ["sign", "-k", str(KEYS / "dev-sign-p256.pem"), "-H", "0x200", "--pad-header", "-S", "0x2000000", "-v", "1.2.3"]
ENCRYPT = ["-E", str(KEYS / "dev-encrypt-p256.pub.pem")]


def both(title: str, *arguments: str) -> None:
    """The same arguments to smpdfu-imgtool and to imgtool."""
    compare(title, [str(BIN / "smpdfu-imgtool"), *arguments], [str(BIN / "imgtool"), *arguments])


def main() -> None:
    """Print one line a case."""
    print("signing, against imgtool 2.5.0")
    both("version (start-up)", "version")
    with tempfile.TemporaryDirectory() as folder:
        for size in (1 << 18, 1 << 20, 1 << 24):
            source = Path(folder) / f"{size}.bin"
            source.write_bytes(bytes(range(256)) * (size // 256))
            out = str(Path(folder) / "out.bin")
            both(f"sign {size >> 10} KiB .bin", *SIGN, str(source), out)
            both(f"sign and encrypt {size >> 10} KiB .bin", *SIGN, *ENCRYPT, str(source), out)
        image = IntelHex()
        image.frombytes(bytes(range(256)) * 4096, 0xC200)
        image.write_hex_file(str(Path(folder) / "in.hex"))
        both("sign 1024 KiB .hex to .hex", *SIGN, str(Path(folder) / "in.hex"), str(Path(folder) / "out.hex"))


if __name__ == "__main__":
    main()
