"""Upload of 256 KiB to one virtual device: smpdfu against smpclient 7.3.0 and mcumgr-toolkit 0.20.0.

Everybody runs as a process of its own, uploads the same image to the same kind of device (buffers of 2,048 bytes, a
chip 20 times as fast as the real one, so that the wire is what is measured) in another process, and is measured from
the first chunk to the last answer: opening the wire and asking for the buffer sizes come before. ``smpdfu`` is the
library with its own adaptive window, ``-w 1`` the same with one request in flight; smpclient is driven through its
API, mcumgr-toolkit, which is written in Rust, through its Python binding; it has no Bluetooth on this rig.

The wires: a pseudo terminal with console framing, UDP over loopback (one message a datagram, 1,472 bytes at most), and
Bluetooth LE by bumble's host and controllers (HCI over TCP) at an ATT MTU of 498. The time in a row's name is what the
wire adds to a request and its answer, half of it each way; on Bluetooth LE it is the connection interval, of which a
request and its answer take two: the event ends before the answer is there. Loss hits requests and answers alike, on
Bluetooth LE the link layer repeats.

"of link" is the share of what the modelled link can carry, by a client that knows it beforehand:

- the first chunk goes alone, for its answer says where to go on: one round trip T;
- the other n - 1 go W at a time, W = buffers - 1 (the answer needs one, too) but 1 at least: T / W each, or the time
  c that one takes the line (its bytes at the baud rate or on the air) or the device, if that is longer. A client that
  spreads its requests over the round trip may have more of them on the way than the device has buffers: it gets above
  1.00.

The modelled upload takes T + (n - 1) * max(c, T / W). T is the round trip, the bytes of one request and the device's
time for it; n is the least number of requests. On Bluetooth LE, T is two intervals if W is 1; with more, requests keep
the event open until their answers are in it, and T is one. c is there what a request takes of all turns that fit into
the intervals. Loss is not counted in, nor the time that the two processes need, which is most of it without a round
trip.

"CPU" is the client's, user and system, without start-up, in seconds per MB. "retries" are pieces of the image that
came to the device again, or that the client says it sent again. Rows without a round trip are medians of UPLOAD_RUNS
(5).

``--quick`` runs a handful of rows in less than a minute. The aims at the end are of this project, not of the peers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks.upload_device import TIME_FACTOR, Setting
from smpdfu.virtual.chip.flash import NVMC
from smpdfu.virtual.line.load import BYTE_S, REQUEST_S

SIZE = 256 * 1024
KIB, MB = 1024, 1_000_000
RUNS = int(os.environ.get("UPLOAD_RUNS", "5"))
TIMEOUT_S = 120.0
MESSAGE = {"pty": 2048 - 4, "udp": 1472, "ble": 2048}
"""The longest message: a buffer, in which a console's length and check sum stand, too; a packet on Ethernet."""
HEADERS = 26
"""Bytes of SMP and CBOR around the data of a chunk."""
ATT_VALUE, L2CAP_ATT = 495, 7
"""Bytes of a write command at this MTU, and of the headers around them."""
OURS, OURS_ONE, PEERS = "smpdfu", "smpdfu -w 1", ("smpclient", "mcumgr-toolkit")
CLIENTS = {"pty": (OURS, OURS_ONE, *PEERS), "udp": (OURS, OURS_ONE, *PEERS), "ble": (OURS, OURS_ONE, "smpclient")}

