"""What the client's decisions alone make of the modelled links, in simulated time: no computer's load is in it.

The links, the device and the model are those of ``bench_upload``, but the client and the virtual device run in one
process, on an event loop whose clock jumps to the next timer. So what is missing to 1.00 is what the window needs to
find its size, and what lost messages cost. What is missing in ``bench_upload`` beyond that is the computers' own time.

    row             aim
    --------------  ------------------------------------------------------------------------
    without loss    0.95 of what a client can carry that knows the link beforehand
    1 % loss        0.9 of the same link without loss, the median of ``SEEDS`` ways to lose

``rows`` gives them to others. Bluetooth LE needs bumble's sockets, so that it is measured by ``bench_upload`` alone.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from benchmarks.bench_upload import KIB, SIZE, firmware, modelled_kib_s, name
from benchmarks.upload_device import CountingDevice, Setting
from smpdfu.client import Client
from smpdfu.link.memory import served_pipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, RawFraming
from tests.simulated import simulate, timed

AIM, LOSSY_AIM = 0.95, 0.9
SEEDS = range(4, 11)
DATAGRAM_MAX = 1472
SETTINGS = (
    *(Setting(wire, round_trip) for wire in ("pty", "udp") for round_trip in (7.5, 15.0, 30.0, 50.0)),
    *(Setting(wire, 15.0, buffers) for wire in ("pty", "udp") for buffers in (1, 2, 8)),
    *(Setting(wire, 15.0, loss=0.01) for wire in ("pty", "udp")),
    Setting("pty", 15.0, baudrate=921_600),
)


@dataclass(frozen=True, slots=True)
class Row:
    """``ours`` and ``peer``, which is the model, in KiB/s. ``ratio`` is met if it is at least ``aim``."""

    name: str
    ours: float
    peer: float
    ratio: float
    aim: float


def rows(settings: tuple[Setting, ...] = SETTINGS) -> list[Row]:
    """Each link: our speed, the model's, and the aim. It takes some ten seconds for every eight rows."""
    return [_row(setting) for setting in settings]


def _row(setting: Setting) -> Row:
    seeds = SEEDS if setting.loss else SEEDS[:1]
    ours = statistics.median(speed_kib_s(setting, seed=seed) for seed in seeds)
    model = modelled_kib_s(setting)
    return Row(f"simulated {name(setting)}", ours, model, ours / model, LOSSY_AIM if setting.loss else AIM)


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


def main() -> None:
    """Print the table."""
    print(f"{'link':<40} {'KiB/s':>7} {'model':>7} {'of link':>7} {'aim':>5}")
    for setting in SETTINGS:
        row = _row(setting)
        met = "met" if row.ratio >= row.aim else "not met"
        print(f"{row.name:<40} {row.ours:7.1f} {row.peer:7.1f} {row.ratio:7.2f} {row.aim:5.2f} {met}", flush=True)


if __name__ == "__main__":
    main()
