"""MCUboot built for upgrades only: the secondary image replaces the primary one and there is no way back.

Nothing is recorded on the way: the secondary slot stays pending until the copy is complete, so a cut is answered by
copying again. Source: ``boot_copy_image`` of ``loader.c`` with MCUBOOT_OVERWRITE_ONLY_FAST, as Zephyr builds it.
"""

from __future__ import annotations

from smpdfu.virtual.boot.slot import Slot
from smpdfu.virtual.boot.swap.swap import Cipher, Headers, Place, Status, Swap, copy


class Overwrite(Swap):
    """Copies. What comes between the copy and ``forget`` is the caller's: a cut there repeats the copy."""

    name = "overwrite"

    def source(self) -> Slot | None:
        """Nowhere."""
        return None

    def position(self, entries: int) -> Status:
        """There are no entries."""
        return Status()

    def read_status(self) -> Status:
        """Nothing is ever under way, and nothing is said about it."""
        return Status()

    def headers(self, status: Status) -> Headers:
        """Those that are there."""
        return self.slots.primary.header(), self.slots.secondary.header()

    def are_readable(self, status: Status, headers: Headers) -> bool:
        """Always: the first image comes into an empty slot."""
        return True

    def run(self, status: Status, headers: Headers) -> None:
        """Copy the secondary image, ``status.swap_size`` bytes with its TLVs, over the primary one."""
        size = status.swap_size
        number = self.slots.image
        self.log(f"I: Image {number} upgrade secondary slot -> primary slot")
        self.log("I: Erasing the primary slot")
        primary, align = self.slots.primary, self.slots.primary.geometry.align
        copied = size + align - size % align
        for offset in range(0, size, self.sector):
            primary.area.erase(offset, self.sector)
        primary.erase_trailer()
        self.log(f"I: Image {number} copying the secondary slot to the primary slot: 0x{copied:x} bytes")
        cipher = Cipher(headers[1], status.keys[1])
        copy(Place(self.slots.secondary, 0), Place(primary, 0), copied, cipher)
        primary.write_magic()


def forget(slot: Slot) -> None:
    """Erase the header and the trailer of a slot: the first and the last sector."""
    sector = slot.geometry.sector_size
    slot.area.erase(0, sector)
    slot.area.erase(slot.area.size_bytes - sector, sector)
