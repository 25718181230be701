"""What ``publish`` shows while it works: progress of an upload, and a rollout as a live table or a line per change."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table

from smpdfu.agent.management.publication import PublishWatch
from smpdfu.agent.management.states import RolloutEvent, RolloutState, counts_words
from smpdfu.cli.terminal.show import Output, console, one_line, print_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from smpdfu.cli.terminal.show import Advance
    from smpdfu.errors import SmpdfuError

_HEADINGS = ("group", "status", "targets", "done", "failed", "under way", "not started")


class PublishView(PublishWatch):
    """Shows what happens. ``events``: each change of a rollout is a line of JSON on stdout, too."""

    def __init__(self, out: Output, *, events: bool = False) -> None:
        self._out = Output(json=out.json or events)
        self._events = events
        self._stack = ExitStack()
        self._uploads: dict[str, Advance] = {}
        self._live: Live | None = None
        self._state: RolloutState | None = None

    def __enter__(self) -> PublishView:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def warning(self, text: str) -> None:
        """Show a warning."""
        self._out.warn(text)

    def progress(self, file: str, done: int, total: int) -> None:
        """Move the bar of an upload."""
        if file not in self._uploads:
            self._stack.close()  # one bar at a time
            self._uploads[file] = self._stack.enter_context(_bar(self._out, file))
        self._uploads[file](done, total, "")

    def uploaded(self) -> None:
        """No more uploads: take the bar away."""
        self._stack.close()

    def event(self, event: RolloutEvent) -> None:
        """Show a change: as a line, unless the table shows it."""
        if self._events:
            print_line(json.dumps(event.entry))
        if self._live is None:
            self._out.say(event.words)

    def looked(self, state: RolloutState) -> None:
        """Draw the table again."""
        self._state = state
        if self._live is not None:
            self._live.refresh()

    def trouble(self, error: SmpdfuError, again_in_s: float) -> None:
        """Say that the server did not answer."""
        again = f". smpdfu asks again in {again_in_s:.0f} s" if again_in_s else ""
        self._out.warn(f"{error}{again}")

    @contextmanager
    def table(self) -> Iterator[None]:
        """Show the groups as a live table inside the block, if stderr is a terminal; else a line per change."""
        if self._out.json or not sys.stderr.isatty():
            yield
            return
        with Live(self, console=console(sys.stderr), auto_refresh=False, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._state is None:
            return
        groups = self._state.groups
        made = Table.grid(padding=(0, 2))
        made.add_row(*(_HEADINGS if groups else ()))
        for group in groups[: max(options.size.height - 4, 1)]:
            counts = group.counts
            waiting = counts.notstarted + counts.scheduled
            numbers = (group.total, counts.finished, counts.error, counts.running, waiting)
            made.add_row(one_line(group.name), one_line(group.status), *map(str, numbers))
        yield made
        summary = one_line(f"{self._state.words}. {counts_words(self._state.rollout.counts)}")
        summary.no_wrap, summary.overflow = True, "ellipsis"
        yield summary


@contextmanager
def _bar(out: Output, file: str) -> Iterator[Callable[[int, int, str], None]]:
    with out.progress(file) as advance:
        yield advance
