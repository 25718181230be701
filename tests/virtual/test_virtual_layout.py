"""The partition tables, and what no partition table can be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from smpdfu.image.trailer import SwapMode, max_image_size_bytes, status_offset, trailer_size_bytes
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
