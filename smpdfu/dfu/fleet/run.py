"""Many devices, one package each: waves, limits, a journal per device and a log of everything.

One asyncio process. ``schedule`` decides which device begins, ``Update`` what happens to it. This module starts the
tasks, turns every error into an outcome and writes the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smpdfu import __version__
from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.record import DONE, FAILED, REVERTED, Record
from smpdfu.dfu.decide.steps.plan import Plan
from smpdfu.dfu.decide.steps.rules import activates, settles
from smpdfu.dfu.do.events import carrying, unwrapped
from smpdfu.dfu.do.image_entries import image_entries, running_hash
from smpdfu.dfu.do.journal.device_lock import locked
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import journal_path
from smpdfu.dfu.do.same_device import read_hardware
from smpdfu.dfu.do.steps import Deadlines
from smpdfu.dfu.do.update import Decision, Event, Progress, StepBegun, Update, Wish
from smpdfu.dfu.fleet.causes import NO_ANSWER, outcome_of
from smpdfu.dfu.fleet.causes import cause as cause
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice, Wave
from smpdfu.dfu.fleet.log import events
from smpdfu.dfu.fleet.log.log import FleetLog
from smpdfu.dfu.fleet.schedule import Outcome, Phase, Schedule
from smpdfu.dfu.fleet.treated import ask_version_of, health_of
from smpdfu.dfu.package.package import Package
from smpdfu.errors import DeviceTimeoutError, JournalError, PlanError, RevertedError, SmpdfuError, StepError
from smpdfu.local.state.login import login_name

LOOKS_AT_ONCE = 400
"""Devices that are asked at a time in the first look at a wave; each takes a socket.

