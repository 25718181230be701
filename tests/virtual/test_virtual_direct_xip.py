"""Direct XIP, without and with revert: which slot is started, and what is left of both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.loaders.releases import RELEASES, Release
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.boot.build import AddressCheck, build_of
from smpdfu.virtual.boot.security_counters import SecurityCounters
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import PowerCut, Tear
from smpdfu.virtual.chip.layout import OTP

if TYPE_CHECKING:
    from tests.virtual.modes_bench import State, bench_in, device_of, ended, image_of, left, mark, put
    from tests.virtual.virtual_bench import DECRYPTION, SIGNING, Bench, small_layout
else:
    from modes_bench import State, bench_in, device_of, ended, image_of, left, mark, put
    from virtual_bench import DECRYPTION, SIGNING, Bench, small_layout

# What a boot makes of both slots. Source: loader.c of nrfconnect/sdk-mcuboot e994ef4e, the line at the end of each row
# (b: bootutil_loader.c).
ROWS = [
    # primary, secondary, which slot runs or how it ends, what is left of both
    (State(1), None, 0, "1", "-"),  # 2880
    (State(1), State(2), 1, "1", "2"),  # 2886: the higher version
    (State(2), State(1), 0, "2", "1"),  # 2886
    (State(1), State(1), 0, "1", "1"),  # 2886: only a greater one takes the place
    (State(1), State(1, build=9), 0, "1", "1"),  # b 289: the build number does not count
    (None, State(1), 1, "-", "1"),  # 2877
    (None, None, "no image", "-", "-"),  # 3050
    (State(1, rom_fixed=0), State(2, rom_fixed=1), 1, "1", "2"),  # 607
    (State(1), State(2, linked=0, rom_fixed=0), 0, "1", "2"),  # 607, 3067: skipped and left alone
    (State(1, rom_fixed=1), State(2, rom_fixed=0), "no image", "1", "2"),  # 607
    (State(1), State(2, linked=0), "crash", "1", "2"),  # 607: without the flag nobody looks
    (State(1), State(2, signed=False), 0, "1", "-"),  # 820
    (State(2, signed=False), State(1), 1, "-", "1"),  # 820, ARE_SLOTS_EQUIVALENT: the primary slot, too
    (State(1, signed=False), State(2, signed=False), "no image", "-", "-"),  # 820, 3050
    (State(1), State(2, bootable=False), 0, "1", "2"),  # 691
    (State(1), State(2, encrypt=DECRYPTION), 0, "1", "2"),  # b 146: no image for this build
    (State(1), State(2, marks="bad"), 1, "1", "2 bad"),  # no trailer is read
    (State(1), State(2, marks="magic copy_done"), 1, "1", "2 magic copy_done"),
]


@pytest.mark.parametrize(("primary", "secondary", "runs", "first", "second"), ROWS)
def test_a_boot_starts_the_higher_version_in_its_slot(
    primary: State | None, secondary: State | None, runs: int | str, first: str, second: str
) -> None:
    bench = bench_in(BootMode.DIRECT_XIP)
    put(bench, 0, primary)
    put(bench, 1, secondary)
    assert ended(bench.boot()) == runs
    assert [left(slot) for slot in bench.slots.places] == [first, second]


OK = "magic copy_done image_ok"
# The same with revert.
REVERT_ROWS = [
    (State(1, OK), None, 0, f"1 {OK}", "-"),
    (State(1, "magic image_ok"), None, 0, f"1 {OK}", "-"),  # 2992: a confirmed image of a programmer
    (State(1), None, "no image", "-", "-"),  # 2963: without magic it is erased
    (State(1, OK), State(2), 0, f"1 {OK}", "-"),  # 2963
    (State(1, OK), State(2, "bad"), 0, f"1 {OK}", "-"),  # 2963
    (State(1, OK), State(2, "magic"), 1, f"1 {OK}", "2 magic copy_done"),  # 2992
    (State(1, OK), State(2, "magic copy_done"), 0, f"1 {OK}", "-"),  # 2964: nobody confirmed it
    (State(1, OK), State(2, OK), 1, f"1 {OK}", f"2 {OK}"),
    (State(2, "magic copy_done"), State(1, OK), 1, "-", f"1 {OK}"),  # 2964: in the primary slot as well
    (State(2), State(1), "no image", "-", "-"),  # 2963, twice
    (State(2, OK), State(1), 0, f"2 {OK}", "1"),  # 3044: the lower version is not looked at
    (State(1, OK), State(2, "magic", signed=False), 0, f"1 {OK}", "-"),  # 820
    (State(1, OK), State(2, "magic copy_done", linked=0, rom_fixed=0), 0, f"1 {OK}", "2 magic copy_done"),  # 3064
    (State(1, OK), State(2, "magic", linked=0), "crash", f"1 {OK}", "2 magic copy_done"),
    (State(1, OK), State(2, "magic", bootable=False), 0, f"1 {OK}", "2 magic copy_done"),  # 691 behind 3074
]


@pytest.mark.parametrize(("primary", "secondary", "runs", "first", "second"), REVERT_ROWS)
def test_with_revert_a_boot_starts_the_higher_version_that_may_be_started(
    primary: State | None, secondary: State | None, runs: int | str, first: str, second: str
) -> None:
    bench = bench_in(BootMode.DIRECT_XIP_REVERT)
    put(bench, 0, primary)
    put(bench, 1, secondary)
    assert ended(bench.boot()) == runs
    assert [left(slot) for slot in bench.slots.places] == [first, second]


def test_an_image_that_crashes_is_erased_by_the_next_boot() -> None:
    bench = bench_in(BootMode.DIRECT_XIP_REVERT)
    put(bench, 0, State(1, OK))
    put(bench, 1, State(2, "magic", linked=0))
    assert [ended(bench.boot()) for _ in range(2)] == ["crash", 0]
    assert left(bench.slots.secondary) == "-"


@pytest.mark.parametrize("release", [one for one in RELEASES if one.version in ((2, 7, 0), (2, 8, 0))], ids=str)
def test_old_loaders_erase_an_encrypted_image_that_newer_ones_pass_over(release: Release) -> None:
    """boot_is_header_valid: no word of encryption in daf2946a (NCS 2.7), IS_ENCRYPTED in 4594a869 (NCS 2.8)."""
    bench = bench_in(BootMode.DIRECT_XIP, loader=Loader(release))
    put(bench, 0, State(1))
    put(bench, 1, State(2, encrypt=DECRYPTION))
    assert ended(bench.boot()) == 0
    assert left(bench.slots.secondary) == ("2" if release.version >= (2, 8, 0) else "-")


@pytest.mark.parametrize("check", [AddressCheck.HEADER, AddressCheck.VECTOR])
def test_an_address_check_knows_the_primary_slot_only_and_erases_the_other_image(check: AddressCheck) -> None:
    """loader.c:906: the bounds are those of the primary slot, in these modes as well."""
    bench = bench_in(BootMode.DIRECT_XIP, check_address=check)
    put(bench, 0, State(1, rom_fixed=0))
    put(bench, 1, State(2, rom_fixed=1))
    assert ended(bench.boot()) == 0
    assert left(bench.slots.secondary) == "-"


def test_a_build_that_checks_the_header_does_not_see_an_image_without_address() -> None:
    bench = bench_in(BootMode.DIRECT_XIP, check_address=AddressCheck.HEADER)
    put(bench, 0, State(1))
    assert ended(bench.boot()) == "no image"
    assert left(bench.slots.primary) == "1"


# --- security counters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "marks", "stored"),
    [
        (BootMode.DIRECT_XIP, "", 7),  # loader.c:3146
        (BootMode.DIRECT_XIP_REVERT, "magic", 0),  # loader.c:3140: not on trial
        (BootMode.DIRECT_XIP_REVERT, OK, 7),
    ],
)
def test_the_counter_of_what_stays_is_remembered(mode: BootMode, marks: str, stored: int) -> None:
    bench = bench_in(mode, rollback_protection=True)
    bench = Bench(replace(bench.layout, otp=OTP), bench.keys)
    bench.write("primary", bench.app_image(1, security_counter=7))
    mark(bench.slots.primary, marks)
    assert ended(bench.boot()) == 0
    assert SecurityCounters(bench.chip.bus.area(OTP), 1).read(0) == stored


def test_an_image_below_the_counter_is_erased() -> None:
    bench = bench_in(BootMode.DIRECT_XIP, rollback_protection=True)
    bench = Bench(replace(bench.layout, otp=OTP), bench.keys)
    for counter, ending in ((7, 0), (6, "no image")):
        bench.write("primary", bench.app_image(1, security_counter=counter))
        assert ended(bench.boot()) == ending
    assert left(bench.slots.primary) == "-"


def test_without_room_for_the_counter_nothing_is_started() -> None:
    bench = bench_in(BootMode.DIRECT_XIP, rollback_protection=True)
    bench = Bench(replace(bench.layout, otp=OTP), bench.keys)
    bench.chip.bus.area(OTP).program(0, (1).to_bytes(4, "little") * (OTP.size_bytes // 4))
    bench.write("primary", bench.app_image(1, security_counter=7))
    assert ended(bench.boot()) == "no image"
    assert "E: Security counter update failed after image 0 validation" in bench.log


# --- builds that there are not ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [BootMode.DIRECT_XIP, BootMode.DIRECT_XIP_REVERT])
def test_what_mcuboot_is_not_built_with_is_refused(mode: BootMode) -> None:
    layout = small_layout().in_mode(mode)
    with pytest.raises(ValueError, match="cannot decrypt"):
        build_of(layout, BootKeys((SIGNING.public,), DECRYPTION))
    with pytest.raises(ValueError, match="no downgrade prevention"):
        build_of(layout, bench_in(BootMode.MOVE, downgrade_prevention=True).keys)


# --- power cuts -------------------------------------------------------------------------------------------------------


CUT_ROWS = [
    (BootMode.DIRECT_XIP, State(1), State(2)),
    (BootMode.DIRECT_XIP, State(1), State(2, signed=False)),
    (BootMode.DIRECT_XIP, State(2, signed=False), State(1)),
    (BootMode.DIRECT_XIP_REVERT, State(1, OK), State(2, "magic")),
    (BootMode.DIRECT_XIP_REVERT, State(1, OK), State(2, "magic copy_done")),
    (BootMode.DIRECT_XIP_REVERT, State(1, OK), State(2, "magic", signed=False)),
    (BootMode.DIRECT_XIP_REVERT, State(2, "magic copy_done"), State(1, OK)),
]


@pytest.mark.parametrize("tear", Tear)
@pytest.mark.parametrize(("mode", "primary", "secondary"), CUT_ROWS)
def test_a_cut_at_any_operation_leaves_an_image_that_starts(
    mode: BootMode, primary: State, secondary: State, tear: Tear
) -> None:
    def fresh() -> Bench:
        bench = bench_in(mode)
        put(bench, 0, primary)
        put(bench, 1, secondary)
        return bench

    whole = fresh()
    before = whole.app.power.operations
    whole.boot()
    for operation in range(whole.app.power.operations - before):
        bench = fresh()
        bench.app.power.cut_after, bench.app.power.tear = operation, tear
        with pytest.raises(PowerCut):
            bench.boot()
        assert ended(bench.boot()) in (0, 1), (operation, bench.log[-3:])


# --- the debugger -----------------------------------------------------------------------------------------------------


def test_a_debugger_writes_an_image_into_the_slot_that_it_is_linked_for() -> None:
    for mode, marks in ((BootMode.DIRECT_XIP, ""), (BootMode.DIRECT_XIP_REVERT, f" {OK}")):
        bench = bench_in(mode)
        device = device_of(bench)
        device.load_app(image_of(bench, 0, State(1)))
        device.load_app(image_of(bench, 1, State(2)))
        result = device.reset()
        assert result is not None
        assert ended(result) == 1
        assert [left(slot) for slot in device.images[0].places][1] == f"2{marks}"


def test_what_is_no_image_is_written_into_the_primary_slot() -> None:
    device = device_of(bench_in(BootMode.DIRECT_XIP))
    device.load_app(b"no image")
    assert left(device.images[0].primary) == "?"
