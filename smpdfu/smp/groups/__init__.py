"""The registry of the groups: one line per command, one per enum of result codes."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from smpdfu.smp.groups import image, os
from smpdfu.smp.message import MgmtRc, Op, Request

REQUESTS: tuple[type[Request[Any]], ...] = (
    os.Echo,
    os.Reset,
    os.Params,
    os.Info,
    os.BootloaderInfo,
    image.StateRead,
    image.StateWrite,
    image.ImageUpload,
    image.Erase,
    image.SlotInfo,
)
"""Every request that smpdfu can make; a device finds its handlers by it."""

RCS: dict[int, type[IntEnum]] = {os.GROUP: os.OsRc, image.GROUP: image.ImageRc}
"""The result codes of each group."""

_BY_WIRE = {(op, kind.group, kind.command): kind for kind in REQUESTS for op in (kind.op, *kind.also)}


def find_request(op: Op, group: int, command: int) -> type[Request[Any]] | None:
    """The class of the request with these header fields, None if there is none."""
    return _BY_WIRE.get((op, group, command))


def rc_name(group: int | None, rc: int) -> str | None:
    """The name of a result code of ``group`` (None: SMP's own), None if it has none."""
    codes = MgmtRc if group is None else RCS.get(group)
    try:
        return codes(rc).name if codes else None
    except ValueError:
        return None
