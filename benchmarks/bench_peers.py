"""Uploads as people type them, whole process against whole process: ``smpdfu upload``, and each peer's program.

The time is from the start of a process to its end: start-up, opening the wire, the questions before the upload, the
upload, and what comes after it. Both take the same image to the same kind of virtual device, in turn; a pair gives a
ratio, and the median of the pairs counts. The device has 4 buffers of 512 bytes, which is what mynewt's mcumgr and
mcumgr-client send at most; over UDP, 1,472 bytes. The wire takes 15 ms for a request and its answer, as a device at a
USB adapter does, but in the last row.

``smpdfu upload`` also asks the device for its images before the upload, judges whether its bootloader takes the image,
and checks afterwards what the slot holds; mcumgrctl, for one, warns that the device did not check.

``benchmarks.peers`` builds the programs. Those that are missing have a row that says why.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import peers
from benchmarks.bench_upload import KIB, Rig, rig
from benchmarks.goals import GOALS
from benchmarks.pairs import Run, in_turn
from benchmarks.rows import Goal, NotRun, Result, Row, run
from benchmarks.typed_upload import BIN, FailedError, Upload, image, peer_upload, upload
from benchmarks.upload_device import Setting

RUNS, QUICK_RUNS = 5, 1
SIZE, QUICK_SIZE = 256 * KIB, 48 * KIB
SETTINGS = {
    "pty": Setting("pty", 15.0, buf_size=512),
    "UDP": Setting("udp", 15.0, buf_size=1472),
    "pty unpaced": Setting("pty", buf_size=512),
}

Command = Callable[[str], Sequence[str]]


def command_of(name: str, wire: str, file: Path) -> Command | str:
    """What makes the command line of a peer of its port; or why there is none."""
    if name == "smpmgr":
        return lambda port: [str(BIN / "smpmgr"), "--port", port, "image", "upload", str(file)]
    peer = next(one for one in peers.PEERS if one.name == name)
    return peers.missing(peer) or (lambda port: peer.command(wire, port, file))


def row(bench: Rig, goal: Goal, file: Path, runs: int) -> Result:
    """The row of a goal, whose name ends with the wire and the peer."""
    wire, _, name = goal.name.removeprefix("whole upload, ").partition(": ")
    setting = SETTINGS[wire]
    command = command_of(name, setting.wire, file)
    if isinstance(command, str):
        return NotRun(goal, command)
    done: list[Upload] = []

    def ours() -> Run:
        done.append(upload(bench, setting, file))
        return Run(done[-1].wall_s, done[-1].cpu_s, 0)

    def theirs() -> Run:
        took = peer_upload(bench, setting, file, command)
        return Run(took.wall_s, took.cpu_s, 0)

    try:
        pairs = in_turn(ours, theirs, runs=runs, warm=False)
    except FailedError as error:
        return NotRun(goal, str(error))
    seconds = [sum(run.wall_s for run in side) / runs for side in (pairs.ours, pairs.other)]
    note = f"{file.stat().st_size // KIB} KiB, pairs: {runs}; at most {done[-1].window} requests in flight"
    return Row(goal, seconds[0], seconds[1], pairs.cpu, pairs.wall, note)


def results(*, quick: bool) -> Iterator[Result]:
    """The rows of the goals."""
    with tempfile.TemporaryDirectory() as folder, rig() as bench:
        file = image(Path(folder), QUICK_SIZE if quick else SIZE)
        for goal in GOALS:
            if goal.bench == "bench_peers":
                yield row(bench, goal, file, QUICK_RUNS if quick else RUNS)


if __name__ == "__main__":
    sys.exit(run(__doc__, results))
