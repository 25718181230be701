"""Partition tables as the partition manager writes them, and what is none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import FormatError
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS, NRF5340DK_B0, OTP, XIP, Region
from smpdfu.virtual.chip.partitions import read_layout

# nRF5340 DK, internal flash, as it comes out of a build of the nRF Connect SDK: EMPTY and spans and all.
STAGED = b"""
app: {address: 0xc200, end_address: 0x86000, region: flash_primary, size: 0x79e00}
mcuboot: {address: 0x0, end_address: 0xc000, placement: {before: [mcuboot_primary]}, size: 0xc000}
mcuboot_pad: {address: 0xc000, end_address: 0xc200, region: flash_primary, size: 0x200}
mcuboot_primary: {address: 0xc000, end_address: 0x86000, orig_span: &id1 [mcuboot_pad, app], size: 0x7a000, span: *id1}
mcuboot_primary_app: {address: 0xc200, end_address: 0x86000, size: 0x79e00}
mcuboot_secondary: {address: 0x86000, end_address: 0x100000, region: flash_primary, size: 0x7a000}
otp: {address: 0xff8100, end_address: 0xff83fc, region: otp, size: 0x2fc}
pcd_sram: {address: 0x20000000, end_address: 0x20002000, region: sram_primary, size: 0x2000}
sram_primary: {address: 0x20002000, end_address: 0x20070000, region: sram_primary, size: 0x6e000}
"""
# applications/matter_bridge/pm_static_nrf5340dk_nrf5340_cpuapp.yml of nrfconnect/sdk-nrf, the same places.
MATTER_BRIDGE = b"""
mcuboot: {address: 0x0, size: 0x8000, region: flash_primary}
mcuboot_pad: {address: 0x8000, size: 0x200}
app: {address: 0x8200, size: 0xeee00}
mcuboot_primary: {address: 0x8000, size: 0xef000, region: flash_primary}
mcuboot_primary_app: {address: 0x8200, size: 0xeee00}
factory_data: {address: 0xf7000, size: 0x1000, region: flash_primary}
settings_storage: {address: 0xf8000, size: 0x8000, region: flash_primary}
mcuboot_primary_1: {address: 0x0, size: 0x40000, device: flash_ctrl, region: ram_flash}
mcuboot_secondary: {address: 0x0, size: 0xef000, device: MX25R64, region: external_flash}
mcuboot_secondary_1: {address: 0xef000, size: 0x40000, device: MX25R64, region: external_flash}
external_flash: {address: 0x12f000, size: 0x6d1000, device: MX25R64, region: external_flash}
pcd_sram: {address: 0x20000000, size: 0x2000, region: sram_primary}
"""
# samples/nrf5340/extxip_smp_svr of nrfconnect/sdk-nrf, the same places: pm_static.yml, and that without a network core.
XIP_SPLIT = b"""
app: {address: 0x10200, end_address: 0xe4000, region: flash_primary, size: 0xd3e00}
external_flash: {address: 0x120000, device: MX25R64, end_address: 0x800000, region: external_flash, size: 0x6e0000}
mcuboot: {address: 0x0, end_address: 0x10000, region: flash_primary, size: 0x10000}
mcuboot_primary: {address: 0x10000, end_address: 0xe4000, orig_span: &id1 [mcuboot_pad, app], size: 0xd4000, span: *id1}
mcuboot_primary_1: {address: 0x0, device: flash_ctrl, end_address: 0x40000, region: ram_flash, size: 0x40000}
mcuboot_secondary: {address: 0x0, device: MX25R64, end_address: 0xd4000, region: external_flash, size: 0xd4000}
mcuboot_secondary_1: {address: 0xd4000, device: MX25R64, end_address: 0x114000, region: external_flash, size: 0x40000}
EMPTY_1: {address: 0x114000, device: MX25R64, end_address: 0x120000, region: external_flash, size: 0xc000}
mcuboot_primary_2: {address: 0x120000, device: MX25R64, end_address: 0x160000, region: external_flash, size: 0x40000}
mcuboot_primary_2_pad: {address: 0x120000, end_address: 0x120200, region: external_flash, size: 0x200}
mcuboot_primary_2_app: {address: 0x120200, device: MX25R64, end_address: 0x40000, region: external_flash, size: 0x3FE00}
mcuboot_secondary_2: {address: 0x160000, device: MX25R64, end_address: 0x1a0000, region: external_flash, size: 0x40000}
otp: {address: 0xff8100, end_address: 0xff83fc, region: otp, size: 0x2fc}
pcd_sram: {address: 0x20000000, end_address: 0x20002000, region: sram_primary, size: 0x2000}
ram_flash: {address: 0x40000, end_address: 0x40000, region: ram_flash, size: 0x0}
settings_storage: {address: 0xf0000, end_address: 0x100000, region: flash_primary, size: 0x10000}
"""
XIP_SPLIT_NO_NET = b"""
mcuboot: {address: 0x0, end_address: 0x10000, region: flash_primary, size: 0x10000}
mcuboot_primary: {address: 0x10000, end_address: 0xe4000, region: flash_primary, size: 0xd4000}
mcuboot_primary_1: {address: 0x120000, device: external_flash, region: external_flash, size: 0x40000}
mcuboot_primary_1_app: {address: 0x120200, device: MX25R64, region: external_flash, size: 0x3FE00}
mcuboot_secondary: {address: 0x0, device: MX25R64, end_address: 0xd4000, region: external_flash, size: 0xd4000}
mcuboot_secondary_1: {address: 0xd4000, device: MX25R64, end_address: 0x114000, region: external_flash, size: 0x40000}
otp: {address: 0xff8100, end_address: 0xff83fc, region: otp, size: 0x2fc}
settings_storage: {address: 0xf0000, end_address: 0x100000, region: flash_primary, size: 0x10000}
"""

SAMPLES = {
    "nrf5340dk-staged": STAGED,
    "nrf5340dk-matter-bridge": MATTER_BRIDGE,
    "nrf5340dk-xip-split": XIP_SPLIT,
    "nrf5340dk-xip-split-no-net": XIP_SPLIT_NO_NET,
}


@pytest.mark.parametrize(("name", "table"), SAMPLES.items(), ids=SAMPLES)
def test_a_table_of_the_sdk_gives_the_row_that_was_made_of_it(name: str, table: bytes) -> None:
    assert read_layout(table, name) == LAYOUTS[name]


def test_a_scratch_area_means_that_the_bootloader_swaps_by_it() -> None:
    text = STAGED.replace(b"0x86000, end_address: 0x100000", b"0x86000, end_address: 0xf0000")
    table = text.replace(b"size: 0x7a000}\notp", b"size: 0x6a000}\notp").replace(b"0x7a000, span", b"0x6a000, span")
    table += b"mcuboot_scratch: {address: 0xf0000, size: 0x10000}\nEMPTY_0: {address: 0x76000, size: 0x10000}\n"
    layout = read_layout(table, "own")
    assert (layout.mode, layout.scratch) == (BootMode.SCRATCH, Region("scratch", 0xF_0000, 0x1_0000))
    assert Region("EMPTY_0", 0x7_6000, 0x1_0000) in layout.others
    assert read_layout(table, "own", BootMode.MOVE).mode is BootMode.MOVE


def test_slots_in_external_flash_are_where_code_could_run_from_it() -> None:
    layout = read_layout(MATTER_BRIDGE, "own")
    assert (layout.secondary.start, layout.images[1].secondary.start) == (XIP, XIP + 0xE_F000)
    assert (layout.network_image, layout.mode) == (1, BootMode.OVERWRITE_ONLY)


def test_a_second_half_beside_slots_in_the_chip_leaves_its_way_to_network_firmware() -> None:
    """The application's secondary slot is where b0n can read it; with that one in external flash it cannot."""
    layout = read_layout(
        STAGED + b"mcuboot_primary_1: {address: 0x0, size: 0x40000, region: external_flash}\n"
        b"mcuboot_secondary_1: {address: 0x40000, size: 0x40000, region: external_flash}\n",
        "own",
    )
    assert (layout.external_half, layout.network_image, layout.is_staged) == (1, None, True)
    assert layout.mode is BootMode.MOVE
    split = read_layout(XIP_SPLIT_NO_NET, "own")
    assert (split.external_half, split.network_image, split.is_staged) == (1, None, False)


