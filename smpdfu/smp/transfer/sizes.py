"""What a window remembers of each number of requests in flight."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from smpdfu.smp.transfer.hearing import Hearing, Losses

STRETCH = 32
"""The answers over which the speed of one number in flight is measured."""
KEPT = 16
"""The round trips of each number in flight that count."""


@dataclass(slots=True)
class Size:
    """What is known of one number in flight. ``run``: answers since it was last chosen, or failed."""

    trips: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    moves: deque[float] = field(default_factory=lambda: deque(maxlen=STRETCH + 1))
    run: int = 0
    failures: int = 0
    disappointments: int = 0
    barred_until: int = 0


@dataclass(frozen=True, slots=True)
class Before:
    """What a fault changed, for when it proves to be none."""

    size: int
    failures: int
    barred_until: int
    hearing: Hearing
    losses: Losses
