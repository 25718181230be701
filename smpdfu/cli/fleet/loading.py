"""A fleet's file, packages and log, as the ``fleet`` commands need them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import Output
from smpdfu.errors import FleetFileError
from smpdfu.untrusted.files import read_start
from smpdfu.untrusted.nesting import load_json

if TYPE_CHECKING:
    from smpdfu.client import Client
    from smpdfu.dfu.fleet.file import Fleet, FleetDevice
    from smpdfu.dfu.fleet.schedule import Schedule
    from smpdfu.dfu.fleet.standing import Standing
    from smpdfu.dfu.package.package import Package

_FILES_EACH, _FILES_OF_OURS = 8, 100  # a link, a journal, locks, and the health command's pipes
_LOOK_S = 1.0  # how long an answer to the first look is waited for, twice
_CHIP_WITHIN_S = 10.0  # how long a device has to be connected to, when it is asked whether it is the same board
_NOTE, _KEPT, _NOTE_BYTES = "fleet.json", 100, 1 << 20


def read_fleet(path: Path) -> Fleet:
    """The fleet in a file, every address in its one spelling. Raises FleetFileError or OSError."""
    from smpdfu.connect import place_of
    from smpdfu.dfu.fleet.file import Fleet

    return Fleet.load(path, place_of)


def packages_of(fleet: Fleet) -> dict[str, Package]:
    """The packages by hardware. Raises PackageError or OSError."""
    from smpdfu.dfu.package.package import Package

    return {hardware: Package.load(file) for hardware, file in fleet.packages.items()}


async def refuse_same_hosts(fleet: Fleet) -> None:
    """Raise FleetFileError where two host names, or a name and an IP address, lead to the same device."""
    import asyncio

    from smpdfu.connect import places_by_lookup

    names = [one for one in fleet.devices.values() if one.place.startswith("udp:")]
    found = await asyncio.gather(*(places_by_lookup(one.address) for one in names))
    known: dict[str, str] = {}
    for one, places in zip(names, found, strict=True):
        for place in places:
            other = known.setdefault(place, one.name)
            if other != one.name:
                raise FleetFileError(f"{other!r} and {one.name!r} of {fleet.path.name} have the same address, {place}")


def within_limits(fleet: Fleet, out: Output) -> Fleet:
    """With no more devices at once than this process may have open files for."""
    from smpdfu.local.state.limits import allow_open_files

    wanted = min(fleet.limits.at_once, len(fleet.devices))
    granted = allow_open_files(wanted * _FILES_EACH + _FILES_OF_OURS)
    possible = max((granted - _FILES_OF_OURS) // _FILES_EACH, 1)
    if possible >= wanted:
        return fleet
    out.warn(f"this system grants {granted} open files, so {possible} devices are updated at a time and not {wanted}")
    return replace(fleet, limits=replace(fleet.limits, at_once=possible))


def looks_at_once() -> int:
    """How many devices may be looked at together, with a socket each: one that has none would count as silent."""
    from smpdfu.dfu.fleet.run import LOOKS_AT_ONCE
    from smpdfu.local.state.limits import allow_open_files

    granted = allow_open_files(LOOKS_AT_ONCE + _FILES_OF_OURS)
    return min(LOOKS_AT_ONCE, max(granted - _FILES_OF_OURS, 1))


def standing_of(
    fleet: Fleet, packages: Mapping[str, Package], folder: Path, out: Output | None = None, *, again: bool = False
) -> Standing:
    """What earlier runs left, by the log; warns on ``out`` of its damaged lines. Raises JournalError."""
    from smpdfu.dfu.fleet.standing import standing

    return standing(events_of(folder, fleet.path, out), fleet, packages, again=again)


def schedule_of(
    fleet: Fleet, packages: Mapping[str, Package], folder: Path, out: Output | None = None, *, again: bool = False
) -> Schedule:
    """What is left to do by the log; warns on ``out`` of its damaged lines. Raises JournalError."""
    import time

    return standing_of(fleet, packages, folder, out, again=again).schedule(fleet, time.time())


def events_of(folder: Path, file: Path, out: Output | None) -> list[dict[str, Any]]:
    """The events of a fleet's log; warns on ``out`` of its damaged lines. Raises JournalError."""
    from smpdfu.dfu.do.journal_repair import damaged_line
    from smpdfu.dfu.fleet.log import log_path, read_log

    damaged: list[int] = []
    events = list(read_log(folder, damaged.append))
    if out is not None:
        for number in damaged:
            out.warn(f"{damaged_line(number, log_path(folder))}. `smpdfu fleet repair {file}` moves it out of the way.")
    return events


