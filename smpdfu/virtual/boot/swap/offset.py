"""MCUboot's swap using offset: an update lies one sector into the secondary slot, and that sector is room to swap by.

Source: ``swap_offset.c`` of MCUboot. Every step is recorded in the primary slot's trailer after it was done, two
entries a sector, and each can be repeated.

======= ============================================= =============================================
state   an update, from the first sector on           a revert, from the last sector on
======= ============================================= =============================================
1       primary n to secondary n, encrypting          primary n to secondary n+1, encrypting
2       secondary n+1 to primary n, decrypting        secondary n to primary n, decrypting
======= ============================================= =============================================
"""

from __future__ import annotations

from smpdfu.image.format import IMAGE_MAGIC, Header
from smpdfu.virtual.boot.swap.swap import (
    Headers,
    Place,
    Status,
    Swap,
    ciphers,
    copy,
    init_status,
    log_trailer,
)
from smpdfu.virtual.boot.swap.swap_type import SwapType

_STATES = 2


class SwapOffset(Swap):
    """Swaps through the first sector of the secondary slot."""

    name = "offset"

    def position(self, entries: int) -> Status:
        """Two entries for each sector."""
        done, state = divmod(entries, _STATES)
        return Status(index=done + 1, state=state + 1)

    def secondary_start(self, swap_type: SwapType) -> int:
        """Where the header is: a sector into the slot, or at its start for a revert; if not there, at the other."""
        starts = (0, self.sector) if swap_type is SwapType.REVERT else (self.sector, 0)
        return starts[0] if self._is_image_at(starts[0]) else starts[1]

    def headers(self, status: Status) -> Headers:
        """An update exchanges the headers first, a revert last."""
        primary, secondary = self.slots.primary, self.slots.secondary
        reverts = SwapType.REVERT in (status.swap_type, self.slots.next_boot())
        if status.is_reset:
            start = self.secondary_start(SwapType.REVERT if reverts else status.swap_type)
            return primary.header(), secondary.header(start)
        last = self.sectors(primary.swap_size())
        return self._headers_of_revert(status, last) if reverts else self._headers_of_update(status, last)

    def _headers_of_update(self, status: Status, last: int) -> Headers:
        primary, secondary = self.slots.primary, self.slots.secondary
        # From the last sector on, MCUboot looks for the old header at the place that has the new one already.
        moved = (status.index > 1 or status.state == 2) and status.index < last
        new = primary.header() if status.index > 1 else secondary.header(self.sector)
        return (secondary if moved else primary).header(), new

    def _headers_of_revert(self, status: Status, last: int) -> Headers:
        primary, secondary = self.slots.primary, self.slots.secondary
        moved = status.index > last or (status.index == last and status.state == 2)
        old: Header | None = (primary if status.index > last else secondary).header()
        return (secondary.header(self.sector) if moved else primary.header()), old

    def run(self, status: Status, headers: Headers) -> None:
        """Exchange sector by sector."""
        self.log("I: Starting swap using offset algorithm.")
        last = self.sectors(status.swap_size)
        if status.is_reset and not self.fits(last):
            status.swap_type = SwapType.NONE
            return
        self._keep_revert(status)
        if status.index == 1:
            self._begin(status)
        used = self._used(headers)
        if SwapType.REVERT in (status.swap_type, self.slots.next_boot()):
            for done in range(status.index - 1, last):
                self._exchange(last - done - 1, status, headers, used)
            self.slots.secondary.area.erase(0, self.sector)
            self.slots.secondary.erase_trailer()
            return
        for number in range(status.index - 1, last):
            self._exchange(number, status, headers, used)

    def _keep_revert(self, status: Status) -> None:
        """Let the secondary slot's trailer say that this is a revert, before the primary's trailer goes.

        A cut in the middle of this magic leaves it bad, and the primary slot's trailer still asks for the revert.
        """
        secondary = self.slots.secondary
        if status.swap_type is not SwapType.REVERT or status.index != 1:
            return
        trailer = secondary.trailer()
        log_trailer(self.log, "Secondary image", trailer)
        if trailer.magic == "unset":
            secondary.erase_trailer()
            secondary.write_copy_done()
            init_status(secondary, self.slots, status)

    def _begin(self, status: Status) -> None:
        if not status.resumed:
            self.slots.primary.erase_trailer()
            init_status(self.slots.primary, self.slots, status)
        self.slots.secondary.erase_trailer()

    def _used(self, headers: Headers) -> tuple[int, int]:
        """How many sectors either image needs; what lies behind is not copied."""
        ends = (
            0 if header is None else header.hdr_size + header.img_size + header.protect_tlv_size + tlvs
            for header, tlvs in zip(headers, self.slots.primary.tlv_sizes(), strict=True)
        )
        first, second = (-(-end // self.sector) for end in ends)
        return first, second

    def _exchange(self, number: int, status: Status, headers: Headers, used: tuple[int, int]) -> None:
        primary, secondary, sector = self.slots.primary, self.slots.secondary, self.sector
        encrypt, decrypt = ciphers(status, headers)
        reverts = SwapType.REVERT in (status.swap_type, self.slots.next_boot())
        out, back = (number + 1, number) if reverts else (number, number + 1)
        here = number * sector
        if status.state == 1:
            if number <= used[0]:
                secondary.area.erase(out * sector, sector)
                copy(Place(primary, here), Place(secondary, out * sector), sector, encrypt, image_offset=here)
            self._advance(status)
        if number <= used[1]:
            primary.area.erase(here, sector)
            copy(Place(secondary, back * sector), Place(primary, here), sector, decrypt)
        self._advance(status)

    def _advance(self, status: Status) -> None:
        self.slots.primary.write_status((status.index - 1) * _STATES + status.state - 1, status.state)
        status.state += 1
        if status.state > _STATES:
            status.index, status.state = status.index + 1, 1

    def _is_image_at(self, start: int) -> bool:
        return self.slots.secondary.area.read(start, 4) == IMAGE_MAGIC.to_bytes(4, "little")
