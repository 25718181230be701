"""What a target is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smpdfu.errors import ImageError, SigningError

ALLOWED = (ImageError, SigningError)


@dataclass(frozen=True)
class Target:
    """``run`` takes any bytes and raises one of ``errors`` at most; ``seeds`` are files that it takes gladly."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = ALLOWED
