"""MCUboot updates itself behind b0: what each loader does with each image, and power cuts at every flash operation.

Source: ``boot_validated_swap_type``, ``boot_swap_image`` and ``boot_copy_image`` of Nordic's ``loader.c``, and
``swap_nsib.c``, at the commits of ``loaders.releases``.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Version
from smpdfu.loaders.releases import LATEST, RELEASES, Release
from smpdfu.virtual.boot.bootloader import BootOptions, Ending
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Tear

if TYPE_CHECKING:
    from tests.virtual.b0_bench import STRANGER, B0Bench, Mcuboot
    from tests.virtual.virtual_bench import HEADER, firmware
else:
    from b0_bench import STRANGER, B0Bench, Mcuboot
    from virtual_bench import HEADER, firmware

BY_NAME = {release.name: release for release in RELEASES}
# A release of each way: swapped as any image, copied (before and after the loader was divided), the latest.
WAYS = ("2.5", "2.7", "2.8", "3.1", "3.2", "3.4.0", "3.5")
COPY_SINCE = BY_NAME["2.8"].version
SWAPPING = (BootMode.MOVE, BootMode.SCRATCH)
MODES = (*SWAPPING, BootMode.OVERWRITE_ONLY)

NEWER = Mcuboot(1, 2)
# What is sent, and what becomes of it: the slot that runs in the end, and the version in S1, None where it was not
# brought in. MCUboot 1 is in S0, and S1 is blank.
SENT: dict[str, tuple[Mcuboot, int, int | None]] = {
    "newer": (NEWER, 1, 2),
    "alike": (Mcuboot(1, 1), 0, 1),
    "older": (Mcuboot(1, 0), 0, 0),
    "sealed by a stranger": (Mcuboot(1, 2, seal=STRANGER), 0, 2),
    "not sealed": (Mcuboot(1, 2, seal=None), 0, 2),
    "damaged before it was signed": (Mcuboot(1, 2, damaged=3000), 0, 2),
    "signed by a stranger": (Mcuboot(1, 2, sign=STRANGER), 0, None),
    "for the slot that runs": (Mcuboot(0, 2), 0, None),
    "for no slot": (Mcuboot(1, 2, at=0x0003_0200), 0, None),
}


def restarts(release: Release, mode: BootMode) -> bool:
    """True for a loader that restarts the chip once it has brought MCUboot in; 2.7 does so in each mode."""
    copies = release.version >= COPY_SINCE and mode is not BootMode.OVERWRITE_ONLY
    return copies or release.name == "2.7"


def ready(mode: BootMode, release: Release = LATEST, sent: Mcuboot = NEWER) -> B0Bench:
    """A device that runs MCUboot 1 from S0 and has ``sent`` marked in its secondary slot."""
    bench = B0Bench(mode, release)
    assert bench.boot().mcuboot == 0
    bench.send(sent)
    return bench


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sent", SENT)
def test_what_becomes_of_an_image_of_mcuboot(sent: str, mode: BootMode, name: str) -> None:
    release, (image, slot, version) = BY_NAME[name], SENT[sent]
    bench = ready(mode, release, image)
    first, found = bench.boot(), bench.settle()
    assert (found.mcuboot, found.ending, found.running and found.running.header.version) == (
        slot,
        Ending.RUNS,
        Version(1),
    )
    assert (bench.version(0), bench.version(1)) == (1, version)
    assert first.mcuboot_updated is (version is not None)
    # With a loader that does not restart, the new MCUboot is started at the next reset.
    assert first.mcuboot == (slot if restarts(release, mode) else 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("sent", "name", "left"),
    [
        ("newer", "2.5", "gone"),
        ("newer", "3.5", "gone"),
        ("for the slot that runs", "2.7", "pending"),
        ("for the slot that runs", "2.8", "erased"),
        ("for the slot that runs", "3.5", "erased"),
        ("for no slot", "2.7", "pending"),
        ("for no slot", "3.5", "pending"),
        ("signed by a stranger", "2.7", "erased"),
        ("signed by a stranger", "3.5", "erased"),
    ],
)
def test_what_is_left_in_the_secondary_slot(sent: str, name: str, left: str, mode: BootMode) -> None:
    bench = ready(mode, BY_NAME[name], SENT[sent][0])
    bench.settle()
    secondary = bench.slots.secondary
    assert (secondary.trailer().magic == "good") is (left == "pending")
    assert (secondary.header() is not None) is (left == "pending")
    assert bench.is_blank("secondary") or left != "erased"


@pytest.mark.parametrize("mode", MODES)
def test_each_slot_is_updated_from_the_other_one(mode: BootMode) -> None:
    bench = ready(mode)
    for version in (2, 3, 4):
        slot = 1 - version % 2
        bench.send(Mcuboot(slot, version))
        found = bench.settle()
        assert (found.mcuboot, bench.version(slot), bench.counted) == (slot, version, version)
    # The variant for the slot that runs is refused in S1, too.
    bench.send(Mcuboot(1, 9))
    assert (bench.settle().mcuboot, bench.version(1)) == (1, 4)


def test_a_copy_fills_all_of_the_slot_and_erases_the_secondary_one() -> None:
    bench = ready(BootMode.MOVE)
    image = bench.image_of(NEWER)
    found = bench.boot()
    assert (found.mcuboot, found.mcuboot_updated) == (1, True)
    assert bench.area(1).read_all() == image.ljust(bench.area(1).size_bytes, b"\xff")
    assert bench.is_blank("secondary")
    assert "I: Starting swap using nsib algorithm." in bench.log


def test_the_application_is_updated_as_without_b0() -> None:
    for mode in MODES:
        bench = B0Bench(mode)
        bench.boot()
        bench.upload(bench.app_image(2, 5000, version=Version(2)), permanent=True)
        found = bench.settle()
        assert found.running is not None
        assert (found.running.header.version, found.mcuboot, bench.version(1)) == (Version(2), 0, None)


def test_an_application_on_trial_reverts_behind_b0() -> None:
    bench = B0Bench()
    bench.upload(bench.app_image(2, 5000, version=Version(2)))
    versions = [found.running and found.running.header.version for found in (bench.boot(), bench.boot())]
    assert versions == [Version(2), Version(1)]


def test_the_network_core_is_updated_behind_b0() -> None:
    bench = B0Bench()
    bench.boot()
    bench.upload(bench.net_image(3))
    assert (bench.boot().net_updated, bench.settle().mcuboot) == (True, 0)


def test_swap_using_offset_does_not_find_mcuboot() -> None:
    """It reads the reset vector at the slot's start, and the image lies one sector behind."""
    bench = ready(BootMode.OFFSET)
    assert (bench.settle().mcuboot, bench.version(1)) == (0, None)
    assert bench.slots.secondary.trailer().magic == "good"


