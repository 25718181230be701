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

from smpdfu.virtual.boot.swap.swap import (
    NO_CIPHER,
    Cipher,
    Headers,
    Place,
    Status,
    Step,
    Swap,
    ciphers,
    copy,
    init_status,
    log_trailer,
)
from smpdfu.virtual.boot.swap.swap_type import SwapType


class SwapMove(Swap):
    """Swaps through a sector that is free behind the primary image."""

    name = "move"

    def position(self, entries: int) -> Status:
        """The entries of the moves come first, one each, then those of the exchanges, two each."""
        moves = self.slots.primary.geometry.max_sectors
        if entries < moves:
            return Status(Step.MOVE, entries + 1)
        exchanged, half = divmod(entries - moves, 2)
        return Status(Step.SWAP, exchanged + 1, half + 1)

    def headers(self, status: Status) -> Headers:
        """As the sectors with the headers have been moved."""
        primary, secondary = self.slots.primary, self.slots.secondary
        if status.is_reset:
            return primary.header(), secondary.header()
        sector = self.sector
        last = self.sectors(primary.swap_size())
        if status.step is Step.MOVE:
            return primary.header(sector if status.index > last else 0), secondary.header()
        if status.index == 1:
            return primary.header(sector), (secondary if status.state == 1 else primary).header()
        if status.index <= last:
            return secondary.header(), primary.header()
        return primary.header(), secondary.header()

    def run(self, status: Status, headers: Headers) -> None:
        """Move up what is in the primary slot, then exchange."""
        self.log("I: Starting swap using move algorithm.")
        last = self.sectors(status.swap_size)
        if status.is_reset and not self.fits(last + 1):
            status.swap_type = SwapType.NONE
            return
        self._make_revert_permanent(status)
        if status.step is Step.MOVE:
            for index in range(last - status.index + 1, 0, -1):
                self._move_up(index, status)
            status.step, status.index = Step.SWAP, 1
        encrypt, decrypt = ciphers(status, headers)
        for index in range(status.index, last + 1):
            self._exchange(index, status, encrypt, decrypt)

    def _write_status(self, status: Status) -> None:
        entry = status.index - 1
        if status.step is Step.SWAP:
            entry = self.slots.primary.geometry.max_sectors + 2 * (status.index - 1) + status.state - 1
        self.slots.primary.write_status(entry, status.state)

    def _make_revert_permanent(self, status: Status) -> None:
        """Mark the old image as permanent before erasing the primary's trailer: a power cut in between is harmless.

        A cut in the middle of this magic leaves it bad. Loaders that ignore the magic continue the revert then;
        older ones find nothing to revert.
        """
        secondary = self.slots.secondary
        if status.swap_type is not SwapType.REVERT or not status.is_reset:
            return
        trailer = secondary.trailer()
        log_trailer(self.log, "Secondary image", trailer)
        if trailer.magic == "unset":
            secondary.erase_trailer()
            secondary.write_image_ok()
            secondary.write_swap_size(status.swap_size)
            secondary.write_magic()

    def _move_up(self, index: int, status: Status) -> None:
        primary, sector = self.slots.primary, self.sector
        if status.index == 1:
            if not status.resumed:
                primary.erase_trailer()
                init_status(primary, self.slots, status)
            self.slots.secondary.erase_trailer()
        primary.area.erase(index * sector, sector)
        copy(Place(primary, (index - 1) * sector), Place(primary, index * sector), sector, NO_CIPHER)
        self._write_status(status)
        status.index += 1

    def _exchange(self, index: int, status: Status, encrypt: Cipher, decrypt: Cipher) -> None:
        primary, secondary, sector = self.slots.primary, self.slots.secondary, self.sector
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