ROUND_TRIPS_MS = (0.0, 7.5, 15.0, 30.0, 50.0)
FULL = (
    *(Setting(wire, round_trip) for wire in CLIENTS for round_trip in ROUND_TRIPS_MS),
    *(Setting(wire, 15.0, buffers) for wire in CLIENTS for buffers in (1, 2, 8)),
    *(Setting(wire, 15.0, loss=0.01) for wire in CLIENTS),
    Setting("pty", 15.0, baudrate=921_600),
)
QUICK = (Setting("pty"), Setting("pty", 30.0), Setting("udp", 7.5, 2), Setting("ble", 15.0))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one upload took; ``error`` says why there is none."""

    kib_s: float = 0.0
    cpu_s_per_mb: float = 0.0
    requests: int = 0
    retries: int = 0
    window: int = 1
    error: str | None = None


class Rig:
    """The device's process, and the image."""

    def __init__(self, device: subprocess.Popen[str], image: Path) -> None:
        self._device, self._image = device, image
        self._size = image.stat().st_size
        self._sha = hashlib.sha256(image.read_bytes()).hexdigest()

    def upload(self, who: str, setting: Setting) -> Outcome:
        """One upload by ``who``."""
        told, seen = self.run(who, setting, self._image)
        if "error" not in told and seen["held"] != self._sha:
            told = {"error": "other bytes are in the device"}
        if "error" in told:
            return Outcome(error=told["error"])
        retries = max(told.get("retries", 0), int(str(seen["repeats"])))
        requests = max(told.get("requests", 0), int(str(seen["requests"])))
        speed, cpu = self._size / KIB / told["seconds"], told["cpu_s"] / (self._size / MB)
        return Outcome(speed, cpu, requests, retries, told.get("window", 1))

    def run(self, who: str, setting: Setting, data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """What ``who`` tells of its work with ``data`` on a new device, and what that tells."""
        port = str(self._ask(json.dumps(asdict(setting)))["port"])
        client = [sys.executable, "-m", "benchmarks.upload_client", who, setting.wire, port, str(data)]
        try:
            ended = subprocess.run(client, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            told = json.loads(ended.stdout or json.dumps({"error": ended.stderr.strip().rpartition("\n")[2]}))
        except subprocess.TimeoutExpired:
            told = {"error": f"not done after {TIMEOUT_S:g} s"}
        return told, self._ask("done")

    @contextmanager
    def device(self, setting: Setting, image: Path) -> Iterator[str]:
        """The port of a new device; if the block ends well, RuntimeError if it does not hold ``image``."""
        data = image.read_bytes()
        port = str(self._ask(json.dumps(asdict(replace(setting, size=len(data)))))["port"])
        try:
            yield port
        finally:
            seen = self._ask("done")
        if seen["held"] != hashlib.sha256(data).hexdigest():
            raise RuntimeError("other bytes are in the device")

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._device.stdin is not None
        assert self._device.stdout is not None
        self._device.stdin.write(line + "\n")
        self._device.stdin.flush()
        answer = json.loads(self._device.stdout.readline())
        assert isinstance(answer, dict)
        return answer


@contextmanager
def rig(size: int = SIZE) -> Iterator[Rig]:
    """A device's process and an image of ``size`` bytes, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.upload_device"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as device,
    ):
        image = Path(folder) / "image.bin"
        image.write_bytes(firmware(size))
        try:
            yield Rig(device, image)
        finally:
            assert device.stdin is not None
            device.stdin.close()


def firmware(size: int) -> bytes:
    """An image of ``size`` bytes that a device takes: signed, of noise."""
    from smpdfu.image.format import Version
    from smpdfu.image.keys.keys import generate
    from smpdfu.image.signing.build import build
    from smpdfu.image.signing.spec import ImageSpec

    key, spec = generate("ecdsa-p256"), ImageSpec(Version(2), 0x200, 0, pad_header=True)
    payload = random.Random(4).randbytes(size)
    surplus = len(build(spec, payload, key).to_bytes()) - size
    data = build(spec, payload[:-surplus], key).to_bytes()
    return data[:size].ljust(size, b"\xff")


# --- the model ------------------------------------------------------------------------------------------------------


def modelled_kib_s(setting: Setting) -> float:
    """What the modelled link and device can carry: see above."""
    message = MESSAGE[setting.wire]
    chunks = ceil(SIZE / (message - HEADERS))
    window = max(1, setting.buffers - 1)
    trip_s, on_line_s, device_s = setting.round_trip_ms / 1000, line_s(setting, message), chip_s(message)
    if setting.wire == "ble" and trip_s:
        round_trip_s = trip_s * (1 if window > 1 else 2)
    else:
        round_trip_s = trip_s + on_line_s + device_s
    return SIZE / KIB / (round_trip_s + (chunks - 1) * max(on_line_s, device_s, round_trip_s / window))


def chip_s(message: int) -> float:
    """The time that a chunk in a message of so many bytes takes the device."""
    return TIME_FACTOR * (REQUEST_S + message * BYTE_S + (message - HEADERS) / 4 * NVMC.program_s)


def line_s(setting: Setting, message: int) -> float:
    """The time that a message of so many bytes takes the line."""
    if setting.baudrate is not None:
        encoded = ceil((message + 4) / 3) * 4
        return (encoded + 3 * ceil(encoded / 124)) * 10 / setting.baudrate
    return air_s(setting, message) if setting.wire == "ble" else 0.0


def air_s(setting: Setting, message: int) -> float:
    """The share of connection events that a message fills, in seconds."""
    from smpdfu.virtual.wires.radio import Radio

    if not setting.round_trip_ms:
        return 0.0
    radio = Radio(interval_ms=setting.round_trip_ms)
    writes, rest = divmod(message, ATT_VALUE)
    packets = writes * ceil((ATT_VALUE + L2CAP_ATT) / radio.packet_max) + ceil((rest + L2CAP_ATT) / radio.packet_max)
    turns = int(radio.interval_s / radio.turn_s(radio.packet_max, 0))
    return packets / turns * radio.interval_s


# --- the table ------------------------------------------------------------------------------------------------------

HEAD = (
    f"{'wire':<30} {'client':<15} {'KiB/s':>7} {':peer':>6} {':w1':>5} {'of link':>7} "
    f"{'requests':>8} {'retries':>7} {'window':>6} {'CPU s/MB':>8}"
)


def run_row(bench: Rig, setting: Setting) -> dict[str, Outcome]:
    """All clients on one wire, in turn; printed."""
    runs = 1 if setting.round_trip_ms else RUNS
    tries: dict[str, list[Outcome]] = {who: [] for who in CLIENTS[setting.wire]}
    for _ in range(runs):
        for who, done in tries.items():
            done.append(bench.upload(who, setting))
    row = {who: median(done) for who, done in tries.items()}
    print_row(setting, row)
    return row


def median(done: Sequence[Outcome]) -> Outcome:
    """The one in the middle; if any failed, that."""
    failed = [one for one in done if one.error is not None]
    if failed:
        return failed[0]
    middle = sorted(done, key=lambda one: one.kib_s)[len(done) // 2]
    cpu = statistics.median(one.cpu_s_per_mb for one in done)
    return Outcome(middle.kib_s, cpu, middle.requests, middle.retries, middle.window)


def print_row(setting: Setting, row: dict[str, Outcome]) -> None:
    """A line per client."""
    model, best, one = modelled_kib_s(setting), best_peer(row), row[OURS_ONE].kib_s
    title = name(setting)
    for who, outcome in row.items():
        if outcome.error is not None:
            print(f"{title:<30} {who:<15} fails: {outcome.error[:90]}")
        else:
            ratio = f"{outcome.kib_s / best:6.2f}" if best and who not in PEERS else f"{'':>6}"
            own = f"{outcome.kib_s / one:5.2f}" if one and who == OURS else f"{'':>5}"
            print(
                f"{title:<30} {who:<15} {outcome.kib_s:7.1f} {ratio} {own} {outcome.kib_s / model:7.2f} "
                f"{outcome.requests:8} {outcome.retries:7} {outcome.window:6} {outcome.cpu_s_per_mb:8.3f}",
                flush=True,
            )
        title = ""


def name(setting: Setting) -> str:
    """The row's title."""
    parts = [setting.wire, f"{setting.round_trip_ms:g} ms" if setting.round_trip_ms else "unpaced"]
    parts += [f"{setting.buffers} buffer{'s' if setting.buffers > 1 else ''}"]
    parts += [f"{setting.loss:.0%} loss"] if setting.loss else []
    parts += [f"{setting.baudrate} Bd"] if setting.baudrate else []
    return " ".join(parts)


def best_peer(row: dict[str, Outcome]) -> float:
    """The fastest peer's KiB/s; 0 if all fail."""
    return max((outcome.kib_s for who, outcome in row.items() if who in PEERS), default=0.0)


def print_aims(rows: dict[Setting, dict[str, Outcome]]) -> None:
    """What we wanted, and what came out."""
    print()
    ours = {setting: row[OURS] for setting, row in rows.items()}
    worst = min(
        (ours[setting].kib_s / best_peer(row), name(setting)) for setting, row in rows.items() if best_peer(row)
    )
    print(f"aim: as fast as the best peer          least {worst[0]:.2f} ({worst[1]})")
    latency = [ours[one].kib_s / best_peer(rows[one]) for one in ours if one.round_trip_ms == 30 and one.buffers == 4]
    print(f"aim: 2.7 times it at 30 ms, 4 buffers  {', '.join(f'{ratio:.2f}' for ratio in latency)}")
    own = min((ours[one].kib_s / row[OURS_ONE].kib_s, name(one)) for one, row in rows.items() if row[OURS_ONE].kib_s)
    print(f"aim: 0.97 of our own window of one     least {own[0]:.2f} ({own[1]})")
    paced = [one for one in ours if one.round_trip_ms and not one.loss]
    shares = [(ours[one].kib_s / modelled_kib_s(one), name(one)) for one in paced]
    print(f"aim: 0.95 of the modelled link         {', '.join(f'{share:.2f} ({title})' for share, title in shares)}")
    cpu = max((one.cpu_s_per_mb, name(setting)) for setting, one in ours.items() if setting.wire != "ble")
    print(f"aim: CPU of 0.3 s/MB                   at most {cpu[0]:.2f} ({cpu[1]}), Bluetooth's host stack apart")
    python = [
        (ours[one].cpu_s_per_mb / row["smpclient"].cpu_s_per_mb, name(one))
        for one, row in rows.items()
        if row["smpclient"].error is None
    ]
    print(f"aim: less of it than smpclient         at most {max(python)[0]:.2f} ({max(python)[1]})")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Uploads of 256 KiB: smpdfu and its peers on the same virtual device.")
    parser.add_argument("--quick", action="store_true", help="a handful of rows, less than a minute")
    settings = QUICK if parser.parse_args().quick else FULL
    began = time.monotonic()
    print(HEAD)
    with rig() as bench:
        rows = {one: run_row(bench, one) for one in (Setting(**asdict(one) | {"size": SIZE}) for one in settings)}
    print_aims(rows)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
