"""MCUboot's swap using scratch: the slots exchange what the scratch area holds at a time, from the image's end on.

Source: ``swap_scratch.c`` of MCUboot. Every step is recorded after it was done; each can be repeated.

===== ==================================== ==================================================
state what is copied                       status entries
===== ==================================== ==================================================
1     secondary to scratch                 in the primary slot; those of the first exchange in
2     primary to secondary, encrypting     scratch, if the image reaches into the sectors with
3     scratch to primary, decrypting       the trailer: that is erased then, and written again
===== ==================================== ==================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from smpdfu.image import trailer as fields
from smpdfu.image.trailer import SlotGeometry
from smpdfu.virtual.boot.slot import Slot
from smpdfu.virtual.boot.swap.swap import (
    Headers,
    Place,
    Status,
    Swap,
    ciphers,
    copy,
    init_status,
    log_trailer,
    write_record,
)
from smpdfu.virtual.boot.swap.swap_type import SwapType

_STATES = 3


@dataclass(frozen=True, slots=True)
class _Part:
    """``size`` bytes from ``offset`` that are exchanged at once; ``copied`` of them, up to the trailer.

    ``trailer_start`` is where the first sector begins that the trailer reaches into.
    """

    offset: int
    size: int
    copied: int
    trailer_start: int

    @property
    def reaches_trailer(self) -> bool:
        return self.copied != self.size


class SwapScratch(Swap):
    """Swaps through an area of its own, which all images share."""

    name = "scratch"

    @property
    def scratch(self) -> Slot:
        """The scratch area, whose trailer is read like that of a slot."""
        assert self.slots.scratch is not None
        return self.slots.scratch

    def source(self) -> Slot | None:
        """The table of ``swap_scratch.c``, top row first.

        ============= ================== ============ =========================================
        primary magic primary copy_done  scratch      status is in
        ============= ================== ============ =========================================
        good          set                not good     (none)
        good          unset              not good     the primary slot
        anything      anything           magic good   the scratch area, if it is of this image
        unset         unset              anything     the primary slot: nothing, or a revert
        anything else                                 (none)
        ============= ================== ============ =========================================
        """
        primary, scratch = self.slots.primary.trailer(), self.scratch.trailer()
        log_trailer(self.log, "Primary image", primary)
        log_trailer(self.log, "Scratch", scratch)
        if primary.magic == "good" and scratch.magic != "good" and primary.copy_done != "bad":
            return self.slots.primary if primary.copy_done == "unset" else None
        if scratch.magic == "good":
            owner = (scratch.swap_info or 0) >> 4 if scratch.swap_type != SwapType.NONE else 0
            return self.scratch if owner == self.slots.image else None
        return self.slots.primary if (primary.magic, primary.copy_done) == ("unset", "unset") else None

    def position(self, entries: int) -> Status:
        """Three entries for each exchange."""
        done, state = divmod(entries, _STATES)
        return Status(index=done + 1, state=state + 1)

    def record(self) -> Slot:
        """The scratch area if it has a record, else the primary slot."""
        return self.scratch if self.scratch.trailer().magic == "good" else self.slots.primary

    def are_readable(self, status: Status, headers: Headers) -> bool:
        """Always: a slot without an image is swapped as well."""
        return True

    def headers(self, status: Status) -> Headers:
        """The first sectors are exchanged last: only then the headers are elsewhere."""
        primary, secondary = self.slots.primary, self.slots.secondary
        if status.is_reset:
            return primary.header(), secondary.header()
        left = len(list(self._parts(self.record().swap_size()))) - (status.index - 1)
        if left <= 0:
            return secondary.header(), primary.header()
        if left > 1:
            return primary.header(), secondary.header()
        places = (primary if status.state < 3 else secondary, secondary if status.state < 2 else self.scratch)
        return places[0].header(), places[1].header()

    def run(self, status: Status, headers: Headers) -> None:
        """Exchange part by part."""
        self.log("I: Starting swap using scratch algorithm.")
        for number, part in enumerate(self._parts(status.swap_size)):
            if number >= status.index - 1:
                self._exchange(part, status, headers)

    def _parts(self, swap_size: int) -> Iterator[_Part]:
        end = self.sectors(swap_size) * self.sector
        most = self.scratch.area.size_bytes // self.sector * self.sector
        while end > 0:
            start = max(end - most, 0)
            yield self._part(start, end - start)
            end = start

    def _part(self, offset: int, size: int) -> _Part:
        geometry = self.slots.primary.geometry
        trailer_start = _trailer_start(geometry)
        copied = size
        if offset + size > trailer_start:
            room = geometry.size_bytes - offset - fields.trailer_size_bytes(geometry)
            copied = min(room, fields.status_offset(self.scratch.geometry))
        return _Part(offset, size, copied, trailer_start)

    def _exchange(self, part: _Part, status: Status, headers: Headers) -> None:
        encrypt, decrypt = ciphers(status, headers)
        primary, secondary = self.slots.primary, self.slots.secondary
        in_scratch = status.index == 1 and part.reaches_trailer
        kept = self.scratch if in_scratch else primary
        if status.state == 1:
            self._prepare(status, in_scratch=in_scratch)
            copy(Place(secondary, part.offset), Place(self.scratch, 0), part.copied)
            self._advance(kept, status)
        if status.state == 2:
            if status.index == 1:
                secondary.erase_trailer()
            end = _trailer_start(secondary.geometry) if in_scratch else part.offset + part.size
            secondary.area.erase(part.offset, end - part.offset)
            copy(Place(primary, part.offset), Place(secondary, part.offset), part.copied, encrypt)
            self._advance(kept, status)
        if in_scratch:
            primary.erase_trailer()
        end = part.trailer_start if in_scratch else part.offset + part.size
        primary.area.erase(part.offset, end - part.offset)
        copy(Place(self.scratch, 0), Place(primary, part.offset), part.copied, decrypt)
        if in_scratch:
            self._bring_back_status(part, status)
        self._advance(primary, status)
        if in_scratch:
            self._erase_scratch_backwards()

    def _prepare(self, status: Status, *, in_scratch: bool) -> None:
        """Erase scratch; before the first exchange, let the record of the swap outlive the trailer's erase in it."""
        self.scratch.area.erase_all()
        if status.index != 1:
            return
        init_status(self.scratch, self.slots, status)
        if not in_scratch:
            self.slots.primary.erase_trailer()
            init_status(self.slots.primary, self.slots, status)
            self.scratch.area.erase_all()

    def _bring_back_status(self, part: _Part, status: Status) -> None:
        """Write the primary slot's trailer from the one in scratch."""
        primary, found = self.slots.primary, self.scratch.trailer()
        start = fields.status_offset(self.scratch.geometry)
        written = (_STATES - 1) * primary.geometry.align
        copy(Place(self.scratch, start), Place(primary, part.offset + part.copied), written)
        if found.image_ok == "set":
            primary.write_image_ok()
        if found.swap_type != SwapType.NONE:
            primary.write_swap_info(found.swap_type, self.slots.image)
        write_record(primary, status)

    def _erase_scratch_backwards(self) -> None:
        """From the end on, so that its trailer goes before what it describes."""
        page = self.scratch.geometry.sector_size
        for offset in range(self.scratch.area.size_bytes - page, -1, -page):
            self.scratch.area.erase(offset, page)

    def _advance(self, kept: Slot, status: Status) -> None:
        kept.write_status((status.index - 1) * _STATES + status.state - 1, status.state)
        status.state += 1
        if status.state > _STATES:
            status.index, status.state = status.index + 1, 1


def _trailer_start(geometry: SlotGeometry) -> int:
    """Where the first sector begins that the trailer reaches into."""
    return fields.status_offset(geometry) // geometry.sector_size * geometry.sector_size
