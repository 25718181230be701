"""The slot trailer: where MCUboot keeps what a swap needs, how much of a slot an image may use, padding to the slot.

Source: MCUboot's design document ("Image trailer"), ``bootutil_area.c`` (sizes) and ``bootutil_public.c`` (offsets).
From the slot's end, each field ``max_align`` bytes wide: magic (16 bytes at the very end of a field of its own width),
image_ok, copy_done, swap_info, [sizes of the TLV areas: swap-offset only,] swap_size, [two content keys,] status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from smpdfu.errors import FormatError, TooLargeError
from smpdfu.image.tlv import Endian

MAGIC_SIZE = 16
FLAG_SET = 0x01
ALIGNS = (1, 2, 4, 8, 16, 32)
MAX_ALIGNS = (8, 16, 32)
DEFAULT_MAX_SECTORS = 128
ENDIANS: tuple[Endian, ...] = ("little", "big")

_MAGIC_8 = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
_MAGIC_TAIL = bytes.fromhex("2de15d29410b8d77679c110f1f8a")  # after max_align in 16 bits, for 16 and 32

MagicState = Literal["good", "bad", "unset"]
FlagState = Literal["set", "unset", "bad"]


class SwapMode(StrEnum):
    """How the bootloader installs an update."""

    SCRATCH = "swap-scratch"
    MOVE = "swap-move"
    OFFSET = "swap-offset"
    OVERWRITE_ONLY = "overwrite-only"


@dataclass(frozen=True, slots=True)
class SlotGeometry:
    """A slot, and the build options of the bootloader that decide where its trailer is. Sizes in bytes.

    ``align`` is the flash's write unit, ``max_align`` MCUBOOT_BOOT_MAX_ALIGN, ``max_sectors`` BOOT_MAX_IMG_SECTORS.
    ``encrypted_key_size`` is what the bootloader saves per slot: 0 without encryption, 16 or 32 for AES-128 or AES-256,
    the length of the key TLV with BOOT_SWAP_SAVE_ENCTLV. ``mode`` is None for a bootloader that starts its one slot and
    installs nothing: its trailer has no status. Raises ``ValueError`` for values that no bootloader can have.
    """

    size_bytes: int
    sector_size: int = 4096
    align: int = 4
    max_align: int = 8
    max_sectors: int = DEFAULT_MAX_SECTORS
    mode: SwapMode | None = SwapMode.MOVE
    encrypted_key_size: int = 0

    def __post_init__(self) -> None:
        check_alignment(self.align, self.max_align)
        if self.sector_size <= 0 or self.sector_size % self.align:
            raise ValueError(f"sector size {self.sector_size} is not a multiple of the write unit {self.align}")
        if self.max_sectors < 1 or self.encrypted_key_size < 0:
            raise ValueError("max_sectors must be at least 1 and encrypted_key_size at least 0")
        if self.size_bytes < trailer_size_bytes(self):
            raise ValueError(f"a slot of {self.size_bytes} bytes is smaller than its trailer")


def check_alignment(align: int, max_align: int) -> None:
    """``ValueError`` with the reason when no flash and no loader have this write unit and maximum."""
    if align not in ALIGNS:
        raise ValueError(f"align is {align}: it must be one of {', '.join(map(str, ALIGNS))}")
    if max_align not in MAX_ALIGNS:
        raise ValueError(f"max-align is {max_align}: it must be one of {', '.join(map(str, MAX_ALIGNS))}")
    if align > max_align:
        raise ValueError(
            f"align {align} is larger than max-align {max_align}: the trailer's fields could not be written"
        )


def align_up(size: int, align: int) -> int:
    """The next multiple of ``align`` that is not less than ``size``."""
    return -(-size // align) * align


def boot_magic(max_align: int, endian: Endian = "little") -> bytes:
    """The 16 bytes that mark a slot as pending, for this MCUBOOT_BOOT_MAX_ALIGN."""
    if max_align not in MAX_ALIGNS:
        raise ValueError(f"max-align is {max_align}: it must be one of {', '.join(map(str, MAX_ALIGNS))}")
    return _MAGIC_8 if max_align == 8 else max_align.to_bytes(2, endian) + _MAGIC_TAIL


def has_magic(data: bytes) -> bool:
    """True if these bytes end with a magic that marks a slot as pending, for any MCUBOOT_BOOT_MAX_ALIGN."""
    return data.endswith(tuple(boot_magic(align, endian) for align in MAX_ALIGNS for endian in ENDIANS))


def magic_offset(g: SlotGeometry) -> int:
    """Where the 16 magic bytes are, from the slot's start; so are all offsets below."""
    return g.size_bytes - MAGIC_SIZE


