"""``fleet``: many devices, from one file; with a live table, a log for machines and a report."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.fleet.loading import (
    chip_number,
    connector,
    events_of,
    first_look,
    looks_at_once,
    packages_of,
    read_fleet,
    refuse_same_hosts,
    remember,
    schedule_of,
    standing_of,
    state_folder,
    within_limits,
)
from smpdfu.cli.fleet.plan import show_plan
from smpdfu.cli.image.trust_options import TrustOptions
from smpdfu.cli.terminal.show import Output, facts, print_line
from smpdfu.errors import StepError

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.file import Fleet
    from smpdfu.dfu.fleet.history import History
    from smpdfu.dfu.fleet.run import FleetRun
    from smpdfu.dfu.fleet.schedule import Phase, Schedule

FleetFile = Annotated[Path, typer.Argument(metavar="FLEET.toml", help="The file that describes the fleet.")]
PAUSE_FILE = "pause"
_LOOK_EVERY_S = 0.5  # how soon a running fleet sees that it was paused: by a file, which works on every system


@dataclass(frozen=True, slots=True)
class FleetHow:
    """How ``fleet run`` goes about it."""

    at_once: Annotated[
        int | None, typer.Option("--at-once", metavar="N", min=1, help="Devices at a time; the file says how many.")
    ] = None
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Retry the failed devices, and ignore the failures of earlier runs.")
    ] = False
    events: Annotated[
        bool, typer.Option("--events", help="Print every event as a line of JSON on stdout, as it happens.")
    ] = False
    skip_unreachable: Annotated[
        bool,
        typer.Option("--skip-unreachable", help="Skip devices that do not answer; they do not count as failures."),
    ] = False
    no_downgrade: Annotated[
        bool | None,
        typer.Option(
            "--no-downgrade/--allow-downgrade",
            help="Refuse an application that is older than the one that runs. [default: refuse]",
            show_default=False,
        ),
    ] = None
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done, without asking a device.")] = False
    require_proof: Annotated[
        bool, typer.Option("--require-proof", help="Exit with code 9 if nothing proves the update of a device.")
    ] = False


def register(app: typer.Typer) -> None:
    """Add ``fleet`` to ``app``."""
    fleet = typer.Typer(no_args_is_help=True, help="Update many devices: waves, limits, a journal each, a report.")
    command(fleet, "run")(run)
    command(fleet, "pause")(pause)
    command(fleet, "resume")(resume)
    command(fleet, "status")(status)
    command(fleet, "report")(report)
    command(fleet, "repair")(repair)
    app.add_typer(fleet, name="fleet", rich_help_panel="Device")


# --- run ------------------------------------------------------------------------------------------------------------


async def run(fleet: FleetFile, how: FleetHow, trust: TrustOptions, out: Output) -> None:
    """Update the devices of a fleet, wave by wave. Run it again to continue.

    A device that takes longer than device_timeout_s in [update] (14400 seconds) is stopped; its wave continues.

    The next wave begins when the one before it has succeeded; --plan shows what that means for this fleet.
    Exit code 0: every device has its package. 7: some devices failed and will not be tried again. 8: not finished; the
    same command continues. 9, with --require-proof: every device has its package as far as it can tell, and not each
    one proves it.
    """
    await _go(fleet, how, trust, out)


async def _go(fleet: Path, how: FleetHow, trust: TrustOptions, out: Output, *, resumes: bool = False) -> None:
    """``run``; ``resumes`` lifts a pause, when nothing speaks against running the fleet any more."""
    from smpdfu.cli.fleet.live_view import View
    from smpdfu.connect import places_by_lookup
    from smpdfu.dfu.decide.checks.demands import check_trust
    from smpdfu.dfu.fleet.log import FleetLog
    from smpdfu.dfu.fleet.run import FleetRun, Ports, note_exchanged

    loaded = _as_asked(read_fleet(fleet), how)
    packages = packages_of(loaded)
    check_trust((image for one in packages.values() for image in one.images), trust.keys(loaded.trust))
    await refuse_same_hosts(loaded)
    folder = state_folder(loaded)
    if how.plan:
        show_plan(loaded, schedule_of(loaded, packages, folder, out, again=how.go_on), out)
        return
    loaded = within_limits(loaded, out)
    with FleetLog(folder) as log:  # from here on nobody else writes it
        if resumes:
            (folder / PAUSE_FILE).unlink(missing_ok=True)
        _refuse_if_paused(fleet, folder)
        remember(loaded, folder)
        ports = Ports(
            connector(loaded),
            packages,
            look=first_look(loaded),
            looks_at_once=looks_at_once(),
            chip=chip_number(loaded),
            places=lambda device: places_by_lookup(device.address),
        )
        log.watch = _watcher(lambda event: None, how)
        for name in await note_exchanged(standing_of(loaded, packages, folder), loaded, log, ports):
            out.warn(f"{name}: another board is at {loaded.devices[name].address} than before; smpdfu updates it")
        schedule = schedule_of(loaded, packages, folder, out, again=how.go_on)
        view = View(loaded, schedule, out, quiet=how.events)
        log.watch = _watcher(view.note, how)
        async with view.kept_drawn():
            job = FleetRun(loaded, schedule, log, replace(ports, watch=view.progress))
            phase = await _run(job, folder / PAUSE_FILE)
        if schedule.phase == "done":
            (folder / PAUSE_FILE).unlink(missing_ok=True)
        left_to_do = schedule_of(loaded, packages, folder)
    data = _summary(loaded, schedule, str(phase))
    if not how.events:
        out.emit(data, lambda: _told(data))
    if code := _exit_code(schedule, left_to_do, require_proof=how.require_proof):
        again = "Not finished. Run the same command again to continue. " if code == 8 else ""
        out.say(f"{again}`smpdfu fleet status {fleet}` shows what failed and why")
        raise typer.Exit(code)


def _as_asked(fleet: Fleet, how: FleetHow) -> Fleet:
    """The fleet with what the command line says of it."""
    limits = replace(fleet.limits, skip_unreachable=how.skip_unreachable)
    if how.at_once is not None:
        limits = replace(limits, at_once=how.at_once)
    treatment = fleet.treatment
    if how.no_downgrade is not None:
        treatment = replace(treatment, no_downgrade=how.no_downgrade)
    return replace(fleet, limits=limits, treatment=treatment)


def _refuse_if_paused(file: Path, folder: Path) -> None:
    """Raise StepError where somebody paused the fleet and nobody has resumed it, whatever became of that run."""
    if (folder / PAUSE_FILE).exists():
        text = f"the fleet is paused and nothing was begun; `smpdfu fleet resume {file}` continues it"
        raise StepError(text, "pause", resumable=True)


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


# --- pause and resume -----------------------------------------------------------------------------------------------


def pause(fleet: FleetFile, out: Output) -> None:
    """Let no further device of a running fleet begin; those that began are finished."""
    from smpdfu.local.state.lock import holder
    from smpdfu.local.state.own import open_own

    folder = state_folder(read_fleet(fleet))
    note = holder(folder / "lock")
    if note is None:
        out.emit({"paused": False, "pid": None}, lambda: "nothing is running this fleet")
        return
    os.close(open_own(folder / PAUSE_FILE, os.O_WRONLY | os.O_CREAT))
    out.emit(
        {"paused": True, "pid": note.get("pid")},
        lambda: f"process {note.get('pid')} begins no further device; `smpdfu fleet resume {fleet}` continues",
    )


async def resume(fleet: FleetFile, how: FleetHow, trust: TrustOptions, out: Output) -> None:
    """Go on after ``pause``; where nothing is running the fleet, run it."""
    from smpdfu.local.state.lock import holder

    folder = state_folder(read_fleet(fleet))
    note = holder(folder / "lock")
    if note is None or how.plan:
        await _go(fleet, how, trust, out, resumes=True)
        return
    (folder / PAUSE_FILE).unlink(missing_ok=True)
    out.emit({"paused": False, "pid": note.get("pid")}, lambda: f"process {note.get('pid')} continues")


# --- status and report ----------------------------------------------------------------------------------------------


def status(fleet: FleetFile, out: Output) -> None:
    """Show how far a fleet is: counts, failures by cause, and what runs now."""
    from smpdfu.local.state.lock import holder

    history, folder = _history(fleet, out)
    note = holder(folder / "lock")
    data = {
        "fleet": history.fleet.name,
        "id": folder.name,
        "pid": None if note is None else note.get("pid"),
        "paused": (folder / PAUSE_FILE).exists(),
        "counts": history.counts(),
        "stopped": history.stopped,
        "causes": [{"cause": text, "devices": names} for text, names in history.causes().items()],
        "unproven": [{"reason": text, "devices": names} for text, names in history.doubts().items()],
        "running": [{"device": one.device.name, "step": one.step} for one in history.running()],
    }
    out.emit(data, lambda: _status_text(data))


def report(
    fleet: FleetFile,
    out: Output,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write the HTML page.")],
) -> None:
    """Write a page about the fleet that needs nothing else: outcomes, causes, versions and a timeline."""
    from smpdfu.cli.fleet.html_report import page
    from smpdfu.cli.terminal.outputs import check_outputs
    from smpdfu.image.files import write_file_atomic

    check_outputs([output], [fleet])
    history, _ = _history(fleet, out)
    write_file_atomic(output, page(history).encode())
    out.emit({"file": output, "counts": history.counts()}, lambda: f"{output} written")


def _history(path: Path, out: Output) -> tuple[History, Path]:
    """What the log of a fleet adds up to, for the packages that it has now, and the folder of the log."""
    from smpdfu.dfu.fleet.history import History

    fleet = read_fleet(path)
    folder, packages = state_folder(fleet), packages_of(fleet)
    digests = {name: one.digest for name, one in packages.items()}
    return History.of(events_of(folder, path, out), fleet, digests), folder


def repair(fleet: FleetFile, out: Output) -> None:
    """Move the damaged lines of a fleet's log, and the damaged journals of its devices, out of the way.

    What the other lines say still counts. Nothing is deleted: the command says where it is.
    """
    from smpdfu.dfu.do.journal import journal_path
    from smpdfu.dfu.do.journal_repair import is_damaged, set_aside
    from smpdfu.dfu.fleet.log import repair_log

    loaded = read_fleet(fleet)
    folder = state_folder(loaded)
    lines = repair_log(folder)
    journals = [journal_path(device.place) for device in loaded.devices.values()]
    aside = [old for path in journals if is_damaged(path) and (old := set_aside(path)) is not None]
    data = {"lines": lines, "moved_to": folder / "events.damaged" if lines else None, "journals": aside}

    def render() -> Any:
        pairs = [("lines", f"{', '.join(map(str, lines))} moved to {data['moved_to']}")] if lines else []
        pairs += [("journal", f"moved to {old}") for old in aside]
        return facts(pairs or [("nothing", "is damaged")])

    out.emit(data, render)


# --- what is said ---------------------------------------------------------------------------------------------------


def _summary(fleet: Fleet, schedule: Schedule, phase: str) -> dict[str, Any]:
    counts = Counter(str(outcome) for outcome in schedule.outcomes.values())
    return {
        "fleet": fleet.name,
        "phase": phase,
        "stopped": schedule.stopped,
        "advice": schedule.advice,
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
    pairs += [(f"unproven: {one['reason']}", _some(one["devices"])) for one in data["unproven"]]
    pairs += [(one["device"], one["step"]) for one in data["running"]]
    if data["stopped"]:
        pairs.append(("stopped", data["stopped"]))
    state = "paused" if data["paused"] else f"run by process {data['pid']}" if data["pid"] else "not running"
    return facts([(data["fleet"], state), *pairs])


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _exit_code(schedule: Schedule, next_time: Schedule, *, require_proof: bool) -> int:
    """``next_time`` is what the same call would begin with."""
    next_time.begin(math.inf)  # the soak times are over some time
    everything = {name for wave in schedule.waves for name in wave.devices}
    left = everything - set(next_time.outcomes)
    if left and not next_time.stopped:
        return 8
    outcomes = [next_time.outcomes[name] for name in everything - left]
    if require_proof and all(one.good for one in outcomes) and any(one == "unproven" for one in outcomes):
        return 9
    return 7 if left or not all(one.good for one in outcomes) else 0
