"""What people see while an update runs: a line for each step, a progress display for the bytes of an upload."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from smpdfu.cli.terminal.interruption import BETWEEN_STEPS, PART_OF_SLOT, now_leaves
from smpdfu.cli.terminal.show import Advance, Output, upload_phase

if TYPE_CHECKING:
    from smpdfu.dfu.do.update import Event


class Reporter:
    """Turns events into lines, and the bytes of an upload into a progress display."""

    def __init__(self, out: Output) -> None:
        self._out, self._stack = out, ExitStack()
        self._advance: Advance | None = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, event: Event) -> None:
        from smpdfu.dfu.decide.plan import Action
        from smpdfu.dfu.do.update import Progress, StepBegun

        if isinstance(event, StepBegun):
            now_leaves(PART_OF_SLOT if event.step.action is Action.UPLOAD else BETWEEN_STEPS)
            self._out.say(f"[{event.number}/{event.total}] {event.step.words}")
            if event.step.action is Action.UPLOAD:
                self._advance = self._stack.enter_context(self._out.progress(f"{event.step.core} core"))
        elif isinstance(event, Progress):
            if self._advance is not None:
                self._advance(event.done, event.total, upload_phase(event.done))
        else:
            self._stack.close()
            self._advance = None
