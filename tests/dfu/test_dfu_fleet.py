"""A fleet of virtual devices in one process: the right ones are reported, limits hold, a second run goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.client import Client
from smpdfu.dfu.decide.record import DONE, REVERTED
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice, Limits, Treatment, Unproven, Wave
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.log.log import FleetLog, log_path, read_log
from smpdfu.dfu.fleet.log.standing import Standing, standing_of
from smpdfu.dfu.fleet.run import FleetRun, Ports
from smpdfu.dfu.fleet.schedule import Outcome, Phase, Schedule
from smpdfu.dfu.package.package import Package
from smpdfu.errors import JournalError
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.device import VirtualNrf5340
from tests.dfu.dfu_device import FAST, new_device, version, wire_of
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker


def standing(
    events: Iterable[LogEvent], fleet: Fleet, packages: Mapping[str, Package], *, again: bool = False
) -> Standing:
    """What a run finds in the log before it begins."""
    digests = {hardware: package.digest for hardware, package in packages.items()}
    return standing_of(History.of(events, fleet, digests), again=again)


Devices = Mapping[str, VirtualNrf5340]


def fleet_of(names: list[str], waves: tuple[Wave, ...] = (), **limits: Any) -> Fleet:
    devices = {name: FleetDevice(name, f"virtual:{name}") for name in names}
    whole = waves or (Wave("all", tuple(names)),)
    return Fleet("test", Path("test.toml"), devices, whole, {}, Limits(**limits), Treatment(boot_timeout_s=1.0))


class Bench:
    """A folder with the log and the journals, and devices by name."""

    def __init__(self, folder: Path, devices: Devices, package: Package, *, console: bool = True) -> None:
        self.console = console
        self.folder, self.devices, self.packages = folder, devices, {"default": package}
        self.events: list[Mapping[str, Any]] = []
        self.at_event: Callable[[Mapping[str, Any]], None] = lambda event: None
        self.job: FleetRun | None = None
        self.look: Callable[[FleetDevice], Awaitable[bool]] | None = None
        self.looks_at_once = 400

    def _connect(self, device: FleetDevice) -> Client:
        pipe, framing = wire_of(self.devices[device.name], console=self.console)
        return Client(pipe, framing, timeout_s=0.2, attempts=2, patience=FAST)

    def _watch(self, event: LogEvent) -> None:
        self.events.append(event.entry)
        self.at_event(event.entry)

    async def _run(self, fleet: Fleet, schedule: Schedule) -> Phase:
        journal = lambda place: self.folder / f"{place[8:]}.jsonl"  # noqa: E731
        ports = Ports(self._connect, self.packages, journal, look=self.look, looks_at_once=self.looks_at_once)
        with FleetLog(self.folder, watch=self._watch) as log:
            self.job = FleetRun(fleet, schedule, log, ports)
            return await self.job.run()

    def run(self, fleet: Fleet, *, again: bool = False) -> Schedule:
        schedule = standing(read_log(self.folder), fleet, self.packages, again=again).schedule(fleet, time.time())
        simulate(self._run(fleet, schedule))
        return schedule


@pytest.fixture
def bench(make: Maker, tmp_path: Path) -> Callable[[dict[str, VirtualNrf5340]], Bench]:
    return lambda devices: Bench(tmp_path, devices, make.package(make.image()))


def dead(make: Maker) -> VirtualNrf5340:
    device = new_device(make)
    device.app.erase(device.layout.primary.start, device.layout.primary.size_bytes)
    device.reset()
    return device


def strange_key(make: Maker) -> VirtualNrf5340:
    """A device that trusts another key, so that its bootloader refuses the image."""
    other = type(make)(make.encryption, make.key)
    return new_device(other)


def test_each_device_has_its_outcome(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {f"good-{n}": new_device(make) for n in range(5)}
    devices |= {"dead": dead(make), "strange": strange_key(make)}
    devices["current"] = new_device(make)
    devices["current"].load_app(make.image().data)
    devices["current"].reset()
    here = bench(devices)
    schedule = here.run(fleet_of(list(devices), at_once=3))
    expected = {f"good-{n}": Outcome.DONE for n in range(5)}
    assert schedule.outcomes["current"] in (Outcome.CURRENT, Outcome.DONE)
    assert {name: schedule.outcomes[name] for name in expected} == expected
    assert schedule.outcomes["dead"] is Outcome.UNREACHABLE
    assert schedule.outcomes["strange"] is Outcome.REVERTED
    assert all(version(devices[name]) == "2.0.0" for name in expected)
    assert version(devices["strange"]) == "1.0.0"
    ends = {event["device"]: event for event in here.events if event["event"] == "end"}
    assert ends["good-0"]["bytes"] == len(make.image().data)
    assert (ends["good-0"]["from"], ends["good-0"]["to"]) == ("1.0.0", "2.0.0")
    assert ends["dead"]["cause"] == "no answer"
    assert ends["strange"]["cause"] == "the device went back to its previous firmware"


def test_no_more_at_once_than_allowed_and_wave_by_wave(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {name: new_device(make) for name in "abcdef"}
    fleet = fleet_of(list(devices), (Wave("canary", ("a",)), Wave("rest", tuple("bcdef"))), at_once=2)
    here, under_way, most = bench(devices), set[str](), 0

    def count(event: Mapping[str, Any]) -> None:
        nonlocal most
        if event["event"] == "begin":
            assert event["device"] == "a" or version(devices["a"]) == "2.0.0"
            under_way.add(event["device"])
            most = max(most, len(under_way))
        elif event["event"] == "end":
            under_way.discard(event["device"])

    here.at_event = count
    assert here.run(fleet).phase is Phase.DONE
    assert most == 2
    assert [event["wave"] for event in here.events if event["event"] == "wave"] == ["canary", "rest"]


def test_it_stops_and_the_next_call_does_nothing_until_told_so(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {"a": strange_key(make), "b": new_device(make)}
    fleet = fleet_of(list(devices), at_once=1, stop_after_failures=1)
    here = bench(devices)
    assert here.run(fleet).phase is Phase.STOPPED
    assert version(devices["b"]) == "1.0.0"
    assert here.run(fleet).phase is Phase.STOPPED
    assert version(devices["b"]) == "1.0.0"
    devices["a"] = new_device(make)
    assert here.run(fleet, again=True).phase is Phase.DONE
    assert [version(device) for device in devices.values()] == ["2.0.0", "2.0.0"]


def test_what_failed_before_is_tried_after_the_others(make: Maker, bench: Callable[..., Bench]) -> None:
    """Or a fleet that was stopped by the first device would never get beyond it."""
    devices = {"a": strange_key(make), "b": new_device(make)}
    fleet, here = fleet_of(list(devices), at_once=1, stop_after_failures=1), bench(devices)
    assert here.run(fleet).phase is Phase.STOPPED
    assert here.run(fleet, again=True).phase is Phase.STOPPED
    assert [event["device"] for event in here.events if event["event"] == "begin"] == ["a", "b", "a"]
    assert version(devices["b"]) == "2.0.0"


def test_killed_in_the_middle_the_next_run_does_what_is_left(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {name: new_device(make) for name in "abcd"}
    fleet, here = fleet_of(list(devices), at_once=2), bench(devices)

    async def kill_at(entry: int) -> None:
        def look(event: Mapping[str, Any]) -> None:
            if len(here.events) >= entry:
                task.cancel()

        schedule = standing(read_log(here.folder), fleet, here.packages).schedule(fleet, time.time())
        task = asyncio.create_task(here._run(fleet, schedule))
        here.at_event = look
        await asyncio.wait([task])

    for entry in (4, 9, 15, 30):
        simulate(kill_at(entry))
    here.at_event = lambda event: None
    assert here.run(fleet).phase is Phase.DONE
    assert {version(device) for device in devices.values()} == {"2.0.0"}
    ends = [event["device"] for event in here.events if event["event"] == "end" and event["outcome"] == "done"]
    assert len(ends) == len(set(ends))


def test_pause_and_resume(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {name: new_device(make) for name in "abc"}
    here = bench(devices)

    def pause(event: Mapping[str, Any]) -> None:
        assert here.job is not None
        if event["event"] == "begin" and event["device"] == "a":
            here.job.pause()
        elif event["event"] == "end" and event["device"] == "a":
            assert here.job.schedule.phase is Phase.PAUSED
            asyncio.get_running_loop().call_later(0.05, here.job.resume)

    here.at_event = pause
    assert here.run(fleet_of(list(devices), at_once=1)).phase is Phase.DONE
    kinds = [event["event"] for event in here.events if event["event"] in ("begin", "end", "pause", "resume")]
    assert kinds[:4] == ["begin", "pause", "end", "resume"]


def test_pausing_a_stopped_fleet_again_and_again_is_told_once(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {"a": strange_key(make), "b": new_device(make)}
    here = bench(devices)

    def pause(event: Mapping[str, Any]) -> None:
        if event["event"] == "end" and here.job is not None:
            for _ in range(3):
                here.job.pause()

    here.at_event = pause
    assert here.run(fleet_of(list(devices), at_once=2, stop_after_failures=1)).phase is Phase.STOPPED
    assert [event["event"] for event in here.events].count("pause") == 1


def test_another_package_begins_anew(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {"a": new_device(make)}
    fleet, here = fleet_of(["a"]), bench(devices)
    here.run(fleet)
    here.packages = {"default": make.package(make.image(version="3.0.0"))}
    assert here.run(fleet).outcomes == {"a": Outcome.DONE}
    assert version(devices["a"]) == "3.0.0"


@pytest.mark.parametrize("event", ["step", "end"])
def test_a_log_that_cannot_be_written_ends_the_run(make: Maker, bench: Callable[..., Bench], event: str) -> None:
    """In the middle: the other devices are left as Ctrl-C leaves them, and nothing else begins."""
    devices = {name: new_device(make) for name in "abcd"}
    here, begun = bench(devices), set[str]()

    def break_it(entry: Mapping[str, Any]) -> None:
        if entry["event"] == "begin":
            begun.add(entry["device"])
        elif entry["event"] == event:
            raise JournalError("the log cannot be written: No space left on device")

    here.at_event = break_it
    fleet = fleet_of(list(devices), at_once=2)
    schedule = standing((), fleet, here.packages).schedule(fleet, time.time())
    with pytest.raises(JournalError, match="No space left"):
        simulate(asyncio.wait_for(here._run(fleet, schedule), 60.0))  # ignored, it would wait for ever
    assert begun == {"a", "b"}


def test_a_board_that_was_replaced_is_asked_anew(make: Maker, bench: Callable[..., Bench]) -> None:
    """The same name at another address, or with another serial number, is another device."""
    here, fleet = bench({"a": new_device(make)}), fleet_of(["a"])
    assert here.run(fleet).outcomes == {"a": Outcome.DONE}
    moved = FleetDevice("a", "virtual:elsewhere")
    for other in (moved, replace(moved, serial="1050012345")):
        here.devices = {"a": new_device(make)}
        fleet = replace(fleet, devices={"a": other})
        assert here.run(fleet).outcomes == {"a": Outcome.DONE}
        assert version(here.devices["a"]) == "2.0.0"
        assert here.run(fleet).outcomes == {"a": Outcome.DONE}, "and once only"


@pytest.mark.parametrize(("end", "outcome"), [(DONE, Outcome.DONE), (REVERTED, Outcome.REVERTED)])
def test_killed_between_the_end_of_the_journal_and_that_of_the_log(
    make: Maker, bench: Callable[..., Bench], end: str, outcome: Outcome
) -> None:
    """The device is not updated again, and its outcome is the one that it had."""
    device = new_device(make) if end == DONE else strange_key(make)
    here, fleet = bench({"a": device}), fleet_of(["a"])
    here.run(fleet)
    log_path(here.folder).write_text(
        "".join(line for line in log_path(here.folder).read_text().splitlines(True) if '"event": "end"' not in line)
    )
    before = (here.folder / "a.jsonl").read_text()
    assert here.run(fleet).outcomes == {"a": outcome}
    assert (here.folder / "a.jsonl").read_text() == before
    if end == REVERTED:  # until somebody says --go-on
        assert here.run(fleet).outcomes == {"a": outcome}
        here.devices = {"a": new_device(make)}
        assert here.run(fleet, again=True).outcomes == {"a": Outcome.DONE}


def test_a_damaged_journal_of_a_device_is_told(make: Maker, bench: Callable[..., Bench]) -> None:
    here = bench({"a": new_device(make)})
    (here.folder / "a.jsonl").write_bytes(b'{"update": "old"}\nno json\n{"end": "done"}\n')
    assert here.run(fleet_of(["a"])).outcomes == {"a": Outcome.DONE}
    assert [event["lines"] for event in here.events if event["event"] == "damaged"] == [(2,)]


def test_an_older_package_is_refused(make: Maker, bench: Callable[..., Bench]) -> None:
    here, fleet = bench({"a": new_device(make)}), fleet_of(["a"])
    here.packages = {"default": make.package(make.image(version="0.9.0"))}
    assert here.run(fleet).outcomes == {"a": Outcome.REFUSED}
    assert [event["cause"] for event in here.events if event["event"] == "end"] == ["preflight: downgrade"]
    assert version(here.devices["a"]) == "1.0.0"
    fleet = replace(fleet, treatment=replace(fleet.treatment, no_downgrade=False))
    assert here.run(fleet, again=True).outcomes == {"a": Outcome.DONE}


def test_the_history_of_a_log(make: Maker, bench: Callable[..., Bench]) -> None:
    devices = {"good": new_device(make), "strange": strange_key(make), "late": new_device(make)}
    fleet = fleet_of(list(devices), at_once=1, stop_after_failures=1)
    here = bench(devices)
    here.run(fleet)
    digests = {"default": here.packages["default"].digest}
    history = History.of(read_log(here.folder), fleet, digests)
    assert history.counts() == {"done": 1, "reverted": 1, "waiting": 1}
    assert history.causes() == {"the device went back to its previous firmware": ["strange"]}
    assert history.stopped == "1 device failed; the limit is 1"
    good = history.courses["good"]
    assert [span.step for span in good.spans] == [
        f"{one} app" for one in ("upload", "test", "reset", "check", "confirm")
    ]
    assert (good.was, good.runs, good.attempts) == ("1.0.0", "2.0.0", 1)
    assert not History.of(read_log(here.folder), fleet, {"default": "other"}).counts().get("done")
    for cut in (1, 5, 9):  # as it is while it runs, or after a kill
        some = list(read_log(here.folder))[:cut]
        part = History.of(some, fleet, digests)
        assert sum(part.counts().values()) == 3


def test_a_device_that_another_process_has(make: Maker, bench: Callable[..., Bench]) -> None:
    from smpdfu.dfu.do.journal.journal import Journal

    devices = {"a": new_device(make), "b": new_device(make)}
    here = bench(devices)
    with Journal(here.folder / "a.jsonl"):
        schedule = here.run(fleet_of(["a", "b"]))
    assert schedule.outcomes == {"a": Outcome.INCOMPLETE, "b": Outcome.DONE}
    assert [event["cause"] for event in here.events if event.get("outcome") == "incomplete"] == [
        "another process has the device"
    ]
    assert here.run(fleet_of(["a", "b"])).outcomes["a"] is Outcome.DONE


def test_preflight_refuses_by_its_codes(make: Maker, bench: Callable[..., Bench]) -> None:
    here = bench({"a": new_device(make)})
    here.packages = {"default": make.package(make.image(address=0))}
    schedule = here.run(fleet_of(["a"]))
    (end,) = (event for event in here.events if event["event"] == "end")
    assert schedule.outcomes == {"a": Outcome.REFUSED}
    assert end["cause"] == "preflight: linked-elsewhere"


def test_unproven_is_counted_apart(make: Maker, tmp_path: Path) -> None:
    """A bootloader that overwrites, over a wire without a console."""
    devices = {name: new_device(make, SwapMode.OVERWRITE_ONLY) for name in "ab"}
    here = Bench(tmp_path, devices, make.package(), console=False)
    fleet = fleet_of(list(devices), at_once=1, unproven=Unproven.STOP)
    schedule = here.run(fleet)
    assert (schedule.outcomes, schedule.phase) == ({"a": Outcome.UNPROVEN}, Phase.STOPPED)
    assert here.run(fleet).outcomes == {"a": Outcome.UNPROVEN}, "until somebody says --go-on"
    assert here.run(fleet_of(list(devices))).phase is Phase.DONE
    history = History.of(read_log(tmp_path), fleet, {"default": here.packages["default"].digest})
    assert (history.counts(), history.causes()) == ({"unproven": 2}, {})
    ((reason, names),) = history.doubts().items()
    assert names == ["a", "b"]
    assert reason.startswith("The bootloader emptied the slot")
    ends = [event for event in here.events if event["event"] == "end"]
    assert [event["proof"]["value"] for event in ends] == [None, None]
