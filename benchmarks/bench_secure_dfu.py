"""Secure DFU: the speed of ``smpdfu secure-dfu send`` against what the line carries, and against nrfutil 6.1.7.

The device is a virtual nRF52840 in a process of its own, at a pseudo terminal behind a modelled line; its flash takes
the times of the chip. The lines are a UART of 115,200 baud with flow control (MTU 131), and USB CDC at a paced rate
(MTU 2051).

    what the line carries   the bytes of the SLIP frames of all writes, with their opcodes, escapes and ends, at the
                            rate of the line; or the time in which the flash takes the words, if that is more. In
                            addition all other flash time of the device, in which nothing can be sent: each page is
                            erased, and the settings page and its copy are written twice
    share                   that time : the time of the upload, from the first ping to the last answer

``NRFUTIL`` names the program of nrfutil 6.1.7; without it, the column is empty. nrfutil waits for USB before it begins:
its time counts from the first byte that the device gets, as far as its progress shows it, so it is given as a whole.

It takes some two minutes. ``--runs N`` makes each upload N times, and prints medians; the short form makes one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.goals import goal
from benchmarks.rows import Row, options, tell
from smpdfu import SecureDfuPackage, read_secure_dfu_package
from smpdfu.securedfu.protocol.messages import WriteObject
from smpdfu.securedfu.protocol.slip import encode, payload_max
from smpdfu.securedfu.protocol.transfer import Transfer
from smpdfu.virtual.chip.flash import NVMC
from smpdfu.virtual.line.traffic import BITS_PER_BYTE
from tests.securedfu.dfu_line import Line
from tests.securedfu.send.dfu_bench import device_in_dfu

BIN = Path(sys.executable).parent
SIZE = 128 * 1024
PAGE, WORD = 4096, 4
LINES = {"UART, 115200 Bd": ("uart", 115_200, 131), "USB CDC, 200 kB/s": ("usb", 2_000_000, 2051)}


class Busy(Line):
    """A line that adds up how long the flash is busy until each answer. What follows a reset is not counted."""

    seconds = 0.0

    def send(self, message: bytes) -> None:
        """Send a message, and count."""
        self.device.chip.flash.take_busy()
        ends = self.device.finish_reset
        self.device.finish_reset = lambda: self._count(ends)  # type: ignore[method-assign]  # for one message
        super().send(message)
        self.device.finish_reset = ends  # type: ignore[method-assign]  # as it was

    def _count(self, ends: Callable[[], bool]) -> bool:
        self.seconds += self.device.chip.flash.take_busy()
        return ends()


def flash_s(package: SecureDfuPackage) -> float:
    """The time that the flash of the device is busy with a package, until the last answer; without a line."""
    device = device_in_dfu()
    device.trust = replace(device.trust, build=replace(device.trust.build, requires_signed_app=False))
    device.enter_dfu()
    (entry,) = package.entries
    line = Busy(device)
    line.carry(Transfer(entry.init_packet.to_bytes(), entry.firmware))
    return line.seconds


def carried_s(package: SecureDfuPackage, baudrate: int, mtu: int) -> float:
    """The time that the line and the flash need for a package: see above."""
    firmware = package.entries[0].firmware
    size = payload_max(mtu)
    pages = [firmware[at : at + PAGE] for at in range(0, len(firmware), PAGE)]
    writes = [page[at : at + size] for page in pages for at in range(0, len(page), size)]
    line_s = sum(len(encode(WriteObject(one).to_bytes())) for one in writes) * BITS_PER_BYTE / baudrate
    program_s = len(firmware) / WORD * NVMC.program_s
    return max(line_s, program_s) + flash_s(package) - program_s


def ours(port: str, package: Path) -> float:
    """The seconds of an upload, as ``smpdfu secure-dfu send`` tells them."""
    command = [
        str(BIN / "smpdfu"),
        "secure-dfu",
        "send",
        str(package),
        "--port",
        port,
        "--boot-timeout",
        "0.1",
        "--json",
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return float(json.loads(done.stdout)["parts"][0]["seconds"])


def peers(port: str, package: Path) -> float | None:
    """The seconds of a call of nrfutil; None without it."""
    program = os.environ.get("NRFUTIL")
    if program is None:
        return None
    begin = time.monotonic()
    subprocess.run([program, "dfu", "serial", "-pkg", package, "-p", port, "-cd", "0"], check=True, capture_output=True)
    return time.monotonic() - begin


def measure(title: str, runs: int, folder: Path) -> Row:
    """Measure one line, print it, and return its row."""
    wire, baudrate, mtu = LINES[title]
    package = folder / f"{wire}.zip"
    command = [sys.executable, "-m", "benchmarks.dfu_device", wire, str(baudrate), str(SIZE), str(package)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as device:
        assert device.stdin is not None
        assert device.stdout is not None
        port = device.stdout.readline().strip()
        taken: list[float] = []
        other: list[float] = []
        for _ in range(runs):
            for call, times in ((ours, taken), (peers, other)):
                seconds = call(port, package)
                if seconds is None:
                    continue
                times.append(seconds)
                device.stdin.write("\n")
                device.stdin.flush()
                assert device.stdout.readline().strip() == "yes", f"{call.__name__}: the application does not run"
        device.kill()
    best, mine = carried_s(read_secure_dfu_package(package), baudrate, mtu), statistics.median(taken)
    peer = f"{statistics.median(other):9.1f}" if other else "        -"
    print(f"{title:<20} {best:9.2f} {mine:9.2f} {best / mine:7.1%} {SIZE / 1024 / mine:8.1f} {peer}", flush=True)
    kib = SIZE / 1024
    return Row(goal(f"Secure DFU, {title}"), kib / mine, kib / best, wall=best / mine, note=f"uploads: {runs}")


def main() -> None:
    """Measure all lines, and print their rows."""
    parser = options(__doc__)
    parser.add_argument("--runs", type=int, help="uploads of each line [3]")
    chosen = parser.parse_args()
    runs = chosen.runs or (1 if chosen.quick else 3)
    print(f"application of {SIZE // 1024} KiB   line s    ours s   share    KiB/s   nrfutil s (whole call)")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        rows = [measure(title, runs, Path(folder)) for title in LINES]
    tell(rows, chosen)


if __name__ == "__main__":
    main()