def test_an_end_will_do_for_a_size() -> None:
    table = b"mcuboot: {address: 0, end_address: 0xc000}\n"
    table += b"mcuboot_primary: {address: 0xc000, end_address: 0x80000}\n"
    table += b"mcuboot_secondary: {address: 0x80000, end_address: 0xf4000}\n"
    assert read_layout(table, "own").secondary == Region("secondary", 0x8_0000, 0x7_4000)


PARTS = b"mcuboot: {address: 0, size: 0xc000}\nmcuboot_primary: {address: 0xc000, size: 0x70000}\n"
FAULTS = [
    (b"", "no partition table"),
    (b"[]", "no partition table"),
    (b"1: {}", "no partition table"),
    (b"a: [", "not YAML"),
    (b"[" * 900, "not YAML"),
    (b"[" * 65536, "nested or split up"),
    (b"\xff\xfe\x00", "not YAML"),
    (b"a: {address: 0, size: 16}", "it has no mcuboot"),
    (PARTS, "it has no mcuboot_secondary"),
    (PARTS + b"mcuboot_secondary: {size: 4096}", "partition mcuboot_secondary has no address"),
    (PARTS + b"mcuboot_secondary: {address: x, size: 4096}", "address of mcuboot_secondary is 'x'"),
    (PARTS + b"mcuboot_secondary: {address: -1, size: 4096}", "address of mcuboot_secondary is -1"),
    (PARTS + b"mcuboot_secondary: {address: 0x80000}", "mcuboot_secondary has no end_address"),
    (PARTS + b"mcuboot_secondary: {address: 0x80000, size: 1.5}", "size of mcuboot_secondary is 1.5"),
    (PARTS + b"mcuboot_secondary: {address: 0x70000, size: 0x70000}", "primary and secondary overlap"),
    (PARTS + b"mcuboot_secondary: {address: 0xc0000, size: 0x70000}", "secondary leaves app flash"),
    (PARTS + b"mcuboot_secondary: {address: 0x80100, size: 0x70000}", "not made of whole sectors"),
    (
        PARTS + b"mcuboot_secondary: {address: 0, size: 0x70000, region: external_flash}",
        "mcuboot_secondary is in external flash and there is one image pair",
    ),
    (
        STAGED + b"mcuboot_secondary_app: {address: 0x86200, size: 0x79e00, region: flash_primary}\n",
        "mcuboot_secondary_app, as direct XIP builds have.*say which",
    ),
    (
        XIP_SPLIT_NO_NET.replace(b"0x120000, device: external_flash, region: external_flash", b"0xe4000"),
        "mcuboot_primary_1 is no slot of a virtual device",
    ),
    (
        XIP_SPLIT_NO_NET + b"mcuboot_primary_2: {address: 0x200000, size: 0x40000, region: external_flash}\n"
        b"mcuboot_secondary_2: {address: 0x240000, size: 0x40000, region: external_flash}\n",
        "mcuboot_primary_2 is no slot of a virtual device",
    ),
    (
        MATTER_BRIDGE + b"mcuboot_primary_2: {address: 0x0, size: 0x40000, region: ram_flash}\n"
        b"mcuboot_secondary_2: {address: 0x240000, size: 0x40000, region: external_flash}\n",
        "mcuboot_primary_2 is no slot of a virtual device",
    ),
    (
        MATTER_BRIDGE + b"mcuboot_primary_2: {address: 0x200000, size: 0x1000, region: external_flash}\n",
        "a third image pair and does not have both slots",
    ),
    (b"#" * (1 << 21), "larger than 256 KiB"),
    (b"".join(b"a%d: {}\n" % number for number in range(201)), "201 partitions"),
]


