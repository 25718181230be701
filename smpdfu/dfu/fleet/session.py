"""A fleet, opened by its file: plan, run, pause, resume, look and repair.

``smpdfu.fleets.open_fleet`` makes a session; ``smpdfu fleet`` does the same with words. A pause is a file in the
fleet's folder: that works on every system, and the pause outlives the process.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.dfu.do.events import carrying, unwrapped
from smpdfu.dfu.do.journal.reading import journal_path
from smpdfu.dfu.do.journal.repair import is_damaged, set_aside
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice
from smpdfu.dfu.fleet.key_files import AskPassphrase, nsib_keys, trusted_key
from smpdfu.dfu.fleet.key_files import no_passphrase as no_passphrase
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.folder import folder_of, remember
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.log.log import FleetLog, log_path, read_log, repair_log
from smpdfu.dfu.fleet.log.standing import standing_of
from smpdfu.dfu.fleet.outcome import Ending, FleetOutcome, FleetPlan, ending_of
from smpdfu.dfu.fleet.reach import Reach
from smpdfu.dfu.fleet.schedule import Phase, Schedule
from smpdfu.dfu.package.package import Package
from smpdfu.errors import FleetPausedError, JournalError
from smpdfu.image.keys.keys import Verifier
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys
from smpdfu.local.state.limits import allow_open_files
from smpdfu.local.state.lock import holder
from smpdfu.local.state.own import open_own

if TYPE_CHECKING:
    from smpdfu.dfu.do.update import Event
    from smpdfu.dfu.fleet.run import FleetRun, Ports

# What only a run needs is imported where it runs: a status and a report do not wait for it.
_PAUSE = "pause"
_LOOK_EVERY_S = 0.5  # how soon a running fleet sees that it was paused
_FILES_EACH = 8  # of one device: a link, a journal, locks, and the health command's pipes
_FILES_OF_OURS = 100


@dataclass(frozen=True, slots=True)
class FleetWish:
    """What differs in one run from what the fleet's file says; None: as the file says.

    ``go_on``: retry the devices that failed, and ignore the failures of earlier runs. ``skip_unreachable``: devices
    that do not answer do not count as failures. One of the keys ``trust``, or of those in the file, must have signed
    each image. ``nsib``: the keys that b0 and b0n of the devices trust, before those in the file.
    """

    at_once: int | None = None
    go_on: bool = False
    skip_unreachable: bool = False
    no_downgrade: bool | None = None
    trust: tuple[Verifier, ...] = ()
    nsib: NsibKeys = NO_NSIB_KEYS

    def applied_to(self, fleet: Fleet) -> Fleet:
        """Return the fleet as it is run."""
        limits = replace(fleet.limits, skip_unreachable=self.skip_unreachable)
        if self.at_once is not None:
            limits = replace(limits, at_once=self.at_once)
        treatment = fleet.treatment
        if self.no_downgrade is not None:
            treatment = replace(treatment, no_downgrade=self.no_downgrade)
        return replace(fleet, limits=limits, treatment=treatment)


AS_THE_FILE_SAYS = FleetWish()


class FleetWatch:
    """What a session reports while it works. Each method does nothing: override what you need.

    They are called in the event loop, and must return at once. An error that one raises ends the run, after every
    device was left in a safe state, and comes out unchanged.
    """

    def begins(self, schedule: Schedule) -> None:
        """Take the schedule of the run. It changes during the run."""

    def event(self, event: LogEvent) -> None:
        """Take an event as it is written into the log."""

    def progress(self, device: FleetDevice, event: Event) -> None:
        """Take an event of the update of one device."""

    def damaged_line(self, number: int, log: Path) -> None:
        """Take the number of a damaged line of the log; the other lines count."""

    def fewer_at_once(self, possible: int, wanted: int, open_files: int) -> None:
        """Take how many devices are updated at a time, because the system limits the open files."""


SILENT = FleetWatch()


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """How far a fleet is: its log added up, its packages by hardware, what is left to do, and the process that runs it.

    ``running_pid`` None: no process runs it.
    """

    history: History
    packages: Mapping[str, Package]
    ending: Ending
    running_pid: int | None
    paused: bool


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair moved: damaged ``lines`` of the log to the file ``moved_to``, damaged ``journals`` to new names."""

    lines: tuple[int, ...]
    moved_to: Path | None
    journals: tuple[Path, ...]