A look takes two seconds, and Linux knows 1,024 neighbours on a network, silent ones included (``gc_thresh3``).
"""
Watcher = Callable[[FleetDevice, Event], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """What a run needs: ``connect`` makes a client of a device, ``packages`` are the packages by hardware.

    ``journal`` gives the path of the journal of a place. ``watch`` gets every event of every device. ``look`` tells
    within a second or two whether a device answers, ``looks_at_once`` devices at a time; without it, the update finds
    out. ``chip`` asks a device for the number of its chip: None if it does not tell or does not answer. ``places``
    finds the other places that are locked for a device, see ``dfu.do.journal.device_lock``.
    """

    connect: Callable[[FleetDevice], Client]
    packages: Mapping[str, Package]
    journal: Callable[[str], Path] = journal_path
    watch: Watcher | None = None
    look: Callable[[FleetDevice], Awaitable[bool]] | None = None
    chip: Callable[[FleetDevice], Awaitable[str | None]] | None = None
    looks_at_once: int = LOOKS_AT_ONCE
    places: Callable[[FleetDevice], Awaitable[Iterable[str]]] | None = None


class FleetRun:
    """One run over a fleet: make it, then ``await run()``. ``pause`` and ``resume`` work at any time."""

    def __init__(self, fleet: Fleet, schedule: Schedule, log: FleetLog, ports: Ports) -> None:
        self.fleet = fleet
        self.schedule = schedule
        self._log = log
        self._ports = ports
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._news = asyncio.Event()
        self._broken: Exception | None = None
        self._seen: Wave | None = None

    def pause(self) -> None:
        """Begin no further device."""
        if not self.schedule.paused:
            self.schedule.pause()
            self._log.write(events.PAUSE)
            self._news.set()

    def resume(self) -> None:
        """Continue after ``pause``."""
        if self.schedule.paused:
            self.schedule.resume()
            self._log.write(events.RESUME)
            self._news.set()

    def fail(self, error: BaseException) -> None:
        """End the run with this error, after every device was left in a safe state."""
        self._broken = error if isinstance(error, Exception) else RuntimeError(str(error))
        self._news.set()

    async def run(self) -> Phase:
        """Run until all devices are done, or until the fleet stops and the devices under way have ended.

        If cancelled, it leaves every device in a safe state. Raises JournalError if the log, or a device's journal,
        cannot be written. An error that ``Ports.watch`` raises ends the run and comes out unchanged.
        """
        with unwrapped():
            return await self._until_done()

    async def _until_done(self) -> Phase:
        self._log.write(
            events.RUN,
            fleet=self.fleet.name,
            devices=len(self.fleet.devices),
            operator=self.fleet.operator or login_name(),
            tool=__version__,
            packages={one.digest: image_entries(one.images) for one in self._ports.packages.values()},
        )
        try:
            wave = None
            while True:
                self._news.clear()
                began = self.schedule.begin(await self._settled())
                if began and self.schedule.wave is not wave and self.schedule.wave is not None:
                    wave = self.schedule.wave
                    self._log.write(events.WAVE, wave=wave.name, devices=len(wave.devices))
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
        if (stop := self.schedule.stopped) is not None:
            self._log.write(events.STOP, reason=str(stop), code=stop.code, advice=stop.advice)
        self._log.write(events.LEAVE, phase=self.schedule.phase)
        return self.schedule.phase

    async def _settled(self) -> float:
        """Look at each wave before it begins, and return the time then. A wave in which no device answers ends so."""
        while True:
            now = self._now()
            self.schedule.settle(now)
            wave = self.schedule.wave
            if wave is self._seen or self.schedule.phase is not Phase.RUNNING:
                return now
            self._seen = wave
            await self._first_look(wave)

    async def _first_look(self, wave: Wave | None) -> None:
        """Ask all devices of a wave whether they answer. A silent one would else keep others waiting for long."""
        look = self._ports.look
        gate = asyncio.Semaphore(self._ports.looks_at_once)
        devices = [self.fleet.devices[name] for name in self.schedule.waiting]
        if look is None or wave is None or not devices:
            return

        async def ask(device: FleetDevice) -> bool:
            async with gate:
                return await look(device)

        answers = await asyncio.gather(*map(ask, devices))
        silent = [device for device, answers_it in zip(devices, answers, strict=True) if not answers_it]
        self._log.write(events.LOOK, wave=wave.name, devices=len(devices), silent=len(silent))
        self._log.write_all(entry for device in silent for entry in self._silent_entries(device, wave))
        self.schedule.silent(device.name for device in silent)

    def _silent_entries(self, device: FleetDevice, wave: Wave) -> tuple[dict[str, Any], dict[str, Any]]:
        about = {"device": device.name, "identity": device.identity}
        about["package"] = self._ports.packages[device.hardware].digest
        failure = {"cause": NO_ANSWER, "message": "the device does not answer a first request"}
        end = {"event": events.END, **about, "outcome": Outcome.UNREACHABLE, "seconds": 0.0, **failure}
        return {"event": events.BEGIN, "wave": wave.name, **about}, end

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _rest(self) -> None:
        """Wait until a device has ended, the soak time is over, or somebody paused or resumed."""
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
            self.fail(error)
        self._news.set()

    async def _one(self, device: FleetDevice, wave: str) -> None:
        package = self._ports.packages[device.hardware]
        began = self._now()
        unseen_since = self.schedule.begun.get(device.name)
        job = _Job(device, package, self.fleet, self._ports, self._log, unseen_since, self.schedule.go_on)
        identity = device.identity
        self._log.write(events.BEGIN, device=device.name, identity=identity, wave=wave, package=package.digest)
        facts: dict[str, Any] = {}
        try:
            outcome = await job.run_in_time(self.fleet.treatment.device_timeout_s)
        except JournalError as error:
            if job.opened:  # a journal that cannot be written ends the run
                raise
            outcome = Outcome.INCOMPLETE  # another process has this device
            facts = _failure(error)
        except SmpdfuError as error:
            outcome = outcome_of(error)
            facts = _failure(error)
            job.failed(error)
        seconds = round(self._now() - began, 3)
        facts |= {"identity": identity, "outcome": outcome, "package": package.digest, "seconds": seconds}
        self._log.write(events.END, device=device.name, **job.facts(), **facts)
        self.schedule.ended(device.name, outcome)


@dataclass(slots=True)
class _Job:
    """The update of one device, and the facts for the log. ``opened``: its journal is open.

    ``unseen_since`` is when an earlier run began it and did not see its end, in seconds since 1970. ``go_on``: if that
    failed, do it again.
    """

    device: FleetDevice
    package: Package
    fleet: Fleet
    ports: Ports
    log: FleetLog
    unseen_since: float | None = None
    go_on: bool = False
    opened: bool = field(default=False, init=False)
    _before: DeviceState | None = field(default=None, init=False)
    _after: DeviceState | None = field(default=None, init=False)
    _sent: dict[str, int] = field(default_factory=dict, init=False)
    _proof: Proof | None = field(default=None, init=False)
    _step: str = field(default="", init=False)
    _chip: str | None = field(default=None, init=False)
    _plan: Plan | None = field(default=None, init=False)
    _either: set[str] = field(default_factory=set, init=False)

    async def run_in_time(self, seconds: float) -> Outcome:
        """Do ``run``, and stop it after ``seconds`` as Ctrl-C does. Raises DeviceTimeoutError then."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self.run()
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeviceTimeoutError(seconds, self._step) from None

    async def run(self) -> Outcome:
        """Update the device. Raises SmpdfuError as ``Update`` does, PlanError if preflight refuses."""
        how = self.fleet.treatment
        wish = Wish(how.policy, how.scheme, bootloader=self.device.bootloader, no_downgrade=how.no_downgrade)
        async with AsyncExitStack() as stack:
            path = self.ports.journal(self.device.place or self.device.address)
            if self.ports.places is not None:
                stack.enter_context(locked(await self.ports.places(self.device)))
            journal = stack.enter_context(Journal(path))
            self.opened = True
            if journal.damaged:
                self.log.write(events.DAMAGED, device=self.device.name, journal=str(path), lines=journal.damaged)
            record = journal.record.of(self.package.digest)
            unseen = record.end if self._ended_unseen(record) else None
            if unseen in (REVERTED, FAILED) and not self.go_on:
                raise _unseen_failure(unseen)
            client = await stack.enter_async_context(self.ports.connect(self.device))
            update = Update(
                client,
                self.package,
                journal,
                wish=wish,
                deadlines=Deadlines(how.boot_timeout_s),
                health=health_of(how, self.device.address),
                net_version=ask_version_of(how, self.device.address),
            )
            decision = await self._look(update, client)
            self._before = self._after = decision.state
            if unseen == DONE and record.proof is not None:  # it is this fleet's own update, so of the same board
                decision = replace(decision, proof=Proof.from_entry(record.proof))
            self._proof = decision.proof
            self._plan = decision.plan
            installed = await update.run(decision, self._note)
        if installed.proven is False:
            return Outcome.UNPROVEN
        return Outcome.DONE if decision.plan.steps or record.unfinished or unseen == DONE else Outcome.CURRENT

    async def _look(self, update: Update, client: Client) -> Decision:
        """Decide, and note the number of the chip: the outcome belongs to that board, also if nothing is done."""
        try:
            decision = await update.look()
        except (PlanError, RevertedError):
            self._chip = await read_hardware(client)
            raise
        self._chip = decision.state.hardware or await read_hardware(client)
        return decision

    def _ended_unseen(self, record: Record) -> bool:
        """True if the run that began the update was killed after the end in the journal and before that in the log."""
        return record.ended_at is not None and self.unseen_since is not None and record.ended_at >= self.unseen_since

    def _note(self, event: Event) -> None:
        if isinstance(event, StepBegun):
            self._step = event.step.name
            if self._plan is not None and activates(event.step, self._plan.method):
                self._either.add(event.step.part)
            self.log.write(
                events.STEP, device=self.device.name, step=event.step.name, number=event.number, of=event.total
            )
        elif isinstance(event, Progress):
            self._sent[event.step.name] = event.done - event.resumed_at
        else:
            self._after = event.state
            self._proof = event.proof or self._proof
            if self._plan is not None and settles(event.step, self._plan.steps):
                self._either.discard(event.step.part)
        if self.ports.watch is not None:
            carrying(self.ports.watch)(self.device, event)

    def failed(self, error: SmpdfuError) -> None:
        """Note the failure: after a revert, the device runs its previous firmware."""
        if isinstance(error, RevertedError) and not (error.of_network_core or error.partly):
            self._after = self._before

    def facts(self) -> dict[str, Any]:
        """Collect for the log: bytes sent, what ran before and after, versions in the package, proof, chip's number."""
        proof = None if self._proof is None else self._proof.to_entry()
        return {
            "bytes": sum(self._sent.values()),
            "from": _version(self._before),
            "to": _version(self._after),
            "from_hash": running_hash(self._before),
            "to_hash": running_hash(self._after),
            "policy": self.fleet.treatment.policy,
            "either": sorted(self._either),
            "wanted": {image.part: str(image.image.header.version) for image in self.package.images},
            "proof": proof,
            "chip": self._chip,
        }


def _unseen_failure(end: str) -> SmpdfuError:
    """Make the error that an earlier run saw, and was killed before it wrote it into the log."""
    if end == REVERTED:
        return RevertedError("an earlier run saw that the device went back to its previous firmware")
    return StepError("an earlier run saw a step fail, and repeating does not help", "update", resumable=False)


def _version(state: DeviceState | None) -> str | None:
    return None if state is None or state.running is None else state.running.version


def _failure(error: SmpdfuError) -> dict[str, Any]:
    return {"cause": cause(error), "kind": type(error).__name__, "message": str(error)}
