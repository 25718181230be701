"""What is known of an image after its update that no list of slots shows: a value, why, and by what.

It stands by itself because logs and journals have it, and whoever reads those needs no loader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ProofSource(StrEnum):
    """What a proof rests on."""

    CONSOLE = "console"
    SLOTS = "slots"
    VERSION = "version"
    SEAL = "seal"
    JOURNAL = "journal"


_SOURCES = frozenset(ProofSource)


@dataclass(frozen=True, slots=True)
class Proof:
    """Did the network core take its image, or did b0 start its MCUboot? ``value``: None where it is not known.

    ``reason`` is a sentence on what is known, ``doubt`` one on what is not; ``source`` is None where nothing tells.
    ``code`` names a doubt that the next update or a fact from a person can remove.
    """

    value: bool | None
    reason: str
    source: ProofSource | None = None
    doubt: str = ""
    code: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """For people, one fact each."""
        return tuple(filter(None, (self.reason, self.doubt)))

    def to_entry(self) -> dict[str, Any]:
        """For a journal, a log and JSON: ``value``, ``reason`` and ``source``."""
        source = None if self.source is None else str(self.source)
        return {"value": self.value, "reason": " ".join(self.lines), "source": source}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Proof | None:
        """As a journal has it; None for what is no such thing."""
        value, reason, source = entry.get("value"), entry.get("reason"), entry.get("source")
        if not (value is None or isinstance(value, bool)) or not isinstance(reason, str):
            return None
        known = isinstance(source, str) and source in _SOURCES
        return cls(value, reason, ProofSource(str(source)) if known else None)


def weaker(one: Proof | None, other: Proof | None) -> Proof | None:
    """Of two proofs the one that proves less: what stands for both. None counts for nothing."""
    found = [proof for proof in (one, other) if proof is not None]
    return next((proof for proof in found if proof.value is not True), found[-1] if found else None)
