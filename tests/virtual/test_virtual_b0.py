"""b0 on the application core: which MCUboot it starts, and what it leaves in flash and in OTP.

Sources: ``samples/bootloader/src/main.c``, ``bl_validation.c``, ``bl_storage.c`` and ``fw_info.c`` of sdk-nrf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from smpdfu.image.nsib.firmware_info import INFO_OFFSETS
from smpdfu.image.nsib.provision import CounterUse, Tokens
from smpdfu.loaders.releases import LATEST, RELEASES, UPSTREAM
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import BootKeys, BootOptions, Ending
from smpdfu.virtual.boot.build import build_of
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import PowerCut, Tear
from smpdfu.virtual.chip.layout import LAYOUTS

if TYPE_CHECKING:
    from tests.virtual.b0_bench import NEXT_SEALING, SEALING, STRANGER, B0Bench, Mcuboot, b0_layout
    from tests.virtual.virtual_bench import HEADER, SIGNING
else:
    from b0_bench import NEXT_SEALING, SEALING, STRANGER, B0Bench, Mcuboot, b0_layout
    from virtual_bench import HEADER, SIGNING

BY_NAME = {release.name: release for release in RELEASES}
SEALED_END = 6000
NO_INFO = "No fw_info struct found."
INVALID = "Firmware has been invalidated: 0x91020000."

# What is in S0 and in S1; the slot that b0 starts; why it refuses each of them, and the counter, after that.
Row = tuple[Mcuboot | None, Mcuboot | None, int | None, tuple[str | None, str | None], int]
STATES: dict[str, Row] = {
    "only S0": (Mcuboot(0, 1), None, 0, (None, NO_INFO), 1),
    "only S1": (None, Mcuboot(1, 1), 1, (NO_INFO, None), 1),
    "nothing": (None, None, None, (NO_INFO, NO_INFO), 0),
    "S1 is higher": (
        Mcuboot(0, 1),
        Mcuboot(1, 2),
        1,
        ("Firmware version (1) is smaller than monotonic counter (2).", None),
        2,
    ),
    "S0 is higher": (
        Mcuboot(0, 3),
        Mcuboot(1, 2),
        0,
        (None, "Firmware version (2) is smaller than monotonic counter (3)."),
        3,
    ),
    "both alike": (Mcuboot(0, 2), Mcuboot(1, 2), 0, (None, None), 2),
    "S1 is higher, by a stranger": (Mcuboot(0, 1), Mcuboot(1, 2, seal=STRANGER), 0, (None, INVALID), 1),
    "S1 is higher, without a seal": (Mcuboot(0, 1), Mcuboot(1, 2, seal=None), 0, (None, INVALID), 1),
    "S1 is higher, its code is damaged": (Mcuboot(0, 1), Mcuboot(1, 2, damaged=3000), 0, (None, INVALID), 1),
    "S1 is higher, its signature is damaged": (
        Mcuboot(0, 1),
        Mcuboot(1, 2, damaged=SEALED_END + 170),
        0,
        (None, INVALID),
        1,
    ),
    "S0 by a stranger, S1 is lower": (
        Mcuboot(0, 2, seal=STRANGER),
        Mcuboot(1, 1),
        1,
        (INVALID, None),
        1,
    ),
    "both by a stranger": (
        Mcuboot(0, 1, seal=STRANGER),
        Mcuboot(1, 2, seal=STRANGER),
        None,
        (INVALID, INVALID),
        0,
    ),
    # b0 does not ask for MCUboot's own signature.
    "signed by a stranger for MCUboot": (Mcuboot(0, 1), Mcuboot(1, 1, sign=STRANGER), 0, (None, None), 1),
}


def placed(row: Row) -> B0Bench:
    """A device with these two in its slots."""
    bench = B0Bench()
    for slot, made in enumerate(row[:2]):
        assert isinstance(made, Mcuboot | None)
        bench.area(slot).erase_all()
        if made is not None:
            bench.install(made)
    return bench


@pytest.mark.parametrize("name", STATES)
def test_b0_starts_the_higher_version_that_it_can_validate(name: str) -> None:
    bench = placed(STATES[name])
    _, _, slot, refusals, counted = STATES[name]
    found = bench.boot()
    assert (found.mcuboot, found.ending) == (slot, Ending.NO_BOOTLOADER if slot is None else Ending.RUNS)
    assert (bench.refusals, bench.counted) == (refusals, counted)
    before = bench.contents()
    assert bench.boot().mcuboot == slot
    assert bench.contents() == before


def test_firmware_that_is_linked_for_the_other_slot_does_not_point_to_itself() -> None:
    bench = B0Bench()
    bench.install(Mcuboot(1, 2, at=bench.nsib.s0.start + HEADER))
    assert bench.refusals[1] == "Firmware info doesn't point to itself."
    assert bench.boot().mcuboot == 0


@pytest.mark.parametrize("offset", INFO_OFFSETS)
def test_what_is_damaged_in_a_slot_is_never_started(offset: int) -> None:
    """A byte changed at each place of the firmware that is sealed, also where b0 looks for firmware info."""
    for at in (offset, offset + 4, offset + 17, offset + 21, offset + 25):
        if at >= SEALED_END:
            continue
        bench = B0Bench()
        bench.install(Mcuboot(1, 2, damaged=at))
        assert (bench.boot().mcuboot, bench.boot().ending) == (0, Ending.RUNS), at


def test_a_key_revokes_those_before_it_and_never_those_behind_it() -> None:
    bench = B0Bench(keys=(SEALING, NEXT_SEALING))
    assert bench.boot().mcuboot == 0
    assert [key.revoked for key in bench.data.keys] == [False, False]
    bench.install(Mcuboot(1, 2, seal=NEXT_SEALING))
    assert bench.boot().mcuboot == 1
    assert [key.revoked for key in bench.data.keys] == [True, False]
    bench.install(Mcuboot(0, 3))  # by the key that is revoked
    assert bench.boot().mcuboot == 1
    assert bench.refusals[0] == INVALID


def test_without_a_counter_an_older_version_starts() -> None:
    bench = B0Bench(counter_slots=0)
    bench.install(Mcuboot(1, 2))
    assert bench.boot().mcuboot == 1
    bench.area(1).erase_all()
    assert (bench.boot().mcuboot, bench.data.counter(CounterUse.NSIB)) == (0, None)


def test_a_counter_without_a_free_slot_keeps_newer_versions_from_starting() -> None:
    bench = B0Bench(counter_slots=2)
    for version in (2, 3):
        bench.boot()
        bench.install(Mcuboot(version % 2, version))
    assert (bench.boot().mcuboot, bench.counted) == (0, 2)
    assert "E: Failed during setting the monotonic counter, error: -12" in bench.log
    assert bench.refusals[1] is None  # it is not marked as invalid


def test_the_counter_has_the_slot_in_its_lowest_bit() -> None:
    """``set_monotonic_version``: the version in 15 bits, and 1 for S0, so that S1 can be followed by S0."""
    bench = B0Bench()
    bench.boot()
    bench.install(Mcuboot(1, 2))
    bench.boot()
    counter = bench.data.counter(CounterUse.NSIB)
    assert counter is not None
    assert counter.values == (1 << 1 | 1, 2 << 1)


@pytest.mark.parametrize(("name", "letter"), [("2.6", ""), ("3.5", "I: ")])
def test_the_lines_of_b0(name: str, letter: str) -> None:
    """As consoles of boards show them, in the documentation of the nRF Connect SDK (tfm_psa_template)."""
    bench = B0Bench(release=BY_NAME[name])
    digest = bench.data.keys[0].hash
    bench.boot()
    start = bench.nsib.s0.start + HEADER
    lines = [
        "Attempting to boot slot 0.",
        f"Attempting to boot from address 0x{start:x}.",
        *(["I: Trying to get Firmware version"] if letter else []),
        f"{letter}Verifying signature against key 0.",
        f"{letter}Hash: 0x{digest[0]:02x}...{digest[-1]:02x}",
        f"{letter}Firmware signature verified.",
        "Firmware version 1",
        f"{letter}Setting monotonic counter (version: 1, slot: 0)",
    ]
    assert bench.log[: len(lines)] == lines


def test_the_line_of_a_b0_that_starts_nothing() -> None:
    bench = placed(STATES["nothing"])
    bench.boot()
    assert bench.log == [
        "Attempting to boot slot 0.",
        NO_INFO,
        "Attempting to boot slot 1.",
        NO_INFO,
        "No bootable image found. Aborting boot.",
    ]


@pytest.mark.parametrize("cut", range(3))
@pytest.mark.parametrize("tear", Tear)
def test_a_cut_while_b0_writes_changes_nothing_in_the_end(cut: int, tear: Tear) -> None:
    """It marks S1 as invalid, and S0 revokes a key and raises the counter: three words."""
    bench = B0Bench(keys=(SEALING, NEXT_SEALING))
    bench.install(Mcuboot(0, 1, seal=NEXT_SEALING))
    bench.install(Mcuboot(1, 2, seal=STRANGER))
    power = bench.chip.power
    power.cut_after, power.tear = cut, tear
    with pytest.raises(PowerCut):
        bench.boot()
    assert bench.settle().mcuboot == 0
    assert (bench.refusals, bench.counted) == ((None, INVALID), 1)
    assert [key.revoked for key in bench.data.keys] == [True, False]


@pytest.mark.parametrize("damage", ["erased", "tokens of another b0"])
def test_b0_stops_at_data_that_it_cannot_read(damage: str) -> None:
    bench = B0Bench(release=BY_NAME["2.6"] if damage != "erased" else LATEST)
    if damage == "erased":
        bench.chip.flashes["uicr"].load({})
    else:
        other = B0Bench().data
        assert other.tokens is Tokens.NUMBERED
        bench.chip.flashes["uicr"].load(B0Bench().contents()["uicr"])
    assert (bench.boot().ending, bench.boot().mcuboot) == (Ending.NO_BOOTLOADER, None)


def test_what_no_mcuboot_behind_b0_is() -> None:
    def build(**options: object) -> None:
        build_of(b0_layout(), BootKeys((SIGNING.public,), options=BootOptions(**options)))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="cannot be started by b0"):
        build(loader=Loader(UPSTREAM))
    with pytest.raises(ValueError, match="class UUIDs"):
        build(app_class=bytes(16))


def test_the_layout_has_all_parts_of_nsib() -> None:
    """S0, S1 and the application as in the console of tfm_psa_template on an nRF5340 DK: 0x8200, 0x20000."""
    layout = LAYOUTS["nrf5340dk-b0"]
    assert [(region.name, region.start) for region in layout.regions] == [
        ("b0", 0x0),
        ("s0", 0x8000),
        ("s1", 0x1_4000),
        ("primary", 0x2_0000),
        ("secondary", 0x9_0000),
        ("provision", 0xFF_8100),
        ("otp", 0xFF_8380),
    ]
    assert (layout.is_staged, layout.mode) == (True, BootMode.MOVE)