def image_ok_offset(g: SlotGeometry) -> int:
    """Where image_ok is: one byte, 0x01 when set."""
    return g.size_bytes - align_up(MAGIC_SIZE, g.max_align) - g.max_align


def copy_done_offset(g: SlotGeometry) -> int:
    """Where copy_done is: one byte, 0x01 when set."""
    return image_ok_offset(g) - g.max_align


def swap_info_offset(g: SlotGeometry) -> int:
    """Where swap_info is: one byte, swap type in the low four bits, image number in the high ones."""
    return copy_done_offset(g) - g.max_align


def swap_size_offset(g: SlotGeometry) -> int:
    """Where swap_size is: a 32-bit word."""
    return swap_info_offset(g) - _tlv_sizes_bytes(g) - g.max_align


def enc_key_offset(g: SlotGeometry, slot: int) -> int:
    """Where the loader saves the content key of slot 0 or 1 during a swap."""
    if slot not in (0, 1):
        raise ValueError(f"slot is {slot}: it must be 0 (primary) or 1 (secondary)")
    return swap_size_offset(g) - (slot + 1) * align_up(g.encrypted_key_size, g.max_align)


def status_offset(g: SlotGeometry) -> int:
    """Where the swap's progress begins: ``status_entries`` write units. Swap modes only."""
    return g.size_bytes - trailer_size_bytes(g)


def status_entries(g: SlotGeometry) -> int:
    """How many entries the swap's progress has room for: three for each sector, two in swap-offset mode."""
    if g.mode is None:
        return 0
    return g.max_sectors * (2 if g.mode is SwapMode.OFFSET else 3)


def tlv_sizes_offset(g: SlotGeometry) -> int:
    """Where the sizes of both images' unprotected TLVs are: a 32-bit word. Swap-offset mode only."""
    return swap_info_offset(g) - g.max_align


def trailer_size_bytes(g: SlotGeometry) -> int:
    """What the loader keeps for itself at the slot's end.

    In overwrite-only mode that is from swap_info on, in the swap modes from the status on; with one slot from where the
    status would end.
    """
    if g.mode is SwapMode.OVERWRITE_ONLY:
        return 3 * g.max_align + align_up(MAGIC_SIZE, g.max_align)
    status = status_entries(g) * g.align
    keys = 2 * align_up(g.encrypted_key_size, g.max_align)
    return status + keys + 4 * g.max_align + _tlv_sizes_bytes(g) + align_up(MAGIC_SIZE, g.max_align)


def max_image_size_bytes(g: SlotGeometry) -> int:
    """The largest image, header to last TLV, that the loader takes: its real limit, not imgtool's (0: none fits)."""
    free = g.size_bytes - trailer_size_bytes(g)
    if g.mode is SwapMode.SCRATCH:
        free -= _scratch_padding_bytes(g)
    elif g.mode in (SwapMode.MOVE, SwapMode.OFFSET):
        # The trailer has sectors of its own, and one sector is kept free to move the image by.
        free = g.size_bytes - align_up(trailer_size_bytes(g), g.sector_size) - g.sector_size
    return max(free, 0)


def _scratch_padding_bytes(g: SlotGeometry) -> int:
    """What a swap with scratch keeps free before a trailer that spans sectors (``app_max_size_adjust_to_trailer``).

    The sector where the trailer begins goes through the scratch area, which needs room for a trailer of its own there:
    the same fields with the status of one sector only. Where the slot's trailer has less than that in its first sector,
    the image must end so much earlier.
    """
    trailer = trailer_size_bytes(g)
    in_first_sector = (trailer - 1) % g.sector_size + 1
    scratch_trailer = trailer_size_bytes(replace(g, max_sectors=1))
    return max(scratch_trailer - in_first_sector, 0)


def _tlv_sizes_bytes(g: SlotGeometry) -> int:
    return g.max_align if g.mode is SwapMode.OFFSET else 0


