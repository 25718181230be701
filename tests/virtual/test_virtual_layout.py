"""The partition tables, and what no partition table can be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from smpdfu.image.trailer import SwapMode, max_image_size_bytes, status_offset, trailer_size_bytes
from smpdfu.smp.groups.os import BootloaderMode
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS, NRF5340DK_STAGED, Layout, Region, SlotPair

DK = LAYOUTS["nrf5340dk-staged"]


@pytest.mark.parametrize(
    ("region", "start", "end"),
    [
        (DK.mcuboot, 0x0, 0xC000),
        (DK.primary, 0xC000, 0x86000),
        (DK.secondary, 0x86000, 0x100000),
        (DK.net.b0n, 0x01000000, 0x01008580),
        (DK.net.provision, 0x01008580, 0x01008800),
        (DK.net.app, 0x01008800, 0x01040000),
        (DK.pcd, 0x20000000, 0x20002000),
    ],
    ids=lambda value: value.name if isinstance(value, Region) else hex(value),
)
def test_the_dk_is_laid_out_as_the_nrf_connect_sdk_does_it(region: Region, start: int, end: int) -> None:
    assert (region.start, region.end) == (start, end)


# What nrfconnect/sdk-nrf leaves free in samples/nrf5340/extxip_smp_svr.
FREE = {"nrf5340dk-xip-split": {(0xE_4000, 0xF_0000)}, "nrf5340dk-xip-split-no-net": {(0xE_4000, 0xF_0000)}}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_regions_fill_the_flash_without_a_gap(layout: Layout) -> None:
    own = [region for region in layout.regions if layout.flash.holds(region)]
    for flash, regions in ((layout.flash, own), (layout.net.flash, layout.net_regions)):
        assert regions[0].start == flash.start
        assert regions[-1].end == flash.end
        gaps = {(lower.end, upper.start) for lower, upper in pairwise(regions) if lower.end != upper.start}
        assert gaps <= FREE.get(layout.name, set())


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_row_has_its_own_name(name: str) -> None:
    assert LAYOUTS[name].name == name


def test_the_geometry_is_what_zephyr_builds_mcuboot_for() -> None:
    geometry = DK.geometry()
    assert (geometry.size_bytes, geometry.max_sectors, geometry.mode) == (0x7A000, 122, SwapMode.MOVE)
    assert trailer_size_bytes(geometry) == 122 * 3 * 4 + 4 * 8 + 16
    assert max_image_size_bytes(geometry) == 0x7A000 - 2 * 4096
    encrypted = DK.geometry(encrypted_key_size=16)
    assert status_offset(geometry) - status_offset(encrypted) == 2 * 16


@pytest.mark.parametrize(
    ("address", "inside"), [(0xBFFF, False), (0xC000, True), (0x85FFF, True), (0x86000, False), (-1, False)]
)
def test_a_region_knows_its_addresses(address: int, inside: bool) -> None:
    assert (address in DK.primary) == inside


def test_a_region_knows_only_numbers_as_addresses() -> None:
    assert "primary" not in DK.primary


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mcuboot": Region("mcuboot", 0, 0xD000)}, "overlap"),
        ({"settings": Region("settings", 0xFF000, 0x1000)}, "overlap"),
        ({"mcuboot": Region("mcuboot", 0, 0xB800)}, "whole sectors"),
        ({"flash": Region("app flash", 0, 0xFF000)}, "leaves app flash"),
        ({"images": ()}, "no image"),
    ],
)
def test_an_impossible_table_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(NRF5340DK_STAGED, **changes)  # type: ignore[arg-type]  # the point is what replace() is given


def test_settings_are_a_region_like_the_others() -> None:
    pair = SlotPair(DK.primary, Region("secondary", 0x86000, 0x78000))
    layout = replace(DK, images=(pair,), settings=Region("settings", 0xFE000, 0x2000))
    assert [region.name for region in layout.regions if layout.flash.holds(region)] == [
        *("mcuboot", "primary", "secondary", "settings")
    ]


@pytest.mark.parametrize(("start", "size"), [(-1, 4), (0, 0)])
def test_a_region_is_somewhere_and_not_empty(start: int, size: int) -> None:
    with pytest.raises(ValueError, match="empty or starts below 0"):
        Region("nowhere", start, size)


# --- the mode of the bootloader ---------------------------------------------------------------------------------------


NUMBERS = {
    BootMode.SINGLE_SLOT: BootloaderMode.SINGLE_APP,
    BootMode.SCRATCH: BootloaderMode.SWAP_USING_SCRATCH,
    BootMode.OVERWRITE_ONLY: BootloaderMode.OVERWRITE_ONLY,
    BootMode.MOVE: BootloaderMode.SWAP_USING_MOVE,
    BootMode.DIRECT_XIP: BootloaderMode.DIRECT_XIP,
    BootMode.DIRECT_XIP_REVERT: BootloaderMode.DIRECT_XIP_WITH_REVERT,
    BootMode.RAM_LOAD: BootloaderMode.RAM_LOAD,
    BootMode.FIRMWARE_LOADER: BootloaderMode.FIRMWARE_LOADER,
    BootMode.SINGLE_SLOT_RAM_LOAD: BootloaderMode.SINGLE_APP_RAM_LOAD,
    BootMode.OFFSET: BootloaderMode.SWAP_USING_OFFSET,
}


def test_each_of_mcuboots_modes_is_one_of_a_layout_and_has_the_number_that_smp_tells() -> None:
    """The chip has plain numbers, for it must not load SMP."""
    assert {mode: mode.number for mode in BootMode} == NUMBERS
    assert set(NUMBERS.values()) == set(BootloaderMode) - {BootloaderMode.UNKNOWN}
    assert {mode: BootMode.of_number(number) for mode, number in NUMBERS.items()} == {mode: mode for mode in BootMode}
    with pytest.raises(ValueError, match="number -1"):
        BootMode.of_number(BootloaderMode.UNKNOWN)


@pytest.mark.parametrize("mode", SwapMode)
def test_the_modes_that_install_updates_have_one_name(mode: SwapMode) -> None:
    assert BootMode(mode.value).swap_mode is mode


def test_one_slot_takes_the_place_of_both() -> None:
    layout = DK.in_mode(BootMode.SINGLE_SLOT)
    assert layout.images == (SlotPair(Region("primary", 0xC000, 0xF_4000), None),)
    assert layout.images[0].places == (layout.primary,)
    with pytest.raises(ValueError, match="no secondary slot"):
        _ = layout.secondary


def test_a_mode_with_equal_slots_has_the_regions_of_a_swap() -> None:
    assert DK.in_mode(BootMode.DIRECT_XIP_REVERT).images == DK.images
    assert LAYOUTS["nrf5340dk-direct-xip-revert"].mode is BootMode.DIRECT_XIP_REVERT


@pytest.mark.parametrize(
    ("mode", "left_free"),
    [
        (BootMode.DIRECT_XIP, 3 * 8 + 16),  # bootutil_misc.c:359, boot_swap_info_off
        (BootMode.RAM_LOAD, 3 * 8 + 16),  # bootutil_misc.c:362
        (BootMode.SINGLE_SLOT, 4 * 8 + 16),  # bootutil_misc.c:347, boot_status_off without a status
    ],
)
def test_what_a_slot_keeps_free_is_what_mcuboot_keeps(mode: BootMode, left_free: int) -> None:
    geometry = DK.in_mode(mode).geometry()
    assert geometry.size_bytes - max_image_size_bytes(geometry) == left_free


@pytest.mark.parametrize(
    ("layout", "mode", "reason"),
    [
        ("nrf5340dk-simultaneous", BootMode.DIRECT_XIP, "2 image pairs, and direct-xip takes one"),
        ("nrf5340dk-simultaneous", BootMode.SINGLE_SLOT, "2 image pairs, and single-slot takes one"),
        ("nrf5340dk-single-slot", BootMode.MOVE, "no secondary slot, unlike swap-move"),
    ],
)
def test_a_mode_that_the_slots_do_not_fit_is_refused(layout: str, mode: BootMode, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        LAYOUTS[layout].in_mode(mode)
