"""The slot trailer: offsets and limits against MCUboot's figures, padding against imgtool's own code."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imgtool.image import Image as ImgtoolImage

from smpdfu.errors import FormatError, TooLargeError
from smpdfu.image.trailer import (
    ALIGNS,
    MAX_ALIGNS,
    Padding,
    SlotGeometry,
    SwapMode,
    Trailer,
    align_up,
    boot_magic,
    copy_done_offset,
    enc_key_offset,
    image_ok_offset,
    magic_offset,
    max_image_size_bytes,
    pad_to_slot,
    status_offset,
    swap_info_offset,
    swap_size_offset,
    trailer_size_bytes,
)

SLOT = 0x7A000


def geometry(**changes: object) -> SlotGeometry:
    return replace(SlotGeometry(SLOT, align=8), **changes)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(("align", "size"), [(1, 432), (2, 816), (4, 1584), (8, 3120), (16, 6224), (32, 12448)])
def test_trailer_sizes_are_mcuboots(align: int, size: int) -> None:
    assert trailer_size_bytes(geometry(align=align, max_align=max(8, align))) == size


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"mode": SwapMode.SCRATCH, "align": 4}, SLOT - 1584),
        ({"mode": SwapMode.SCRATCH}, SLOT - 3120),
        ({"mode": SwapMode.MOVE}, SLOT - 8192),
        ({"mode": SwapMode.OFFSET}, SLOT - 8192),
        ({"mode": SwapMode.MOVE, "size_bytes": 0x80000, "sector_size": 16384}, 0x80000 - 32768),
        ({"mode": SwapMode.OVERWRITE_ONLY}, SLOT - 40),
        ({"mode": SwapMode.OVERWRITE_ONLY, "encrypted_key_size": 32}, SLOT - 40),
        ({"mode": SwapMode.SCRATCH, "encrypted_key_size": 16}, SLOT - 3120 - 32),
        ({"mode": SwapMode.SCRATCH, "encrypted_key_size": 32}, SLOT - 3120 - 64),
        ({"mode": SwapMode.MOVE, "max_sectors": 256, "align": 8}, SLOT - 12288),
        ({"mode": SwapMode.MOVE, "size_bytes": 4096}, 0),
        # The trailer spans sectors, and what is of it in the first one is less than scratch needs for its own.
        ({"mode": SwapMode.SCRATCH, "align": 32, "max_align": 32}, SLOT - 12448 - 96),
        ({"mode": SwapMode.SCRATCH, "max_sectors": 512}, SLOT - 12336 - 24),
        ({"mode": SwapMode.SCRATCH, "align": 4, "max_sectors": 341}, SLOT - 4140 - 16),
        ({"mode": SwapMode.SCRATCH, "align": 16, "max_align": 16}, SLOT - 6224),  # 2128 in the first: enough
        # It ends with a sector, or begins a byte before one: whole sectors are enough, 48 bytes of them are not.
        ({"mode": SwapMode.SCRATCH, "max_sectors": 168, "encrypted_key_size": 8}, SLOT - 4096),
        ({"mode": SwapMode.SCRATCH, "max_sectors": 168, "encrypted_key_size": 16}, SLOT - 4112 - 88),
        ({"mode": SwapMode.SCRATCH, "align": 32, "max_align": 32, "sector_size": 16384}, SLOT - 12448),
    ],
)
def test_limits_are_the_bootloaders(changes: dict[str, object], limit: int) -> None:
    assert max_image_size_bytes(geometry(**changes)) == limit


@pytest.mark.parametrize("mode", SwapMode)
@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("max_align", MAX_ALIGNS)
@pytest.mark.parametrize("key_size", [0, 16, 113])
def test_the_limit_is_never_more_than_imgtools(mode: SwapMode, align: int, max_align: int, key_size: int) -> None:
    if align > max_align:
        return
    overwrite = mode is SwapMode.OVERWRITE_ONLY
    theirs = ImgtoolImage(align=align, max_align=max_align, slot_size=SLOT, overwrite_only=overwrite, erased_val="0xff")
    trailer = theirs._trailer_size(align, 128, overwrite, object() if key_size else None, key_size > 32, key_size)
    ours = geometry(mode=mode, align=align, max_align=max_align, encrypted_key_size=key_size)
    assert max_image_size_bytes(ours) <= SLOT - trailer


@pytest.mark.parametrize(("max_align", "from_end"), [(8, 24), (16, 32), (32, 64)])
def test_image_ok_is_where_imgtool_writes_it(max_align: int, from_end: int) -> None:
    assert image_ok_offset(geometry(max_align=max_align)) == SLOT - from_end


def test_fields_lie_one_after_the_other() -> None:
    g = geometry(encrypted_key_size=32)
    offsets = [
        status_offset(g),
        enc_key_offset(g, 1),
        enc_key_offset(g, 0),
        swap_size_offset(g),
        swap_info_offset(g),
        copy_done_offset(g),
        image_ok_offset(g),
        magic_offset(g),
        g.size_bytes,
    ]
    gaps = [after - before for before, after in pairwise(offsets)]
    assert gaps == [128 * 3 * 8, 32, 32, 8, 8, 8, 8, 16]
    with pytest.raises(ValueError, match="primary"):
        enc_key_offset(g, 2)


def test_swap_offset_has_a_field_more_and_less_status() -> None:
    move, offset = geometry(), geometry(mode=SwapMode.OFFSET)
    assert swap_size_offset(move) - swap_size_offset(offset) == 8
    assert trailer_size_bytes(offset) - trailer_size_bytes(move) == 8 - 128 * 8  # and a status entry less per sector


@pytest.mark.parametrize(
    "changes",
    [{"align": 3}, {"align": 0}, {"max_align": 4}, {"align": 32}, {"sector_size": 0}, {"sector_size": 4100},
     {"max_sectors": 0}, {"encrypted_key_size": -1}, {"size_bytes": 3119}, {"size_bytes": 0}],
)  # fmt: skip
def test_an_impossible_slot_cannot_be_made(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"align|sector|smaller than its trailer"):
        geometry(**changes)


def test_the_smallest_slot_is_a_slot() -> None:
    assert max_image_size_bytes(geometry(size_bytes=3120, mode=SwapMode.SCRATCH)) == 0
    assert geometry(max_sectors=1, sector_size=8).max_sectors == 1


def test_magics_are_mcuboots() -> None:
    assert boot_magic(8).hex() == "77c295f360d2ef7f3552500f2cb67980"
    assert boot_magic(32).hex() == "20002de15d29410b8d77679c110f1f8a"
    assert boot_magic(16, "big").hex() == "00102de15d29410b8d77679c110f1f8a"
    with pytest.raises(ValueError, match="max-align"):
        boot_magic(4)


@given(st.integers(0, 10**6), st.sampled_from(ALIGNS))
def test_align_up(size: int, align: int) -> None:
    up = align_up(size, align)
    assert up % align == 0
    assert size <= up < size + align


# --- reading --------------------------------------------------------------------------------------------------------


def slot_with(g: SlotGeometry, writes: dict[int, bytes], erased: int = 0xFF) -> bytes:
    slot = bytearray([erased]) * g.size_bytes
    for offset, data in writes.items():
        slot[offset : offset + len(data)] = data
    return bytes(slot)


@pytest.mark.parametrize("erased", [0xFF, 0])
@pytest.mark.parametrize("max_align", MAX_ALIGNS)
def test_every_state_is_told(erased: int, max_align: int) -> None:
    g = geometry(max_align=max_align)
    assert Trailer.from_slot(slot_with(g, {}, erased), g, erased) == Trailer("unset", None, "unset", "unset")
    writes = {
        magic_offset(g): boot_magic(max_align),
        swap_info_offset(g): b"\x23",
        copy_done_offset(g): b"\x01",
        image_ok_offset(g): b"\x02",
    }
    trailer = Trailer.from_slot(slot_with(g, writes, erased), g, erased)
    assert trailer == Trailer("good", 0x23, "set", "bad")
    assert trailer.swap_type == 3
    damaged = slot_with(g, {magic_offset(g) + 15: b"\x33"}, erased)
    assert Trailer.from_slot(damaged, g, erased).magic == "bad"


@pytest.mark.parametrize(
    ("info", "kind"), [(None, 1), (0x01, 1), (0x12, 2), (0x03, 3), (0x04, 4), (0x05, 1), (0x00, 1)]
)
def test_swap_types(info: int | None, kind: int) -> None:
    assert Trailer("good", info, "unset", "unset").swap_type == kind


@pytest.mark.parametrize("size", [SLOT - 1, SLOT + 1, 0])
def test_a_slot_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(FormatError):
        Trailer.from_slot(bytes(size), geometry())


# --- padding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_align", MAX_ALIGNS)
@pytest.mark.parametrize("confirm", [False, True])
@pytest.mark.parametrize("erased", [0xFF, 0])
def test_a_padded_slot_is_read_back(max_align: int, confirm: bool, erased: int) -> None:
    g = geometry(max_align=max_align)
    slot = pad_to_slot(b"image", Padding(SLOT, max_align, confirm=confirm, erased_value=erased))
    assert len(slot) == SLOT
    assert slot.startswith(b"image" + bytes([erased]))
    expected = Trailer("good", None, "unset", "set" if confirm else "unset")
    assert Trailer.from_slot(slot, g, erased) == expected
    plain = bytearray([erased]) * SLOT
    plain[:5] = b"image"
    plain[-16:] = boot_magic(max_align)
    changed = [index for index in range(SLOT) if slot[index] != plain[index]]
    assert changed == ([image_ok_offset(g)] if confirm else [])


@pytest.mark.parametrize(("confirm", "room"), [(False, 16), (True, 24)])
def test_an_image_may_not_reach_into_the_trailer(confirm: bool, room: int) -> None:
    padding = Padding(4096, confirm=confirm)
    assert len(pad_to_slot(bytes(4096 - room), padding)) == 4096
    with pytest.raises(TooLargeError) as caught:
        pad_to_slot(bytes(4096 - room + 1), padding)
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (4096 - room + 1, 4096 - room)


@pytest.mark.parametrize(("slot_size", "max_align"), [(0, 8), (23, 8), (63, 32), (4096, 7)])
def test_padding_needs_room_for_a_trailer(slot_size: int, max_align: int) -> None:
    with pytest.raises(ValueError, match=r"smaller than its trailer|max-align"):
        Padding(slot_size, max_align)


@pytest.mark.parametrize("place", range(16))
def test_every_byte_of_the_magic_counts(place: int) -> None:
    g = geometry()
    slot = bytearray([0xFF]) * g.size_bytes
    slot[-16:] = boot_magic(8)
    assert Trailer.from_slot(bytes(slot), g).magic == "good"
    slot[-16 + place] ^= 1
    assert Trailer.from_slot(bytes(slot), g).magic == "bad"
