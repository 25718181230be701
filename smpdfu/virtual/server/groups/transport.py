"""Group 11, transport, in a build whose wires cannot be bridged: what it has, it tells; all else it refuses.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/transport_mgmt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smpdfu.smp.groups.transport import (
    TransportConfigs,
    TransportConfigsReply,
    TransportConnect,
    TransportDisconnect,
    TransportInfo,
    TransportList,
    TransportListReply,
    TransportModes,
    TransportModesReply,
    TransportRc,
    TransportStatus,
    TransportStatusReply,
)
from smpdfu.smp.message import Empty
from smpdfu.virtual.server.server import Refused

TRANSPORTS = (TransportInfo(0, "serial"), TransportInfo(1, "bluetooth"), TransportInfo(3, "udp"))
"""The numbers are those of Zephyr's ``smp_transport_type``, the names are ours."""
BRIDGES_MAX = 1


@dataclass(frozen=True, slots=True)
class TransportGroup:
    """Handlers."""

    transports: Sequence[TransportInfo] = TRANSPORTS

    def on_transport_connect(self, request: TransportConnect) -> Empty:
        """Refused: the wire that this comes by cannot be bridged, which is looked at first."""
        raise Refused(TransportRc.TRANSPORT_MISSING_REQUIRED_FUNCTIONS)

    def on_transport_disconnect(self, request: TransportDisconnect) -> Empty:
        """Refused: nothing is bridged."""
        if request.transport is not None and request.all:
            raise Refused(TransportRc.BOTH_TRANSPORT_AND_ALL_PARAMETERS)
        raise Refused(TransportRc.NOT_BRIDGED)

    def on_transport_status(self, request: TransportStatus) -> TransportStatusReply:
        """No bridge is there."""
        return TransportStatusReply(BRIDGES_MAX, 0)

    def on_transport_list(self, request: TransportList) -> TransportListReply:
        """The wires."""
        return TransportListReply(tuple(self.transports))

    def on_transport_modes(self, request: TransportModes) -> TransportModesReply:
        """Refused: none of the wires has modes."""
        raise self._nothing_known(request.transport)

    def on_transport_configs(self, request: TransportConfigs) -> TransportConfigsReply:
        """Refused: none of the wires has parameters."""
        raise self._nothing_known(request.transport)

    def _nothing_known(self, transport: int) -> Refused:
        known = any(one.id == transport for one in self.transports)
        return Refused(TransportRc.TRANSPORT_MISSING_INFO_FUNCTIONS if known else TransportRc.INVALID_TRANSPORT)
