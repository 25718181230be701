"""The live table of a fleet: a line per device that is under way, and counts; without a terminal, a line per end."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import Output, console, one_line
from smpdfu.untrusted.text import line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from smpdfu.dfu.do.update import Event
    from smpdfu.dfu.fleet.file import Fleet, FleetDevice
    from smpdfu.dfu.fleet.schedule import Schedule

_ROWS = 20
"""Devices shown at once; a terminal has no more room."""
_DRAW_EVERY_S = 0.25


class View:
    """Told of every event; ``rows`` are the devices under way: what each one does, and how far it is."""

    def __init__(self, fleet: Fleet, schedule: Schedule, out: Output, *, quiet: bool) -> None:
        self._fleet, self._schedule, self._out = fleet, schedule, Output(json=out.json or quiet)
        self.rows: dict[str, tuple[str, str]] = {}

    def note(self, event: Mapping[str, Any]) -> None:
        """An event of the log."""
        kind, name = event["event"], str(event.get("device", ""))
        if kind == "begin":
            self.rows[name] = ("connecting", "")
        elif kind == "step":
            self.rows[name] = (str(event["step"]), f"{event['number']}/{event['of']}")
        elif kind == "end":
            self.rows.pop(name, None)
            self._ended(name, event)
        elif kind == "wave":
            self._out.say(f"wave {event['wave']}: {event['devices']} device{'s' * (event['devices'] != 1)}")
        elif kind == "look" and event["silent"]:
            self._out.warn(f"wave {event['wave']}: {event['silent']} of {event['devices']} devices do not answer")
        elif kind in ("pause", "resume"):
            self._out.say("paused: no further device begins" if kind == "pause" else "resumed")
        elif kind == "stop":
            self._out.warn(f"stopped: {event['reason']}; --go-on retries the failed devices and ignores their failures")
            if event.get("advice"):
                self._out.say(str(event["advice"]))
        elif kind == "damaged":
            lines = ", ".join(map(str, event["lines"]))
            self._out.warn(f"{name}: lines {lines} of {event['journal']} are damaged; the other lines count")

    def _ended(self, name: str, event: Mapping[str, Any]) -> None:
        text = f"{name}: {event['outcome']} after {event['seconds']:.1f} s"
        if event.get("message"):
            self._out.warn(f"{text}: {event['message']}")
        else:
            self._out.say(text)

    def progress(self, device: FleetDevice, event: Event) -> None:
        """An event of one device."""
        from smpdfu.dfu.do.update import Progress

        if isinstance(event, Progress) and event.total:
            step = self.rows.get(device.name, ("", ""))[0]
            self.rows[device.name] = (step, f"{100 * event.done // event.total} %")

    @contextmanager
    def drawn(self) -> Iterator[Callable[[], None]]:
        """Show it while inside, where stderr is a terminal; what it gives draws it, as every message does.

        No thread draws: rich moves the cursor by what it drew last, and two that draw at a time spoil the screen.
        """
        if self._out.json or not sys.stderr.isatty():
            yield lambda: None
            return
        from rich.live import Live

        with Live(self, console=console(sys.stderr), auto_refresh=False, transient=True) as live:
            live.refresh()
            yield live.refresh

    @asynccontextmanager
    async def kept_drawn(self) -> AsyncIterator[None]:
        """As ``drawn``, by the event loop, every ``_DRAW_EVERY_S``."""
        with self.drawn() as draw:
            drawing = asyncio.ensure_future(_repeat(draw, _DRAW_EVERY_S))
            try:
                yield
            finally:
                drawing.cancel()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table
        from rich.text import Text

        rows = list(self.rows.items())
        shown = rows[: max(min(_ROWS, options.size.height - 3), 1)]
        made = Table.grid(padding=(0, 2))
        for name, (step, far) in shown:
            made.add_row(one_line(name), one_line(step), one_line(far))
        if shown:
            yield made
        yield Text(line(self._summary(len(rows) - len(shown))), no_wrap=True, overflow="ellipsis")

    def _summary(self, hidden: int) -> str:
        wave, known = self._schedule.wave, self._schedule.outcomes
        names = self._fleet.devices if wave is None else wave.devices
        outcomes = [known[name] for name in names if name in known]
        bad, under_way = sum(not outcome.good for outcome in outcomes), len(self._schedule.running)
        unproven = sum(outcome == "unproven" for outcome in outcomes)
        parts = [f"{len(outcomes)} of {len(names)} ended", f"{bad} failed", f"{under_way} under way"]
        parts[2:2] = [f"{unproven} unproven"] if unproven else []
        parts += [f"{hidden} of them not shown"] if hidden else []
        return f"{self._where('' if wave is None else f'wave {wave.name}')}: {', '.join(parts)}"

    def _where(self, wave: str) -> str:
        phase, wake_at = self._schedule.phase, self._schedule.wake_at
        if wake_at is not None:
            return f"{wave} soaks, {max(wake_at - time.monotonic(), 0.0):.0f} s left"
        return wave if wave and str(phase) == "running" else f"{wave} {phase}".strip()


async def _repeat(act: Callable[[], None], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        act()
