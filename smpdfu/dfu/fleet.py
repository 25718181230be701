"""Many devices, one package each: waves, limits, a journal per device and a log of everything.

One asyncio process. What may begin is decided by ``schedule``, what happens to one device by ``run``; this starts the
tasks, turns every error into an outcome and writes the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from smpdfu.client import Client
from smpdfu.dfu import health as healths
from smpdfu.dfu.fleetfile import Fleet, FleetDevice
from smpdfu.dfu.fleetlog import FleetLog
from smpdfu.dfu.journal import Journal, journal_path
from smpdfu.dfu.package import Package
from smpdfu.dfu.run import Event, Progress, StepBegun, StepDone, Update, Wish
from smpdfu.dfu.schedule import Outcome, Phase, Schedule
from smpdfu.dfu.state import DeviceState
from smpdfu.dfu.steps import Deadlines
from smpdfu.errors import (
    DeviceError,
    JournalError,
    LinkError,
    PlanError,
    ProtocolError,
    RevertedError,
    SmpdfuError,
    StepError,
)

# The first class that fits; the same order as the exit codes of `smpdfu update`.
OUTCOMES: tuple[tuple[type[SmpdfuError], Outcome], ...] = (
    (LinkError, Outcome.UNREACHABLE),
    (ProtocolError, Outcome.UNREACHABLE),
    (DeviceError, Outcome.FAILED),
    (PlanError, Outcome.REFUSED),
    (RevertedError, Outcome.REVERTED),
)

_OUTCOMES = frozenset(Outcome)
Watcher = Callable[[FleetDevice, Event], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """What a fleet needs of the world: ``connect`` makes a client of a device, ``packages`` are read files by hardware.

    ``journal`` is where the journal of an address lies; ``watch`` sees every event of every device.
    """

    connect: Callable[[FleetDevice], Client]
    packages: Mapping[str, Package]
    journal: Callable[[str], Path] = journal_path
    watch: Watcher | None = None


class FleetRun:
    """One run over a fleet: make it, then ``await run()``; ``pause`` and ``resume`` at any time."""

    def __init__(self, fleet: Fleet, schedule: Schedule, log: FleetLog, ports: Ports) -> None:
        self.fleet, self.schedule = fleet, schedule
        self._log, self._ports = log, ports
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._news = asyncio.Event()
        self._broken: Exception | None = None

    def pause(self) -> None:
        """Let nothing further begin."""
        if not self.schedule.paused:
            self.schedule.pause()
            self._log.write("pause")
            self._news.set()

    def resume(self) -> None:
        """Go on after ``pause``."""
        if self.schedule.paused:
            self.schedule.resume()
            self._log.write("resume")
            self._news.set()

    async def run(self) -> Phase:
        """Until everything is done, or stopped and at rest. Cancelled, every device is left as Ctrl-C leaves it.

        Raises JournalError when the log, or a device's journal, cannot be written.
        """
        self._log.write("run", fleet=self.fleet.name, devices=len(self.fleet.devices))
        try:
            wave = None
            while True:
                self._news.clear()
                began = self.schedule.begin(self._now())
                if began and self.schedule.wave is not wave and self.schedule.wave is not None:
                    wave = self.schedule.wave
                    self._log.write("wave", wave=wave.name, devices=len(wave.devices))
                for name in began:
                    self._start(self.fleet.devices[name], "" if wave is None else wave.name)
                phase = self.schedule.phase
                if self._broken is not None or (phase in (Phase.STOPPED, Phase.DONE) and not self._tasks):
                    break
                await self._rest()
        finally:
            await self._let_go()
        if self._broken is not None:
            raise self._broken
        if self.schedule.stopped is not None:
            self._log.write("stop", reason=self.schedule.stopped)
        self._log.write("leave", phase=self.schedule.phase)
        return self.schedule.phase

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _rest(self) -> None:
        """Until a device ended, the soak time is over, or somebody paused or resumed."""
        wake_at = self.schedule.wake_at
        try:
            async with asyncio.timeout_at(wake_at):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _let_go(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _start(self, device: FleetDevice, wave: str) -> None:
        task = asyncio.create_task(self._one(device, wave))
        self._tasks[task] = device.name
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error if isinstance(error, Exception) else RuntimeError(str(error))
        self._news.set()

    async def _one(self, device: FleetDevice, wave: str) -> None:
        package = self._ports.packages[device.hardware]
        began, job = self._now(), _Job(device, package, self.fleet, self._ports, self._log)
        self._log.write("begin", device=device.name, wave=wave, package=package.digest)
        facts: dict[str, Any] = {}
        try:
            outcome = await job.run()
        except JournalError as error:
            if not job.opened:  # another process is at this device; what cannot be written is everybody's matter
                outcome, facts = Outcome.INCOMPLETE, _failure(error)
            else:
                raise
        except SmpdfuError as error:
            outcome, facts = _outcome(error), _failure(error)
            job.failed(error)
        seconds = round(self._now() - began, 3)
        self._log.write(
            "end", device=device.name, outcome=outcome, package=package.digest, seconds=seconds, **job.facts(), **facts
        )
        self.schedule.ended(device.name, outcome)


class _Job:
    """The update of one device, and what is to be told of it."""

    def __init__(self, device: FleetDevice, package: Package, fleet: Fleet, ports: Ports, log: FleetLog) -> None:
        self._device, self._package, self._fleet, self._ports, self._log = device, package, fleet, ports, log
        self._before: DeviceState | None = None
        self._after: DeviceState | None = None
        self._sent: dict[str, int] = {}
        self.opened = False

    async def run(self) -> Outcome:
        """Raises SmpdfuError as ``Update`` does, PlanError for what speaks against it."""
        how = self._fleet.treatment
        async with AsyncExitStack() as stack:
            journal = stack.enter_context(Journal(self._ports.journal(self._device.address)))
            self.opened = True
            client = await stack.enter_async_context(self._ports.connect(self._device))
            checks = [healths.soak(how.soak_s)]
            if how.health is not None:
                checks.append(healths.command(how.health, self._device.address, timeout_s=how.health_timeout_s))
            update = Update(
                client,
                self._package,
                journal,
                wish=Wish(how.policy, how.scheme),
                deadlines=Deadlines(how.boot_timeout_s),
                health=healths.all_of(checks),
            )
            unfinished = journal.record.of(self._package.digest).unfinished
            decision = await update.look()
            self._before = self._after = decision.state
            proven = decision.net_done_at is None
            async with aclosing(update.run(decision)) as events:
                async for event in events:
                    self._note(event)
                    proven = proven and not (isinstance(event, StepDone) and not event.proven)
        if not decision.plan.steps and not unfinished:
            return Outcome.CURRENT
        return Outcome.DONE if proven else Outcome.UNPROVEN

    def _note(self, event: Event) -> None:
        if isinstance(event, StepBegun):
            self._log.write("step", device=self._device.name, step=event.step.name, number=event.number, of=event.total)
        elif isinstance(event, Progress):
            self._sent[event.step.name] = event.done - event.resumed_at
        else:
            self._after = event.state
        if self._ports.watch is not None:
            self._ports.watch(self._device, event)

    def failed(self, error: SmpdfuError) -> None:
        """It ended so: what was seen last does not run any more."""
        if isinstance(error, RevertedError):
            self._after = self._before

    def facts(self) -> dict[str, Any]:
        """For the log: bytes sent, the application's version before and after, the package's."""
        return {
            "bytes": sum(self._sent.values()),
            "from": _version(self._before),
            "to": _version(self._after),
            "wanted": {image.core.value: str(image.image.header.version) for image in self._package.images},
        }


def _version(state: DeviceState | None) -> str | None:
    return None if state is None or state.running is None else state.running.version


def _outcome(error: SmpdfuError) -> Outcome:
    if isinstance(error, StepError):
        return Outcome.INCOMPLETE if error.resumable else Outcome.FAILED
    return next((outcome for kind, outcome in OUTCOMES if isinstance(error, kind)), Outcome.FAILED)


def _failure(error: SmpdfuError) -> dict[str, Any]:
    return {"cause": cause(error), "kind": type(error).__name__, "message": str(error)}


def cause(error: SmpdfuError) -> str:
    """A short text that is the same for failures of one kind, whatever the device is called."""
    if isinstance(error, PlanError) and error.codes:
        return f"preflight: {', '.join(error.codes)}"
    inner = error.__cause__
    if isinstance(error, JournalError) and not isinstance(inner, BlockingIOError):
        return "its journal cannot be used"
    if isinstance(inner, SmpdfuError) and isinstance(error, StepError | RevertedError):
        return f"{error.step if isinstance(error, StepError) else 'on trial'}: {_kind(inner)}"
    return _kind(error)


def _kind(error: SmpdfuError) -> str:
    if isinstance(error, DeviceError):
        return f"the device refused {error.command}: {error.name or error.rc}"
    return _KINDS.get(type(error).__name__, type(error).__name__)


_KINDS = {
    "ConnectError": "cannot connect",
    "LinkLostError": "the link was lost",
    "ResponseTimeoutError": "no answer",
    "RemoteProtocolError": "answers that are no SMP",
    "RevertedError": "the device went back to its previous firmware",
    "AbsentError": "the device did not come back after the reset",
    "NotBootedError": "the device did not boot the image",
    "StepError": "a step failed",
    "PlanError": "preflight",
    "JournalError": "another process has the device",
    "UpdateError": "the health check failed",
}


class Standing(NamedTuple):
    """What earlier runs left: the ``outcomes`` that stand, by device, ``failed``: those of them whose failure counts.

    ``ended_at`` is when each of them was reached, in seconds since 1970. ``again`` are the devices that failed and are
    done once more: last in their wave, so that they do not stop it before the others had their turn.
    """

    outcomes: dict[str, Outcome]
    failed: set[str]
    ended_at: dict[str, float]
    again: set[str]

    def schedule(self, fleet: Fleet, now: float) -> Schedule:
        """What is left to do; ``now`` by the same clock."""
        ago = {name: now - at for name, at in self.ended_at.items()}
        waves = [
            replace(wave, devices=tuple(sorted(wave.devices, key=self.again.__contains__))) for wave in fleet.waves
        ]
        return Schedule(waves, fleet.limits, self.outcomes, self.failed, ago)


def standing(
    events: Iterable[Mapping[str, Any]], fleet: Fleet, packages: Mapping[str, Package], *, again: bool = False
) -> Standing:
    """Add up a log.

    An outcome stands for the package it was reached with. What may pass by itself is done again; ``again``: every
    failure is, and none counts.
    """
    known: dict[str, Outcome] = {}
    ended_at: dict[str, float] = {}
    digests = {hardware: package.digest for hardware, package in packages.items()}
    for entry in events:
        device = fleet.devices.get(str(entry.get("device")))
        if device is None or entry["event"] not in ("begin", "end"):
            continue
        if entry["event"] == "begin":
            known.pop(device.name, None)
        elif entry.get("package") == digests[device.hardware] and entry.get("outcome") in _OUTCOMES:
            known[device.name] = Outcome(entry["outcome"])
            ended_at[device.name] = float(entry.get("time", 0.0))
    stay = {name: one for name, one in known.items() if (one.good if again else not one.passing)}
    failed = {name for name, one in stay.items() if not one.good}
    return Standing(stay, failed, {name: ended_at[name] for name in stay}, set(known) - set(stay))
