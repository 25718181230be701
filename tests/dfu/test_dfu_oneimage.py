"""What ``upload`` does with one image: every mode of the bootloader, every pair, every slot; nothing is sent here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.update.loader import mode_name
from smpdfu.dfu.bootloader_modes import SWAP_MODES
from smpdfu.dfu.decide.announcement import announcement
from smpdfu.dfu.decide.device_state import mode_of
from smpdfu.dfu.decide.one_image import Left, Wanted, Way, make_job, read_back
from smpdfu.dfu.decide.steps.next_step import NextStep, how_to_start
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.errors import PlanError
from smpdfu.image.format import Flag
from smpdfu.image.trailer import SwapMode
from smpdfu.smp.groups.image import ImageSlot, SlotInfoImage, SlotInfoSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import BOTH, IDLE, OLD

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

# enum mcuboot_mode of MCUboot's boot_status.h, in order.
MODES = (
    "SINGLE_APP",
    "SWAP_USING_SCRATCH",
    "OVERWRITE_ONLY",
    "SWAP_WITHOUT_SCRATCH",
    "DIRECT_XIP",
    "DIRECT_XIP_WITH_REVERT",
    "RAM_LOAD",
    "FIRMWARE_LOADER",
    "SINGLE_APP_RAM_LOAD",
    "SWAP_USING_OFFSET",
)


def test_the_numbers_of_the_modes_are_mcuboots() -> None:
    assert [int(BootloaderMode[name]) for name in MODES] == list(range(10))
    assert {int(mode) for mode in BootloaderMode} == set(range(-1, 10))
    assert mode_of(10) is BootloaderMode.UNKNOWN
    assert mode_name(10) == "mode 10"
    assert {int(mode): swap for mode, swap in SWAP_MODES.items()} == {
        1: SwapMode.SCRATCH,
        2: SwapMode.OVERWRITE_ONLY,
        3: SwapMode.MOVE,
        9: SwapMode.OFFSET,
    }


WAYS = {
    None: Way.TRIAL,
    -1: Way.TRIAL,
    0: Way.ONE_SLOT,
    1: Way.TRIAL,
    2: Way.PERMANENT,
    3: Way.TRIAL,
    4: Way.HIGHER_VERSION,
    5: Way.TRIAL,
    6: Way.HIGHER_VERSION,
    7: Way.ONE_SLOT,
    8: Way.ONE_SLOT,
    9: Way.TRIAL,
}


@pytest.mark.parametrize(("number", "way"), WAYS.items(), ids=str)
def test_each_mode_has_its_way_and_says_it(make: Maker, number: int | None, way: Way) -> None:
    state, image = replace(IDLE, mode=mode_of(number)), make.image()
    if number in (0, 7, 8):
        with pytest.raises(PlanError, match=r"the application runs, and .* replaces it: nothing was written"):
            make_job(image, state, Wanted(confirm=True))
        if number != 7:
            return
        state = replace(state, slots=(replace(OLD, active=False, confirmed=False),))
    job = make_job(image, state, Wanted(confirm=True))
    assert (job.way, job.slot, job.left) == (way, 0 if way is Way.ONE_SLOT else 1, Left.ALL)
    assert "restart" in announcement(job, image, state)
    assert announcement(make_job(image, state, Wanted()), image, state) == ""
    tests = way in (Way.TRIAL, Way.PERMANENT)
    assert (how_to_start(image, state, job) is NextStep.MARK) == (tests and number not in (None, -1))
    if tests:
        assert make_job(image, state, Wanted(test=True)).way is Way.TEST
        return
    with pytest.raises(PlanError, match="cannot try an image: nothing was written"):
        make_job(image, state, Wanted(test=True))


def test_every_mode_is_in_that_table() -> None:
    assert set(WAYS) == {None, *map(int, BootloaderMode)}


@pytest.mark.parametrize("marks", [True, None])
def test_a_device_that_takes_marks_gets_a_trial(make: Maker, marks: bool | None) -> None:
    state = replace(IDLE, mode=None)
    assert make_job(make.image(), state, Wanted(confirm=True), takes_marks=marks).way is Way.TRIAL


@pytest.mark.parametrize("mode", [None, BootloaderMode.UNKNOWN])
def test_one_that_takes_none_boots_the_higher_version(make: Maker, mode: BootloaderMode | None) -> None:
    state = replace(IDLE, mode=mode)
    assert make_job(make.image(), state, Wanted(confirm=True), takes_marks=False).way is Way.HIGHER_VERSION
    for version in ("1.0.0", "0.9.9", "1.0.0+5"):
        with pytest.raises(PlanError, match=r"1\.0\.0 runs, .* nothing was written"):
            make_job(make.image(version=version), state, Wanted(confirm=True), takes_marks=False)


def test_what_the_device_tells_goes_before_what_it_answers(make: Maker) -> None:
    assert make_job(make.image(), IDLE, Wanted(confirm=True), takes_marks=False).way is Way.TRIAL


# --- pairs -----------------------------------------------------------------------------------------------------------


def sealed_up(make: Maker, core: Core, address: int | None = None) -> PackageImage:
    """An encrypted image: its header has the address of its slot, or nothing tells its core."""
    image = PackageImage.from_bytes(make.data(core, encrypted=True), "image.bin")
    flags = image.image.header.flags & ~Flag.ROM_FIXED | (0 if address is None else Flag.ROM_FIXED)
    return replace(
        image, image=replace(image.image, header=replace(image.image.header, load_addr=address or 0, flags=flags))
    )


@pytest.mark.parametrize("core", list(Core))
def test_two_pairs(make: Maker, core: Core) -> None:
    right, image = int(core is Core.NET), make.image(Role(core))
    for asked in (None, right):
        assert make_job(image, BOTH, Wanted(image=asked)).image == right
    with pytest.raises(PlanError, match=f"nothing was written. Send it to image {right}"):
        make_job(image, BOTH, Wanted(image=1 - right, force=True))
    address = 0x0100_8800 if core is Core.NET else 0xC000
    assert make_job(sealed_up(make, core, address), BOTH, Wanted()).image == right


def test_an_image_that_tells_nothing_needs_a_number_where_there_are_two_pairs(make: Maker) -> None:
    image = sealed_up(make, Core.NET)
    with pytest.raises(PlanError, match="Choose image 0 for the application, image 1 for the network core"):
        make_job(image, BOTH, Wanted())
    assert make_job(image, BOTH, Wanted(image=1)).image == 1
    assert make_job(image, IDLE, Wanted()).image == 0


def test_a_device_without_slot_info_must_not_be_guessed(make: Maker) -> None:
    state, image = replace(IDLE, sizes=()), make.image(Role.NET)
    with pytest.raises(PlanError, match=r"Choose image 1 if it has .*, else image 0"):
        make_job(image, state, Wanted())
    assert [make_job(image, state, Wanted(image=number)).image for number in (0, 1)] == [0, 1]
    assert make_job(make.image(), state, Wanted()).image == 0


# --- slots -----------------------------------------------------------------------------------------------------------


def test_where_it_goes_and_where_it_is(make: Maker) -> None:
    image = make.image()
    second = replace(OLD, slot=1)
    state = replace(IDLE, slots=(second,))
    job = make_job(image, state, Wanted())
    assert job.slot == 0
    there = ImageSlot(slot=1, version="2.0.0", hash=image.hash, bootable=True)
    assert read_back(image, replace(IDLE, slots=(OLD, there)), job) == 1
    assert read_back(image, state, job) == 0
    ran = make_job(image, replace(state, mode=BootloaderMode.RAM_LOAD), Wanted(confirm=True))
    runs = replace(there, active=True, confirmed=True)
    assert read_back(image, replace(state, slots=(OLD, runs)), ran) == 1


def test_a_slot_that_runs_takes_no_upload(make: Maker) -> None:
    for runs in (0, 1):
        state = replace(IDLE, slots=(replace(OLD, slot=runs),))
        with pytest.raises(PlanError, match=f"into slot {runs}, which it runs from; nothing was written"):
            make_job(make.image(), state, Wanted(slot=runs))


def test_a_device_with_one_slot(make: Maker) -> None:
    sizes = (SlotInfoImage(image=0, slots=(SlotInfoSlot(slot=0, size=0x7A000, upload_image_id=0),)),)
    state = replace(IDLE, slots=(), sizes=sizes, mode=BootloaderMode.FIRMWARE_LOADER)
    for wanted in (Wanted(), Wanted(confirm=True)):
        job = make_job(make.image(), state, wanted)
        assert (job.slot, job.number, job.replaces) == (0, 0, True)
