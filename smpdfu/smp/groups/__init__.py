"""The groups of SMP, one module each, and the registry of their commands in ``registry.py``.

The registry loads every group, which takes longer than everything else that a client needs. So it is loaded only for a
server, or to name a refusal.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from smpdfu.smp.message import Op, Request

REQUESTS: tuple[type[Request[Any]], ...]
RCS: dict[int, type[IntEnum]]


def find_request(op: Op, group: int, command: int) -> type[Request[Any]] | None:
    """Return the class of the request with these header fields; None if there is none."""
    from smpdfu.smp.groups import registry

    return registry.find_request(op, group, command)


def rc_name(group: int | None, rc: int) -> str | None:
    """Return the name of a result code of ``group`` (None: SMP's own); None if it has no name."""
    from smpdfu.smp.groups import registry

    return registry.rc_name(group, rc)


def __getattr__(name: str) -> Any:
    if name in ("REQUESTS", "RCS"):
        from smpdfu.smp.groups import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
