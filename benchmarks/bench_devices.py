"""Many virtual nRF5340 in one process: how long until all of them run, how much memory, how soon all have answered.

Each is a whole device with a signed application of 400 KiB and network firmware of 100 KiB: made, loaded, booted (hash
and signature are checked). Then a client for each, all at the same time, opens its wire and asks for an echo: first
through a wire in this process with console framing, then at a UDP port of its own. Firmware that is alike is in memory
once, however many devices have it. At last every tenth device gets an update, which it tests and swaps in.

``python -m benchmarks.bench_devices [COUNT]...``; 1, 100 and 1,000 without any; the short form has 100. Every line is a
process of its own. The goals are about CPU milliseconds of the largest count: of the boot of a device, and of its
update (the writing of the slot, the reset, the swap and the boot). They are absolute, so they depend on the computer.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.boards import application, at_ports, board, loaded, put_away, used_bytes
from benchmarks.goals import goal
from benchmarks.rows import Result, Row, options, tell
from smpdfu.client import Client
from smpdfu.image.format import Version
from smpdfu.link.udp import UdpPipe
from smpdfu.local.state.limits import allow_open_files
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.device import VirtualNrf5340

COUNTS = (1, 100, 1000)
KIB, MIB = 1 << 10, 1 << 20
TIMEOUT_S = 30.0

Connect = Callable[[int], Client]


@contextmanager
def stopwatch(clock: Callable[[], float] = time.perf_counter) -> Iterator[Callable[[], float]]:
    """The seconds that the block has taken so far, or took."""
    start, end = clock(), 0.0
    yield lambda: (end or clock()) - start
    end = clock()


async def asked(count: int, connect: Connect) -> float:
    """Seconds until every device has answered."""

    async def ask(number: int) -> None:
        async with connect(number) as client:
            reply = await client.request(Echo(str(number)))
            assert reply.r == str(number)

    with stopwatch() as seconds:
        await asyncio.gather(*(ask(number) for number in range(count)))
    return seconds()


async def asked_in_process(devices: Sequence[VirtualNrf5340]) -> float:
    """The same through a wire in this process."""
    return await asked(
        len(devices), lambda number: Client(devices[number].connect(), ConsoleFraming(), timeout_s=TIMEOUT_S)
    )


async def asked_by_udp(devices: Sequence[VirtualNrf5340]) -> tuple[float, float]:
    """Seconds until every device has its port, and until every one has answered there."""
    with stopwatch() as opened:
        ports, serving = await at_ports(devices)
    try:
        took = await asked(
            len(devices),
            lambda number: Client(UdpPipe("127.0.0.1", ports[number]), DatagramFraming(), timeout_s=TIMEOUT_S),
        )
    finally:
        await put_away(serving)
    return opened(), took


def update(devices: Sequence[VirtualNrf5340]) -> None:
    """A new application in the secondary slot, marked for test, and a reset that swaps it in."""
    image = application(Version(2))
    for device in devices:
        slot = device.images[0].secondary
        slot.area.program(0, image + b"\xff" * (-len(image) % 4))
        slot.set_pending(permanent=False)
        device.reset()
        assert device.running is not None
        assert device.running.header.version == Version(2)


def line(count: int, told: Path) -> None:
    """Print what one number of devices takes; the CPU milliseconds of each boot and update go into ``told``."""
    allow_open_files(2 * count + 100)
    flashes = loaded()
    board("warm-up", flashes)
    before = used_bytes()
    with stopwatch() as booted, stopwatch(time.process_time) as boot_cpu:
        devices = [board(f"board-{number}", flashes) for number in range(count)]
    used = used_bytes() - before
    if any(device.running is None or not device.net_core.running for device in devices):
        raise RuntimeError("a device does not run")
    in_process = asyncio.run(asked_in_process(devices))
    opened, by_udp = asyncio.run(asked_by_udp(devices))
    served = used_bytes() - before
    some = devices[::10]
    with stopwatch() as swapped, stopwatch(time.process_time) as update_cpu:
        update(some)
    print(
        f"{count:>7}  {booted():7.2f} s {1000 * booted() / count:6.1f} ms  {max(used, 0) / MIB:7.1f} MiB"
        f" {max(used, 0) / count / KIB:6.0f} KiB  {in_process:8.2f} s  {opened:6.2f} s {by_udp:6.2f} s"
        f"  {served / MIB:6.1f} MiB  {1000 * swapped() / len(some):6.0f} ms {(used_bytes() - before) / MIB:6.1f} MiB",
        flush=True,
    )
    each = {"boot": 1000 * boot_cpu() / count, "update": 1000 * update_cpu() / len(some)}
    told.write_text(json.dumps(each))


def results(counts: Sequence[int]) -> Iterator[Result]:
    """Print a line for each count; the rows of the last one."""
    head = "devices      boot      each       memory       each  in process   ports   by UDP      memory"
    print("virtual devices in one process; one echo from each, all asked at the same time")
    print(f"{head}  update each   memory", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        for count in counts:
            command = [sys.executable, "-m", "benchmarks.bench_devices", "--line", str(count), str(told)]
            subprocess.run(command, check=True)
        each = json.loads(told.read_text())
    note = f"CPU of each of {counts[-1]} devices in one process"
    yield Row(goal("boot of a virtual device"), each["boot"], note=note)
    yield Row(goal("update of a virtual device"), each["update"], note=f"{note}, every tenth updated")


def main() -> None:
    """Print a line for each count, and the rows."""
    if sys.argv[1:2] == ["--line"]:
        line(int(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = options(__doc__)
    parser.add_argument("counts", metavar="COUNT", type=int, nargs="*", help="devices in one process")
    chosen = parser.parse_args()
    tell(results(chosen.counts or ((100,) if chosen.quick else COUNTS)), chosen)


if __name__ == "__main__":
    main()
