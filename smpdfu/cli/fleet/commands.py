"""``fleet``: many devices from one file, with a live table, a log for machines and a report.

This file declares the commands and imports little, so that ``--help`` is fast. ``run.py``, ``status.py`` and
``report.py`` do the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from smpdfu.cli.app import completion
from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.fleet.options import RunOptions
from smpdfu.cli.image.trust_options import NsibOptions, TrustOptions
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output

FleetFile = Annotated[
    Path,
    typer.Argument(
        metavar="FLEET.toml", help="The file that describes the fleet.", autocompletion=completion.fleet_files
    ),
]


def register(app: Group) -> None:
    """Add ``fleet`` to ``app``."""
    fleet = Group("Update many devices: waves, limits, journals, a report.")
    command(fleet, "run")(run)
    command(fleet, "pause")(pause)
    command(fleet, "resume")(resume)
    command(fleet, "status")(status)
    command(fleet, "report")(report)
    command(fleet, "repair")(repair)
    app.add_group("fleet", fleet)


async def run(fleet: FleetFile, how: RunOptions, trust: TrustOptions, nsib: NsibOptions, out: Output) -> None:
    """Update the devices of a fleet, wave by wave. Run it again to continue.

    The file needs at least default = "dfu_application.zip" in [packages], and for each device a [[device]] table with
    name = "roof-1" and address = "udp:10.0.0.7".

    The next wave begins when the wave before it has succeeded. --plan shows what that means for this fleet. smpdfu
    stops a device that takes longer than device_timeout_s in [update] (14400 seconds), and its wave continues.

    Exit code 0: every device has its package. 7: some devices failed, and the next run does not retry them. 8: not
    finished; run the same command again. 9, with --require-proof: every device has its package as far as smpdfu can
    tell, and nothing proves some of the updates.
    """
    from smpdfu.cli.fleet.run import run_fleet

    await run_fleet(fleet, how, trust, nsib, out)


async def resume(fleet: FleetFile, how: RunOptions, trust: TrustOptions, nsib: NsibOptions, out: Output) -> None:
    """Continue after a pause. If no process runs the fleet, run it."""
    from smpdfu.cli.fleet.run import resume_fleet

    await resume_fleet(fleet, how, trust, nsib, out)


def pause(fleet: FleetFile, out: Output) -> None:
    """Stop a running fleet from starting more devices. It finishes those that it has started."""
    from smpdfu.cli.fleet.run import pause_fleet

    pause_fleet(fleet, out)


def status(fleet: FleetFile, out: Output) -> None:
    """Show how far a fleet is: counts, failures by cause, devices under way, and the next command."""
    from smpdfu.cli.fleet.status import show_status

    show_status(fleet, out)


def report(
    fleet: FleetFile,
    out: Output,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    csv: Annotated[bool, typer.Option("--csv", help="Write a CSV table of the devices instead of the page.")] = False,
) -> None:
    """Write an HTML page about the fleet: failures, versions and a timeline.

    The page is one file that loads nothing. Failures come first, and a browser can sort and filter the devices.
    """
    from smpdfu.cli.fleet.report import write_report

    write_report(fleet, out, output, csv=csv)


def repair(fleet: FleetFile, out: Output) -> None:
    """Move damaged lines of the fleet's log, and damaged journals of its devices, out of the way.

    The other lines still count. Nothing is deleted: the command shows where it is.
    """
    from smpdfu.cli.fleet.status import repair_log

    repair_log(fleet, out)
