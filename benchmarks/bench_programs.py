"""Uploads as people type them: ``smpdfu upload``, its CPU seconds, and its share of what modelled links carry.

The device is that of ``bench_upload``, which has the model of the links. That compares libraries, this the programs.
Every run is a whole process (``benchmarks.typed_upload``).

    client CPU       the CPU seconds of an upload of 416 KiB less those of one of 32 KiB, for each MB: the start-up,
                     which both have, falls out, and ``bench_startup`` has it. The least of several runs counts
    modelled link    the speed of an upload of 256 KiB, from the first chunk to the last answer, as the command tells it
                     : what the modelled link can carry

In the long form PROGRAM_RUNS (5) uploads are made; of the speeds, the median counts.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.bench_upload import SIZE, Rig, modelled_kib_s, rig
from benchmarks.goals import goal
from benchmarks.rows import NotRun, Result, Row, options, tell
from benchmarks.typed_upload import FailedError, Upload, cpu_per_mb, image, upload
from benchmarks.upload_device import Setting

RUNS = int(os.environ.get("PROGRAM_RUNS", "5"))
CPU: Mapping[str, Setting] = {
    "client CPU, pty, unpaced": Setting("pty"),
    "client CPU, UDP, unpaced": Setting("udp"),
    "client CPU, pty, 15 ms": Setting("pty", 15.0),
    "client CPU, UDP, 15 ms": Setting("udp", 15.0),
}
LINKS: Mapping[str, Setting] = {
    "modelled link: pty, 15 ms, 8 buffers": Setting("pty", 15.0, 8),
    "modelled link: pty, 7.5 ms": Setting("pty", 7.5),
    "modelled link: Bluetooth, 15 ms, one buffer": Setting("ble", 15.0, 1),
    "modelled link: pty, 15 ms, 1 % loss": Setting("pty", 15.0, loss=0.01),
}


def cpu_row(bench: Rig, title: str, folder: Path, runs: int) -> Result:
    """The row of the CPU seconds on a wire."""
    try:
        return Row(
            goal(title), cpu_per_mb(bench, CPU[title], folder, runs), note=f"least of {runs} uploads of each size"
        )
    except FailedError as error:
        return NotRun(goal(title), str(error))


def link_row(bench: Rig, title: str, folder: Path, runs: int) -> Result:
    """The row of the share of a link."""
    setting = LINKS[title]
    try:
        done = [upload(bench, setting, image(folder, SIZE)) for _ in range(runs)]
    except FailedError as error:
        return NotRun(goal(title), str(error))
    middle: Upload = sorted(done, key=lambda one: one.kib_s)[runs // 2]
    carried = modelled_kib_s(setting)
    note = f"{middle.requests} requests, {middle.retries} sent again, at most {middle.window} in flight"
    return Row(goal(title), middle.kib_s, carried, wall=middle.kib_s / carried, note=note)


def results(*, quick: bool) -> Iterator[Result]:
    """The rows of the goals."""
    runs = 1 if quick else RUNS
    with tempfile.TemporaryDirectory() as folder, rig() as bench:
        for title in CPU:
            yield cpu_row(bench, title, Path(folder), 3 if quick else RUNS)
        for title in LINKS:
            yield link_row(bench, title, Path(folder), runs)


def main() -> None:
    """Print the rows."""
    chosen = options(__doc__).parse_args()
    tell(results(quick=chosen.quick), chosen)


if __name__ == "__main__":
    main()