class FleetSession:
    """A fleet with its packages and the folder of its log. Only ``run`` and ``resume`` talk to devices."""

    def __init__(self, fleet: Fleet, reach: Reach, passphrase: AskPassphrase = no_passphrase) -> None:
        """``passphrase`` gives the passphrase of a protected key that the file names in ``trust``."""
        self.fleet = fleet
        self.folder = folder_of(fleet)
        self._reach = reach
        self._passphrase = passphrase
        self._packages: dict[str, Package] | None = None

    @classmethod
    def open(cls, path: Path, reach: Reach, passphrase: AskPassphrase = no_passphrase) -> FleetSession:
        """Read the fleet's file. Raises FleetFileError or OSError."""
        return cls(Fleet.load(path, reach.place_of), reach, passphrase)

    @property
    def packages(self) -> dict[str, Package]:
        """The packages by hardware, read when they are first used. Raises PackageError or OSError."""
        if self._packages is None:
            self._packages = {hardware: Package.load(file) for hardware, file in self.fleet.packages.items()}
        return self._packages

    @property
    def log(self) -> Path:
        """The path of the log."""
        return log_path(self.folder)

    @property
    def running_pid(self) -> int | None:
        """The process that runs the fleet (0 if it does not say); None if none does."""
        note = holder(self.folder / "lock")
        if note is None:
            return None
        pid = note.get("pid")
        return pid if isinstance(pid, int) else 0

    @property
    def paused(self) -> bool:
        """True from a pause to its resume, also if no process runs the fleet. Raises OSError."""
        try:
            os.stat(self._pause_file)  # Path.exists is False for some errors, in newer Python for all
        except FileNotFoundError:
            return False
        return True

    @property
    def _pause_file(self) -> Path:
        return self.folder / _PAUSE

    async def plan(self, wish: FleetWish = AS_THE_FILE_SAYS, watch: FleetWatch = SILENT) -> FleetPlan:
        """Show what ``run`` would do, without asking a device. Raises what ``run`` raises before it asks one."""
        fleet = await self._checked(wish)
        history = self._history(fleet, watch)
        return FleetPlan.of(fleet, standing_of(history, again=wish.go_on).schedule(fleet, time.time()))

    async def run(self, wish: FleetWish = AS_THE_FILE_SAYS, watch: FleetWatch = SILENT) -> FleetOutcome:
        """Update the devices, wave by wave, until all is done or the fleet stops. Run it again to continue.

        If cancelled, it leaves every device in a safe state. Raises FleetPausedError, PackageError, SigningError,
        OSError, FleetFileError for two names of one device, PlanError for a package that nobody trusted has signed or
        sealed, and JournalError if another process runs the fleet, if the log cannot be read or written, or if smpdfu
        cannot see any more whether the fleet is paused.
        """
        return await self._run(wish, watch, resumes=False)

    async def resume(self, wish: FleetWish = AS_THE_FILE_SAYS, watch: FleetWatch = SILENT) -> FleetOutcome | int:
        """End a pause: let the process that runs the fleet continue, and return its id; if none does, ``run``."""
        pid = self.running_pid
        if pid is None:
            return await self._run(wish, watch, resumes=True)
        self._pause_file.unlink(missing_ok=True)
        return pid

    def pause(self) -> int | None:
        """Let the process that runs the fleet begin no further device, until ``resume``; its id, None if none does.

        Devices that began are finished. Raises OSError.
        """
        pid = self.running_pid
        if pid is not None:
            os.close(open_own(self._pause_file, os.O_WRONLY | os.O_CREAT))
        return pid

    def status(self, watch: FleetWatch = SILENT) -> FleetStatus:
        """Add up the log, for the packages that the fleet has now. Raises PackageError, OSError or JournalError."""
        history = self._history(self.fleet, watch)
        next_run = standing_of(history).schedule(self.fleet, time.time())
        ending = ending_of(self.fleet, next_run)
        return FleetStatus(history, self.packages, ending, self.running_pid, self.paused)

    def repair(self) -> Repaired:
        """Move damaged lines of the log, and damaged journals of the devices, out of the way. Nothing is deleted.

        Raises JournalError if a process runs the fleet or holds a journal, or if a file cannot be written.
        """
        lines = repair_log(self.folder)
        paths = [journal_path(device.place) for device in self.fleet.devices.values()]
        aside = (set_aside(path) for path in paths if is_damaged(path))
        journals = tuple(old for old in aside if old is not None)
        return Repaired(lines, self.folder / "events.damaged" if lines else None, journals)

    # --- how a run goes ---------------------------------------------------------------------------------------------

    async def _checked(self, wish: FleetWish) -> Fleet:
        """The fleet as it is run, after all checks that need no device."""
        from smpdfu.dfu.decide.checks.demands import check_seals, check_trust

        images = [image for one in self.packages.values() for image in one.images]
        own = (trusted_key(path, self._passphrase) for path in self.fleet.trust)
        check_trust(images, (*wish.trust, *own))
        check_seals(images, self._nsib_keys(wish))
        fleet = wish.applied_to(self.fleet)
        await self._reach.refuse_same_hosts(fleet)
        return fleet

    def _nsib_keys(self, wish: FleetWish) -> NsibKeys:
        return nsib_keys(wish.nsib, self.fleet.net_keys, self.fleet.b0_keys, self._passphrase)

    async def _run(self, wish: FleetWish, watch: FleetWatch, *, resumes: bool) -> FleetOutcome:
        with unwrapped():
            return await self._run_logged(wish, watch, resumes=resumes)

    async def _run_logged(self, wish: FleetWish, watch: FleetWatch, *, resumes: bool) -> FleetOutcome:
        from smpdfu.dfu.fleet.exchanged import note_exchanged
        from smpdfu.dfu.fleet.run import FleetRun

        fleet = _within_limits(await self._checked(wish), watch)
        with FleetLog(self.folder) as log:  # from here on nobody else writes it
            if resumes:
                self._pause_file.unlink(missing_ok=True)
            if self.paused:
                raise FleetPausedError(fleet.path)
            remember(fleet, self.folder)
            history = self._history(fleet, watch)
            digests, tell = self._digests(), carrying(watch.event)

            def note(event: LogEvent) -> None:
                history.add(event, digests)
                tell(event)

            log.watch = note
            ports = self._ports(fleet, watch)
            await note_exchanged(standing_of(history), fleet, log, ports)
            schedule = standing_of(history, again=wish.go_on).schedule(fleet, time.time())
            watch.begins(schedule)
            phase = await self._until_done(FleetRun(fleet, schedule, log, ports))
            next_run = standing_of(history).schedule(fleet, time.time())
        return FleetOutcome.of(fleet, phase, schedule, next_run)

    def _digests(self) -> dict[str, str]:
        return {hardware: package.digest for hardware, package in self.packages.items()}

    def _history(self, fleet: Fleet, watch: FleetWatch) -> History:
        damaged: list[int] = []
        history = History.of(read_log(self.folder, damaged.append), fleet, self._digests())
        for number in damaged:
            watch.damaged_line(number, self.log)
        return history

    def _ports(self, fleet: Fleet, watch: FleetWatch) -> Ports:
        from smpdfu.dfu.fleet.run import Ports

        async def places(device: FleetDevice) -> Iterable[str]:
            return await self._reach.places_of(device.address)

        return Ports(
            lambda device: self._reach.client(fleet, device),
            self.packages,
            watch=watch.progress,
            look=lambda device: self._reach.answers(fleet, device),
            looks_at_once=looks_at_once(),
            chip=lambda device: self._reach.chip(fleet, device),
            places=places,
        )

    async def _until_done(self, job: FleetRun) -> Phase:
        """Run, and obey pauses meanwhile. If that fails, nobody can pause the run: it ends with the error."""

        def watched(watcher: asyncio.Task[None]) -> None:
            if not watcher.cancelled() and (error := watcher.exception()) is not None:
                job.fail(error)

        watcher = asyncio.create_task(self._obey_pauses(job))
        watcher.add_done_callback(watched)
        try:
            phase = await job.run()
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])
        if phase is Phase.DONE:
            self._pause_file.unlink(missing_ok=True)
        return phase

    async def _obey_pauses(self, job: FleetRun) -> None:
        while True:
            try:
                paused = self.paused
            except OSError as error:
                fault = f"{self._pause_file}: {error.strerror}"
                raise JournalError(f"smpdfu cannot see whether the fleet is paused: {fault}") from error
            if paused:
                job.pause()
            else:
                job.resume()
            await asyncio.sleep(_LOOK_EVERY_S)


def looks_at_once() -> int:
    """How many devices may be looked at together, with a socket each: one that has none would count as silent."""
    from smpdfu.dfu.fleet.run import LOOKS_AT_ONCE

    granted = allow_open_files(LOOKS_AT_ONCE + _FILES_OF_OURS)
    return min(LOOKS_AT_ONCE, max(granted - _FILES_OF_OURS, 1))


def _within_limits(fleet: Fleet, watch: FleetWatch) -> Fleet:
    """The fleet with no more devices at once than this process may have open files for."""
    wanted = min(fleet.limits.at_once, len(fleet.devices))
    granted = allow_open_files(wanted * _FILES_EACH + _FILES_OF_OURS)
    possible = max((granted - _FILES_OF_OURS) // _FILES_EACH, 1)
    if possible >= wanted:
        return fleet
    watch.fewer_at_once(possible, wanted, granted)
    return replace(fleet, limits=replace(fleet.limits, at_once=possible))
