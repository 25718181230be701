"""A program plans, runs, pauses, resumes, looks at and repairs a fleet, without the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu import __version__
from smpdfu.cli.app.advice import advice
from smpdfu.cli.app.ending import exit_code
from smpdfu.client import Client
from smpdfu.dfu.fleet.description.file import Fleet
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.log import log_path
from smpdfu.dfu.fleet.outcome import Ending, FleetOutcome
from smpdfu.dfu.fleet.reach import Reach
from smpdfu.dfu.fleet.schedule import Outcome, Phase, Schedule
from smpdfu.dfu.fleet.session import FleetSession, FleetWatch, FleetWish
from smpdfu.dfu.fleet.stops import StopCode
from smpdfu.errors import (
    FleetFailedError,
    FleetPausedError,
    FleetUnfinishedError,
    FleetUnprovenError,
    JournalError,
    LinkLostError,
    PlanError,
)
from smpdfu.fleets import open_fleet
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.device import VirtualNrf5340
from tests.dfu.dfu_device import FAST, new_device, version, wire_of
from tests.dfu.test_dfu_fleet import dead, strange_key
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

NAMES = ("a", "b", "c")


class Watch(FleetWatch):
    """Notes what is reported."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.damaged: list[int] = []
        self._news = asyncio.Event()

    def event(self, event: LogEvent) -> None:
        self.kinds.append(event.kind)
        self._news.set()

    def damaged_line(self, number: int, log: Path) -> None:
        self.damaged.append(number)

    async def until(self, kind: str) -> None:
        """Until an event of this kind is the last one."""
        while self.kinds[-1:] != [kind]:
            self._news.clear()
            await self._news.wait()


class Scene:
    """A file of a fleet of three devices, ``a`` being the canary."""

    def __init__(self, make: Maker, folder: Path, devices: Mapping[str, VirtualNrf5340]) -> None:
        self.devices, self.file = devices, folder / "roofs.toml"
        make.package(make.image()).write(folder / "p.zip")
        self.write()

    def write(self, fleet: str = "", update: str = "") -> None:
        listed = "".join(f'[[device]]\nname = "{name}"\naddress = "virtual:{name}"\n' for name in NAMES)
        self.file.write_text(
            f'[fleet]\nat_once = 1\n{fleet}\n[update]\nboot_timeout_s = 1\n{update}\n[packages]\ndefault = "p.zip"\n'
            f'[[wave]]\nname = "canary"\ndevices = ["a"]\n[[wave]]\nname = "rest"\n{listed}'
        )

    def _client(
        self, address: str, *, timeout_s: float | None = None, transfer_timeout_s: float | None = None
    ) -> Client:
        pipe, framing = wire_of(self.devices[address.partition(":")[2]])
        return Client(pipe, framing, timeout_s=0.2, attempts=2, patience=FAST)

    def open(self) -> FleetSession:
        async def no_places(address: str) -> tuple[str, ...]:
            return ()

        return FleetSession.open(self.file, Reach(self._client, str, no_places))

    def run(self, wish: FleetWish | None = None, watch: FleetWatch | None = None) -> FleetOutcome:
        return simulate(self.open().run(wish or FleetWish(), watch or FleetWatch()))

    def versions(self) -> list[str | None]:
        return [version(self.devices[name]) for name in NAMES]


