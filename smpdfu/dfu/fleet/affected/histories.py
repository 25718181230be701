"""Read the histories of devices: the logs of fleets and the journals of devices, in the state folder."""

from __future__ import annotations

import math
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.dfu.do.journal.reading import journal_name
from smpdfu.dfu.do.journal.updates import JournalUpdate, JournalUpload, read_updates
from smpdfu.dfu.fleet.affected.answer import DeviceHistory, catalog_of
from smpdfu.dfu.fleet.affected.boards import APP, Attempt, Event, boards_of
from smpdfu.dfu.fleet.affected.fleet_logs import FIELDS, DeviceId, FleetRecord, LoggedDevice, SharedFacts
from smpdfu.dfu.fleet.affected.journals import JournalRecord
from smpdfu.dfu.fleet.affected.question import Catalog
from smpdfu.dfu.fleet.log.events import STEP
from smpdfu.dfu.fleet.log.frames import Frames
from smpdfu.dfu.fleet.log.log import log_path, read_lines
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.errors import JournalError
from smpdfu.local.state.folders import state_home

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice

_CLOCK_STEP_S = 1.0
"""What a clock may be set back by, with no update in between."""
_OLD = re.compile(r"(.+\.jsonl)\.old-([0-9]{1,9})")


@dataclass(slots=True)
class _Device:
    """What is known of one identity: where it was found, and its events. ``damaged``: a log with damaged lines."""

    name: str
    place: str
    serial: str = ""
    fleets: list[str] = field(default_factory=list)
    logged: list[LoggedDevice] = field(default_factory=list)
    journal: JournalRecord | None = None
    problem: str = ""
    damaged: str = ""
    in_file: bool = False

    @property
    def ended(self) -> list[float]:
        """When each event of the logs ended."""
        return [event.ended for logged in self.logged for event in logged.events]


