"""What the client's decisions alone make of the modelled links, in simulated time: no computer's load is in it.

The links, the device and the model are those of ``bench_upload``, but the client and the virtual device run in one
process, on an event loop whose clock jumps to the next timer. So what is missing to 1.00 is what the window needs to
find its size, and what lost messages cost. What is missing in ``bench_upload`` beyond that is the computers' own time.

    row             aim
    --------------  ------------------------------------------------------------------------
    without loss    0.95 of what a client can carry that knows the link beforehand
    1 % loss        0.9 of the same link without loss, the median of ``SEEDS`` ways to lose

Bluetooth LE needs bumble's sockets, so that it is measured by ``bench_upload`` alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.bench_upload import KIB, SIZE, firmware, modelled_kib_s, name
from benchmarks.goals import GOALS
from benchmarks.rows import Result, Row, options, tell
from benchmarks.upload_device import CountingDevice, Setting
from smpdfu.client import Client
from smpdfu.link.memory import served_pipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, RawFraming
from tests.simulated import simulate, timed

SEEDS = range(4, 11)
LOSSY = f"median of {len(SEEDS)} ways to lose messages"
DATAGRAM_MAX = 1472
SETTINGS = (
    *(Setting(wire, round_trip) for wire in ("pty", "udp") for round_trip in (7.5, 15.0, 30.0, 50.0)),
    *(Setting(wire, 15.0, buffers) for wire in ("pty", "udp") for buffers in (1, 2, 8)),
    *(Setting(wire, 15.0, loss=0.01) for wire in ("pty", "udp")),
    Setting("pty", 15.0, baudrate=921_600),
)


def measured(setting: Setting) -> tuple[float, float]:
    """Our speed over a link and the model's, in KiB/s. It takes a second or two."""
    seeds = SEEDS if setting.loss else SEEDS[:1]
    return statistics.median(speed_kib_s(setting, seed=seed) for seed in seeds), modelled_kib_s(setting)


def speed_kib_s(setting: Setting, *, seed: int = SEEDS[0], raw: bool = False, window_max: int | None = None) -> float:
    """One upload of 256 KiB over ``setting``, in simulated time. ``raw``: bare messages instead of console lines."""
    return simulate(_upload(setting, seed, raw, window_max))


async def _upload(setting: Setting, seed: int, raw: bool, window_max: int | None) -> float:
    device = CountingDevice(setting)
    device.traffic = replace(setting.traffic, seed=seed)
    pipe = served_pipe(lambda end: device.serve(end, _framing(setting, raw=raw)))
    if setting.wire == "udp":
        pipe.max_write, pipe.ordered = DATAGRAM_MAX, False
    framing = RawFraming(answers=True) if raw else _framing(setting, raw=False)
    async with Client(pipe, framing, window_max=window_max) as client:
        await client.params()
        _, seconds = await timed(client.upload(firmware(SIZE)))
    return SIZE / KIB / seconds


def _framing(setting: Setting, *, raw: bool) -> Framing:
    if raw:
        return RawFraming()
    return ConsoleFraming() if setting.wire == "pty" else DatagramFraming()


def results(*, quick: bool) -> Iterator[Result]:
    """The rows of the goals; in the long form after a line for every link."""
    wanted = {f"simulated {name(setting)}": setting for setting in SETTINGS}
    goals = {one.name: one for one in GOALS if one.bench == "bench_links"}
    if not quick:
        print(f"{'link':<40} {'KiB/s':>7} {'model':>7} {'of link':>7}")
    for title, setting in wanted.items():
        if quick and title not in goals:
            continue
        ours, model = measured(setting)
        if not quick:
            print(f"{title:<40} {ours:7.1f} {model:7.1f} {ours / model:7.2f}", flush=True)
        if title in goals:
            yield Row(goals[title], ours, model, wall=ours / model, note=LOSSY if setting.loss else "")


def main() -> None:
    """Print the lines, and the rows."""
    chosen = options(__doc__).parse_args()
    tell(results(quick=chosen.quick), chosen)


if __name__ == "__main__":
    main()
