"""Uploads as people type them: whole processes of ``smpdfu upload`` and of the peers' programs.

    command           is
    ----------------  --------------------------------------------------------------------------
    ``smpdfu``        ``smpdfu upload FILE --port PORT --json``; ``-w 1``: one request in flight
    ``smpmgr``        ``smpmgr --port PORT image upload FILE``, 0.19.1, Python
    ``mcumgrctl``, ``mcumgr``, ``mcumgr-client``: see ``benchmarks.peers``

A process is measured from its start to its end: the wall clock, and the CPU seconds of it and of its children.
``smpdfu upload`` tells the seconds from the first chunk to the last answer itself: a speed of ours on a modelled link
leaves start-up out.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import boards
from benchmarks.bench_upload import KIB, MB, Rig
from benchmarks.pairs import environment
from benchmarks.upload_device import LAYOUT, Setting
from smpdfu.image.format import Version
from smpdfu.image.signing.build import build
from smpdfu.image.signing.spec import ImageSpec

BIN = Path(sys.executable).parent
OURS = str(BIN / "smpdfu")
SMALL, LARGE = 32 * KIB, 416 * KIB
"""Images whose CPU seconds differ by those of 384 KiB, whatever start-up takes."""
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload as a whole process.

    ``seconds`` is from the first chunk to the last answer, if the program tells it, and else the wall clock.
    """

    size: int
    wall_s: float
    cpu_s: float
    seconds: float
    requests: int = 0
    retries: int = 0
    window: int = 0

    @property
    def kib_s(self) -> float:
        """The speed, by ``seconds``."""
        return self.size / KIB / self.seconds


def image(folder: Path, size: int) -> Path:
    """A signed image of about ``size`` bytes for the device of ``upload_device``, as ``smpdfu upload`` takes it."""
    path = folder / f"image-{size}.bin"
    if not path.exists():
        spec = ImageSpec(Version(2), boards.HEADER, 0, pad_header=True)
        payload = boards.firmware(LAYOUT.primary, boards.HEADER, size - 1024, 4)
        path.write_bytes(build(spec, payload, boards.KEY).to_bytes())
    return path


def place(setting: Setting, port: str) -> list[str]:
    """The options with which ``smpdfu`` finds a device of ``upload_device``."""
    return {
        "pty": ["--port", port],
        "raw": ["--port", port, "--raw"],
        "udp": ["--ip", f"127.0.0.1:{port}"],
        "ble": ["--ble", "bench", "--ble-hci", port],
    }[setting.wire]


class FailedError(Exception):
    """A program gave up; its last line says why."""


@contextmanager
def settled() -> Iterator[dict[str, str]]:
    """The environment of a process that has a state folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield environment() | {"SMPDFU_STATE_HOME": folder, "XDG_STATE_HOME": folder, "HOME": folder}


def run(command: Sequence[str], size: int) -> tuple[Upload, str]:
    """Run a program that uploads ``size`` bytes: what it took, and what it printed. Raises FailedError."""
    with settled() as environ, tempfile.TemporaryFile("w+") as out:
        begin = time.perf_counter()
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        with stopped_after(process, TIMEOUT_S):
            _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if process.returncode:
        last = [line.strip() for line in said.splitlines() if line.strip()][-1:]
        raise FailedError(f"{Path(command[0]).name}: exit code {process.returncode}: {''.join(last)}"[:200])
    return Upload(size, wall_s, used.ru_utime + used.ru_stime, wall_s), said


@contextmanager
def stopped_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """Kill a process if the block takes longer."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def upload(bench: Rig, setting: Setting, path: Path, *words: str) -> Upload:
    """``smpdfu upload`` to a new device, and the check of what it holds. Raises FailedError."""
    with bench.device(setting, path) as port:
        command = [OURS, "upload", str(path), *place(setting, port), "--json", *words]
        took, said = run(command, path.stat().st_size)
    told = json.loads(said[said.rindex("\n{") + 1 :] if not said.startswith("{") else said)
    found = {name: told[name] for name in ("seconds", "requests", "retries", "window")}
    return replace(took, **found)


def peer_upload(bench: Rig, setting: Setting, path: Path, command: Callable[[str], Sequence[str]]) -> Upload:
    """An upload by another program to a new device; ``command`` makes its line of the port. Raises FailedError."""
    with bench.device(setting, path) as port:
        return run(command(port), path.stat().st_size)[0]


def cpu_per_mb(bench: Rig, setting: Setting, folder: Path, runs: int) -> float:
    """CPU seconds of ``smpdfu upload`` for each MB: of a large image less those of a small one, so without start-up.

    The least of each size counts: whatever else the computer does only adds to the CPU seconds of a process.
    """
    small = large = math.inf
    for _ in range(runs):
        small = min(small, upload(bench, setting, image(folder, SMALL)).cpu_s)
        large = min(large, upload(bench, setting, image(folder, LARGE)).cpu_s)
    return (large - small) / ((LARGE - SMALL) / MB)