@dataclass(frozen=True, slots=True)
class Trailer:
    """What a slot's trailer says. ``swap_info`` is None while erased, else swap type + 16 * image number."""

    magic: MagicState
    swap_info: int | None
    copy_done: FlagState
    image_ok: FlagState

    @classmethod
    def from_slot(cls, slot: bytes, g: SlotGeometry, erased_value: int = 0xFF, endian: Endian = "little") -> Trailer:
        """Read the trailer at the end of a slot's whole contents; raises ``FormatError`` if they have another size."""
        if len(slot) != g.size_bytes:
            raise FormatError(f"the slot has {g.size_bytes} bytes, {len(slot)} are there", min(len(slot), g.size_bytes))
        return cls.read(lambda offset, size: bytes(slot[offset : offset + size]), g, erased_value, endian)

    @classmethod
    def read(
        cls, read: Callable[[int, int], bytes], g: SlotGeometry, erased_value: int = 0xFF, endian: Endian = "little"
    ) -> Trailer:
        """Read the trailer by ``read(offset, size)``, which counts offsets from the slot's start."""
        flags = {
            offset: read(offset, 1)[0] for offset in (swap_info_offset(g), copy_done_offset(g), image_ok_offset(g))
        }
        info = flags[swap_info_offset(g)]
        return cls(
            magic=_magic_state(read(magic_offset(g), MAGIC_SIZE), boot_magic(g.max_align, endian), erased_value),
            swap_info=None if info == erased_value else info,
            copy_done=_flag_state(flags[copy_done_offset(g)], erased_value),
            image_ok=_flag_state(flags[image_ok_offset(g)], erased_value),
        )

    @property
    def swap_type(self) -> int:
        """1 none, 2 test, 3 permanent, 4 revert; an erased or unknown value is none (``boot_read_swap_state``)."""
        kind = 1 if self.swap_info is None else self.swap_info & 0x0F
        return kind if kind in (2, 3, 4) else 1


def _magic_state(found: bytes, wanted: bytes, erased_value: int) -> MagicState:
    if found == wanted:
        return "good"
    return "unset" if found == bytes([erased_value]) * MAGIC_SIZE else "bad"


def _flag_state(value: int, erased_value: int) -> FlagState:
    if value == FLAG_SET:
        return "set"
    return "unset" if value == erased_value else "bad"


@dataclass(frozen=True, slots=True)
class Padding:
    """How ``--pad`` fills a slot and marks it pending: ``confirm`` permanently, ``test`` for a test.

    Overwrite-only loaders do not read image_ok: give neither for them. ``ValueError`` when the slot is too small.
    """

    slot_size: int
    max_align: int = 8
    confirm: bool = False
    test: bool = False
    erased_value: int = 0xFF
    endian: Endian = "little"

    def __post_init__(self) -> None:
        check_alignment(1, self.max_align)
        if self.slot_size < align_up(MAGIC_SIZE, self.max_align) + self.max_align:
            raise ValueError(f"a slot of {self.slot_size} bytes is smaller than its trailer")

    def trailer_writes(self) -> tuple[tuple[int, bytes], ...]:
        """(offset from the slot's start, bytes) of what is written into the erased trailer, in ascending order."""
        magic = (self.slot_size - MAGIC_SIZE, boot_magic(self.max_align, self.endian))
        if not self.confirm and not self.test:
            return (magic,)
        offset = self.slot_size - align_up(MAGIC_SIZE, self.max_align) - self.max_align
        image_ok = bytes([FLAG_SET if self.confirm else self.erased_value])
        return ((offset, image_ok + bytes([self.erased_value]) * (self.max_align - 1)), magic)


def pad_to_slot(image: bytes, padding: Padding) -> bytes:
    """A whole slot: the image, erased flash, and the trailer that marks it pending.

    Raises ``TooLargeError`` when the image would reach into what is written of the trailer.
    """
    writes = padding.trailer_writes()
    limit = writes[0][0]
    if len(image) > limit:
        raise TooLargeError(
            f"the image has {len(image)} bytes and would overwrite the trailer of a slot of {padding.slot_size} bytes",
            len(image),
            limit,
        )
    erased, end = bytes([padding.erased_value]), 0
    pieces = []
    for offset, data in ((0, image), *writes):
        pieces += [erased * (offset - end), data]
        end = offset + len(data)
    return b"".join((*pieces, erased * (padding.slot_size - end)))
