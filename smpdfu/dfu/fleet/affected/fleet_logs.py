"""What the log of a fleet says of the updates of each of its devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from smpdfu.dfu.decide.steps.actions import Policy
from smpdfu.dfu.fleet.affected.boards import APP, Attempt, Event, Exchanged, Result
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.dfu.fleet.log import events
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.frames import FramedEvent
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


@dataclass(frozen=True, slots=True)
class SharedFacts:
    """What an event of a log says, but for its device and its times: as a rule a thousand events say the same.

    ``is_noted``: the log says of the update all that the journal does. ``listed`` are the applications that the device
    listed, ``fleet`` is the name of the fleet in a ``run``, None for no name.
    """

    kind: str
    package: str
    parts: tuple[str, ...]
    result: Result
    proven: bool
    either: frozenset[str] | None
    was: str
    runs: str
    answered: bool
    is_noted: bool
    listed: tuple[ImageRecord, ...]
    packages: Mapping[str, tuple[ImageRecord, ...]]
    fleet: str | None

    @classmethod
    def of(cls, event: LogEvent) -> SharedFacts:
        """Take these facts from an event."""
        outcome = event.outcome
        hashes = ((event.was_hash, event.was), (event.runs_hash, event.runs))
        fleet = event.entry.get("fleet")
        return cls(
            event.kind,
            event.package or "",
            tuple(event.wanted),
            _result(event),
            proven=outcome is not Outcome.UNPROVEN,
            either=_either(event),
            was=event.was_hash,
            runs=event.runs_hash,
            answered=outcome is not Outcome.UNREACHABLE or bool(event.runs),
            is_noted=event.either is not None,
            listed=tuple(ImageRecord(APP, digits, version or "") for digits, version in hashes if digits),
            packages=event.packages,
            fleet=fleet[: events.MAX_TEXT] if isinstance(fleet, str) else None,
        )

    def attempt(self, event: LoggedEvent, began: float) -> Attempt:
        """Return the update that ended with an event."""
        ended = event.time
        chip = event.chip or ""
        seen = ended if self.answered else None
        either, was, runs = self.either, self.was, self.runs
        return Attempt(
            began, ended, self.package, None, self.parts, self.result, self.proven, either, was, runs, chip, seen
        )


LoggedEvent = FramedEvent[SharedFacts]
"""An event of a log: its own time and device, and what it shares with others."""


@dataclass(slots=True)
class LoggedDevice:
    """What a log says of a device: ``events`` in the order of the log.

    ``killed`` are updates whose end is not in the log: what they did is in the device's journal, if it has one.
    ``noted`` are the beginnings and ends of the updates of which the log says all that the journal does.
    """

    events: list[Event] = field(default_factory=list)
    killed: list[Attempt] = field(default_factory=list)
    noted: list[tuple[float, float]] = field(default_factory=list)
    _pending: tuple[float, str] | None = None

    def begin(self, event: LoggedEvent) -> None:
        """An update begins; one that is still open did not end."""
        self.close()
        self._pending = event.time, event.shared.package

    def end(self, event: LoggedEvent) -> None:
        """An update ended."""
        began = event.time if self._pending is None else self._pending[0]
        self._pending = None
        shared = event.shared
        attempt = shared.attempt(event, began)
        if shared.is_noted:
            self.noted.append((began, event.time))
        last = self.events[-1] if self.events else None
        if isinstance(last, Attempt) and _says_the_same(last, attempt):
            self.events[-1] = replace(last, ended=attempt.ended, seen=attempt.seen or last.seen)
        else:
            self.events.append(attempt)

    def exchanged(self, event: LoggedEvent) -> None:
        """Another board is at the address."""
        self.events.append(Exchanged(event.time, event.chip or ""))

    def close(self) -> None:
        """Note that an open update did not end."""
        if self._pending is not None:
            began, package = self._pending
            self.killed.append(Attempt(began, began, package, either=None))
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

    def add(self, found: Iterable[LoggedEvent]) -> None:
        """Count the events of a log, oldest first."""
        for event in found:
            shared = event.shared
            if shared.kind == events.RUN:
                self.packages |= shared.packages
                self.name = self.name if shared.fleet is None else shared.fleet
            elif event.device and (count := _HOW.get(shared.kind)) is not None:
                key = DeviceId(event.device, event.identity or event.device)
                device = self.devices.get(key)
                if device is None:
                    device = self.devices[key] = LoggedDevice()
                count(device, event)
                for one in shared.listed:
                    self.listed.setdefault(one.hash, one)
        for device in self.devices.values():
            device.close()


_HOW = {events.BEGIN: LoggedDevice.begin, events.END: LoggedDevice.end, events.EXCHANGED: LoggedDevice.exchanged}


def _result(event: LogEvent) -> Result:
    outcome = event.outcome
    if outcome is Outcome.REVERTED:
        return Result.REVERTED
    if outcome is not None and outcome.good and event.policy != Policy.UPLOAD_ONLY and not _runs_another(event):
        return Result.INSTALLED
    return Result.LEFT


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
