"""A fleet of virtual nRF5340, three of a hundred broken in five ways: are the right ones reported, how fast, how much?

Twice: by ``smpdfu fleet run`` as a process against as many UDP ports of another process, which is killed (SIGKILL) in
the middle, run again until its limit of failures stops it, and run once more with a higher limit; then in process, all
devices and the fleet's runner in one event loop, cancelled once. After each, what is printed is checked: the devices
reported are the broken ones, each in its way; all others run version 2, confirmed; no wave began before the one in
front of it was done; nothing began after the stop; no device was updated twice.

``python -m benchmarks.bench_fleet``; ``--count`` devices (1,000). The short form updates 60, as processes only:
with so few, the waits for the broken ones take most of the time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.boards import used_bytes
from benchmarks.fleet_rig import NEW, WAYS, broken, devices, name_of, package, versions
from benchmarks.goals import goal
from benchmarks.rows import NotRun, Result, Row
from smpdfu.client import Client
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.log.log import FleetLog, log_path, read_log
from smpdfu.dfu.fleet.log.standing import standing_of
from smpdfu.dfu.fleet.run import FleetRun, Ports
from smpdfu.dfu.fleet.schedule import Outcome, Phase
from smpdfu.fleets import open_fleet
from smpdfu.local.state.limits import allow_open_files
from smpdfu.smp.framing import ConsoleFraming

COUNT, QUICK_COUNT, AT_ONCE = 1000, 60, 48
MIB = 1 << 20
STOPPED, UNFINISHED = 7, 8
PATIENCE_S = 3600.0

Events = Sequence[Mapping[str, Any]]

FLEET = """
[fleet]
name = "bench"
at_once = {at_once}
soak_s = 0.5
stop_after_failures = {limit}
devices = "devices.csv"
[update]
timeout_s = {timeout_s}
boot_timeout_s = 60
health = '''case "$SMPDFU_TO" in {unhealthy}) exit 1;; esac'''
[packages]
default = "package.zip"
[[wave]]
name = "canary"
share = 0.05
[[wave]]
name = "some"
share = 0.2
[[wave]]
name = "rest"
"""


@dataclass
class Scene:
    """A folder with the file of a fleet of ``count``; ``addresses`` by name."""

    folder: Path
    count: int
    addresses: Mapping[str, str]
    took_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    events: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "fleet.toml"

    def write(self, limit: int) -> None:
        """The file, with this limit of failures."""
        unhealthy = [self.addresses[name] for name, way in broken(self.count).items() if way == "unhealthy"]
        timeout_s = 0.5 if self.count <= QUICK_COUNT else 1.5  # of a few, no computer keeps an answer back for long
        self.path.write_text(
            FLEET.format(at_once=AT_ONCE, timeout_s=timeout_s, limit=limit, unhealthy="|".join(unhealthy))
        )


# --- what must be true ----------------------------------------------------------------------------------------------


def check(scene: Scene, runs: Mapping[str, str | None]) -> None:
    """All that the top of this file promises. ``runs``: the version in each device."""
    ends = [event for event in scene.events if event["event"] == "end"]
    outcomes = {event["device"]: event["outcome"] for event in ends}
    wrong = broken(scene.count)
    assert len(outcomes) == scene.count, f"{scene.count - len(outcomes)} devices have no outcome"
    reported = {name for name, outcome in outcomes.items() if not Outcome(outcome).good}
    assert reported == set(wrong), f"wrongly reported or not reported: {reported ^ set(wrong)}"
    for name, way in wrong.items():
        assert outcomes[name] in WAYS[way].outcomes, f"{name} is {way} and was reported as {outcomes[name]}"
    for name, version in runs.items():
        assert (version == NEW) == (name not in wrong), f"{name} runs {version}"
    twice = [name for name, times in Counter(e["device"] for e in ends if e["outcome"] == "done").items() if times > 1]
    assert not twice, f"updated twice: {twice}"
    check_waves(scene)


def check_waves(scene: Scene) -> None:
    """Waves one after the other, and nothing began once the limit was reached."""
    waves = {name: at for at, wave in enumerate(Fleet.load(scene.path).waves) for name in wave.devices}
    left, stopped = Counter(waves.values()), False
    seen = set[str]()
    for event in scene.events:
        if event["event"] == "run":
            stopped = False
        elif event["event"] == "stop":
            stopped = True
        elif event["event"] == "begin":
            assert not stopped, f"{event['device']} began after the stop"
            before = [wave for wave in range(waves[event["device"]]) if left[wave]]
            assert not before, f"{event['device']} began before wave {before} was done"
        elif event["event"] == "end" and event["device"] not in seen:
            seen.add(event["device"])
            left[waves[event["device"]]] -= 1


def tell(title: str, scene: Scene, more: str) -> None:
    """Two lines with the figures."""
    counts = Counter(
        event["outcome"] for event in {e["device"]: e for e in scene.events if e["event"] == "end"}.values()
    )
    rate = 60 * scene.count / scene.took_s
    print(f"{title}: {scene.count} devices, {len(broken(scene.count))} of them broken, and these were reported")
    print(f"  {', '.join(f'{count} {outcome}' for outcome, count in sorted(counts.items()))}")
    print(
        f"  {scene.took_s:.1f} s, {rate:.0f} devices a minute; {1000 * scene.cpu_s / scene.count:.0f} ms CPU a device; "
        f"{scene.peak_bytes / MIB:.0f} MiB at most; {more}",
        flush=True,
    )


# --- as processes ---------------------------------------------------------------------------------------------------


@contextmanager
def rig(count: int, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The process with the devices."""
    command = [sys.executable, "-m", "benchmarks.fleet_rig", str(count), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the devices did not start")
        try:
            yield process
        finally:
            process.stdin.close()


def fleet_run(scene: Scene, log: Path, kill_at: int | None = None) -> int:
    """One ``smpdfu fleet run``; its exit code. ``kill_at``: killed when so many devices have ended."""
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("smpdfu")), "fleet", "run", str(scene.path), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while kill_at is not None and (not log.exists() or log.read_bytes().count(b'"event": "end"') < kill_at):
        time.sleep(0.02)
        if time.perf_counter() - began > PATIENCE_S:
            raise TimeoutError("the fleet makes no progress")
    if kill_at is not None:
        process.kill()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    scene.took_s += time.perf_counter() - began
    scene.cpu_s += used.ru_utime + used.ru_stime
    scene.peak_bytes = max(scene.peak_bytes, used.ru_maxrss * 1024)
    return process.returncode


