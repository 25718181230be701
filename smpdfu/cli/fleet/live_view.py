"""The live table of a fleet: a line per device under way, and counts. Without a terminal: a line per ended device."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from smpdfu.cli.fleet.words import stop_advice
from smpdfu.cli.terminal.show import Output, console, one_line, print_line
from smpdfu.dfu.do.journal.repair import damaged_line
from smpdfu.dfu.do.update import Progress
from smpdfu.dfu.fleet.log.events import (
    BEGIN,
    DAMAGED,
    END,
    EXCHANGED,
    LOOK,
    PAUSE,
    RESUME,
    STEP,
    STOP,
    WAVE,
    LogEvent,
)
from smpdfu.dfu.fleet.session import FleetWatch

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from smpdfu.dfu.do.update import Event
    from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice
    from smpdfu.dfu.fleet.schedule import Schedule

_ROWS = 20
"""Devices shown at a time: a terminal has no more room."""
_DRAW_EVERY_S = 0.25


class Notes(FleetWatch):
    """Warnings on stderr of what is wrong with a fleet's log or with this computer."""

    def __init__(self, fleet: Fleet, out: Output) -> None:
        self._fleet = fleet
        self._out = out

    def damaged_line(self, number: int, log: Path) -> None:
        """Name a damaged line and the command that moves it."""
        repair = f"`smpdfu fleet repair {quote(str(self._fleet.path))}` moves it out of the way."
        self._out.warn(f"{damaged_line(number, log)}. {repair}")

    def fewer_at_once(self, possible: int, wanted: int, open_files: int) -> None:
        """Say how many devices are updated at a time, and why."""
        self._out.warn(
            f"smpdfu updates {possible} devices at a time and not {wanted}: this system allows {open_files} open files"
        )


