"""Memories of a board: pages that are there only when they hold something, one supply, time, growing counters."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.virtual.boot.security_counters import CounterError, SecurityCounters
from smpdfu.virtual.chip.chip import Chip
from smpdfu.virtual.chip.flash import NVMC, QSPI_NOR, Area, Flash, FlashError, Memory, PowerCut
from smpdfu.virtual.chip.layout import LAYOUTS, NRF5340DK_STAGED, Region
from smpdfu.virtual.chip.storage import SparseStorage
from smpdfu.virtual.server.core_interface import fit_together, interface_of

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import small_simultaneous
else:
    from virtual_bench import small_simultaneous

PAGE, PAGES = 64, 5
WRITES = st.lists(st.tuples(st.integers(0, PAGE * PAGES), st.binary(max_size=3 * PAGE) | st.just(b"\xff" * PAGE)))


@given(WRITES)
def test_sparse_storage_is_like_a_buffer(writes: list[tuple[int, bytes]]) -> None:
    sparse, buffer = SparseStorage(PAGE * PAGES, PAGE), bytearray(b"\xff" * PAGE * PAGES)
    for start, written in writes:
        data = written[: len(buffer) - start]
        sparse[start : start + len(data)] = data
        buffer[start : start + len(data)] = data
        assert sparse[0 : len(buffer)] == buffer
        assert sparse[start : start + len(data)] == data
    held = {number: bytes(buffer[number * PAGE : (number + 1) * PAGE]) for number in range(PAGES)}
    assert dict(sparse) == {number: page for number, page in held.items() if page != b"\xff" * PAGE}


@pytest.mark.parametrize("storage", [None, bytearray(b"\xff" * PAGE * PAGES)], ids=("sparse", "buffer"))
def test_contents_go_from_one_flash_to_another(storage: bytearray | None) -> None:
    one, other = Flash(0, PAGE * PAGES, page_size=PAGE), Flash(0, PAGE * PAGES, page_size=PAGE, storage=storage)
    one.program(PAGE, b"kept")
    other.program(0, b"lost")
    other.load(dict(one.pages()))
    assert other.read(0, PAGE * PAGES) == one.read(0, PAGE * PAGES)
    assert [address for address, _ in other.pages()] == [PAGE]
    assert (other.operations, one.erase_counts) == (1, {})


def test_a_thousand_devices_with_one_firmware_hold_it_once() -> None:
    firmware = {address: bytes(range(256)) * 16 for address in range(0, 0x8_0000, 4096)}
    tracemalloc.start()
    try:
        chips = [Chip(NRF5340DK_STAGED) for _ in range(1000)]
        for chip in chips:
            chip.app.load(firmware)
            chip.app.program(0x9_0000, b"mine")
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used < 1000 * 50_000  # half a MiB of firmware each would be ten times that
    assert chips[0].app.read(0, 8192) == chips[-1].app.read(0, 8192)


def test_devices_that_get_one_update_hold_it_once() -> None:
    """Each writes it by itself, in pieces that end where they like."""
    update = random.Random(1).randbytes(64 * 4096)
    tracemalloc.start()
    try:
        flashes = [Flash(0, 1 << 20) for _ in range(20)]
        for flash in flashes:
            for at in range(0, len(update), 1000):
                flash.program(4096 + at, update[at : at + 1000])
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used < 5 * len(update)
    flashes[0].erase(4096, 4096)
    flashes[0].program(4096, b"mine")
    assert [flash.read(4096, len(update)) == update for flash in flashes] == [False] + 19 * [True]


def test_flash_tells_how_long_it_would_have_worked() -> None:
    chip = Chip(LAYOUTS["nrf5340dk-simultaneous"])
    chip.app.erase(0, 2 * 4096)
    chip.app.program(0, bytes(400))
    chip.flashes["external"].erase(0x1000_0000, 4096)
    chip.flashes["ram"].program(0x2001_0000, bytes(4096))
    wanted = 2 * NVMC.erase_s + 100 * NVMC.program_s + QSPI_NOR.erase_s
    assert chip.busy_s == pytest.approx(wanted)
    assert chip.bus.busy_s == pytest.approx(wanted)
    assert chip.take_busy() == pytest.approx(wanted)
    assert chip.take_busy() == 0.0


def test_a_cut_takes_the_power_of_all_memories() -> None:
    chip = Chip(LAYOUTS["nrf5340dk-simultaneous"])
    chip.power.cut_after = 2
    chip.app.program(0, b"good")
    chip.net.program(0x0100_0000, b"good")
    with pytest.raises(PowerCut):
        chip.flashes["external"].program(0x1000_0000, b"torn")
    assert chip.power.cut_after is None


def test_ram_is_forgotten_and_flash_is_not() -> None:
    chip = Chip(small_simultaneous())
    chip.flashes["ram"].program(0x2001_0000, b"gone")
    chip.flashes["external"].program(0x1000_0000, b"kept")
    chip.forget()
    assert chip.bus.read(0x2001_0000, 4) == b"\xff" * 4
    assert chip.bus.read(0x1000_0000, 4) == b"kept"


def test_where_no_memory_is_nothing_can_be_done() -> None:
    chip = Chip(NRF5340DK_STAGED)
    for misuse in (lambda: chip.flash_at(0x3000_0000), lambda: chip.program(0x3000_0000, b"x")):
        with pytest.raises(FlashError, match="there is no flash"):
            misuse()
    with pytest.raises(ValueError, match="leaves the flash"):
        chip.app.area(Region("outside", 0xF_F000, 8192))
    with pytest.raises(FlashError, match="there is no flash"):
        Memory([]).read(0, 1)


# --- security counters ----------------------------------------------------------------------------------------------


def counters(words: int = 4) -> SecurityCounters:
    return SecurityCounters(Area(Flash(0, 4096), Region("otp", 0x100, 8 * words)), 2)


def test_a_counter_grows_and_never_shrinks() -> None:
    both = counters()
    for value, expected in ((3, 3), (2, 3), (7, 7), (7, 7)):
        both.raise_to(0, value)
        assert (both.read(0), both.read(1)) == (expected, 0)
    both.raise_to(1, 5)
    assert (both.read(0), both.read(1)) == (7, 5)


def test_a_counter_has_room_for_so_many_values() -> None:
    both = counters(2)
    both.raise_to(0, 1)
    both.raise_to(0, 2)
    both.raise_to(0, 2)
    with pytest.raises(CounterError, match="image 0 cannot be raised any more"):
        both.raise_to(0, 3)
    assert both.read(0) == 2


# --- the interface of the cores -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("firmware", "number"),
    [(b"", None), (b"..smpdfu-interface:7;..", 7), (b"smpdfu-interface:;", None), (b"smpdfu-interface:1", None)],
)
def test_firmware_says_which_interface_it_speaks(firmware: bytes, number: int | None) -> None:
    assert interface_of(firmware) == number


def test_cores_fit_unless_both_say_otherwise() -> None:
    one, two = b"smpdfu-interface:1;", b"smpdfu-interface:2;"
    assert fit_together(one, one)
    assert fit_together(one, b"")
    assert fit_together(b"", two)
    assert not fit_together(one, two)
