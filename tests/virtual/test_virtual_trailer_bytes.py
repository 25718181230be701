"""The trailer as MCUboot writes it, byte by byte: our writer and our reader could else be wrong in the same way.

The bytes below follow MCUboot's design document, "Image trailer", and what ``boot_write_swap_size``,
``boot_write_swap_info`` and ``boot_write_trailer_flag`` do on a little-endian Arm core: a field is the bytes of its
variable as they lie in memory, padded with erased bytes to the write alignment, each at a multiple of BOOT_MAX_ALIGN
(8) below the magic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.trailer import SwapMode, Trailer
from smpdfu.virtual.boot.slot import Slot, trailer_sectors
from smpdfu.virtual.boot.swap.swap import Status, init_status
from smpdfu.virtual.boot.swap.swap_type import SwapType, decide

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench
    from tests.virtual.sweep import Case, Update
else:
    from sweep import Case, Update

GAP = "ff" * 7
MAGIC = "77c295f360d2ef7f3552500f2cb67980"


def tail(slot: Slot, size: int) -> str:
    """The last ``size`` bytes of a slot."""
    return slot.area.read(slot.area.size_bytes - size, size).hex()


def test_the_record_of_a_permanent_swap(bench: Bench) -> None:
    bench.write("primary", bench.app_image(1))
    bench.upload(bench.app_image(2), permanent=True)
    init_status(bench.slots.primary, bench.slots, Status(swap_type=SwapType.PERM, swap_size=0x012328))
    #                                   swap_size            swap_info     copy_done   image_ok
    assert tail(bench.slots.primary, 48) == f"28230100ffffffff 03{GAP} {'ff' * 8} 01{GAP} {MAGIC}".replace(" ", "")


@pytest.mark.parametrize(("image", "kind", "byte"), [(0, 2, "02"), (0, 4, "04"), (1, 3, "13"), (2, 2, "22")])
def test_swap_info_has_the_image_in_the_high_bits(bench: Bench, image: int, kind: int, byte: str) -> None:
    bench.slots.primary.write_swap_info(kind, image)
    assert tail(bench.slots.primary, 40)[:16] == byte + GAP


def test_what_mcuboot_wrote_is_read(bench: Bench) -> None:
    """A primary slot in the middle of a swap for a test, as a debugger reads it from flash."""
    slot = bench.slots.primary
    written = bytes.fromhex(f"a0860100ffffffff 02{GAP} {'ff' * 8} {'ff' * 8} {MAGIC}")
    slot.area.program(slot.area.size_bytes - len(written), written)
    trailer = slot.trailer()
    assert slot.swap_size() == 100_000
    assert (trailer.magic, trailer.image_ok, trailer.copy_done, trailer.swap_type) == ("good", "unset", "unset", 2)


def test_a_revert_is_made_permanent_before_its_mark_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the erasure of the primary's trailer on, the secondary's is all that says which image is wanted."""
    update = Update(Case(SwapMode.MOVE, "revert"))
    slots, seen = update.bench.slots, list[Trailer]()
    erase = Slot.erase_trailer

    def watched(slot: Slot) -> None:
        if slot.area.region == slots.primary.area.region:
            seen.append(slots.secondary.trailer())
        erase(slot)

    monkeypatch.setattr(Slot, "erase_trailer", watched)
    result = update.bench.boot()
    assert result.swap_type is SwapType.REVERT
    assert [(one.magic, one.image_ok) for one in seen[:1]] == [("good", "set")]


def test_a_trailer_of_several_sectors_is_erased_whole(bench: Bench) -> None:
    """256 sectors at a write alignment of 8: the status alone has 6,144 bytes, more than a sector."""
    slot = replace(bench.slots.primary, geometry=replace(bench.slots.primary.geometry, align=8, max_sectors=256))
    sectors = trailer_sectors(slot.geometry)
    assert sectors == 2
    start = slot.area.size_bytes - sectors * slot.geometry.sector_size
    slot.area.program(start - 8, bytes(8))
    slot.write_status(0, 1)
    slot.write_magic()
    slot.erase_trailer()
    assert set(slot.area.read(start, slot.area.size_bytes - start)) == {0xFF}
    assert slot.area.read(start - 8, 8) == bytes(8)


@pytest.mark.parametrize("mode", [SwapMode.MOVE, SwapMode.SCRATCH, SwapMode.OFFSET, SwapMode.OVERWRITE_ONLY])
def test_a_secondary_slot_that_says_copy_done_means_a_revert_to_swap_offset_only(mode: SwapMode) -> None:
    unset = Trailer("unset", None, "unset", "unset")
    copied = Trailer("good", None, "set", "unset")
    assert decide(unset, copied, mode) is (SwapType.REVERT if mode is SwapMode.OFFSET else SwapType.TEST)
