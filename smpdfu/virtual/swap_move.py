"""MCUboot's swap using move: the primary image moves up by one sector, then the slots exchange sector by sector.

Every step is recorded in the primary slot's trailer after it was done, and each can be repeated: so whenever the power
goes, the next boot continues where this one ended. Source: ``swap_move.c`` of MCUboot.

=========== =================================== ========================================
step        per sector, index                   status entries
=========== =================================== ========================================
move        primary n-1 to n, from the last on  one each, value 1
swap, 1     secondary n-1 to primary n-1        two each, value 1: half of the exchange
swap, 2     primary n to secondary n-1          value 2: the sector is exchanged
=========== =================================== ========================================
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.image.format import Header
from smpdfu.virtual.slot import Slots, trailer_sectors
from smpdfu.virtual.swap import (
    NO_CIPHER,
    Cipher,
    Log,
    Place,
    Status,
    Step,
    SwapType,
    copy,
    init_status,
    log_trailer,
)

Headers = tuple[Header | None, Header | None]


@dataclass(frozen=True, slots=True)
class SwapMove:
    """Swaps ``slots``."""

    slots: Slots
    log: Log

    def read_status(self) -> Status:
        """The swap under way, or a reset ``Status`` when there is none."""
        primary, secondary = self.slots.primary.trailer(), self.slots.secondary.trailer()
        log_trailer(self.log, "Primary", primary)
        log_trailer(self.log, "Secondary", secondary)
        resumed = primary.magic == "good" and primary.copy_done == "unset" and secondary.magic != "good"
        self.log(f"I: Boot source: {'primary slot' if resumed else 'none'}")
        if not resumed:
            return Status()
        status = self._position(self.slots.primary.status_entries())
        status.swap_type = SwapType(primary.swap_type)
        return status

    def headers(self, status: Status) -> Headers:
        """The headers of both images, wherever the swap under way has brought them."""
        primary, secondary = self.slots.primary, self.slots.secondary
        if status.is_reset:
            return primary.header(), secondary.header()
        sector, last = self._sector, self._last_index(primary.swap_size())
        if status.step is Step.MOVE:
            return primary.header(sector if status.index > last else 0), secondary.header()
        if status.index == 1:
            return primary.header(sector), (secondary if status.state == 1 else primary).header()
        if status.index <= last:
            return secondary.header(), primary.header()
        return primary.header(), secondary.header()

    def run(self, status: Status, headers: Headers) -> None:
        """Do all of the swap that is not done yet. ``headers`` are those of the images before the swap.

        Nothing happens when the images leave no free sector to move by.
        """
        self.log("I: Starting swap using move algorithm.")
        last = self._last_index(status.swap_size)
        if status.is_reset and not self._fits(last):
            status.swap_type = SwapType.NONE
            return
        self._make_revert_permanent(status)
        if status.step is Step.MOVE:
            for index in range(last - status.index + 1, 0, -1):
                self._move_up(index, status)
            status.step, status.index = Step.SWAP, 1
        encrypt, decrypt = (Cipher(header, key) for header, key in zip(headers, status.keys, strict=True))
        for index in range(status.index, last + 1):
            self._exchange(index, status, encrypt, decrypt)

    @property
    def _sector(self) -> int:
        return self.slots.primary.geometry.sector_size

    def _last_index(self, swap_size: int) -> int:
        return max(-(-swap_size // self._sector), 1)

    def _fits(self, last: int) -> bool:
        geometry = self.slots.primary.geometry
        free = geometry.size_bytes // self._sector - trailer_sectors(geometry)
        if last < free:
            return True
        self.log("W: Not enough free space to run swap upgrade")
        self.log(f"W: required {(last + 1) * self._sector} bytes but only {free * self._sector} are available")
        return False

    def _position(self, entries: int) -> Status:
        moves = self.slots.primary.geometry.max_sectors
        if entries < moves:
            return Status(Step.MOVE, entries + 1, resumed=True)
        exchanged, half = divmod(entries - moves, 2)
        return Status(Step.SWAP, exchanged + 1, half + 1, resumed=True)

    def _write_status(self, status: Status) -> None:
        entry = status.index - 1
        if status.step is Step.SWAP:
            entry = self.slots.primary.geometry.max_sectors + 2 * (status.index - 1) + status.state - 1
        self.slots.primary.write_status(entry, status.state)

    def _make_revert_permanent(self, status: Status) -> None:
        """Mark the old image for good before the primary's trailer goes, so that a cut in between is no dead end.

        MCUboot's gap: a cut in the middle of this magic leaves it bad, and then nothing is reverted any more.
        """
        secondary = self.slots.secondary
        if status.swap_type is not SwapType.REVERT or not status.is_reset:
            return
        trailer = secondary.trailer()
        log_trailer(self.log, "Secondary", trailer)
        if trailer.magic == "unset":
            secondary.erase_trailer()
            secondary.write_image_ok()
            secondary.write_swap_size(status.swap_size)
            secondary.write_magic()

    def _move_up(self, index: int, status: Status) -> None:
        primary, sector = self.slots.primary, self._sector
        if status.index == 1:
            if not status.resumed:
                primary.erase_trailer()
                init_status(self.slots, status)
            self.slots.secondary.erase_trailer()
        primary.area.erase(index * sector, sector)
        copy(Place(primary, (index - 1) * sector), Place(primary, index * sector), sector, NO_CIPHER)
        self._write_status(status)
        status.index += 1

    def _exchange(self, index: int, status: Status, encrypt: Cipher, decrypt: Cipher) -> None:
        primary, secondary, sector = self.slots.primary, self.slots.secondary, self._sector
        offset = (index - 1) * sector
        if status.state == 1:
            primary.area.erase(offset, sector)
            copy(Place(secondary, offset), Place(primary, offset), sector, decrypt)
            self._write_status(status)
            status.state = 2
        secondary.area.erase(offset, sector)
        copy(Place(primary, offset + sector), Place(secondary, offset), sector, encrypt)
        self._write_status(status)
        status.index, status.state = index + 1, 1