class View(Notes):
    """The live table; ``rows`` are the devices under way: what each one does, and how far it is.

    ``events``: print every event as a line of JSON on stdout, and nothing else but warnings.
    """

    def __init__(self, fleet: Fleet, out: Output, *, events: bool = False) -> None:
        super().__init__(fleet, Output(json=out.json or events))
        self._events = events
        self._schedule: Schedule | None = None
        self._has_begun = asyncio.Event()
        self.rows: dict[str, tuple[str, str]] = {}
        self._shown: dict[str, Callable[[LogEvent], None]] = {
            BEGIN: self._begun,
            STEP: self._step,
            END: self._ended,
            WAVE: self._wave,
            LOOK: self._looked,
            EXCHANGED: self._exchanged,
            PAUSE: lambda event: self._out.say("paused: no further device begins"),
            RESUME: lambda event: self._out.say("resumed"),
            STOP: self._stopped,
            DAMAGED: self._damaged,
        }

    def begins(self, schedule: Schedule) -> None:
        """Show how far this run is from here on. Nothing is asked any more, such as the passphrase of a key."""
        self._schedule = schedule
        self._has_begun.set()

    def event(self, event: LogEvent) -> None:
        """Show an event of the log."""
        self.note(event)
        if self._events:
            print_line(json.dumps(event.entry))

    def note(self, event: LogEvent) -> None:
        """Show an event of the log, without a line of JSON."""
        if event.kind in self._shown:
            self._shown[event.kind](event)

    def _begun(self, event: LogEvent) -> None:
        self.rows[event.device] = ("connecting", "")

    def _step(self, event: LogEvent) -> None:
        self.rows[event.device] = (event.step, f"{event.number}/{event.of}")

    def _ended(self, event: LogEvent) -> None:
        self.rows.pop(event.device, None)
        text = f"{event.device}: {event.outcome} after {event.seconds:.1f} s"
        if event.message:
            self._out.warn(f"{text}: {event.message}")
        else:
            self._out.say(text)

    def _wave(self, event: LogEvent) -> None:
        self._out.say(f"wave {event.wave}: {event.devices} device{'s' * (event.devices != 1)}")

    def _looked(self, event: LogEvent) -> None:
        if event.silent:
            self._out.warn(f"wave {event.wave}: {event.silent} of {event.devices} devices do not answer")

    def _exchanged(self, event: LogEvent) -> None:
        address = self._fleet.devices[event.device].address
        self._out.warn(f"{event.device}: another board is at {address} than before; smpdfu updates it")

    def _stopped(self, event: LogEvent) -> None:
        self._out.warn(f"stopped: {event.reason}; --go-on retries the failed devices and ignores their failures")
        stop = None if self._schedule is None else self._schedule.stopped
        if stop is not None and (advice := stop_advice(stop)):
            self._out.say(advice)

    def _damaged(self, event: LogEvent) -> None:
        lines = ", ".join(map(str, event.lines))
        self._out.warn(f"{event.device}: lines {lines} of {event.journal} are damaged; the other lines count")

    def progress(self, device: FleetDevice, event: Event) -> None:
        """Show how far the present step of a device is."""
        if isinstance(event, Progress) and event.total:
            step = self.rows.get(device.name, ("", ""))[0]
            self.rows[device.name] = (step, f"{100 * event.done // event.total} %")

    @contextmanager
    def drawn(self) -> Iterator[Callable[[], None]]:
        """Show the table inside the block, if stderr is a terminal. It yields a function that draws the table.

        No thread draws: rich moves the cursor by what it drew last, and two that draw at a time spoil the screen.
        """
        if self._out.json or not sys.stderr.isatty():
            yield lambda: None
            return
        from rich.live import Live  # here: 50 ms, which a run without a terminal does not pay

        with Live(self, console=console(sys.stderr), auto_refresh=False, transient=True) as live:
            live.refresh()
            yield live.refresh

    @asynccontextmanager
    async def kept_drawn(self) -> AsyncIterator[None]:
        """Show the table inside the block, from ``begins`` on; the event loop draws it every ``_DRAW_EVERY_S``.

        Earlier, a question would stand in the table. If the table cannot be drawn, the block continues without it, and
        a warning says so.
        """
        drawing = asyncio.create_task(self._draw())
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])

    async def _draw(self) -> None:
        await self._has_begun.wait()
        try:
            with self.drawn() as draw:
                while True:
                    await asyncio.sleep(_DRAW_EVERY_S)
                    draw()
        except Exception as error:  # the devices matter more than their table
            with suppress(OSError):  # nobody can read stderr any more
                self._out.warn(f"smpdfu stops showing the table of the devices: {error}")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table  # here: as in ``drawn``, 50 ms

        rows = list(self.rows.items())
        shown = rows[: max(min(_ROWS, options.size.height - 3), 1)]
        made = Table.grid(padding=(0, 2))
        for name, (step, far) in shown:
            made.add_row(one_line(name), one_line(step), one_line(far))
        if shown:
            yield made
        if self._schedule is not None:
            summary = one_line(self._summary(self._schedule, len(rows) - len(shown)))
            summary.no_wrap, summary.overflow = True, "ellipsis"
            yield summary

    def _summary(self, schedule: Schedule, hidden: int) -> str:
        wave = schedule.wave
        known = schedule.outcomes
        names = self._fleet.devices if wave is None else wave.devices
        outcomes = [known[name] for name in names if name in known]
        unproven = sum(outcome == "unproven" for outcome in outcomes)
        parts = [f"{len(outcomes)} of {len(names)} ended", f"{sum(not outcome.good for outcome in outcomes)} failed"]
        parts += [f"{unproven} unproven"] if unproven else []
        parts += [f"{len(schedule.running)} under way"]
        parts += [f"{hidden} of them not shown"] if hidden else []
        return f"{_where(schedule, '' if wave is None else f'wave {wave.name}')}: {', '.join(parts)}"


def _where(schedule: Schedule, wave: str) -> str:
    if schedule.wake_at is not None:
        return f"{wave} soaks, {max(schedule.wake_at - time.monotonic(), 0.0):.0f} s left"
    return wave if wave and schedule.phase == "running" else f"{wave} {schedule.phase}".strip()
