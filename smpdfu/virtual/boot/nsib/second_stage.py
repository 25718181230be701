"""MCUboot as the second stage behind b0: the slot that it runs from, and the copy of a new MCUboot into the other one.

Source: ``swap_nsib.c`` and ``pm_sysflash.h`` of nrfconnect/sdk-mcuboot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.boot.swap.swap import COPY_CHUNK
from smpdfu.virtual.chip.flash import Bus
from smpdfu.virtual.chip.regions import NsibLayout, Region


@dataclass(frozen=True, slots=True)
class SecondStage:
    """MCUboot that b0 started from slot number ``running``: 0 is S0, 1 is S1."""

    nsib: NsibLayout
    running: int

    @property
    def active(self) -> Region:
        """The slot that it runs from."""
        return self.nsib.slots[self.running]

    @property
    def inactive(self) -> Region:
        """The other one, which it updates."""
        return self.nsib.slots[1 - self.running]

    def slots_of_mcuboot(self, bus: Bus, application: Slots, number: int) -> Slots:
        """MCUboot as image ``number``: the inactive slot, and the secondary slot of the application, which they share.

        ``application`` are the slots of image 0.
        """
        geometry = replace(application.primary.geometry, size_bytes=self.inactive.size_bytes)
        primary = Slot(bus.area(self.inactive), geometry)
        partner = None if application.secondary.partner is None else primary
        secondary = replace(application.secondary, partner=partner)
        return replace(application, primary=primary, other=secondary, image=number)


def copy_mcuboot(slots: Slots, log: Callable[[str], None]) -> None:
    """``nsib_swap_run``: erase the inactive slot, fill all of it from the secondary slot's start, erase that one.

    Nothing is recorded on the way: the secondary slot stays pending until its trailer is erased. Raises ``PowerCut``.
    """
    log("I: Starting swap using nsib algorithm.")
    inactive, secondary = slots.primary.area, slots.secondary.area
    inactive.erase_all()
    for offset in range(0, inactive.size_bytes, COPY_CHUNK):
        inactive.program(offset, secondary.read(offset, COPY_CHUNK))
    slots.secondary.erase_trailer()
    sector = slots.secondary.geometry.sector_size
    secondary.erase(0, min(inactive.size_bytes + sector, secondary.size_bytes))
