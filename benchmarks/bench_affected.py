"""``smpdfu affected`` over the history of a thousand devices with many runs each: the whole process, and what it reads.

The lines have the fields that a run of a fleet and an update write, in their order; the devices are made up, each with
a chip of its own. BENCH_RUNS says how often the process is run; the fastest counts, for the machine has other work. On
a busy machine, the seconds of CPU tell more, and how many times those of ``--help`` they are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.goals import goal
from benchmarks.rows import Row, options, tell

BIN = Path(sys.executable).parent
STEPS = (
    *("upload app", "test app", "reset app", "check app", "confirm app"),
    *("upload net", "test net", "reset net", "check net"),
)
START_S = 1_700_000_000.0
PROOF = {"value": True, "reason": "The bootloader printed that the network core was updated.", "source": "console"}


def digest(text: str) -> str:
    """A hash that stands for an image or a package."""
    return sha256(text.encode()).hexdigest()


def images(release: int) -> list[dict[str, str]]:
    """The images of a release, as a log has them."""
    version = f"{release}.0.0"
    hashes = [(part, digest(f"{part} {release}"), digest(f"{part}.bin {release}")) for part in ("app", "net")]
    return [{"part": part, "hash": found, "version": version, "file": file} for part, found, file in hashes]


def place_of(number: int) -> str:
    """The address of a device."""
    return f"udp:10.1.{number // 250}.{number % 250 + 1}:1337"


def lines(entries: Iterator[dict[str, Any]]) -> str:
    """Lines of a log."""
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def fleet_log(count: int, runs: int) -> Iterator[dict[str, Any]]:
    """The log of a fleet: every run brings another release to each device."""
    at = START_S
    for release in range(1, runs + 1):
        known = {digest(f"package {release}"): images(release)}
        yield {"event": "run", "time": at, "fleet": "bench", "devices": count, "tool": "0.1.0", "packages": known}
        for number in range(count):
            package = digest(f"package {release}")
            name, identity = f"roof-{number}", place_of(number)
            about = {"device": name, "identity": identity, "wave": "all", "package": package}
            yield {"event": "begin", "time": at} | about
            for step, text in enumerate(STEPS, 1):
                yield {"event": "step", "time": at, "device": name, "step": text, "number": step, "of": 9}
            yield {"event": "end", "time": round(at + 0.4, 3), "device": name} | facts(release, number) | {
                "identity": identity, "outcome": "done", "package": package, "seconds": 41.0 + number % 977 / 1000,
            }  # fmt: skip
            at += 0.5
        yield {"event": "leave", "time": at, "phase": "done"}


def facts(release: int, number: int) -> dict[str, Any]:
    """What the log notes of an update that went well."""
    return {
        "bytes": 180000 + number % 7,
        "from": f"{release - 1}.0.0",
        "to": f"{release}.0.0",
        "from_hash": None if release == 1 else digest(f"app {release - 1}"),
        "to_hash": digest(f"app {release}"),
        "policy": "test-and-confirm",
        "either": [],
        "wanted": {"app": f"{release}.0.0", "net": f"{release}.0.0"},
        "proof": PROOF,
        "chip": digest(f"chip {number}")[:16],
    }


def journal(number: int, count: int, runs: int) -> Iterator[dict[str, Any]]:
    """The journal of a device of that fleet."""
    for release in range(1, runs + 1):
        at = START_S + 0.5 * ((release - 1) * count + number)
        begin = {"update": digest(f"package {release}"), "device": place_of(number), "images": images(release)}
        about = {"key": digest("key"), "app": digest(f"app {release}"), "needs": []}
        runs_now = None if release == 1 else digest(f"app {release - 1}")
        yield begin | {"about": about, "policy": "test-and-confirm", "uploads_run": False, "runs": runs_now, "time": at}
        for name in STEPS:
            yield {"step": name, "is": "begun", "time": at + 0.1}
            yield {"step": name, "is": "done", "time": at + 0.2}
        yield {"proof": PROOF, "time": at + 0.3}
        yield {"end": "done", "time": at + 0.3}


def write_state(home: Path, count: int, runs: int) -> int:
    """Write the history of a fleet into a state folder; the bytes that it has."""
    os.environ["SMPDFU_STATE_HOME"] = str(home)
    from smpdfu.dfu.do.journal.reading import journal_path

    log = home / "fleets" / "id-bench" / "events.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(lines(fleet_log(count, runs)))
    (home / "updates").mkdir()
    for number in range(count):
        journal_path(place_of(number)).write_text(lines(journal(number, count, runs)))
    return sum(path.stat().st_size for path in home.rglob("*.jsonl"))


def run_s(command: list[str]) -> tuple[float, float, bytes]:
    """Seconds of a run, seconds of CPU in it, and its answer."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, done.stdout


def answers(count: int, runs: int, repeats: int) -> Iterator[float]:
    """Print a line for each case; the seconds of each."""
    program = str(BIN / "smpdfu")
    with tempfile.TemporaryDirectory() as folder:
        size = write_state(Path(folder), count, runs)
        print(f"affected: {count} devices, {runs} updates each, {size / 1e6:.0f} MB of logs and journals")
        for words, release in (("the release that runs", runs), ("the first release", 1)):
            ask = [program, "affected", "--hash", digest(f"app {release}")]
            commands = [[program, "--help"], ask, [*ask, "--json"]]
            found = [[run_s(command) for command in commands] for _ in range(repeats)]
            least = min(row[0][1] for row in found)
            counts = {name: number for name, number in json.loads(found[0][2][2])["counts"].items() if number}
            for at, form in ((1, "table"), (2, "JSON")):
                wall, cpu = min(row[at][0] for row in found), min(row[at][1] for row in found)
                took = f"{wall:.2f} s, {cpu:.2f} s of CPU, {cpu / least:.1f} times --help"
                print(f"  {words:22} {form:6} {took} (fastest of {repeats}; the aim is 1 s): {counts}", flush=True)
                yield wall


def main() -> None:
    """Print a line a case, and the row of the slowest."""
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=1000, help="devices")
    parser.add_argument("--runs", type=int, default=10, help="updates of each device")
    chosen = parser.parse_args()
    repeats = 1 if chosen.quick else int(os.environ.get("BENCH_RUNS", "5"))
    slowest = max(answers(chosen.count, chosen.runs, repeats))
    note = f"{chosen.count} devices with {chosen.runs} updates each; the slowest of four cases"
    tell([Row(goal("affected, 1,000 devices with 10 updates each"), slowest, note=note)], chosen)


if __name__ == "__main__":
    main()
