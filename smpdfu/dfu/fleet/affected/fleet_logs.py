"""What the log of a fleet says of the updates of each of its devices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from smpdfu.dfu.decide.steps.actions import Policy
from smpdfu.dfu.fleet.affected.boards import APP, Attempt, Event, Exchanged, Result
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.dfu.fleet.log import events
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.package.image_record import ImageRecord

FIELDS = events.fields_of(
    *("device", "identity", "package", "packages", "outcome", "bytes", "from", "to", "from_hash", "to_hash"),
    *("policy", "either", "wanted", "proof", "chip"),
)
"""What is read of a line."""
_UNTOUCHED = frozenset({Outcome.REFUSED, Outcome.UNREACHABLE})
"""How an update ends that wrote nothing."""


class DeviceId(NamedTuple):
    """A device in a log: its name, and its identity (``FleetDevice.identity``)."""

    name: str
    identity: str


@dataclass(slots=True)
class LoggedDevice:
    """What a log says of a device: ``events`` in the order of the log.

    ``killed`` are updates whose end is not in the log: what they did is in the device's journal, if it has one.
    ``noted`` are the beginnings and ends of the updates of which the log says all that the journal does.
    """

    events: list[Event] = field(default_factory=list)
    killed: list[Attempt] = field(default_factory=list)
    noted: list[tuple[float, float]] = field(default_factory=list)
    _pending: Attempt | None = None

    def begin(self, event: LogEvent) -> None:
        """An update begins; one that is still open did not end."""
        self.close()
        self._pending = Attempt(event.time, event.time, event.package or "", either=None)

    def end(self, event: LogEvent) -> None:
        """An update ended."""
        began = event.time if self._pending is None else self._pending.began
        self._pending = None
        attempt = _attempt(event, began)
        if event.either is not None:
            self.noted.append((began, event.time))
        last = self.events[-1] if self.events else None
        if isinstance(last, Attempt) and _says_the_same(last, attempt):
            self.events[-1] = replace(last, ended=attempt.ended, seen=attempt.seen or last.seen)
        else:
            self.events.append(attempt)

    def exchanged(self, event: LogEvent) -> None:
        """Another board is at the address."""
        self.events.append(Exchanged(event.time, event.chip or ""))

    def close(self) -> None:
        """Note that an open update did not end."""
        if self._pending is not None:
            self.killed.append(self._pending)
            self._pending = None


@dataclass(slots=True)
class FleetRecord:
    """What a log says: its devices, the images of its packages by digest, the fleet's name, its damaged lines.

    ``listed`` are the applications that devices listed as running, by hash.
    """

    name: str = ""
    devices: dict[DeviceId, LoggedDevice] = field(default_factory=dict)
    packages: dict[str, tuple[ImageRecord, ...]] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)
    listed: dict[str, ImageRecord] = field(default_factory=dict)

    def add(self, found: Iterable[LogEvent]) -> None:
        """Count the events of a log, oldest first."""
        for event in found:
            if event.kind == events.RUN:
                self.packages |= event.packages
                name = event.entry.get("fleet")
                self.name = name[: events.MAX_TEXT] if isinstance(name, str) else self.name
            elif event.device and event.kind in _HOW:
                key = DeviceId(event.device, event.identity or event.device)
                device = self.devices.get(key)
                if device is None:
                    device = self.devices[key] = LoggedDevice()
                _HOW[event.kind](device, event)
                for digits, version in ((event.was_hash, event.was), (event.runs_hash, event.runs)):
                    if digits and digits not in self.listed:
                        self.listed[digits] = ImageRecord(APP, digits, version or "")
        for one in self.devices.values():
            one.close()


_HOW = {events.BEGIN: LoggedDevice.begin, events.END: LoggedDevice.end, events.EXCHANGED: LoggedDevice.exchanged}


def _attempt(event: LogEvent, began: float) -> Attempt:
    outcome = event.outcome
    result = Result.LEFT
    if outcome is Outcome.REVERTED:
        result = Result.REVERTED
    elif outcome is not None and outcome.good and event.policy != Policy.UPLOAD_ONLY and not _runs_another(event):
        result = Result.INSTALLED
    return Attempt(
        began,
        event.time,
        event.package or "",
        parts=tuple(event.wanted),
        result=result,
        proven=outcome is not Outcome.UNPROVEN,
        either=_either(event),
        was=event.was_hash,
        runs=event.runs_hash,
        chip=event.chip or "",
        seen=None if outcome is Outcome.UNREACHABLE and not event.runs else event.time,
    )


def _runs_another(event: LogEvent) -> bool:
    """True if a log without hashes shows that the package was only uploaded: another version runs."""
    wanted = event.wanted.get("app")
    return not event.runs_hash and wanted is not None and event.runs is not None and event.runs != wanted


def _either(event: LogEvent) -> frozenset[str] | None:
    """The parts of which either image may run; older logs do not tell."""
    if event.either is None:
        return frozenset() if event.outcome in _UNTOUCHED and not event.size_bytes else None
    kept = {"net"} if event.proof is not None and event.proof.value is False else set()
    return frozenset(event.either) - kept


def _says_the_same(one: Attempt, other: Attempt) -> bool:
    """True if an update adds nothing but a later time: most runs find the package in place."""
    return (
        one.package == other.package
        and one.runs == other.runs
        and one.was == other.was
        and (one.result, one.proven, one.either) == (other.result, other.proven, other.either)
        and (one.chip, one.parts) == (other.chip, other.parts)
    )
