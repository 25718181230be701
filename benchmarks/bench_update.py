"""Where the time of ``smpdfu update`` goes: both cores of a virtual nRF5340, over each wire, in seconds per step.

``smpdfu update --json`` runs as a process of its own, with its defaults, against ``smpdfu virtual run`` in another one.
The firmware is Zephyr's hci_usb for the nRF5340 DK: an application of 53 KiB and a network core's image of 110 KiB. The
device's flash and its bootloader take the time of the chip (``--time-factor 1``). The wires: UDP over loopback, a
pseudo terminal with a UART of 115,200 baud modelled behind it, and Bluetooth LE by bumble's host and controllers at a
connection interval of 30 ms. The layouts: staged (one pair of slots, MCUboot swaps, two resets) and simultaneous (two
pairs, MCUboot overwrites, one reset).

The seconds are what the command itself tells in its JSON; "process" is what it took from its start to its end as seen
from here. "of wire" is what was uploaded by what the wire could have carried in the time of the uploads, for the UART.

The updates run at the same time, ``--jobs`` of them, for they wait most of the time: in less than a minute, and with
``--jobs 1`` without any influence on each other. ``--full`` runs every layout over every wire. ``--time-factor 0``
shows what is left where a chip takes no time: the waits of the tool.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.store.sample_firmware import CORES, read_sample, relocate, second_version

ROOT = Path(__file__).parent.parent
KEY = ROOT / "keys" / "dev-sign-p256.pem"
SMPDFU = (sys.executable, "-m", "smpdfu")
BAUDRATE, INTERVAL_MS = 115_200, 30
KIB, HEADER = 1024, 0x200
LAYOUT = {"staged": "nrf5340dk-staged", "simultaneous": "nrf5340dk-simultaneous"}
WIRES = {
    "UDP": ("--udp", "0"),
    f"pty {BAUDRATE} Bd": ("--pty", "--baudrate", str(BAUDRATE)),
    f"BLE {INTERVAL_MS} ms": ("--ble-hci", "tcp-server:127.0.0.1:0", "--ble-interval", str(INTERVAL_MS)),
}
QUICK = (
    ("staged", "UDP"),
    ("staged", f"pty {BAUDRATE} Bd"),
    ("staged", f"BLE {INTERVAL_MS} ms"),
    ("simultaneous", f"BLE {INTERVAL_MS} ms"),
)
FULL = tuple((layout, wire) for layout in LAYOUT for wire in WIRES)
CONSOLE_KIB_S = BAUDRATE / 10 * 3 / 4 * 124 / 127 / KIB
"""What base64 in lines of 127 bytes leaves of the UART."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One update: what the command said, and the ``process_s`` seconds that it ran."""

    said: dict[str, Any]
    process_s: float

    @property
    def spans(self) -> list[tuple[str, float, int | None]]:
        """What was done, its seconds, and the bytes that it sent."""
        said = self.said
        steps = [(step["name"], step["seconds"], step["bytes"]) for step in said["steps"]]
        return [("connect", said["connect_seconds"], None), ("preflight", said["preflight_seconds"], None), *steps]