@pytest.mark.parametrize(("table", "reason"), FAULTS, ids=[reason[:30] for _, reason in FAULTS])
def test_what_is_no_table_is_one_sentence(table: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read_layout(table, "own")


def test_a_mode_that_the_table_has_no_room_for_is_refused() -> None:
    with pytest.raises(FormatError, match="no scratch area, which swap-scratch needs"):
        read_layout(STAGED, "own", BootMode.SCRATCH)


def test_a_second_application_with_a_mode_is_no_direct_xip() -> None:
    """Hand-written tables name the parts of the slot, too: then the person says how MCUboot was built."""
    table = STAGED + b"mcuboot_secondary_app: {address: 0x86200, size: 0x79e00, region: flash_primary}\n"
    assert read_layout(table, "own", BootMode.MOVE).secondary == LAYOUTS["nrf5340dk-staged"].secondary


def test_a_table_without_a_secondary_slot_is_that_of_one_slot_if_somebody_says_so() -> None:
    layout = read_layout(PARTS, "own", BootMode.SINGLE_SLOT)
    assert layout.images[0].places == (Region("primary", 0xC000, 0x7_0000),)
    with pytest.raises(FormatError, match="no mcuboot_secondary") as caught:
        read_layout(PARTS, "own")
    assert caught.value.code == "which-mode"


def test_the_second_slot_of_direct_xip_is_the_secondary_one() -> None:
    table = STAGED + b"mcuboot_secondary_app: {address: 0x86200, size: 0x79e00, region: flash_primary}\n"
    layout = read_layout(table, "own", BootMode.DIRECT_XIP)
    assert (layout.mode, layout.images) == (BootMode.DIRECT_XIP, LAYOUTS["nrf5340dk-staged"].images)


TABLES = st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.sampled_from([*SAMPLES.values()])


@given(TABLES, st.data())
def test_garbage_is_a_format_error_or_a_layout(text: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, max(len(text) - 1, 0)))
    broken = text[:at] + data.draw(st.binary(max_size=3)) + text[at + 1 :]
    with suppress(FormatError):
        read_layout(broken, "own")