# What downgrade prevention of a loader that overwrites compares: the image's version with the header in the inactive
# slot, and with that of the running MCUboot (since NCS 2.8); nothing where the inactive slot is blank.
@pytest.mark.parametrize(
    ("name", "inactive", "sent", "taken"),
    [
        ("3.5", None, 0, True),
        ("3.5", 2, 3, True),
        ("3.5", 4, 3, False),
        ("3.5", 1, 2, False),
        ("2.7", 1, 2, True),
    ],
)
def test_downgrade_prevention_by_the_versions_in_the_headers(
    name: str, inactive: int | None, sent: int, taken: bool
) -> None:
    bench = B0Bench(BootMode.OVERWRITE_ONLY, BY_NAME[name], options=BootOptions(downgrade_prevention=True))
    bench.write("primary", bench.app_image(1, 5000, version=Version(0)))
    bench.install(Mcuboot(0, 5, signed=3))
    if inactive is not None:
        bench.install(Mcuboot(1, 1, signed=inactive))
    bench.boot()
    bench.send(Mcuboot(1, 6, signed=sent))
    found = bench.settle()
    assert (found.mcuboot == 1) is taken
    assert any("nsufficient version" in line for line in bench.log) is not taken


@pytest.mark.parametrize(("name", "taken"), [("2.6", False), ("2.7", True), ("3.5", True)])
def test_loaders_that_swap_leave_a_downgrade_of_mcuboot_to_nsib(name: str, taken: bool) -> None:
    bench = B0Bench(release=BY_NAME[name], options=BootOptions(downgrade_prevention=True))
    bench.boot()
    bench.install(Mcuboot(1, 1, signed=9))
    bench.send(Mcuboot(1, 2, signed=2))
    assert (bench.settle().mcuboot == 1) is taken


def test_a_mark_without_firmware_for_anyone_does_not_disturb() -> None:
    bench = B0Bench()
    bench.upload(bench.image(firmware(4, 0x0100_0000 - 0x1000 + HEADER, 5000)))
    assert (bench.settle().mcuboot, bench.version(1)) == (0, None)


# --- power cuts ------------------------------------------------------------------------------------------------------


@cache
def operations(mode: BootMode, name: str) -> int:
    """How many flash operations the boot makes that installs MCUboot."""
    bench = ready(mode, BY_NAME[name])
    before = bench.chip.power.operations
    bench.boot()
    return bench.chip.power.operations - before


