"""MCUboot built for upgrades only: the secondary image replaces the primary one and there is no way back.

Nothing is recorded on the way: the secondary slot stays pending until the copy is complete, so a cut is answered by
copying again. Source: ``boot_copy_image`` of ``loader.c`` with MCUBOOT_OVERWRITE_ONLY_FAST, as Zephyr builds it.
"""

from __future__ import annotations

from smpdfu.virtual.slot import Slot, Slots
from smpdfu.virtual.swap import Cipher, Log, Place, copy


def overwrite(slots: Slots, size: int, cipher: Cipher, log: Log) -> None:
    """Copy the secondary image, ``size`` bytes with its TLVs, over the primary one, then forget the secondary."""
    log("I: Image 0 upgrade secondary slot -> primary slot")
    log("I: Erasing the primary slot")
    primary, align = slots.primary, slots.primary.geometry.align
    copied = size + align - size % align
    sector = primary.geometry.sector_size
    for offset in range(0, size, sector):
        primary.area.erase(offset, sector)
    primary.erase_trailer()
    log(f"I: Image 0 copying the secondary slot to the primary slot: 0x{copied:x} bytes")
    copy(Place(slots.secondary, 0), Place(primary, 0), copied, cipher)
    primary.write_magic()
    forget(slots.secondary)


def forget(slot: Slot) -> None:
    """Erase the header and the trailer of a slot: the first and the last sector."""
    sector = slot.geometry.sector_size
    slot.area.erase(0, sector)
    slot.area.erase(slot.area.size_bytes - sector, sector)
