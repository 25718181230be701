"""Group 10, enum: the groups that a device has.

Source: Zephyr, "Enumeration Management Group" (smp_group_10.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.body import U16, U32, Body
from smpdfu.smp.message import Op, Request, Response

GROUP = 10


class EnumRc(IntEnum):
    """Result codes of the enum group."""

    OK = 0
    UNKNOWN = 1
    TOO_MANY_GROUP_ENTRIES = 2
    INSUFFICIENT_HEAP_FOR_ENTRIES = 3
    INDEX_TOO_LARGE = 4


@dataclass(frozen=True, slots=True)
class GroupCountReply(Response):
    """The number of groups."""

    count: U16


@dataclass(frozen=True, slots=True)
class GroupCount(Request[GroupCountReply]):
    """Ask for the number of groups."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "enum count"
    response: ClassVar[type[Response]] = GroupCountReply


@dataclass(frozen=True, slots=True)
class GroupListReply(Response):
    """The numbers of the groups, in the device's order."""

    groups: tuple[U16, ...]


@dataclass(frozen=True, slots=True)
class GroupList(Request[GroupListReply]):
    """Ask for the numbers of all groups."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 1
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "enum list"
    response: ClassVar[type[Response]] = GroupListReply


@dataclass(frozen=True, slots=True)
class GroupSingleReply(Response):
    """The number of one group. ``end`` is true for the last one."""

    group: U16
    end: bool | None = None


@dataclass(frozen=True, slots=True)
class GroupSingle(Request[GroupSingleReply]):
    """Ask for the number of the group at ``index`` (None: 0) of the device's list."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 2
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "enum single"
    response: ClassVar[type[Response]] = GroupSingleReply

    index: U32 | None = None


@dataclass(frozen=True, slots=True)
class GroupInfo(Body):
    """A group: its number. If the build reports them: its name, and how many commands its table can hold."""

    group: U16
    name: str | None = None
    handlers: U32 | None = None


@dataclass(frozen=True, slots=True)
class GroupDetailsReply(Response):
    """The groups, in the device's order."""

    groups: tuple[GroupInfo, ...]


@dataclass(frozen=True, slots=True)
class GroupDetails(Request[GroupDetailsReply]):
    """Ask for the names of all groups, or of those with the numbers ``groups``."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 3
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "enum details"
    response: ClassVar[type[Response]] = GroupDetailsReply

    groups: tuple[U16, ...] | None = None
