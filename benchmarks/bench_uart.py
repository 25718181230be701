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

The rows of the goals are about ``smpdfu upload`` as a whole process (``benchmarks.typed_upload``), but for those of
files, which compare our library with smpclient, and that of a raw line, on which only smpclient and mcumgrctl upload.
The short form has one UART for each size of buffers, and only the small file.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import peers
from benchmarks.bench_upload import CLIENTS, KIB, OURS, OURS_ONE, PEERS, Outcome, Rig, best_peer, median, rig
from benchmarks.goals import goal
from benchmarks.rows import NotRun, Result, Row, options, tell
from benchmarks.typed_upload import image, peer_upload, upload
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
QUICK_UARTS = ("921600 Bd, 4 x 384, ring 128", "921600 Bd, 4 x 2048, ring 256")
RAW = Setting("raw", 15.0, buf_size=384)
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


def files(bench: Rig, folder: Path, runs: int) -> Iterator[Result]:
    """Files there and back; printed as ours : each peer. The rows of the goals."""
    head = f"{'files, 921600 Bd, 4 x 1024, ring 128':<38} {'client':<15}"
    print(f"\n{head} {'up KiB/s':>9} {'ours :':>6} {'down':>7} {'ours :':>6}")
    for name, size in FILES.items():
        seen = files_of(bench, folder, size, (OURS, *PEERS), max(runs, FILE_RUNS[name]))
        title, ours = name, speeds(size, seen[OURS])
        for who, done in seen.items():
            if failed := [str(one["error"]) for one in done if "error" in one]:
                print(f"{title:<38} {who:<15} fails: {failed[0][:70]}", flush=True)
            else:
                up, down = speeds(size, done)
                ratios = f"{ours[0] / up:6.2f} {down:7.1f} {ours[1] / down:6.2f}"
                print(f"{title:<38} {who:<15} {up:9.1f} {ratios}", flush=True)
            title = ""
        yield file_row(name, size, seen)


def files_of(bench: Rig, folder: Path, size: int, who: Sequence[str], runs: int) -> dict[str, list[dict[str, float]]]:
    """What each client tells of a file of ``size`` bytes, in turn."""
    data = folder / f"{size}.bin"
    data.write_bytes(random.Random(size).randbytes(size))
    seen: dict[str, list[dict[str, float]]] = {one: [] for one in who}
    for _ in range(runs):
        for one, done in seen.items():
            done.append(bench.run(f"{one} fs", FILE_UART, data)[0])
    return seen


def file_row(name: str, size: int, seen: dict[str, list[dict[str, float]]]) -> Result:
    """The row of a file's way to the device."""
    ours, peer = (speeds(size, seen[who])[0] for who in (OURS, "smpclient"))
    aim = goal(f"fs upload of {name}")
    failed = [str(one["error"]) for who in (OURS, "smpclient") for one in seen[who] if "error" in one]
    return NotRun(aim, failed[0]) if failed else Row(aim, ours, peer, wall=ours / peer)


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


# --- the rows of the goals --------------------------------------------------------------------------------------------


def typed_rows(bench: Rig, folder: Path, *, quick: bool) -> Iterator[Result]:
    """``smpdfu upload`` against itself with ``-w 1``: a row for each size of buffers, and one of what is sent again."""
    uarts = {title: one for title, one in UARTS.items() if not quick or title in QUICK_UARTS}
    shares: dict[int, list[tuple[float, float, float, str]]] = {}
    more: list[tuple[int, str]] = []
    for title, setting in uarts.items():
        ours, one = (upload(bench, setting, image(folder, IMAGE_SIZE), *words) for words in ((), ("-w", "1")))
        shares.setdefault(setting.buf_size, []).append((ours.kib_s / one.kib_s, ours.kib_s, one.kib_s, title))
        more.append((ours.retries - one.retries, title))
    for size, found in shares.items():
        share, mine, other, title = min(found)
        yield Row(goal(f"modelled UART, {size} bytes"), mine, other, wall=share, note=f"least of {len(found)}: {title}")
    pieces, title = max(more)
    yield Row(goal("modelled UARTs: more resends than one"), pieces, note=f"most of {len(more)}: {title}")


def raw_row(bench: Rig, folder: Path) -> Result:
    """A raw line: ``smpdfu upload --raw`` against the library of smpclient, each from the first chunk to the last.

    Of mcumgrctl, if it is built, the whole process counts, whose start-up takes a few milliseconds.
    """
    path = image(folder, IMAGE_SIZE)
    ours = upload(bench, RAW, path)
    told, _ = bench.run("smpclient", RAW, path)
    others = {} if "error" in told else {"smpclient": path.stat().st_size / KIB / told["seconds"]}
    rust = next(one for one in peers.PEERS if one.name == "mcumgrctl")
    if peers.missing(rust) is None:
        others[rust.name] = peer_upload(bench, RAW, path, lambda port: rust.command("raw", port, path)).kib_s
    if not others:
        return NotRun(goal("raw serial"), f"no peer uploads: {told['error']}")
    best, who = max((speed, name) for name, speed in others.items())
    note = f"{RAW.round_trip_ms:g} ms, 4 buffers of {RAW.buf_size} bytes; at most {ours.window} in flight"
    note += f"; best peer: {who} (tried: {', '.join(others)})"
    return Row(goal("raw serial"), ours.kib_s, best, wall=ours.kib_s / best, note=note)


def quick_files(bench: Rig, folder: Path) -> Iterator[Result]:
    """The rows of files in the short form."""
    small, large = FILES
    yield file_row(small, FILES[small], files_of(bench, folder, FILES[small], (OURS, "smpclient"), 1))
    yield NotRun(goal(f"fs upload of {large}"), "only in the long form: it takes a minute")


def slowest_row(rows: list[tuple[str, dict[str, Outcome]]]) -> Result:
    """The UART on which we are slowest against the best peer."""
    ratio, title = min((row[OURS].kib_s / best_peer(row), title) for title, row in rows if best_peer(row))
    row = dict(rows)[title]
    return Row(goal("modelled UARTs, the slowest"), row[OURS].kib_s, best_peer(row), wall=ratio, note=title)


def results(runs: int, *, quick: bool) -> Iterator[Result]:
    """The rows; in the long form after the tables of all clients."""
    with rig(IMAGE_SIZE) as bench, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if quick:
            yield NotRun(goal("modelled UARTs, the slowest"), "only in the long form: four clients on five UARTs")
            yield from quick_files(bench, folder)
        else:
            rows = uploads(bench, runs)
            print_aims(rows)
            yield slowest_row(rows)
            yield from files(bench, folder, runs)
        yield from typed_rows(bench, folder, quick=quick)
        yield raw_row(bench, folder)


def main() -> None:
    """Print the tables, and the rows."""
    parser = options(__doc__)
    parser.add_argument("--runs", type=int, default=1, help="how often each upload is made [1]")
    chosen = parser.parse_args()
    began = time.monotonic()
    tell(results(chosen.runs, quick=chosen.quick), chosen)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
