"""Start-up: what people type, as a whole process, against a bare Python (``python -c pass``), and against smpmgr.

``list`` asks a device for its images, and counts up to the first byte on the wire: a pseudo terminal on which nobody
answers, so that the process is ended then. Every line is ours : other from one run, the median of the ratios pair by
pair; BENCH_RUNS says how many pairs. No program of ours may be slower than so many times a Python that does nothing;
that start of Python is the floor.

The last row counts modules of rich in commands with ``--json``, from Python's own account of its imports.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import DEVNULL

from benchmarks.boards import HEADER, firmware
from benchmarks.goals import goal
from benchmarks.pairs import RUNS, Pairs, Run, commands, environment, in_turn, run
from benchmarks.rows import Result, Row, options, tell
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED

BIN = Path(sys.executable).parent
OURS, PEER = str(BIN / "smpdfu"), str(BIN / "smpmgr")
BARE = [sys.executable, "-c", "pass"]
KEY = Path(__file__).parent.parent / "keys" / "dev-sign-p256.pem"
SIGN = ["sign", "-k", str(KEY), "-H", "0x200", "--pad-header", "-S", "0x100000", "-v", "1.2.3"]
PATIENCE_S = 60.0
LIST = [OURS, "list", "--port", "{port}"]


def first_byte(command: Sequence[str]) -> Run:
    """What it takes from starting ``command`` with a serial port as ``{port}`` to the first byte on that port."""
    ours, theirs = os.openpty()
    try:
        tty.setraw(theirs)
        words = [word.format(port=os.ttyname(theirs)) for word in command]
        start = time.perf_counter()
        process = subprocess.Popen(words, env=environment(), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        heard, _, _ = select.select([ours], [], [], PATIENCE_S)
        took = time.perf_counter() - start
        process.kill()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if not heard:
            raise TimeoutError(f"{words} wrote nothing in {PATIENCE_S} s")
        return Run(took, used.ru_utime + used.ru_stime, used.ru_maxrss)
    finally:
        os.close(ours)
        os.close(theirs)


def signed_image(folder: Path) -> tuple[Path, Path]:
    """Firmware of 256 KiB, and the signed image of it."""
    source, signed = folder / "in.bin", folder / "signed.bin"
    source.write_bytes(firmware(NRF5340DK_STAGED.primary, HEADER, 256 << 10, 1))
    run([OURS, *SIGN, str(source), str(signed)])
    return source, signed


def rich_modules(command: Sequence[str]) -> int:
    """How many modules of rich a command imports."""
    environ = environment() | {"PYTHONPROFILEIMPORTTIME": "1"}
    told = subprocess.run(command, env=environ, stdin=DEVNULL, capture_output=True, text=True, check=False).stderr
    modules = [line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")]
    if "smpdfu" not in {name.partition(".")[0] for name in modules}:
        raise RuntimeError(f"{command} gave no account of its imports")
    return sum(name.partition(".")[0] == "rich" for name in modules)


def json_row(source: Path, signed: Path) -> Row:
    """The row of rich in commands with ``--json``; nobody answers to ``list``."""
    folder = source.parent
    device, port = os.openpty()
    lines = {
        "inspect": [str(signed)],
        "verify": [str(signed)],
        "keyinfo": ["-k", str(KEY)],
        "sign": [*SIGN[1:], str(source), str(folder / "again.bin")],
        "list": ["--port", os.ttyname(port), "--timeout", "0.1"],
    }
    found = {name: rich_modules([OURS, name, *words, "--json"]) for name, words in lines.items()}
    os.close(device)
    os.close(port)
    note = ", ".join(f"{name} {count}" for name, count in found.items())
    return Row(goal("modules of rich in five commands with --json"), sum(found.values()), note=note)


def results(*, quick: bool) -> Iterator[Result]:
    """The rows of the goals."""
    runs = 3 if quick else RUNS
    with tempfile.TemporaryDirectory() as name:
        source, signed = signed_image(Path(name))
        cases = {
            "smpdfu --version": ["--version"],
            "smpdfu verify": ["verify", str(signed)],
            "smpdfu verify -k KEY": ["verify", "-k", str(KEY), str(signed)],
            "smpdfu inspect": ["inspect", str(signed)],
        }
        for title, words in cases.items():
            yield commands([OURS, *words], BARE, runs=runs).row(goal(title))
        yield listed(runs).row(goal("smpdfu list, to the first byte"))
        yield json_row(source, signed)


def listed(runs: int) -> Pairs:
    """``smpdfu list`` to the first byte, and a bare Python."""
    return in_turn(lambda: first_byte(LIST), lambda: run(BARE), runs=runs)


def against_smpmgr() -> None:
    """Print the lines against smpmgr; the aim is 0.5."""
    print("start-up, against smpmgr (a ratio below 1: we need less; the aim is 0.5)")
    print(commands([OURS, "--help"], [PEER, "--help"]).text("--help", "smpmgr"))
    peer = [PEER, "--port", "{port}", "image", "state-read"]
    both = in_turn(lambda: first_byte(LIST), lambda: first_byte(peer))
    print(both.text("list, to the first byte on the wire", "smpmgr"), flush=True)


def main() -> None:
    """Print the lines against smpmgr, and the rows."""
    chosen = options(__doc__).parse_args()
    if not chosen.quick:
        against_smpmgr()
    tell(results(quick=chosen.quick), chosen)


if __name__ == "__main__":
    main()
