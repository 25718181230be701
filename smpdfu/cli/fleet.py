"""``fleet``: many devices, from one file; with a live table, a log for machines and a report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.options import command
from smpdfu.cli.show import Output, facts, print_line, table

if TYPE_CHECKING:
    from smpdfu.client import Client
    from smpdfu.dfu.fleet import FleetRun
    from smpdfu.dfu.fleetfile import Fleet, FleetDevice
    from smpdfu.dfu.history import History
    from smpdfu.dfu.package import Package
    from smpdfu.dfu.schedule import Phase, Schedule

FleetFile = Annotated[Path, typer.Argument(metavar="FLEET.toml", help="The file that describes the fleet.")]
PAUSE_FILE = "pause"
_FILES_EACH, _FILES_OF_OURS = 6, 100  # a link, a journal, and the health command's pipes
_LOOK_EVERY_S = 0.5  # how soon a running fleet sees that it was paused: by a file, which works on every system


@dataclass(frozen=True, slots=True)
class FleetHow:
    """How ``fleet run`` goes about it."""

    at_once: Annotated[
        int | None, typer.Option("--at-once", metavar="N", min=1, help="Devices at a time; the file says how many.")
    ] = None
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Do the failed devices again, and count no failure of earlier runs.")
    ] = False
    events: Annotated[
        bool, typer.Option("--events", help="Print every event as a line of JSON on stdout, as it happens.")
    ] = False
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done, without asking a device.")] = False


def register(app: typer.Typer) -> None:
    """Add ``fleet`` to ``app``."""
    fleet = typer.Typer(no_args_is_help=True, help="Update many devices: waves, limits, a journal each, a report.")
    command(fleet, "run")(run)
    command(fleet, "pause")(pause)
    command(fleet, "resume")(resume)
    command(fleet, "status")(status)
    command(fleet, "report")(report)
    app.add_typer(fleet, name="fleet", rich_help_panel="Device")


# --- run ------------------------------------------------------------------------------------------------------------


async def run(fleet: FleetFile, how: FleetHow, out: Output) -> None:
    """Update the devices of a fleet, wave by wave. Made again, it goes on where it stopped.

    Exit code 0: every device has its package. 7: some have not, and will not by the same call. 8: the same call may
    finish it.
    """
    from smpdfu.cli.fleetview import View
    from smpdfu.dfu.fleet import FleetRun, Ports
    from smpdfu.dfu.fleetlog import FleetLog

    loaded, packages = _load(fleet, how.at_once)
    folder = _folder(fleet)
    if how.plan:
        _show_plan(loaded, _schedule(loaded, packages, folder, again=how.go_on), out)
        return
    loaded = _within_limits(loaded, out)
    with FleetLog(folder) as log:  # from here on nobody else writes it
        (folder / PAUSE_FILE).unlink(missing_ok=True)
        schedule = _schedule(loaded, packages, folder, again=how.go_on)
        view = View(loaded, schedule, out, quiet=how.events)
        log.watch = _watcher(view.note, how)
        with view.drawn():
            job = FleetRun(loaded, schedule, log, Ports(_connector(loaded), packages, watch=view.progress))
            phase = await _run(job, folder / PAUSE_FILE)
        left_to_do = _schedule(loaded, packages, folder)
    data = _summary(loaded, schedule, str(phase))
    if not how.events:
        out.emit(data, lambda: _told(data))
    if code := _exit_code(schedule, left_to_do):
        again = "made again, this call goes on; " if code == 8 else ""
        out.say(f"{again}`smpdfu fleet status {fleet}` says what failed and why")
        raise typer.Exit(code)


def _within_limits(fleet: Fleet, out: Output) -> Fleet:
    """With no more devices at once than this process may have open files for."""
    from dataclasses import replace

    from smpdfu.local.limits import allow_open_files

    wanted = min(fleet.limits.at_once, len(fleet.devices))
    granted = allow_open_files(wanted * _FILES_EACH + _FILES_OF_OURS)
    possible = max((granted - _FILES_OF_OURS) // _FILES_EACH, 1)
    if possible >= wanted:
        return fleet
    out.warn(f"this system grants {granted} open files, so {possible} devices are updated at a time and not {wanted}")
    return replace(fleet, limits=replace(fleet.limits, at_once=possible))


def _watcher(note: Callable[[Mapping[str, Any]], None], how: FleetHow) -> Callable[[Mapping[str, Any]], None]:
    def watch(event: Mapping[str, Any]) -> None:
        import json

        note(event)
        if how.events:
            print_line(json.dumps(event))

    return watch


async def _run(job: FleetRun, pause_file: Path) -> Phase:
    import asyncio

    watcher = asyncio.create_task(_watch_for_pause(job, pause_file))
    try:
        return await job.run()
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])


async def _watch_for_pause(job: FleetRun, path: Path) -> None:
    import asyncio

    while True:
        _pause_or_resume(job, path)
        await asyncio.sleep(_LOOK_EVERY_S)


def _pause_or_resume(job: FleetRun, path: Path) -> None:
    if path.exists():
        job.pause()
    else:
        job.resume()


def _load(path: Path, at_once: int | None = None) -> tuple[Fleet, dict[str, Package]]:
    from dataclasses import replace

    from smpdfu.connect import parse_address
    from smpdfu.dfu.fleetfile import Fleet
    from smpdfu.dfu.package import Package
    from smpdfu.errors import ConnectError, FleetFileError

    fleet = Fleet.load(path)
    for device in fleet.devices.values():
        try:
            parse_address(device.address)
        except ConnectError as error:
            raise FleetFileError(f"the device {device.name!r} of {path.name}: {error}") from error
    if at_once is not None:
        fleet = replace(fleet, limits=replace(fleet.limits, at_once=at_once))
    return fleet, {hardware: Package.load(file) for hardware, file in fleet.packages.items()}


def _folder(path: Path) -> Path:
    import zlib

    from smpdfu.local.folders import state_home

    whole = str(path.resolve())
    return state_home() / "fleets" / f"{path.stem}-{zlib.crc32(whole.encode()):08x}"


def _schedule(fleet: Fleet, packages: Mapping[str, Package], folder: Path, *, again: bool = False) -> Schedule:
    import time

    from smpdfu.dfu.fleet import standing
    from smpdfu.dfu.fleetlog import read_log

    return standing(read_log(folder), fleet, packages, again=again).schedule(fleet, time.time())


def _connector(fleet: Fleet) -> Callable[[FleetDevice], Client]:
    from smpdfu.connect import client_for

    return lambda device: client_for(device.address, timeout_s=fleet.treatment.timeout_s)


# --- pause and resume -----------------------------------------------------------------------------------------------


def pause(fleet: FleetFile, out: Output) -> None:
    """Let no further device of a running fleet begin; those that began are finished."""
    from smpdfu.dfu.fleetfile import Fleet
    from smpdfu.local.lock import holder
    from smpdfu.local.own import open_own

    Fleet.load(fleet)
    folder = _folder(fleet)
    note = holder(folder / "lock")
    if note is None:
        out.emit({"paused": False, "pid": None}, lambda: "nothing is running this fleet")
        return
    os.close(open_own(folder / PAUSE_FILE, os.O_WRONLY | os.O_CREAT))
    out.emit(
        {"paused": True, "pid": note.get("pid")},
        lambda: f"process {note.get('pid')} begins no further device; `smpdfu fleet resume {fleet}` goes on",
    )


async def resume(fleet: FleetFile, how: FleetHow, out: Output) -> None:
    """Go on after ``pause``; where nothing is running the fleet, run it."""
    from smpdfu.local.lock import holder

    folder = _folder(fleet)
    note = holder(folder / "lock")
    with suppress(FileNotFoundError):
        (folder / PAUSE_FILE).unlink()
    if note is None:
        await run(fleet, how, out)
        return
    out.emit({"paused": False, "pid": note.get("pid")}, lambda: f"process {note.get('pid')} goes on")


# --- status and report ----------------------------------------------------------------------------------------------


def status(fleet: FleetFile, out: Output) -> None:
    """Show how far a fleet is: counts, failures by cause, and what runs now."""
    from smpdfu.local.lock import holder

    history, folder = _history(fleet), _folder(fleet)
    note = holder(folder / "lock")
    data = {
        "fleet": history.fleet.name,
        "pid": None if note is None else note.get("pid"),
        "paused": note is not None and (folder / PAUSE_FILE).exists(),
        "counts": history.counts(),
        "stopped": history.stopped,
        "causes": [{"cause": text, "devices": names} for text, names in history.causes().items()],
        "running": [{"device": one.device.name, "step": one.step} for one in history.running()],
    }
    out.emit(data, lambda: _status_text(data))


def report(
    fleet: FleetFile,
    out: Output,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write the HTML page.")],
) -> None:
    """Write a page about the fleet that needs nothing else: outcomes, causes, versions and a timeline."""
    from smpdfu.cli.fleetreport import page
    from smpdfu.cli.outputs import check_outputs
    from smpdfu.image.files import write_file_atomic

    check_outputs([output], [fleet])
    history = _history(fleet)
    write_file_atomic(output, page(history).encode())
    out.emit({"file": output, "counts": history.counts()}, lambda: f"{output} written")


def _history(path: Path) -> History:
    """What the log of a fleet adds up to, for the packages that it has now."""
    from smpdfu.dfu.fleetlog import read_log
    from smpdfu.dfu.history import History

    fleet, packages = _load(path)
    return History.of(read_log(_folder(path)), fleet, {name: one.digest for name, one in packages.items()})


# --- what is said ---------------------------------------------------------------------------------------------------


def _show_plan(fleet: Fleet, schedule: Schedule, out: Output) -> None:
    waves: list[dict[str, Any]] = []
    for wave in fleet.waves:
        left = [name for name in wave.devices if name not in schedule.outcomes]
        waves.append({"wave": wave.name, "devices": len(wave.devices), "left": left, "soak_s": wave.soak_s})
    data = {"fleet": fleet.name, "at_once": fleet.limits.at_once, "stopped": schedule.stopped, "waves": waves}
    rows = [(one["wave"], one["devices"], len(one["left"]), f"{one['soak_s']:g} s") for one in waves]
    out.emit(data, lambda: table(fleet.name, ("wave", "devices", "to be done", "then wait"), rows))


def _summary(fleet: Fleet, schedule: Schedule, phase: str) -> dict[str, Any]:
    counts = Counter(str(outcome) for outcome in schedule.outcomes.values())
    return {
        "fleet": fleet.name,
        "phase": phase,
        "stopped": schedule.stopped,
        "counts": dict(sorted(counts.items())) | {"left": len(fleet.devices) - len(schedule.outcomes)},
        "devices": [
            {"name": name, "address": one.address, "outcome": schedule.outcomes.get(name)}
            for name, one in fleet.devices.items()
        ],
    }


def _told(data: dict[str, Any]) -> Any:
    pairs = [(name, count) for name, count in data["counts"].items() if count or name != "left"]
    return facts([*pairs, *([("stopped", data["stopped"])] if data["stopped"] else [])])


def _status_text(data: dict[str, Any]) -> Any:
    pairs: list[tuple[str, object]] = [(name, count) for name, count in data["counts"].items()]
    pairs += [(one["cause"], _some(one["devices"])) for one in data["causes"]]
    pairs += [(one["device"], one["step"]) for one in data["running"]]
    if data["stopped"]:
        pairs.append(("stopped", data["stopped"]))
    state = "paused" if data["paused"] else f"run by process {data['pid']}" if data["pid"] else "not running"
    return facts([(data["fleet"], state), *pairs])


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _exit_code(schedule: Schedule, next_time: Schedule) -> int:
    """``next_time`` is what the same call would begin with."""
    everything = {name for wave in schedule.waves for name in wave.devices}
    if everything - set(next_time.outcomes) and not next_time.stopped:
        return 8
    return 7 if any(name not in next_time.outcomes or not next_time.outcomes[name].good for name in everything) else 0
