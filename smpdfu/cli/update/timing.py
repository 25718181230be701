"""How long each part of an update took: a table for people, fields for scripts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smpdfu.cli.terminal.show import table
from smpdfu.dfu.decide.steps.rules import Step
from smpdfu.dfu.do.events import Event, Progress, StepDone

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(slots=True)
class Timing:
    """A stop watch that runs from its making: ``connected``, then ``looked``, then it is called with every event.

    ``connect_s``: until the link was open; ``preflight_s``: from there until the device was read and judged;
    ``steps_s``: of each step that is done; ``sent``: the bytes that each upload sent, without what was there before.
    """

    began: float = field(default_factory=time.monotonic)
    connect_s: float = 0.0
    preflight_s: float = 0.0
    steps_s: dict[Step, float] = field(default_factory=dict)
    sent: dict[Step, int] = field(default_factory=dict)

    @property
    def total_s(self) -> float:
        """From the making until now."""
        return time.monotonic() - self.began

    def connected(self) -> None:
        """The link is open."""
        self.connect_s = self.total_s

    def looked(self) -> None:
        """The device was read, and it is decided what to do."""
        self.preflight_s = self.total_s - self.connect_s

    def __call__(self, event: Event) -> None:

        if isinstance(event, Progress):
            self.sent[event.step] = event.done - event.resumed_at
        elif isinstance(event, StepDone):
            self.steps_s[event.step] = event.seconds

    def to_dict(self) -> dict[str, float]:
        """``connect_seconds``, ``preflight_seconds``, ``total_seconds``."""
        spans = {"connect": self.connect_s, "preflight": self.preflight_s, "total": self.total_s}
        return {f"{name}_seconds": round(seconds, 3) for name, seconds in spans.items()}

    def of_step(self, step: Step) -> dict[str, Any]:
        """``seconds`` of a step, None if it was not done, and the ``bytes`` that it sent, None if it is no upload."""
        seconds = self.steps_s.get(step)
        return {"seconds": None if seconds is None else round(seconds, 3), "bytes": self.sent.get(step)}

    def table(self, steps: Sequence[Step]) -> RenderableType:
        """For people, at the end."""
        rows: list[tuple[object, ...]] = [
            ("", "connect", _seconds(self.connect_s), ""),
            ("", "read the device and check", _seconds(self.preflight_s), ""),
        ]
        rows += [(number, step.words, self._seconds_of(step), self._rate(step)) for number, step in enumerate(steps, 1)]
        rows.append(("", "in all", _seconds(self.total_s), ""))
        return table("What it took", ("", "what", "seconds", ""), rows)

    def _seconds_of(self, step: Step) -> str:
        return _seconds(self.steps_s[step]) if step in self.steps_s else ""

    def _rate(self, step: Step) -> str:
        sent, seconds = self.sent.get(step), self.steps_s.get(step)
        if not sent or not seconds:
            return ""
        return f"{sent / 1000:.0f} kB, {sent / 1000 / seconds:.1f} kB/s"


def _seconds(value: float) -> str:
    return f"{value:.1f}"
