"""``fleet``: many devices from one file, with a live table, a log for machines and a report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smpdfu.cli.app.command import command
from smpdfu.cli.fleet.plan import show_plan
from smpdfu.cli.fleet.words import pause_text, repair_text, status_document, status_text, summary, summary_text
from smpdfu.cli.image.trust_options import TrustOptions
from smpdfu.cli.terminal.show import Output

if TYPE_CHECKING:
    from smpdfu.dfu.fleet.outcome import FleetOutcome
    from smpdfu.dfu.fleet.session import FleetSession, FleetWatch, FleetWish

FleetFile = Annotated[Path, typer.Argument(metavar="FLEET.toml", help="The file that describes the fleet.")]


@dataclass(frozen=True, slots=True)
class FleetHow:
    """The options of ``fleet run`` and ``fleet resume``."""

    at_once: Annotated[
        int | None,
        typer.Option(
            "--at-once", metavar="N", min=1, help="Devices to update at a time. [default: at_once in the file]"
        ),
    ] = None
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Retry the failed devices, and ignore the failures of earlier runs.")
    ] = False
    events: Annotated[
        bool, typer.Option("--events", help="Print each event on stdout as a line of JSON when it happens.")
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
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done, without asking a device.")] = False
    require_proof: Annotated[
        bool, typer.Option("--require-proof", help="Exit with code 9 if nothing proves an update.")
    ] = False

    def wish(self, trust: TrustOptions) -> FleetWish:
        """The same, as the library asks it."""
        from smpdfu.dfu.fleet.session import FleetWish

        return FleetWish(self.at_once, self.go_on, self.skip_unreachable, self.no_downgrade, trust.keys())


def register(app: typer.Typer) -> None:
    """Add ``fleet`` to ``app``."""
    fleet = typer.Typer(no_args_is_help=True, help="Update many devices: waves, limits, journals, a report.")
    command(fleet, "run")(run)
    command(fleet, "pause")(pause)
    command(fleet, "resume")(resume)
    command(fleet, "status")(status)
    command(fleet, "report")(report)
    command(fleet, "repair")(repair)
    app.add_typer(fleet, name="fleet")


# --- run, pause, resume ---------------------------------------------------------------------------------------------


async def run(fleet: FleetFile, how: FleetHow, trust: TrustOptions, out: Output) -> None:
    """Update the devices of a fleet, wave by wave. Run it again to continue.

    The next wave begins when the wave before it has succeeded. --plan shows what that means for this fleet. smpdfu
    stops a device that takes longer than device_timeout_s in [update] (14400 seconds), and its wave continues.

    Exit code 0: every device has its package. 7: some devices failed, and the next run does not retry them. 8: not
    finished; run the same command again. 9, with --require-proof: every device has its package as far as smpdfu can
    tell, and nothing proves some of the updates.
    """
    session = _open(fleet)
    await _carry_out(session, session.run, how, trust, out)


async def resume(fleet: FleetFile, how: FleetHow, trust: TrustOptions, out: Output) -> None:
    """Continue after a pause. If no process runs the fleet, run it."""
    session = _open(fleet)
    await _carry_out(session, session.resume, how, trust, out)


def _open(file: Path) -> FleetSession:
    from smpdfu.cli.keys.passphrase import Passphrase
    from smpdfu.fleets import open_fleet

    return open_fleet(file, passphrase=Passphrase().ask)


async def _carry_out(
    session: FleetSession,
    work: Callable[[FleetWish, FleetWatch], Awaitable[FleetOutcome | int]],
    how: FleetHow,
    trust: TrustOptions,
    out: Output,
) -> None:
    """Run the fleet, or show the plan of it; an int is the process that a resume let continue."""
    from smpdfu.cli.fleet.live_view import Notes, View

    if how.plan:
        show_plan(await session.plan(how.wish(trust), Notes(session.fleet, out)), out)
        return
    view = View(session.fleet, out, events=how.events)
    async with view.kept_drawn():
        outcome = await work(how.wish(trust), view)
    if isinstance(outcome, int):
        out.emit({"paused": False, "pid": outcome}, lambda: f"Process {outcome} continues.")
    else:
        _end(outcome, how, out)


def _end(outcome: FleetOutcome, how: FleetHow, out: Output) -> None:
    """Show how the run ended, and leave with its exit code."""
    from smpdfu.cli.app.ending import conclude, fail

    error = outcome.error(require_proof=how.require_proof)
    if not how.events:
        conclude(out, summary(outcome), lambda: summary_text(outcome), error)
    elif error is not None:
        fail(out, error)


def pause(fleet: FleetFile, out: Output) -> None:
    """Begin no further device of a running fleet. Devices that began are finished."""
    pid = _open(fleet).pause()
    out.emit({"paused": pid is not None, "pid": pid}, lambda: pause_text(fleet, pid))


# --- status, report, repair -----------------------------------------------------------------------------------------


def status(fleet: FleetFile, out: Output) -> None:
    """Show how far a fleet is: counts, failures by cause, devices under way, and the next command."""
    from smpdfu.cli.fleet.live_view import Notes

    session = _open(fleet)
    found = session.status(Notes(session.fleet, out))
    out.emit(status_document(found, session.log), lambda: status_text(found))


def report(
    fleet: FleetFile,
    out: Output,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    csv: Annotated[bool, typer.Option("--csv", help="Write a CSV table of the devices instead of the page.")] = False,
) -> None:
    """Write an HTML page about the fleet: failures, versions and a timeline.

    The page is one file that loads nothing. Failures come first, and a browser can sort and filter the devices.
    """
    from smpdfu.cli.fleet.csv_report import csv_table
    from smpdfu.cli.fleet.html_report import page
    from smpdfu.cli.fleet.live_view import Notes
    from smpdfu.cli.terminal.outputs import check_outputs
    from smpdfu.image.files import write_file_atomic

    check_outputs([output], [fleet])
    session = _open(fleet)
    found = session.status(Notes(session.fleet, out))
    write_file_atomic(output, (csv_table(found) if csv else page(found)).encode())
    out.emit({"file": output, "counts": found.history.counts()}, lambda: f"{output} written")


def repair(fleet: FleetFile, out: Output) -> None:
    """Move damaged lines of the fleet's log, and damaged journals of its devices, out of the way.

    The other lines still count. Nothing is deleted: the command shows where it is.
    """
    done = _open(fleet).repair()
    out.emit({"lines": done.lines, "moved_to": done.moved_to, "journals": done.journals}, lambda: repair_text(done))