@dataclass(slots=True)
class Histories:
    """What the state folder says. Add fleets, then journals, then ask for ``devices`` and the ``catalog``.

    ``problems`` are sentences on what could not be read.
    """

    packages: dict[str, tuple[ImageRecord, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _devices: dict[str, _Device] = field(default_factory=dict)
    _partly: dict[str, tuple[ImageRecord, ...]] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _listed: dict[str, ImageRecord] = field(default_factory=dict)

    def add_fleet(self, folder: Path, fleet: Fleet | None = None) -> None:
        """Read the log in a fleet's folder. With ``fleet``, its devices are known also if no log has them."""
        record = FleetRecord()
        lost = ""
        try:
            frames = Frames(SharedFacts.of, FIELDS)
            record.add(read_lines(folder, frames.read, record.damaged.append, without=(STEP,)))
        except JournalError as error:
            self.problems.append(str(error))
            lost = f"the log of its fleet cannot be read: {log_path(folder)}"
        self.problems += [f"line {number} of {log_path(folder)} is damaged" for number in record.damaged]
        self.packages |= record.packages
        self._listed |= record.listed
        name = record.name or folder.name if fleet is None else fleet.name
        in_file = {} if fleet is None else {one.identity: one for one in fleet.devices.values()}
        for key, logged in record.devices.items():
            found = self._known(key, in_file.get(key.identity), name)
            found.logged.append(logged)
            found.damaged = str(log_path(folder)) if record.damaged else found.damaged
        for one in in_file.values():
            found = self._known(DeviceId(one.name, one.identity), one, name)
            found.problem = found.problem or lost
        if lost and fleet is None:  # nobody knows its devices
            self._known(DeviceId(f"fleet {folder.name}", str(folder)), None, folder.name).problem = lost

    def _known(self, key: DeviceId, device: FleetDevice | None, fleet: str) -> _Device:
        found = self._devices.get(key.identity)
        if found is None:
            found = self._devices[key.identity] = _Device(key.name, key.identity)
        if device is not None:
            found.name, found.place, found.serial = device.name, device.place or device.address, device.serial
            found.in_file = True
        if fleet not in found.fleets:
            found.fleets.append(fleet)
        return found

    def lacks_packages(self) -> bool:
        """Return whether a log has the digest of a package alone: those of older releases do."""
        return any(one.package not in self.packages for device in self._devices.values() for one in _attempts(device))

    def add_journals(self, *, all_of_them: bool) -> None:
        """Read the journals of the fleets' devices, and with ``all_of_them`` those of every other device."""
        files = journal_files()
        for device in self._devices.values():
            name = self._journal_of(device, files)
            self._taken.add(name)
            if name in files:
                self._read(device, files[name])
            elif device.damaged:
                device.problem = device.problem or f"the log of its fleet has damaged lines: {device.damaged}"
        for name in sorted(set(files) - self._taken) if all_of_them else ():
            device = _Device(Path(name).stem, "")
            self._read(device, files[name])
            if device.journal is not None:
                device.name = device.place = device.journal.device
            self._devices[f"journal {name}"] = device

    def _journal_of(self, device: _Device, files: Mapping[str, object]) -> str:
        """Name its journal; of a device that only the log names, the serial number may be part of the identity."""
        whole = journal_name(device.place)
        shorter = device.place.rpartition(" ")[0]
        if whole not in files and shorter and journal_name(shorter) in files:
            device.place, device.serial = shorter, device.place.rpartition(" ")[2]
            return journal_name(shorter)
        return whole

    def _read(self, device: _Device, paths: Sequence[Path]) -> None:
        updates: list[JournalUpdate | JournalUpload] = []
        noted = sorted(span for logged in device.logged for span in logged.noted)
        began = [span[0] for span in noted]
        spans: list[tuple[float, float]] = []

        def is_known(begin: float, end: float) -> bool:
            spans.append((begin, end))
            at = bisect_right(began, begin) - 1
            return at >= 0 and end <= noted[at][1]

        for path in paths:
            try:
                updates += read_updates(path, is_known if noted else None)
            except JournalError as error:
                self.problems.append(str(error))
                device.problem = f"its journal cannot be read: {path}"
        if not paths[-1].name.endswith(".jsonl") and not device.logged:
            device.problem = device.problem or f"its journal was set aside: {paths[-1]}"
        record = JournalRecord.of(updates, paths[-1])
        device.journal = record
        clocks = [spans, *([(one.ended, one.ended) for one in logged.events] for logged in device.logged)]
        if (len(device.logged) > 1 or (device.logged and record.attempts)) and any(map(_went_back, clocks)):
            device.problem = (
                device.problem or "the clock of this computer went back: the order of its updates is unknown"
            )
        self.packages |= record.packages
        self._partly |= record.partly
        for attempt in record.attempts:
            for listed in filter(None, (attempt.was, attempt.runs)):
                self._listed.setdefault(listed, ImageRecord(APP, listed, ""))
            if not attempt.package:
                self._listed |= {one.key: one for one in attempt.images or () if one.key}

    @property
    def catalog(self) -> Catalog:
        """All images that were found."""
        return catalog_of(self.packages, self._listed)

    def devices(self) -> list[DeviceHistory]:
        """Return the devices, by name."""
        known = self._partly | self.packages
        at_place: dict[str, list[_Device]] = {}
        for one in self._devices.values():
            at_place.setdefault(one.place, []).append(one)
        found = [_history(one, at_place[one.place], known) for one in self._devices.values()]
        return sorted(found, key=lambda one: (one.name, one.address))


def _attempts(device: _Device) -> Iterator[Attempt]:
    for logged in device.logged:
        yield from (event for event in logged.events if isinstance(event, Attempt))
        yield from logged.killed


def _history(
    device: _Device, at_place: Sequence[_Device], known: Mapping[str, tuple[ImageRecord, ...]]
) -> DeviceHistory:
    """The history of one device. Of several at one place, the journal is that of the device that is there now."""
    latest = max(at_place, key=lambda one: (one.in_file, max(one.ended, default=0.0)))
    began = min(latest.ended, default=math.inf) if len(at_place) > 1 else 0.0
    events = _events(device, journal_since=began if device is latest else None)
    boards = tuple(boards_of(events, known)) if events else ()
    if device is not latest and boards:
        boards[-1].replaced = max(began, boards[-1].seen or 0.0) if math.isfinite(began) else boards[-1].seen
    return DeviceHistory(device.name, device.place, tuple(device.fleets), device.serial, boards, device.problem)


def _went_back(spans: Sequence[tuple[float, float]]) -> bool:
    """True if something began before what is noted in front of it had ended."""
    return any(later[0] < earlier[1] - _CLOCK_STEP_S for earlier, later in pairwise(spans))


def in_order(events: Iterable[Event]) -> Iterator[Event]:
    """Give events of one file times that never go back: the file has them in their order, whatever the clock said."""
    last = 0.0
    for event in events:
        ended = max(event.ended, last)
        if isinstance(event, Attempt) and event.began < last:
            yield replace(event, began=last, ended=ended)
        else:
            yield event if ended == event.ended else replace(event, ended=ended)
        last = ended


def _events(device: _Device, journal_since: float | None) -> list[Event]:
    found = [event for logged in device.logged for event in in_order(logged.events)]
    if device.journal is None or journal_since is None:
        return found + [attempt for logged in device.logged for attempt in logged.killed]
    return found + [one for one in in_order(device.journal.attempts) if one.ended >= journal_since]


def fleet_folders() -> list[Path]:
    """Return the folders of all fleets in the state folder. Raises OSError."""
    home = state_home() / "fleets"
    if not home.is_dir():
        return []
    return sorted(Path(one.path) for one in os.scandir(home) if one.is_dir())


def journal_files() -> dict[str, list[Path]]:
    """Return the journals in the state folder by name, each with those that were set aside before it, oldest first."""
    home = state_home() / "updates"
    if not home.is_dir():
        return {}
    found: dict[str, list[tuple[int, Path]]] = {}
    for one in os.scandir(home):
        if one.name.endswith(".jsonl"):
            found.setdefault(one.name, []).append((1 << 31, Path(one.path)))
        elif (old := _OLD.fullmatch(one.name)) is not None:
            found.setdefault(old[1], []).append((int(old[2]), Path(one.path)))
    return {name: [path for _, path in sorted(paths)] for name, paths in found.items()}