def connector(fleet: Fleet) -> Callable[[FleetDevice], Client]:
    """What makes a client of a device."""
    from smpdfu.connect import client_for

    how = fleet.treatment
    return lambda device: client_for(device.address, timeout_s=how.timeout_s, transfer_timeout_s=how.transfer_timeout_s)


def first_look(fleet: Fleet) -> Callable[[FleetDevice], Awaitable[bool]]:
    """Does a device answer an echo, asked twice? Only over UDP: elsewhere asking costs as much as connecting."""
    from smpdfu.connect import client_for
    from smpdfu.errors import LinkError, SmpdfuError
    from smpdfu.smp.groups.os import Echo

    timeout_s = max(_LOOK_S, fleet.treatment.timeout_s or 0.0)

    async def look(device: FleetDevice) -> bool:
        if not device.place.startswith("udp:"):
            return True
        try:
            async with client_for(device.address, timeout_s=timeout_s) as client:
                await client.request(Echo("smpdfu"), attempts=2)
        except LinkError:
            return False
        except SmpdfuError:
            return True  # it answers; the update says what is wrong
        return True

    return look


def chip_number(fleet: Fleet) -> Callable[[FleetDevice], Awaitable[str | None]]:
    """The number of a device's chip; None where it does not tell, or does not answer soon."""
    from smpdfu.connect import client_for
    from smpdfu.dfu.do.same_device import read_hardware
    from smpdfu.errors import SmpdfuError

    timeout_s = max(_LOOK_S, fleet.treatment.timeout_s or 0.0)

    async def ask(device: FleetDevice) -> str | None:
        import asyncio

        try:
            async with (
                asyncio.timeout(_CHIP_WITHIN_S + 2 * timeout_s),
                client_for(device.address, timeout_s=timeout_s) as client,
            ):
                return await read_hardware(client)
        except (SmpdfuError, TimeoutError):
            return None

    return ask


# --- where the log is -----------------------------------------------------------------------------------------------


def state_folder(fleet: Fleet) -> Path:
    """Where the fleet's log is: by its ``id``, else by where its file is or was when it had the same content.

    So a copy of the file continues the log of its original.
    """
    import zlib

    from smpdfu.local.state.folders import state_home

    home, path = state_home() / "fleets", fleet.path.resolve()
    if fleet.id is not None:
        return home / f"id-{fleet.id}"
    content = _content(fleet)
    notes = {file.parent: _note(file) for file in sorted(home.glob(f"*/{_NOTE}"))}
    for key, value in (("paths", str(path)), ("contents", content)):
        found = next((folder for folder, note in notes.items() if value in note[key]), None)
        if found is not None:
            return found
    return home / f"{path.stem}-{zlib.crc32(str(path).encode()):08x}"


def remember(fleet: Fleet, folder: Path) -> None:
    """Note in the fleet's folder which file this is, for ``state_folder``. Raises OSError."""
    import json

    from smpdfu.image.files import write_file_atomic

    if fleet.id is not None:
        return
    note, here = _note(folder / _NOTE), {"paths": str(fleet.path.resolve()), "contents": _content(fleet)}
    if all(value in note[key] for key, value in here.items()):
        return
    fresh = {key: [*(one for one in note[key] if one != value), value][-_KEPT:] for key, value in here.items()}
    write_file_atomic(folder / _NOTE, json.dumps(fresh).encode())


def _content(fleet: Fleet) -> str:
    """What is the same in a copy: the file, and which devices its list has."""
    from hashlib import sha256

    devices = "\n".join(f"{one.name} {one.identity}" for one in fleet.devices.values())
    return sha256(fleet.content + devices.encode()).hexdigest()


def _note(file: Path) -> dict[str, list[str]]:
    try:
        note = load_json(read_start(file, _NOTE_BYTES))
    except (OSError, ValueError):
        note = None
    found = note if isinstance(note, dict) else {}
    return {key: [str(one) for one in found.get(key) or []] for key in ("paths", "contents")}
