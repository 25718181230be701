"""Group 2, stat, as the application serves it.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/stat_mgmt``, and the sample ``smp_svr``, whose counter is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smpdfu.smp.groups.stat import StatData, StatDataReply, StatList, StatListReply, StatRc
from smpdfu.smp.message import MgmtRc
from smpdfu.virtual.chip.rtc import Rtc
from smpdfu.virtual.server.server import Refused

NAME_MAX = 31
"""Bytes of a name that are looked at (CONFIG_MCUMGR_GRP_STAT_MAX_NAME_LEN, less the end mark)."""

Counters = Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class StatGroup:
    """Handlers. ``groups``: what gives the counters of each group, by its name."""

    groups: Mapping[str, Counters]

    def on_stat_data(self, request: StatData) -> StatDataReply:
        """The counters of one group."""
        if not 0 < len(request.name.encode()) <= NAME_MAX:
            raise Refused(MgmtRc.EINVAL)
        if request.name not in self.groups:
            raise Refused(StatRc.INVALID_STAT_NAME)
        return StatDataReply(request.name, dict(self.groups[request.name]()))

    def on_stat_list(self, request: StatList) -> StatListReply:
        """The names of the groups."""
        return StatListReply(tuple(self.groups))


def sample_counters(rtc: Rtc) -> dict[str, Counters]:
    """The counters of the sample ``smp_svr``: a tick a second."""
    return {"smp_svr_stats": lambda: {"ticks": int(rtc.uptime_s)}}