# N subsys/bootloader/pm.yml.b0: two slots for MCUboot, each with a pad for its header.
NSIB = b"""
b0: {address: 0x0, size: 0x8000}
s0: {address: 0x8000, size: 0xc000}
s0_pad: {address: 0x8000, size: 0x200}
s0_image: {address: 0x8200, size: 0xbe00}
mcuboot: {address: 0x8200, size: 0xbe00}
s1: {address: 0x14000, size: 0xc000}
s1_pad: {address: 0x14000, size: 0x200}
s1_image: {address: 0x14200, size: 0xbe00}
mcuboot_primary: {address: 0x20000, size: 0x70000}
mcuboot_secondary: {address: 0x90000, size: 0x70000}
"""


def test_a_build_with_nsib_below_mcuboot() -> None:
    layout = read_layout(NSIB, "nsib")
    assert layout.mcuboot == Region("mcuboot", 0x8000, 0xC000)
    assert layout.others == (Region("b0", 0, 0x8000), Region("s1", 0x1_4000, 0xC000))


def test_nsib_with_its_provisioned_data_is_a_device_with_b0() -> None:
    table = NSIB + b"provision: {address: 0xff8100, size: 0x280, region: otp}\n"
    layout = read_layout(table, "nsib")
    assert layout.nsib is not None
    assert layout.nsib == NRF5340DK_B0.nsib
    assert (layout.images, layout.otp, layout.others) == (NRF5340DK_B0.images, NRF5340DK_B0.otp, ())
    without = read_layout(table, "nsib", with_nsib=False)
    assert (without.nsib, without.otp) == (None, OTP)
    assert [region.name for region in without.others] == ["b0", "s1"]


def test_two_names_of_one_place_are_one_region() -> None:
    layout = read_layout(
        STAGED.replace(b"0x100000, region", b"0xff000, region").replace(b"size: 0x7a000}\notp", b"size: 0x79000}\notp")
        + b"a: {address: 0xff000, size: 0x1000}\nb: {address: 0xff000, size: 0x1000}\n",
        "two",
    )
    assert [region.name for region in layout.others] == ["a"]
