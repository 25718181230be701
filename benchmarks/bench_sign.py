"""Signing against imgtool 2.5.0: whole processes, as people type them, then in process.

Every row is ours : imgtool from one run, the median of the ratios pair by pair; BENCH_RUNS says how many pairs. Both
sign the same firmware with the same key. In process, the keys are read before:

    without a file    bytes to bytes: ours is the public ``smpdfu.build``, imgtool's is ``Image.create``
    file to file      ours is what ``smpdfu sign`` calls, imgtool's is ``load``, ``create`` and ``save``. We write a
                      file whole or not at all, and wait until it is on the disk (fsync); imgtool does not wait. Our
                      wait is taken out of the row, and its note has it

The floors of signing in process are OpenSSL's SHA-256 of the image and one ECDSA signature; their note is in the row.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from imgtool import image as peer_image
from imgtool.keys import load as load_peer_key
from imgtool.version import decode_version
from intelhex import IntelHex

from benchmarks import boards
from benchmarks.goals import goal
from benchmarks.pairs import RUNS, Pairs, Run, commands, in_turn, timed
from benchmarks.rows import Result, options, tell
from smpdfu import ImageSpec, PrivateKey, Version, build
from smpdfu.image.files import read_key_file
from smpdfu.image.signing.order import Order, sign
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED

BIN = Path(sys.executable).parent
KEYS = Path(__file__).parent.parent / "keys"
SIGNING_KEY, ENCRYPTION_KEY = KEYS / "dev-sign-p256.pem", KEYS / "dev-encrypt-p256.pub.pem"
SIGN = ["sign", "-k", str(SIGNING_KEY), "-H", "0x200", "--pad-header", "-S", "0x2000000", "-v", "1.2.3"]
ENCRYPT = ["-E", str(ENCRYPTION_KEY)]
MIB = 1 << 20
CODE_ADDRESS = 0xC200


def firmware(size: int) -> bytes:
    """Firmware for the primary slot, of noise."""
    return boards.firmware(NRF5340DK_STAGED.primary, boards.HEADER, size, 1)


def whole_processes(folder: Path, runs: int) -> Iterator[tuple[str, Pairs]]:
    """The same arguments to ``smpdfu``, to ``smpdfu-imgtool``, and to imgtool."""
    source, out, out_hex, in_hex = (str(folder / name) for name in ("in.bin", "out.bin", "out.hex", "in.hex"))
    Path(source).write_bytes(firmware(MIB))
    memory = IntelHex()
    memory.frombytes(firmware(MIB), CODE_ADDRESS)
    memory.write_hex_file(in_hex)

    def both(program: str, *arguments: str) -> Pairs:
        return commands([str(BIN / program), *arguments], [str(BIN / "imgtool"), *arguments], runs=runs)

    yield "smpdfu sign 1 MiB, whole process", both("smpdfu", *SIGN, source, out)
    yield "smpdfu-imgtool sign 1 MiB, whole process", both("smpdfu-imgtool", *SIGN, source, out)
    yield "sign 1 MiB, hex to hex, whole process", both("smpdfu", *SIGN, in_hex, out_hex)


def more_processes(folder: Path) -> None:
    """Print what has no goal: start-up, encryption, and a .bin to .hex."""
    source, out, out_hex = (str(folder / name) for name in ("in.bin", "out.bin", "out.hex"))
    lines = {
        "smpdfu-imgtool version": ["version"],
        "smpdfu-imgtool sign and encrypt 1 MiB .bin": [*SIGN, *ENCRYPT, source, out],
        "smpdfu-imgtool sign 1 MiB .bin to .hex": [*SIGN, "-x", hex(CODE_ADDRESS), source, out_hex],
    }
    for title, words in lines.items():
        pairs = commands([str(BIN / "smpdfu-imgtool"), *words], [str(BIN / "imgtool"), *words])
        print(pairs.text(title, "imgtool"), flush=True)
    for size in (MIB, 16 * MIB):
        pairs, _ = file_to_file(folder, size, RUNS, encrypted=True)
        print(pairs.text(f"sign and encrypt {size // MIB} MiB in process", "imgtool"), flush=True)


# --- in process -----------------------------------------------------------------------------------------------------


def our_key() -> PrivateKey:
    """The key that signs, read from its file."""
    key = read_key_file(SIGNING_KEY)
    assert isinstance(key, PrivateKey)
    return key


def spec() -> ImageSpec:
    """What both sign."""
    return ImageSpec(Version(1, 2, 3), header_size=0x200, slot_size=0x2000000, pad_header=True)


def without_file(runs: int) -> tuple[Pairs, str]:
    """Bytes to bytes, and what the floor takes."""
    key, peer_key, data = our_key(), load_peer_key(str(SIGNING_KEY)), firmware(MIB)
    peer: list[peer_image.Image] = []

    def load() -> None:
        made = new_peer_image()
        made.payload = bytes(0x200) + data  # what its load makes of a file, with room for the header
        peer[:] = [made]

    def theirs() -> Run:
        load()
        with redirect_stdout(io.StringIO()):
            return timed(lambda: peer[0].create(peer_key, "hash", None, encrypt_keylen=128))

    pairs = in_turn(lambda: timed(lambda: build(spec(), data, key).to_bytes()), theirs, runs=runs)
    digest = sha256(data).digest()
    hashing = median(timed(lambda: sha256(data).digest()).wall_s for _ in range(9))
    signing = median(timed(lambda: key.sign(digest)).wall_s for _ in range(9))
    share = (hashing + signing) / median(run.wall_s for run in pairs.other)
    floor = f"floor: SHA-256 {hashing * 1e3:.2f} ms and one signature {signing * 1e3:.2f} ms"
    return pairs, f"{floor}, together {share:.2f} of imgtool"


def file_to_file(folder: Path, size: int, runs: int, *, encrypted: bool = False) -> tuple[Pairs, str]:
    """From a file to a signed file; the wait for the disk is taken out, and told."""
    source = folder / f"{size}.bin"
    source.write_bytes(firmware(size))
    ours, peer = ours_in_process(source, encrypted=encrypted), peer_in_process(source, encrypted=encrypted)
    waits: list[float] = []

    def mine() -> Run:
        with Fsync() as fsync:
            took = timed(ours)
        waits.append(fsync.wall_s)
        return Run(took.wall_s - fsync.wall_s, took.cpu_s - fsync.cpu_s, 0)

    pairs = in_turn(mine, lambda: timed(peer), runs=runs)
    return pairs, f"without our fsync, which took {median(waits) * 1e3:.1f} ms more"


class Fsync:
    """Adds up the time in ``os.fsync`` while the block runs."""

    def __enter__(self) -> Fsync:
        self.wall_s = self.cpu_s = 0.0
        self._real = os.fsync
        os.fsync = self._timed
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync = self._real

    def _timed(self, fd: Any) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self._real(fd)
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


def ours_in_process(source: Path, *, encrypted: bool) -> Callable[[], object]:
    """One signing by us."""
    recipient = read_key_file(ENCRYPTION_KEY).public if encrypted else None
    order = Order(spec(), source, (source.with_suffix(".ours"),), (our_key(),), recipient)
    return lambda: sign(order)


def new_peer_image() -> peer_image.Image:
    """An image of imgtool's with the same options, as its main.py makes it."""
    return peer_image.Image(
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


def peer_in_process(source: Path, *, encrypted: bool) -> Callable[[], object]:
    """One signing by imgtool, as its main.py does it."""
    key, enc_key = load_peer_key(str(SIGNING_KEY)), load_peer_key(str(ENCRYPTION_KEY)) if encrypted else None

    def run() -> None:
        made = new_peer_image()
        made.load(str(source))
        with redirect_stdout(io.StringIO()):  # it says that it signs
            made.create(key, "hash", enc_key, encrypt_keylen=128)
        made.save(str(source.with_suffix(".peer")), None)

    return run


def results(folder: Path, *, quick: bool) -> Iterator[Result]:
    """The rows of the goals."""
    runs, calls = (3, 15) if quick else (RUNS, 10 * RUNS)
    yield from (pairs.row(goal(title)) for title, pairs in whole_processes(folder, runs))
    pairs, note = without_file(calls)
    yield pairs.row(goal("sign 1 MiB in process, without a file"), note)
    for size, count in ((1, calls), (16, runs)):
        pairs, note = file_to_file(folder, size * MIB, count)
        yield pairs.row(goal(f"sign {size} MiB in process, file to file"), note)


def main() -> None:
    """Print the rows, and in the long form the lines without a goal."""
    chosen = options(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = list(results(Path(name), quick=chosen.quick))
        if not chosen.quick:
            more_processes(Path(name))
    tell(found, chosen)


if __name__ == "__main__":
    main()
