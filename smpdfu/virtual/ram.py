"""What a virtual device keeps in memory between two calls: the state that a reset forgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.server.groups.image import Progress


@dataclass(frozen=True, slots=True)
class Ram:
    """What a device knows while its power is on, and a reset forgets. The application runs from ``slot``.

    ``mcuboot`` is the slot that b0 started MCUboot from; None without b0.
    """

    app_runs: bool
    net_runs: bool
    upload: Progress | None = None
    application: dict[str, Any] | None = None
    recovery: bool = False
    ending: Ending | None = None
    slot: int = 0
    mcuboot: int | None = None
