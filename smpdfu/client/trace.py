"""What a client says and hears, for whoever wants to look on: a log, a capture, a bench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["sent", "received", "stray", "console", "link"]


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that happened on the link, at ``at_s`` seconds by the clock of the event loop.

    ``data`` by ``kind``: of "sent", "received" and "stray" (nobody waits for it) the whole SMP message; of "console"
    UTF-8 text of the device in whole lines; of "link" a sentence in UTF-8: opened, closed, lost, slower now. ``boot``:
    console text that was kept as evidence of a boot.
    """

    at_s: float
    kind: Kind
    data: bytes
    boot: bool = False

    @property
    def text(self) -> str:
        """``data`` as text; for "console" and "link"."""
        return self.data.decode(errors="replace")


Tracer = Callable[[Trace], None]
"""Called in the event loop at once: it should be quick. What it raises ends the link."""
