"""Numbers with their nouns, for people."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return ``1 device``, and ``2 devices``. ``noun`` is one whose plural ends with s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
