"""Small UARTs: uploads of 64 KiB, and files of 4 KB and 1 MB, by smpdfu, smpclient and mcumgr-toolkit.

The device is the virtual nRF5340 in a process of its own, at a pseudo terminal behind a modelled UART: bytes take the
time of its baud rate, flash takes its time and is erased page by page as the upload reaches it, and while the server is
busy the UART keeps as many bytes as its ring has; what comes beyond is lost (``smpdfu.virtual.line.load``). Clients run
as processes of their own, on the same wire in turn. smpmgr uploads as smpclient does, which is its engine.

    column    is
    --------  ---------------------------------------------------------------------------
    KiB/s     from the first request to the last answer, without start-up and buffer sizes
    :peer     ours : the fastest peer
    :w1       ours : our own upload with one request in flight
    again     pieces of the image that came to the device, or were sent, again

Of files, smpclient does not ask whether the device holds what was sent: ``smpdfu`` compares a hash, one request more
each way.

It takes some four minutes. ``--runs N`` makes each upload N times, A B C A B C ..., and prints medians.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.bench_upload import CLIENTS, KIB, OURS, OURS_ONE, PEERS, Outcome, Rig, best_peer, median, rig
from benchmarks.upload_device import Setting

IMAGE_SIZE = 64 * KIB
CHIP = Setting("pty", 1.0, buf_size=384, time_factor=1.0, erase_progressively=True, size=IMAGE_SIZE)
UARTS = {
    "115200 Bd, 4 x 384, ring 128": replace(CHIP, baudrate=115_200, uart_ring=128),
    "921600 Bd, 4 x 384, ring 128": replace(CHIP, baudrate=921_600, uart_ring=128),
    "921600 Bd, 4 x 2048, ring 256": replace(CHIP, baudrate=921_600, uart_ring=256, buf_size=2048),
    "921600 Bd, 4 x 384, adapter of 16 ms": replace(CHIP, baudrate=921_600, round_trip_ms=16.0),
    "faster than a UART, 4 x 384, ring 128": replace(CHIP, uart_ring=128),
}
FILES = {"4 KB": 4_000, "1 MB": 1_000_000}
FILE_UART = replace(CHIP, baudrate=921_600, buf_size=1024, uart_ring=128)
FILE_RUNS = {"4 KB": 3, "1 MB": 1}


def uploads(bench: Rig, runs: int) -> list[tuple[str, dict[str, Outcome]]]:
    """All clients over all UARTs; printed."""
    print(f"{'image of 64 KiB':<38} {'client':<15} {'KiB/s':>7} {':peer':>6} {':w1':>5} {'again':>5} {'window':>6}")
    rows = []
    for title, setting in UARTS.items():
        tries: dict[str, list[Outcome]] = {who: [] for who in CLIENTS["pty"]}
        for _ in range(runs):
            for who, done in tries.items():
                done.append(bench.upload(who, setting))
        row = {who: median(done) for who, done in tries.items()}
        print_row(title, row)
        rows.append((title, row))
    return rows


def print_row(title: str, row: dict[str, Outcome]) -> None:
    """A line per client."""
    best, one = best_peer(row), row[OURS_ONE].kib_s
    for who, outcome in row.items():
        if outcome.error is not None:
            print(f"{title:<38} {who:<15} fails: {outcome.error[:70]}", flush=True)
        else:
            peer = f"{outcome.kib_s / best:6.2f}" if best and who not in PEERS else f"{'':>6}"
            own = f"{outcome.kib_s / one:5.2f}" if one and who == OURS else f"{'':>5}"
            print(
                f"{title:<38} {who:<15} {outcome.kib_s:7.2f} {peer} {own} {outcome.retries:5} {outcome.window:6}",
                flush=True,
            )
        title = ""


def files(bench: Rig, folder: Path, runs: int) -> None:
    """Files there and back; printed as ours : each peer."""
    head = f"{'files, 921600 Bd, 4 x 1024, ring 128':<38} {'client':<15}"
    print(f"\n{head} {'up KiB/s':>9} {'ours :':>6} {'down':>7} {'ours :':>6}")
    for name, size in FILES.items():
        data, title = folder / name, name
        data.write_bytes(random.Random(size).randbytes(size))
        seen: dict[str, list[dict[str, float]]] = {who: [] for who in (OURS, *PEERS)}
        for _ in range(max(runs, FILE_RUNS[name])):
            for who, done in seen.items():
                done.append(bench.run(f"{who} fs", FILE_UART, data)[0])
        ours = speeds(size, seen[OURS])
        for who, done in seen.items():
            if failed := [str(one["error"]) for one in done if "error" in one]:
                print(f"{title:<38} {who:<15} fails: {failed[0][:70]}", flush=True)
            else:
                up, down = speeds(size, done)
                ratios = f"{ours[0] / up:6.2f} {down:7.1f} {ours[1] / down:6.2f}"
                print(f"{title:<38} {who:<15} {up:9.1f} {ratios}", flush=True)
            title = ""


def speeds(size: int, done: list[dict[str, float]]) -> tuple[float, float]:
    """KiB/s there and back; 0 where a run failed."""
    if any("error" in one for one in done):
        return 0.0, 0.0
    there, back = (statistics.median(one[key] for one in done) for key in ("there_s", "back_s"))
    return size / KIB / there, size / KIB / back


def print_aims(rows: list[tuple[str, dict[str, Outcome]]]) -> None:
    """What we wanted, and what came out."""
    own = min((row[OURS].kib_s / row[OURS_ONE].kib_s, title) for title, row in rows if row[OURS_ONE].kib_s)
    peer = min((row[OURS].kib_s / best_peer(row), title) for title, row in rows if best_peer(row))
    again = max((row[OURS].retries - row[OURS_ONE].retries, title) for title, row in rows)
    print(f"\naim: 0.97 of our own window of one     least {own[0]:.2f} ({own[1]})")
    print(f"aim: as fast as the best peer          least {peer[0]:.2f} ({peer[1]})")
    print(f"aim: no more sent again than by one    at most {again[0]} more ({again[1]})")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Uploads and files over small UARTs: smpdfu and its peers.")
    parser.add_argument("--runs", type=int, default=1, help="how often each upload is made [1]")
    runs, began = parser.parse_args().runs, time.monotonic()
    with rig(IMAGE_SIZE) as bench, tempfile.TemporaryDirectory() as folder:
        rows = uploads(bench, runs)
        files(bench, Path(folder), runs)
    print_aims(rows)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