def is_half(bench: B0Bench) -> bool:
    """True if the inactive slot has a header and not the end of the image: where a copy was cut."""
    slot = bench.area(1)
    image = bench.image_of(NEWER)
    begun = slot.read(0, 4) == image[:4]
    return begun and slot.read(0, len(image))[-8:] != image[-8:]


@pytest.mark.parametrize(
    ("mode", "name"),
    [(BootMode.OVERWRITE_ONLY, name) for name in ("2.5", "2.8", "3.5")] + [(mode, "2.5") for mode in SWAPPING],
)
@pytest.mark.parametrize("tear", Tear)
def test_a_cut_leaves_a_device_that_runs(mode: BootMode, name: str, tear: Tear) -> None:
    """At every operation. A swap that is continued may end with a new MCUboot that b0 has marked as invalid."""
    bench = ready(mode, BY_NAME[name])
    eve, ran = bench.contents(), set()
    for cut in range(operations(mode, name)):
        bench.restore(eve)
        bench.boot_cut(cut, tear=tear)
        found = bench.settle()
        assert found.ending is Ending.RUNS, cut
        assert found.mcuboot == (1 if bench.refusals[1] is None and bench.version(1) == 2 else 0), cut
        ran.add(found.mcuboot)
    # A swap using move brings the header before the rest, so that b0 finds it half done; using scratch it comes last.
    assert ran == ({0, 1} if mode is BootMode.MOVE else {1})


@pytest.mark.parametrize("name", ["2.8", "3.4.0", "3.5"])
@pytest.mark.parametrize("mode", SWAPPING)
@pytest.mark.parametrize("tear", Tear)
def test_a_cut_in_a_copy_stops_mcuboot_while_the_slot_has_half_an_image(mode: BootMode, name: str, tear: Tear) -> None:
    """b0 starts MCUboot after every cut; but it reads where the image in the inactive slot ends, and asserts that.

    So the device stays at an assertion after a cut between the first bytes of the header and the last of the TLVs, and
    only then; every other cut ends as no cut.
    """
    bench = ready(mode, BY_NAME[name])
    eve, stopped = bench.contents(), []
    for cut in range(operations(mode, name)):
        bench.restore(eve)
        bench.boot_cut(cut, tear=tear)
        half = is_half(bench)
        found = bench.settle()
        assert found.mcuboot is not None, cut
        assert found.ending is (Ending.ASSERT if half else Ending.RUNS), cut
        assert (found.mcuboot, bench.version(1)) == (1, 2) or half, cut
        if half:
            stopped.append(cut)
            assert found.mcuboot == 0
            assert 'assertion "rc == 0" failed' in bench.log
    assert stopped == list(range(stopped[0], stopped[-1] + 1))  # one stretch of the copy


def test_a_device_that_stopped_runs_again_once_its_secondary_slot_is_erased() -> None:
    """As serial recovery does it, which MCUboot enters before it looks at images."""
    bench = ready(BootMode.MOVE)
    bench.boot_cut(6)
    assert bench.settle().ending is Ending.ASSERT
    bench.slots.secondary.area.erase_all()
    assert (bench.settle().ending, bench.settle().mcuboot) == (Ending.RUNS, 0)


@pytest.mark.parametrize("name", ["2.5", "3.5"])
@pytest.mark.parametrize("mode", [BootMode.OVERWRITE_ONLY, BootMode.MOVE])
def test_a_cut_in_the_recovery_from_a_cut(mode: BootMode, name: str) -> None:
    """Two cuts at every pair of operations: b0 always has a MCUboot to start."""
    bench = ready(mode, BY_NAME[name])
    eve, count = bench.contents(), operations(mode, name)
    for first, second in product(range(0, count, 2), range(0, count, 3)):
        bench.restore(eve)
        bench.boot_cut(first, second)
        found = bench.settle()
        assert found.mcuboot is not None, (first, second)
        if mode is BootMode.OVERWRITE_ONLY:
            assert (found.ending, found.mcuboot) == (Ending.RUNS, 1), (first, second)


@pytest.mark.parametrize("mode", MODES)
def test_a_cut_while_a_bad_mcuboot_comes_in_leaves_the_old_one(mode: BootMode) -> None:
    bench = ready(mode, sent=SENT["sealed by a stranger"][0])
    eve = bench.contents()
    before = bench.chip.power.operations
    bench.boot()
    for cut in range(bench.chip.power.operations - before):
        bench.restore(eve)
        bench.boot_cut(cut)
        assert bench.settle().mcuboot == 0, cut
