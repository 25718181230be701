"""Group 10, enum, as the application serves it.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/enum_mgmt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from smpdfu.smp.groups import enum, fs, image, os, settings, shell, stat, transport, zephyr
from smpdfu.smp.groups.enum import (
    EnumRc,
    GroupCount,
    GroupCountReply,
    GroupDetails,
    GroupDetailsReply,
    GroupInfo,
    GroupList,
    GroupListReply,
    GroupSingle,
    GroupSingleReply,
)
from smpdfu.smp.message import MgmtRc, Request
from smpdfu.virtual.server.server import Refused

# The names that the groups give themselves, in the order in which the linker puts them one behind the other.
NAMES = {
    enum.GROUP: "enum mgmt",
    fs.GROUP: "fs mgmt",
    image.GROUP: "img mgmt",
    os.GROUP: "os mgmt",
    settings.GROUP: "settings mgmt",
    shell.GROUP: "shell mgmt",
    stat.GROUP: "stat mgmt",
    transport.GROUP: "transport mgmt",
    zephyr.GROUP: "zephyr basic mgmt",
}
INDEX_MAX = 0xFFFF


@dataclass(frozen=True, slots=True)
class EnumGroup:
    """Handlers. ``served`` gives the requests that the server takes, of all groups."""

    served: Callable[[], Iterable[type[Request[Any]]]]

    def on_group_count(self, request: GroupCount) -> GroupCountReply:
        """How many groups there are."""
        return GroupCountReply(len(self._groups()))

    def on_group_list(self, request: GroupList) -> GroupListReply:
        """Their numbers."""
        return GroupListReply(tuple(group.group for group in self._groups()))

    def on_group_single(self, request: GroupSingle) -> GroupSingleReply:
        """The number of one group."""
        index = request.index or 0
        groups = self._groups()
        if index > INDEX_MAX:
            raise Refused(MgmtRc.EINVAL)
        if index >= len(groups):
            raise Refused(EnumRc.INDEX_TOO_LARGE)
        return GroupSingleReply(groups[index].group, end=True if index == len(groups) - 1 else None)

    def on_group_details(self, request: GroupDetails) -> GroupDetailsReply:
        """The groups that the request names; all, if it names none."""
        wanted = request.groups or tuple(NAMES)
        return GroupDetailsReply(tuple(group for group in self._groups() if group.group in wanted))

    def _groups(self) -> tuple[GroupInfo, ...]:
        """A group has room for the commands up to its highest one, gaps included."""
        room: dict[int, int] = {}
        for kind in self.served():
            room[kind.group] = max(room.get(kind.group, 0), kind.command + 1)
        return tuple(GroupInfo(group, name, room[group]) for group, name in NAMES.items() if group in room)
