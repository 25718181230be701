"""What a transfer asks of its caller, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Pace(Enum):
    """How long an answer may take. A ping needs no time, an erased page some, a signature or a whole hash much."""

    QUICK = "quick"
    USUAL = "usual"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Send ``message`` as one request; its answer comes within ``pace``."""

    message: bytes
    pace: Pace


@dataclass(frozen=True, slots=True)
class WriteData:
    """Send ``data`` as one write of an object."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Await:
    """Send nothing, and wait for an answer; it comes within ``pace``."""

    pace: Pace


Action = SendRequest | WriteData | Await


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """``off`` of ``len`` bytes of the firmware are in the device, ``resumed_at`` from an earlier transfer.

    ``repeats``: how often smpdfu had to ask again where the device stands. ``damaged``: the answers that nobody could
    read, and the checksums that were wrong.
    """

    off: int
    len: int
    resumed_at: int = 0
    repeats: int = 0
    damaged: int = 0
