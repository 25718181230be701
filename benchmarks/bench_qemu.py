"""Uploads to a real server: Zephyr's SMP server in QEMU, by ``smpdfu upload``, at our window and at a window of one.

No package registry has firmware with that server, and a build of Zephyr is no part of this project. So you run the
server: ``QEMU_SMP_384`` and ``QEMU_SMP_2048`` name the serial ports of servers with buffers of that size, and
``QEMU_SMP_IMAGE`` a signed image for their slot. Without them, the rows say so.

Five series (one in the short form), our window and a window of one in turn; the least ratio of the series counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import goal
from benchmarks.rows import NotRun, Result, Row, run

BIN = Path(sys.executable).parent
SIZES = (384, 2048)
SERIES = 5
IMAGE = "QEMU_SMP_IMAGE"
RESENDS = "real server in QEMU: more resends than one"


@dataclass(frozen=True, slots=True)
class Upload:
    """The seconds of an upload, as a whole process, and the pieces that were sent again."""

    seconds: float
    retries: int


def upload(port: str, image: str, *words: str) -> Upload:
    """One ``smpdfu upload`` into an empty slot."""
    program = [str(BIN / "smpdfu")]
    subprocess.run([*program, "erase", "--port", port], check=True, capture_output=True)
    begin = time.perf_counter()
    done = subprocess.run(
        [*program, "upload", image, "--port", port, "--json", *words], check=True, capture_output=True
    )
    return Upload(time.perf_counter() - begin, int(json.loads(done.stdout)["retries"]))


def results(*, quick: bool) -> Iterator[Result]:
    """A row for each size of buffers, and the one of the resends."""
    image, more = os.environ.get(IMAGE), list[int]()
    for size in SIZES:
        title, variable = f"real server in QEMU, {size} bytes", f"QEMU_SMP_{size}"
        port = os.environ.get(variable)
        if port is None or image is None:
            yield NotRun(goal(title), f"{variable} and {IMAGE} name no server that runs in QEMU, and no image for it")
            continue
        pairs = [(upload(port, image), upload(port, image, "-w", "1")) for _ in range(1 if quick else SERIES)]
        kib = Path(image).stat().st_size / 1024
        mine, one = min(pairs, key=lambda pair: pair[1].seconds / pair[0].seconds)
        yield Row(goal(title), kib / mine.seconds, kib / one.seconds, wall=one.seconds / mine.seconds)
        more += [ours.retries - other.retries for ours, other in pairs]
    yield Row(goal(RESENDS), max(more)) if more else NotRun(goal(RESENDS), "no server in QEMU (see above)")


if __name__ == "__main__":
    sys.exit(run(__doc__, results))
