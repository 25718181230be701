"""A slot in flash: its image and its trailer, read and written as MCUboot and the running application do it.

Where the fields are, ``smpdfu.image.trailer`` alone knows. Source of the order of writes: ``bootutil_public.c`` and
``swap_misc.c`` of MCUboot; of where an image begins, ``boot_get_image_start_offset`` of Zephyr.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from smpdfu.errors import FormatError
from smpdfu.image import trailer as fields
from smpdfu.image.format import HEADER_SIZE, IMAGE_MAGIC, TLV_INFO_MAGIC, TLV_PROT_INFO_MAGIC, Header, Image
from smpdfu.image.tlv import TLV_INFO_SIZE
from smpdfu.image.trailer import SlotGeometry, Trailer
from smpdfu.virtual.boot.known_images import Pieces, image_in
from smpdfu.virtual.boot.swap.swap_type import SwapType, decide
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Area, Bus
from smpdfu.virtual.chip.layout import Layout
from smpdfu.virtual.chip.storage import ERASED


def trailer_sectors(geometry: SlotGeometry) -> int:
    """How many sectors at the slot's end the trailer reaches into."""
    return -(-fields.trailer_size_bytes(geometry) // geometry.sector_size)


_HEADER = struct.Struct("<IIHHIIBBHII")
assert _HEADER.size == HEADER_SIZE


@dataclass(frozen=True, slots=True)
class RawHeader:
    """The 32 bytes where a header is expected, read as one whatever they are, as the loader reads them."""

    magic: int
    load_addr: int
    hdr_size: int
    protect_tlv_size: int
    img_size: int
    flags: int
    version: tuple[int, int, int]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read 32 bytes."""
        magic, address, hdr_size, protected, img_size, flags, major, minor, revision, _, _ = _HEADER.unpack(data)
        return cls(magic, address, hdr_size, protected, img_size, flags, (major, minor, revision))

    @property
    def is_erased(self) -> bool:
        """True if there is nothing where the magic belongs."""
        return self.magic == 0xFFFF_FFFF

    @property
    def is_image(self) -> bool:
        """True if the magic is MCUboot's."""
        return self.magic == IMAGE_MAGIC


_status_offset = lru_cache(fields.status_offset)


@lru_cache(maxsize=256)
def _trailer(end: bytes, geometry: SlotGeometry) -> Trailer:
    """What the last bytes of a slot, from swap_info on, say as a trailer."""
    start = geometry.size_bytes - len(end)
    return Trailer.read(lambda offset, size: end[offset - start : offset - start + size], geometry, ERASED)


class SlotError(Exception):
    """The trailer of a slot is in a state that forbids what the application asked for (BOOT_EBADIMAGE, BADVECT)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot. Everything that writes raises ``PowerCut`` when the power goes; offsets count from the slot's start.

    ``partner`` is the primary slot, for a secondary slot where images do not begin at the start (swap-offset mode).
    """

    area: Area
    geometry: SlotGeometry
    partner: Slot | None = None

    # --- the image ---

    def header(self, offset: int = 0) -> Header | None:
        """The header at ``offset``; None when there is none."""
        try:
            return Header.from_bytes(self.area.read(offset, HEADER_SIZE))
        except FormatError:
            return None

    def raw_header(self, offset: int = 0) -> RawHeader:
        """What is at ``offset``, read as a header."""
        return RawHeader.from_bytes(self.area.read(offset, HEADER_SIZE))

    def word(self, offset: int) -> int | None:
        """The little-endian word at ``offset``; None behind the slot's end."""
        if offset + 4 > self.area.size_bytes:
            return None
        return int.from_bytes(self.area.read(offset, 4), "little")

    def image(self, offset: int = 0) -> Image:
        """The image at ``offset`` as it is stored; raises ``FormatError`` when there is none or it is damaged."""
        return image_in(self.image_pieces(offset))

    def image_pieces(self, offset: int = 0) -> Pieces:
        """The pieces of flash from ``offset`` to the page where the last TLV of its image ends, or to the slot's end.

        Raises ``FormatError`` when there is no header.
        """
        room, page = self.area.size_bytes - offset, self.area.flash.page_size
        size = min(self._image_extent(offset), room)
        return self.area.pieces(offset, min(size + -(self.area.region.start + offset + size) % page, room))

    def _image_extent(self, offset: int) -> int:
        """How many bytes from ``offset`` tell all of an image, as its header and its TLV areas say."""
        header = Header.from_bytes(self.area.read(offset, min(HEADER_SIZE, self.area.size_bytes - offset)))
        end = header.hdr_size + header.img_size
        for _ in (TLV_PROT_INFO_MAGIC, TLV_INFO_MAGIC):
            word = self.word(offset + end)
            if word is None:
                break
            end += max(word >> 16, TLV_INFO_SIZE)
            if word & 0xFFFF != TLV_PROT_INFO_MAGIC:
                break
        return end

    @property
    def image_start(self) -> int:
        """Where the running application puts and looks for an image.

        In swap-offset mode an update lies a sector into the secondary slot; the image that a revert would bring back
        lies at its start.
        """
        if self.partner is None:
            return 0
        found = decide(self.partner.trailer(), self.trailer(), self.geometry.mode)
        return 0 if found is SwapType.REVERT else self.geometry.sector_size

    # --- the trailer ---

    def trailer(self) -> Trailer:
        """What the trailer says now."""
        start = fields.swap_info_offset(self.geometry)
        return _trailer(self.area.read(start, self.geometry.size_bytes - start), self.geometry)

    def write_magic(self) -> None:
        """Mark the trailer as valid."""
        magic = fields.boot_magic(self.geometry.max_align)
        field = fields.align_up(len(magic), self.geometry.max_align)
        padded = bytes([ERASED]) * (field - len(magic)) + magic
        self.area.program(self.geometry.size_bytes - field, padded)

    def write_image_ok(self) -> None:
        """Mark the image as confirmed."""
        self._write(fields.image_ok_offset(self.geometry), bytes([fields.FLAG_SET]))

    def write_copy_done(self) -> None:
        """Mark the swap as complete."""
        self._write(fields.copy_done_offset(self.geometry), bytes([fields.FLAG_SET]))

    def write_swap_info(self, swap_type: int, image: int = 0) -> None:
        """Record the swap type and the image number."""
        self._write(fields.swap_info_offset(self.geometry), bytes([image << 4 | swap_type]))

    def write_swap_size(self, size_bytes: int) -> None:
        """Record how much of the slots is being swapped."""
        self._write(fields.swap_size_offset(self.geometry), size_bytes.to_bytes(4, "little"))

    def swap_size(self) -> int:
        """What ``write_swap_size`` recorded."""
        return int.from_bytes(self.area.read(fields.swap_size_offset(self.geometry), 4), "little")

    def write_tlv_sizes(self, primary: int, secondary: int) -> None:
        """Record how many bytes both images have of unprotected TLVs; swap-offset mode only."""
        self._write(fields.tlv_sizes_offset(self.geometry), (secondary << 16 | primary).to_bytes(4, "little"))

    def tlv_sizes(self) -> tuple[int, int]:
        """What ``write_tlv_sizes`` recorded."""
        sizes = int.from_bytes(self.area.read(fields.tlv_sizes_offset(self.geometry), 4), "little")
        return sizes & 0xFFFF, sizes >> 16

    def write_key(self, slot: int, key: bytes | None) -> None:
        """Save the content key of slot 0 or 1 for a swap that is continued after a reset; None leaves it erased."""
        size = self.geometry.encrypted_key_size
        self._write(fields.enc_key_offset(self.geometry, slot), key if key is not None else bytes([ERASED]) * size)

    def key(self, slot: int) -> bytes | None:
        """The key that ``write_key`` saved; None when none was."""
        size = self.geometry.encrypted_key_size
        key = self.area.read(fields.enc_key_offset(self.geometry, slot), size)
        return None if key == bytes([ERASED]) * size else key

    def write_status(self, entry: int, value: int) -> None:
        """Write entry number ``entry`` (from 0) of the swap's progress."""
        self._write(_status_offset(self.geometry) + entry * self.geometry.align, bytes([value]))

    def status_entries(self) -> int:
        """How far the swap has come: the number of the last entry written, counted from 1; 0 for none."""
        size = fields.status_entries(self.geometry) * self.geometry.align
        entries = self.area.read(fields.status_offset(self.geometry), size)[:: self.geometry.align]
        return len(entries.rstrip(bytes([ERASED])))

    def erase_trailer(self) -> None:
        """Erase the sectors that the trailer reaches into, the last one first."""
        sector = self.geometry.sector_size
        for index in range(1, trailer_sectors(self.geometry) + 1):
            self.area.erase(self.geometry.size_bytes - index * sector, sector)

    def _write(self, offset: int, data: bytes) -> None:
        padding = -len(data) % self.geometry.align
        self.area.program(offset, data + bytes([ERASED]) * padding)

    # --- what the running application does ---

    def set_pending(self, *, permanent: bool, image: int = 0) -> None:
        """``boot_set_pending`` on a secondary slot: bring this image in at the next boot.

        Does nothing when that is already so. Raises ``SlotError`` on a corrupt trailer, after erasing the slot.
        """
        magic = self.trailer().magic
        if magic == "bad":
            self.area.erase_all()
            raise SlotError("the trailer is corrupt; the slot was erased")
        if magic == "unset":
            self.write_magic()
            if permanent:
                self.write_image_ok()
            self.write_swap_info(3 if permanent else 2, image)

    def mark_in_place(self, *, confirm: bool) -> None:
        """``boot_set_next`` of builds for direct XIP: start the image in this slot once, or from now on.

        Raises ``SlotError`` on a corrupt trailer.
        """
        trailer = self.trailer()
        if trailer.magic == "bad":
            raise SlotError("the trailer is corrupt")
        if trailer.magic == "unset":
            self.write_magic()
        if confirm and trailer.copy_done == "unset":
            self.write_copy_done()
        if confirm and trailer.image_ok == "unset":
            self.write_image_ok()

    def set_confirmed(self) -> None:
        """``boot_set_confirmed`` on a primary slot: no revert at the next boot. Raises ``SlotError`` on bad magic."""
        trailer = self.trailer()
        if trailer.magic == "bad":
            raise SlotError("the trailer is corrupt")
        if trailer.magic == "good" and trailer.image_ok == "unset":
            self.write_image_ok()


@dataclass(frozen=True, slots=True)
class Slots:
    """Both slots of image number ``image``, and the scratch area where the bootloader swaps by one.

    ``other`` is the secondary slot; None in a mode with one slot. ``reverts_past_any_magic`` is how the bootloader
    reads the trailers; see ``decide``.
    """

    primary: Slot
    other: Slot | None
    image: int = 0
    scratch: Slot | None = None
    reverts_past_any_magic: bool = True

    @classmethod
    def of(
        cls,
        bus: Bus,
        layout: Layout,
        image: int = 0,
        *,
        encrypted_key_size: int = 0,
        reverts_past_any_magic: bool = True,
    ) -> Slots:
        """The slots of image number ``image`` in what ``bus`` reaches; see ``Layout.geometry``."""
        pair = layout.images[image]
        geometry = layout.geometry(image, encrypted_key_size=encrypted_key_size)
        primary = Slot(bus.area(pair.primary), geometry)
        secondary = None
        if pair.other is not None:
            partner = primary if layout.mode is BootMode.OFFSET else None
            other = layout.geometry(image, secondary=True, encrypted_key_size=encrypted_key_size)
            secondary = Slot(bus.area(pair.secondary), other, partner)
        scratch = None
        if layout.mode is BootMode.SCRATCH and layout.scratch is not None:
            # Its trailer has the fields of a slot's, and status entries for one sector.
            small = replace(geometry, size_bytes=layout.scratch.size_bytes, max_sectors=1)
            scratch = Slot(bus.area(layout.scratch), small)
        return cls(primary, secondary, image, scratch, reverts_past_any_magic)

    @property
    def secondary(self) -> Slot:
        """The slot that updates come through. ``ValueError`` in a mode with one slot."""
        if self.other is None:
            raise ValueError("there is no secondary slot")
        return self.other

    @property
    def places(self) -> tuple[Slot, ...]:
        """The slots that there are, the primary one first."""
        return (self.primary,) if self.other is None else (self.primary, self.other)

    def next_boot(self) -> SwapType:
        """What the trailers ask a bootloader for that installs updates; nothing where there is no secondary slot."""
        if self.other is None:
            return SwapType.NONE
        trailers = self.primary.trailer(), self.secondary.trailer()
        return decide(*trailers, self.primary.geometry.mode, reverts_past_any_magic=self.reverts_past_any_magic)
