"""Group 2, stat: the firmware's counters, in named groups.

Source: Zephyr, "Statistics Management" (smp_group_2.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.body import U64
from smpdfu.smp.message import Op, Request, Response

GROUP = 2


class StatRc(IntEnum):
    """Result codes of the stat group."""

    OK = 0
    UNKNOWN = 1
    INVALID_GROUP = 2
    INVALID_STAT_NAME = 3
    INVALID_STAT_SIZE = 4
    WALK_ABORTED = 5


@dataclass(frozen=True, slots=True)
class StatDataReply(Response):
    """The counters of the group ``name``."""

    name: str
    fields: dict[str, U64]


@dataclass(frozen=True, slots=True)
class StatData(Request[StatDataReply]):
    """Ask for the counters of the group ``name``."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "stat data"
    response: ClassVar[type[Response]] = StatDataReply

    name: str


@dataclass(frozen=True, slots=True)
class StatListReply(Response):
    """The names of the groups of counters."""

    stat_list: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatList(Request[StatListReply]):
    """Ask for the groups of counters."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 1
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "stat list"
    response: ClassVar[type[Response]] = StatListReply
