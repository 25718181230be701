"""A slot in flash: its image and its trailer, read and written as MCUboot and the running application do it.

Where the fields are, ``smpdfu.image.trailer`` alone knows. Source of the order of writes: ``bootutil_public.c`` and
``swap_misc.c`` of MCUboot.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.errors import FormatError
from smpdfu.image import trailer as fields
from smpdfu.image.format import HEADER_SIZE, Header, Image
from smpdfu.image.trailer import SlotGeometry, Trailer
from smpdfu.virtual.flash import ERASED, Area, Flash
from smpdfu.virtual.layout import Layout


def trailer_sectors(geometry: SlotGeometry) -> int:
    """How many sectors at the slot's end the trailer reaches into."""
    return -(-fields.trailer_size_bytes(geometry) // geometry.sector_size)


class SlotError(Exception):
    """The trailer of a slot is in a state that forbids what the application asked for (BOOT_EBADIMAGE, BADVECT)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot. Everything that writes raises ``PowerCut`` when the power goes; offsets count from the slot's start."""

    area: Area
    geometry: SlotGeometry

    # --- the image ---

    def header(self, offset: int = 0) -> Header | None:
        """The header at ``offset``; None when there is none."""
        try:
            return Header.from_bytes(self.area.read(offset, HEADER_SIZE))
        except FormatError:
            return None

    def image(self) -> Image:
        """The image as it is stored; raises ``FormatError`` when there is none or it is damaged."""
        return Image.from_bytes(self.area.read_all())

    def is_header_erased(self) -> bool:
        """True if there is erased flash where a header has its magic."""
        return self.area.read(0, 4) == bytes([ERASED]) * 4

    # --- the trailer ---

    def trailer(self) -> Trailer:
        """What the trailer says now."""
        return Trailer.from_slot(self.area.read_all(), self.geometry, ERASED)

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
        self._write(fields.status_offset(self.geometry) + entry * self.geometry.align, bytes([value]))

    def status_entries(self) -> int:
        """How far the swap has come: the number of the last entry written, counted from 1; 0 for none."""
        size = self.geometry.max_sectors * fields.STATES_PER_SECTOR * self.geometry.align
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

    def set_confirmed(self) -> None:
        """``boot_set_confirmed`` on a primary slot: no revert at the next boot. Raises ``SlotError`` on bad magic."""
        trailer = self.trailer()
        if trailer.magic == "bad":
            raise SlotError("the trailer is corrupt")
        if trailer.magic == "good" and trailer.image_ok == "unset":
            self.write_image_ok()


@dataclass(frozen=True, slots=True)
class Slots:
    """Both slots of an image."""

    primary: Slot
    secondary: Slot

    @classmethod
    def of(cls, flash: Flash, layout: Layout, image: int = 0, *, encrypted_key_size: int = 0) -> Slots:
        """The slots of image number ``image`` in ``flash``; see ``Layout.geometry``."""
        geometry = layout.geometry(image, encrypted_key_size=encrypted_key_size)
        pair = layout.images[image]
        return cls(Slot(Area(flash, pair.primary), geometry), Slot(Area(flash, pair.secondary), geometry))