def as_processes(count: int, folder: Path) -> Scene:
    """Killed, stopped by the limit, and run to the end."""
    os.environ["SMPDFU_STATE_HOME"] = str(folder / "state")
    with rig(count, folder) as served:
        listed = (folder / "devices.csv").read_text().splitlines()[1:]
        scene = Scene(folder, count, dict(line.split(",") for line in listed))
        scene.write(count)
        log = log_path(open_fleet(scene.path).folder)
        codes = [fleet_run(scene, log, kill_at=count // 4)]
        scene.write(limit=max(len(broken(count)) // 2, 2))
        codes.append(fleet_run(scene, log))
        scene.write(count)
        codes.append(fleet_run(scene, log))
        scene.events = [event.entry for event in read_log(log.parent)]
        assert codes[0] == -signal.SIGKILL, f"exit code {codes[0]} of the run that was killed"
        assert codes[1] in (STOPPED, UNFINISHED), f"exit code {codes[1]} of the run that was stopped"
        assert codes[2] == UNFINISHED, f"exit code {codes[2]}, and some of the devices may come back"
        stops = [event for event in scene.events if event["event"] == "stop"]
        assert len(stops) == 1, "the limit of failures did not stop the fleet"
        assert served.stdin is not None
        assert served.stdout is not None
        served.stdin.write("versions\n")
        served.stdin.flush()
        check(scene, json.loads(served.stdout.readline()))
    tell("UDP", scene, f"killed once, stopped once ({stops[0]['reason']})")
    return scene


def row(scene: Scene) -> Result:
    """The row of the goal: devices a minute, with all waits for broken devices. A small fleet is not the goal's."""
    about = goal("fleet of 1,000 devices over UDP")
    speed = 60 * scene.count / scene.took_s
    if scene.count < COUNT:
        return NotRun(about, f"{scene.count} devices: {speed:.0f} a minute, mostly waits for the broken ones")
    note = f"{scene.count} devices, {len(broken(scene.count))} of them broken, with a kill and a stop; "
    note += f"{1000 * scene.cpu_s / scene.count:.0f} ms of CPU a device in smpdfu fleet run"
    return Row(about, speed, note=note)


# --- in process -----------------------------------------------------------------------------------------------------


def in_process(count: int, folder: Path) -> None:
    """Everything in one event loop; cancelled in the middle, then run to the end."""
    before, made, wanted = used_bytes(), devices(count), package()
    wanted.write(folder / "package.zip")
    names = [name_of(number) for number in range(count)]
    lines = ["name,address", *(f"{name},virtual:{name}" for name in names)]
    (folder / "devices.csv").write_text("\n".join(lines) + "\n")
    scene = Scene(folder, count, {name: f"virtual:{name}" for name in names})
    scene.write(count)
    fleet, began, cpu = Fleet.load(scene.path), time.perf_counter(), time.process_time()

    def connect(device: FleetDevice) -> Client:
        return Client(made[device.name].connect(), ConsoleFraming(), timeout_s=fleet.treatment.timeout_s or 1.5)

    async def run(cancel_at: int | None = None) -> Phase | None:
        ended = 0

        def watch(event: LogEvent) -> None:
            nonlocal ended
            scene.peak_bytes = max(scene.peak_bytes, used_bytes() - before)
            ended += event.kind == "end"
            if ended == cancel_at:
                task.cancel()

        packages = {"default": wanted}
        digests = {hardware: package.digest for hardware, package in packages.items()}
        history = History.of(read_log(folder), fleet, digests)
        schedule = standing_of(history).schedule(fleet, time.time())
        ports = Ports(connect, packages, lambda address: folder / "journals" / address[8:])
        with FleetLog(folder, watch=watch) as log:
            task = asyncio.create_task(FleetRun(fleet, schedule, log, ports).run())
            await asyncio.wait([task])
        return None if task.cancelled() else task.result()

    assert asyncio.run(run(cancel_at=count // 2)) is None
    assert asyncio.run(run()) is Phase.DONE
    scene.took_s, scene.cpu_s = time.perf_counter() - began, time.process_time() - cpu
    scene.events = [event.entry for event in read_log(folder)]
    check(scene, versions(made))
    tell("in process", scene, "cancelled once; devices and runner share one core")


def main() -> None:
    """Print two lines for each, and the row."""
    parser = rows.options(__doc__)
    parser.add_argument("--count", type=int, help="devices in the fleet; at least 20")
    chosen = parser.parse_args()
    count = chosen.count or (QUICK_COUNT if chosen.quick else COUNT)
    if count < 20:
        parser.error("a fleet has at least 20 devices here")
    allow_open_files(count + 500)
    with tempfile.TemporaryDirectory() as name:
        found = row(as_processes(count, Path(name)))
    if not chosen.quick:
        with tempfile.TemporaryDirectory() as name:
            in_process(count, Path(name))
    rows.tell([found], chosen)


if __name__ == "__main__":
    main()
