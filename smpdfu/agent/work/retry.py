"""When an attempt that failed is made again."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_DOUBLINGS = 16


@dataclass(slots=True)
class Retry:
    """Pauses in seconds, by a clock that only runs forward: ``first_s``, then twice as long each time, to ``most_s``.

    Half of each pause is random, so that devices which failed together do not try together.
    """

    first_s: float
    most_s: float
    failures: int = 0
    due_s: float | None = None

    def failed(self, now_s: float, random: Random) -> float:
        """Plan the next attempt, and return when it is due."""
        pause_s = min(self.first_s * 2.0 ** min(self.failures, _DOUBLINGS), self.most_s)
        self.failures += 1
        self.due_s = due_s = now_s + pause_s * random.uniform(0.5, 1.0)
        return due_s

    def is_due(self, now_s: float) -> bool:
        """True if nothing is to be waited for."""
        return self.due_s is None or now_s >= self.due_s

    def reset(self) -> None:
        """Forget the failures."""
        self.failures, self.due_s = 0, None
