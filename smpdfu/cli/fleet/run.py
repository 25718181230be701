"""``fleet run``, ``fleet resume`` and ``fleet pause``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from smpdfu.cli.app.ending import conclude, conclude_events
from smpdfu.cli.fleet.live_view import Notes, View
from smpdfu.cli.fleet.options import RunOptions
from smpdfu.cli.fleet.plan import show_plan
from smpdfu.cli.fleet.session import open_session
from smpdfu.cli.fleet.words import pause_text, summary, summary_text
from smpdfu.cli.image.trust_options import NsibOptions, TrustOptions
from smpdfu.cli.terminal.show import Output
from smpdfu.dfu.fleet.outcome import FleetOutcome
from smpdfu.dfu.fleet.session import FleetSession, FleetWatch, FleetWish


async def run_fleet(file: Path, how: RunOptions, trust: TrustOptions, nsib: NsibOptions, out: Output) -> None:
    """Run a fleet, or show the plan of it. Raises SmpdfuError for how it ended."""
    session = open_session(file)
    await _carry_out(session, session.run, how, trust, nsib, out)


async def resume_fleet(file: Path, how: RunOptions, trust: TrustOptions, nsib: NsibOptions, out: Output) -> None:
    """End a pause, and run the fleet if no process runs it. Raises SmpdfuError for how it ended."""
    session = open_session(file)
    await _carry_out(session, session.resume, how, trust, nsib, out)


def pause_fleet(file: Path, out: Output) -> None:
    """Have the process that runs the fleet begin no further device."""
    pid = open_session(file).pause()
    out.emit({"paused": pid is not None, "pid": pid}, lambda: pause_text(file, pid))


async def _carry_out(
    session: FleetSession,
    work: Callable[[FleetWish, FleetWatch], Awaitable[FleetOutcome | int]],
    how: RunOptions,
    trust: TrustOptions,
    nsib: NsibOptions,
    out: Output,
) -> None:
    """Run the fleet, or show the plan of it; an int is the process that a resume let continue."""
    wish = FleetWish(how.at_once, how.go_on, how.skip_unreachable, how.no_downgrade, trust.keys(), nsib.keys())
    if how.plan:
        show_plan(await session.plan(wish, Notes(session.fleet, out)), out)
        return
    view = View(session.fleet, out, events=how.events)
    async with view.kept_drawn():
        outcome = await work(wish, view)
    if isinstance(outcome, int):
        out.emit({"paused": False, "pid": outcome}, lambda: f"Process {outcome} continues.")
    else:
        _end(outcome, how, out)


def _end(outcome: FleetOutcome, how: RunOptions, out: Output) -> None:
    """Show how the run ended, and leave with its exit code."""
    error = outcome.error(require_proof=how.require_proof)
    if how.events:
        conclude_events(out, summary(outcome), error)
    else:
        conclude(out, summary(outcome), lambda: summary_text(outcome), error)