@pytest.fixture
def scene(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Two devices take the package; ``c`` trusts another key."""
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state"))
    return Scene(make, tmp_path, {"a": new_device(make), "b": new_device(make), "c": strange_key(make)})


def test_a_plan_and_a_run(scene: Scene) -> None:
    plan = simulate(scene.open().plan())
    assert [(one.left, one.needed) for one in plan.waves] == [(("a",), 1), (("b", "c"), 0)]
    assert scene.versions() == ["1.0.0"] * 3
    watch = Watch()
    outcome = scene.run(watch=watch)
    assert outcome.outcomes == {"a": Outcome.DONE, "b": Outcome.DONE, "c": Outcome.REVERTED}
    assert (outcome.phase, outcome.ending, outcome.left, outcome.stopped) == (Phase.DONE, Ending.FAILED, (), None)
    assert outcome.counts == {"done": 2, "reverted": 1}
    assert (watch.kinds[0], watch.kinds[-1]) == ("run", "leave")
    error = outcome.error()
    assert isinstance(error, FleetFailedError)
    assert (error.file, error.devices, error.total) == (scene.file, 1, 3)
    assert (exit_code(error), f"smpdfu fleet status {scene.file}" in advice(error)) == (7, True)
    status = scene.open().status()
    assert (status.ending, status.running_pid, status.paused) == (Ending.FAILED, None, False)
    assert status.history.causes() == {"the device went back to its previous firmware": ["c"]}


def test_a_fleet_that_is_complete_has_no_error(make: Maker, scene: Scene) -> None:
    scene.devices = {name: new_device(make) for name in NAMES}
    outcome = scene.run()
    assert (outcome.ending, outcome.error(), outcome.error(require_proof=True)) == (Ending.COMPLETE, None, None)
    assert scene.open().status().ending is Ending.COMPLETE


def test_operator_and_tool_are_in_the_log(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's operator, else the login name; each once, the last one last."""
    monkeypatch.setenv("LOGNAME", "kim")
    for fleet in ('operator = "night shift"', "", 'operator = "night shift"'):
        scene.write(fleet=fleet)
        scene.run()
    history = scene.open().status().history
    assert (history.operators, history.tools) == (["kim", "night shift"], [__version__])


def test_a_device_that_does_not_answer_leaves_a_fleet_unfinished(make: Maker, scene: Scene) -> None:
    scene.devices = {"a": new_device(make), "b": dead(make), "c": new_device(make)}
    outcome = scene.run()
    assert outcome.ending is Ending.UNFINISHED
    error = outcome.error()
    assert isinstance(error, FleetUnfinishedError)
    assert (exit_code(error), error.devices) == (8, 1)
    scene.devices = scene.devices | {"b": new_device(make)}
    assert scene.run().ending is Ending.COMPLETE


def test_a_stop_has_a_code_and_facts(make: Maker, scene: Scene) -> None:
    scene.write(fleet="stop_after_failures = 1")
    scene.devices = {"a": dead(make), "b": new_device(make), "c": new_device(make)}
    stop = scene.run().stopped
    assert stop is not None
    assert (stop.code, stop.devices, stop.limit, stop.silent, stop.max_unreachable) == (StopCode.FAILURES, 1, 1, 1, 1)
    assert "--" not in str(stop) + stop.advice, "the library knows no command line"
    assert scene.run(FleetWish(skip_unreachable=True)).outcomes["b"] is Outcome.DONE


def test_pause_and_resume_by_another_session(scene: Scene) -> None:
    """In the soak time, by others; a pause outlives the run, and only a resume begins anew."""
    scene.write(fleet="soak_s = 600")

    async def paused_run() -> None:
        watch = Watch()
        task = asyncio.ensure_future(scene.open().run(FleetWish(), watch))
        await watch.until("end")
        assert scene.open().pause() is not None
        await watch.until("pause")
        assert isinstance(await scene.open().resume(), int), "the process that runs it"
        await watch.until("resume")
        assert scene.open().pause() is not None
        await watch.until("pause")
        task.cancel()
        await asyncio.wait([task])

    simulate(paused_run())
    scene.write()
    assert scene.open().pause() is None, "nobody runs it"
    with pytest.raises(FleetPausedError) as caught:
        scene.run()
    assert (exit_code(caught.value), f"smpdfu fleet resume {scene.file}" in advice(caught.value)) == (8, True)
    assert scene.versions() == ["2.0.0", "1.0.0", "1.0.0"]
    outcome = simulate(scene.open().resume())
    assert isinstance(outcome, FleetOutcome)
    assert outcome.ending is Ending.FAILED
    assert scene.versions() == ["2.0.0", "2.0.0", "1.0.0"]
    assert not scene.open().paused


def test_a_run_that_can_no_longer_be_paused_ends_with_an_error(scene: Scene) -> None:
    """Somebody put a file where the folder was: a pause would never be seen."""
    scene.write(fleet="soak_s = 600")

    async def run() -> None:
        watch = Watch()
        session = scene.open()
        task = asyncio.ensure_future(session.run(FleetWish(), watch))
        await watch.until("end")
        session.folder.rename(session.folder.with_name("moved"))
        session.folder.touch()
        await task

    with pytest.raises(JournalError, match=r"cannot see whether the fleet is paused: .*: Not a directory") as caught:
        simulate(run())
    assert exit_code(caught.value) == 8
    assert scene.versions() == ["2.0.0", "1.0.0", "1.0.0"]


class Failing(FleetWatch):
    """Fails in the ``count``-th call of ``method``."""

    def __init__(self, method: str, count: int, error: Exception) -> None:
        self.left, self.error = count, error
        setattr(self, method, self._fail)

    def _fail(self, *reported: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


@pytest.mark.parametrize(
    ("method", "count"), [("progress", 1), ("progress", 20), ("event", 1), ("event", 3), ("event", 6)]
)
@pytest.mark.parametrize("kind", [RuntimeError, TimeoutError, LinkLostError])
def test_an_error_of_the_watch_ends_the_run_and_is_not_the_devices(
    make: Maker, scene: Scene, method: str, count: int, kind: type[Exception]
) -> None:
    """Whatever its class: no device counts as unreachable or too slow for it. The next run continues."""
    scene.devices = {name: new_device(make) for name in NAMES}
    mine = kind("mine")

    async def twice() -> Ending:
        with pytest.raises(kind) as caught:
            await scene.open().run(FleetWish(), Failing(method, count, mine))
        assert caught.value is mine
        assert scene.open().status().history.causes() == {}
        return (await scene.open().run()).ending

    assert simulate(twice()) is Ending.COMPLETE
    assert scene.versions() == ["2.0.0"] * 3


def test_keys_of_the_file_and_of_the_wish_are_trusted(scene: Scene, make: Maker, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.pem"
    foreign.write_bytes(generate("ecdsa-p256").public.to_pem())
    scene.write(update='trust = ["foreign.pem"]')
    with pytest.raises(PlanError):
        scene.run()
    assert scene.versions() == ["1.0.0"] * 3
    assert not list((tmp_path / "state").rglob("*.jsonl"))
    assert scene.run(FleetWish(trust=(make.key.public,))).outcomes["a"] is Outcome.DONE


def test_damaged_lines_are_reported_and_repaired(scene: Scene) -> None:
    scene.run()
    log = log_path(scene.open().folder)
    first, rest = log.read_bytes().split(b"\n", 1)
    log.write_bytes(first + b"\n" + json.dumps({"event": "end", "time": None}).encode() + b"\n" + rest)
    for look in ("status", "run"):
        watch = Watch()
        session = scene.open()
        if look == "run":
            simulate(session.run(FleetWish(), watch))
        else:
            session.status(watch)
        assert watch.damaged == [2]
    assert scene.open().repair().lines == (2,)
    watch = Watch()
    scene.open().status(watch)
    assert watch.damaged == []


@pytest.mark.parametrize(
    ("known", "require_proof", "code"),
    [
        ({"a": "done", "b": "unproven", "c": "done"}, False, 0),
        ({"a": "done", "b": "unproven", "c": "done"}, True, 9),
        ({"a": "unproven", "b": "reverted", "c": "done"}, True, 7),
        ({"a": "unproven", "b": "done"}, True, 8),
        ({"a": "done", "b": "failed"}, False, 8),
        ({"a": "failed"}, False, 7),
    ],
)
def test_the_exit_code_comes_from_the_outcome(
    scene: Scene, known: dict[str, str], require_proof: bool, code: int
) -> None:
    fleet = Fleet.load(scene.file)
    outcomes = {name: Outcome(text) for name, text in known.items()}
    schedules = [Schedule(fleet.waves, fleet.limits, outcomes, outcomes) for _ in range(2)]
    error = FleetOutcome.of(fleet, Phase.DONE, *schedules).error(require_proof=require_proof)
    assert (0 if error is None else exit_code(error)) == code
    assert error is None or isinstance(error, FleetUnprovenError) is (code == 9)


def test_a_program_opens_a_fleet_by_its_path(scene: Scene) -> None:
    session = open_fleet(scene.file)
    assert (session.fleet.devices["a"].place, session.running_pid) == ("virtual:a", None)
    assert set(session.packages) == {"default"}