def smpdfu(*arguments: object) -> dict[str, Any]:
    """What a command says as JSON; the benchmark ends where it fails."""
    done = subprocess.run([*SMPDFU, *map(str, arguments), "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"smpdfu {' '.join(map(str, arguments))} ends with {done.returncode}: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def make_releases(folder: Path, layout: str) -> tuple[Path, Path]:
    """The folders of two signed releases of the sample firmware, linked for the slots of a layout."""
    primary, original = LAYOUTS[LAYOUT[layout]].primary, read_sample()
    app, net = CORES
    releases = folder / "1", folder / "2"
    for number, release in enumerate(releases, 1):
        release.mkdir(parents=True)
        files: list[object] = []
        for core in (replace(app, slot_code=primary.start + HEADER), net):
            code, file = relocate(original[core.name], core), release / f"{core.name}.bin"
            file.write_bytes(code if number == 1 else second_version(code))
            files += [f"--{core.name}", file]
        where = ("--app-address", hex(primary.start), "-H", HEADER)
        smpdfu("package", *files, *where, "--version", f"{number}.0.0", "-k", KEY, "-o", release)
    return releases


@contextmanager
def running(name: str, wire: str) -> Iterator[str]:
    """A device at a wire; the address that it is at."""
    command = [*SMPDFU, "virtual", "run", name, *WIRES[wire], "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline() or "{}").get("port")
            if port is None:
                sys.exit(f"smpdfu virtual run {' '.join(WIRES[wire])} does not start")
            yield port if ":" in port else f"serial:{port}"
        finally:
            process.terminate()


def update(folder: Path, layout: str, wire: str, time_factor: float) -> Outcome:
    """A device that is new, and its update from the first release to the second."""
    name = re.sub(r"\W", "-", f"{layout}-{wire}")
    old, new = make_releases(folder / name, layout)
    firmware = ("--app", old / "app_update.bin", "--net", old / "net_core_update.bin")
    built = ("--layout", LAYOUT[layout], "--key", KEY, "--time-factor", time_factor)
    smpdfu("virtual", "new", name, *built, *firmware)
    try:
        with running(name, wire) as address:
            began = time.monotonic()
            said = smpdfu("update", new / "dfu_application.zip", "--to", address)
            return Outcome(said, time.monotonic() - began)
    finally:
        smpdfu("virtual", "delete", name)


# --- the table ------------------------------------------------------------------------------------------------------


def print_outcome(layout: str, wire: str, outcome: Outcome) -> None:
    """A line per step."""
    said, total_s = outcome.said, outcome.said["total_seconds"]
    print(f"{layout}, {wire}: {said['result']}")
    for name, seconds, sent in outcome.spans:
        rate = "" if not sent else f"{sent / KIB:7.0f} KiB {sent / KIB / max(seconds, 1e-9):8.1f} KiB/s"
        print(f"  {name:<14} {seconds:7.2f} s {seconds / total_s:5.0%}{rate}")
    uploads = [(seconds, sent) for _, seconds, sent in outcome.spans if sent]
    seconds, sent = sum(one for one, _ in uploads), sum(one for _, one in uploads)
    share = f", {sent / KIB / seconds / CONSOLE_KIB_S:.0%} of wire" if str(BAUDRATE) in wire else ""
    print(
        f"  {'in all':<14} {total_s:7.2f} s, process {outcome.process_s:.2f} s; uploads {seconds:.2f} s "
        f"({sent / KIB / max(seconds, 1e-9):.1f} KiB/s{share}), all else {total_s - seconds:.2f} s"
    )


def print_summary(done: Sequence[tuple[str, str, Outcome]]) -> None:
    """A column per update, a row per step."""
    names = list(dict.fromkeys(name for *_, outcome in done for name, *_ in outcome.spans))
    titles = [f"{layout}, {wire}" for layout, wire, _ in done]
    width = max(map(len, titles)) + 2
    print(f"\n{'seconds':<14}" + "".join(f"{title:>{width}}" for title in titles))
    columns = [{name: seconds for name, seconds, _ in outcome.spans} for *_, outcome in done]
    for name in names:
        cells = (f"{column[name]:.2f}" if name in column else "" for column in columns)
        print(f"{name:<14}" + "".join(f"{cell:>{width}}" for cell in cells))
    print(f"{'in all':<14}" + "".join(f"{outcome.said['total_seconds']:{width}.2f}" for *_, outcome in done))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="smpdfu update of both cores, in seconds per step.")
    parser.add_argument("--full", action="store_true", help="every layout over every wire")
    parser.add_argument("--time-factor", type=float, default=1.0, help="1: the chip takes its time; 0: it takes none")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="so many updates at the same time")
    options = parser.parse_args()
    began, rows = time.monotonic(), FULL if options.full else QUICK
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"SMPDFU_VIRTUAL_HOME": f"{folder}/devices", "SMPDFU_STATE_HOME": f"{folder}/state"}
        with ThreadPoolExecutor(options.jobs) as pool:
            each = [pool.submit(update, Path(folder), *row, options.time_factor) for row in rows]
            done = [(*row, one.result()) for row, one in zip(rows, each, strict=True)]
    for row in done:
        print_outcome(*row)
    print_summary(done)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
