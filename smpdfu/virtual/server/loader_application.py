"""The firmware loader application, as far as SMP sees it: it replaces the application, and does little else.

As ``samples/dfu/fw_loader/ble_mcumgr`` of the nRF Connect SDK builds it: no echo, no ``os info``, no settings, files or
shell, smaller buffers, a name of its own in Bluetooth; it prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smpdfu.smp.groups.os import DateTimeRead, DateTimeWrite, Echo, Info, MemoryPools, TaskStat
from smpdfu.virtual.server.application import Kept
from smpdfu.virtual.server.groups.image import ImageGroup
from smpdfu.virtual.server.groups.os import OsGroup
from smpdfu.virtual.server.groups.zephyr import ZephyrGroup
from smpdfu.virtual.server.server import Buffers, Server

NAME = "FW loader"
"""CONFIG_BT_DEVICE_NAME of the sample."""
BUFFER_BYTES = 1220
"""CONFIG_MCUMGR_TRANSPORT_NETBUF_SIZE of the sample."""
_WITHOUT = (Echo, Info, DateTimeRead, DateTimeWrite, TaskStat, MemoryPools)


class LoaderApplication:
    """The ``server`` over the groups of the loader; ``system`` and ``images`` are the application's, too.

    ``name`` is what it advertises.
    """

    name = NAME

    def __init__(self, system: OsGroup, images: ImageGroup, kept: Kept, log: Callable[[str], None]) -> None:
        buffers = Buffers(min(BUFFER_BYTES, system.buffers.size_bytes), system.buffers.count)
        groups = (replace(system, buffers=buffers), images, ZephyrGroup(kept.storage))
        self.server = Server(groups, buffers, without=(*_WITHOUT, *images.without), log=log)
