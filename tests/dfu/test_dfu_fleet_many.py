"""Thirty devices, five of them broken in five ways, half of them at UDP ports; stopped in the middle and run again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.client import Client
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice, Limits, Treatment, Wave
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.log.log import FleetLog, read_log
from smpdfu.dfu.fleet.run import FleetRun, Ports
from smpdfu.dfu.fleet.schedule import Outcome, Phase
from smpdfu.dfu.package.package import Package
from smpdfu.link.udp import UdpPipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming
from smpdfu.virtual.device import BUILD, VirtualNrf5340
from smpdfu.virtual.wires.udp import serve_udp
from tests.deadlines import HANG_S
from tests.dfu.dfu_device import FAST, new_device, version
from tests.dfu.test_dfu_fleet import standing

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

DEAD, STRANGE, UNWELL, DEAF, OTHER = "d08", "d13", "d17", "d20", "d29"
NAMES = tuple(f"d{number:02}" for number in range(30))
EXPECTED = {
    DEAF: Outcome.INCOMPLETE,
    DEAD: Outcome.UNREACHABLE,
    STRANGE: Outcome.REVERTED,
    UNWELL: Outcome.REVERTED,
    OTHER: Outcome.REFUSED,
}
WAVES = (Wave("canary", NAMES[:3], 0.01), Wave("some", NAMES[3:12], 0.01), Wave("rest", NAMES[12:]))
SHORT_S = 0.05
"""Timeout for answers that never come."""


class DeafDevice(VirtualNrf5340):
    """Its link loses everything after some bytes."""

    heard = 0

    def answers(self, packet: bytes) -> list[bytes]:
        self.heard += len(packet)
        return [] if self.heard > 5000 else super().answers(packet)


class OtherBoard(VirtualNrf5340):
    build = replace(BUILD, platform="thingy53/nrf5340/cpuapp")


def fleet_of(names: tuple[str, ...], waves: tuple[Wave, ...], **limits: Any) -> Fleet:
    devices = {name: FleetDevice(name, f"virtual:{name}") for name in names}
    how = Treatment(health=f'test "$SMPDFU_TO" != virtual:{UNWELL}', boot_timeout_s=HANG_S)
    return Fleet("many", Path("many.toml"), devices, waves, {}, Limits(**limits), how)


def made(make: Maker) -> dict[str, VirtualNrf5340]:
    kinds = {DEAF: DeafDevice, OTHER: OtherBoard}
    devices = {}
    for name in NAMES:
        maker = type(make)(make.encryption, make.key) if name == STRANGE else make
        devices[name] = new_device(maker, kind=kinds.get(name, VirtualNrf5340))
    devices[DEAD].images[0].primary.area.erase_all()
    devices[DEAD].reset()
    return devices


@asynccontextmanager
async def ports_of(devices: Mapping[str, VirtualNrf5340]) -> AsyncIterator[Mapping[str, int]]:
    """Every second device at a UDP port."""
    told: dict[str, asyncio.Future[int]] = {name: asyncio.get_running_loop().create_future() for name in NAMES[::2]}

    def tell(name: str) -> Callable[[str, int], None]:
        return lambda _, port: told[name].set_result(port)

    serving = [asyncio.create_task(serve_udp(devices[name], port=0, ready=tell(name))) for name in told]
    try:
        yield {name: await ready for name, ready in told.items()}
    finally:
        for task in serving:
            task.cancel()
        await asyncio.wait(serving)


async def run(
    folder: Path, fleet: Fleet, devices: Mapping[str, VirtualNrf5340], package: Package, leave_at: int | None = None
) -> Phase | None:
    """One run; left as by Ctrl-C when so many devices have ended."""
    ended = 0

    def watch(event: LogEvent) -> None:
        nonlocal ended
        ended += event.kind == "end"
        if ended == leave_at:
            task.cancel()

    async with ports_of(devices) as at:

        def connect(device: FleetDevice) -> Client:
            timeout_s = SHORT_S if device.name in (DEAF, DEAD) else HANG_S
            if device.name in at:
                pipe, framing = UdpPipe("127.0.0.1", at[device.name]), DatagramFraming()
                return Client(pipe, framing, timeout_s=timeout_s, patience=FAST)
            return Client(devices[device.name].connect(), ConsoleFraming(), timeout_s=timeout_s, patience=FAST)

        packages = {"default": package}
        schedule = standing(read_log(folder), fleet, packages).schedule(fleet, time.time())
        ports = Ports(connect, packages, lambda address: folder / address[8:])
        with FleetLog(folder, watch=watch) as log:
            task = asyncio.create_task(FleetRun(fleet, schedule, log, ports).run())
            await asyncio.wait([task])
    return None if task.cancelled() else task.result()


def test_exactly_the_broken_ones_are_reported(make: Maker, tmp_path: Path) -> None:
    devices, package = made(make), make.package(make.image(size=12_000))
    fleet = fleet_of(NAMES, WAVES, at_once=12, max_unreachable=1)
    assert asyncio.run(run(tmp_path, fleet, devices, package, leave_at=9)) is None
    assert asyncio.run(run(tmp_path, fleet, devices, package)) is Phase.DONE
    read = list(read_log(tmp_path))
    events = [one.entry for one in read]
    history = History.of(read, fleet, {"default": package.digest})
    outcomes = {name: course.outcome for name, course in history.courses.items()}
    assert {name: one for name, one in outcomes.items() if one is None or not one.good} == EXPECTED
    assert {name for name in NAMES if version(devices[name]) == "2.0.0"} == set(NAMES) - set(EXPECTED)
    done = Counter(event["device"] for event in events if event.get("outcome") == "done")
    assert max(done.values()) == 1
    assert history.causes() == {
        "no answer": [DEAD],
        "on trial: the health check failed": [UNWELL],
        "preflight: wrong-board": [OTHER],
        "the device went back to its previous firmware": [STRANGE],
        "upload app: no answer": [DEAF],
    }
    assert (history.courses[UNWELL].was, history.courses[UNWELL].runs) == ("1.0.0", "1.0.0")
    assert_wave_by_wave(events)


def assert_wave_by_wave(events: list[Mapping[str, Any]]) -> None:
    """Nothing begins before everything in the waves in front of it has ended once."""
    ended = set[str]()
    for event in events:
        if event["event"] == "end":
            ended.add(event["device"])
        elif event["event"] == "begin":
            number = next(number for number, wave in enumerate(WAVES) if event["device"] in wave.devices)
            assert ended.issuperset(name for wave in WAVES[:number] for name in wave.devices)


def test_the_limit_holds_over_a_restart(make: Maker, tmp_path: Path) -> None:
    devices, package = made(make), make.package(make.image(size=12_000))
    names = (STRANGE, "d00", UNWELL, "d01", OTHER, "d02", "d03")
    fleet = fleet_of(names, (Wave("all", names),), at_once=1, stop_after_failures=3)
    assert asyncio.run(run(tmp_path, fleet, devices, package, leave_at=3)) is None
    assert asyncio.run(run(tmp_path, fleet, devices, package)) is Phase.STOPPED
    assert [version(devices[name]) for name in ("d00", "d01", "d02", "d03")] == ["2.0.0", "2.0.0", "1.0.0", "1.0.0"]
    before = len(list(read_log(tmp_path)))
    assert asyncio.run(run(tmp_path, fleet, devices, package)) is Phase.STOPPED
    assert [event.kind for event in list(read_log(tmp_path))[before:]] == ["run", "stop", "leave"]
