"""Group 63, zephyr basic, as the application serves it.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/zephyr_basic``.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.smp.groups.zephyr import EraseStorage, ZephyrRc
from smpdfu.smp.message import Empty
from smpdfu.virtual.chip.flash import Area, FlashError
from smpdfu.virtual.server.server import Refused


@dataclass(frozen=True, slots=True)
class ZephyrGroup:
    """Handlers. ``storage`` is the partition of the settings; None in a build without."""

    storage: Area | None

    def on_erase_storage(self, request: EraseStorage) -> Empty:
        """Erase the partition, and leave alone what the firmware has read from it."""
        if self.storage is None:
            raise Refused(ZephyrRc.FLASH_OPEN_FAILED)
        try:
            self.storage.erase_all()
        except FlashError:
            raise Refused(ZephyrRc.FLASH_ERASE_FAILED) from None
        return Empty()
