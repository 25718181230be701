"""Updates in the modes that swap nothing, and of several image pairs: killed, without power, not well, refused."""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client
from smpdfu.dfu.decide.record import DONE, FAILED, REVERTED
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.update import Update
from smpdfu.dfu.package.package import Package
from smpdfu.errors import DeviceError, LinkError, LinkLostError, RevertedError, SmpdfuError, StepError
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.boot.result import Ending
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Tear
from smpdfu.virtual.server.groups.image import ConfirmsOthers
from tests.dfu.dfu_device import KilledError, MortalJournal, client_of
from tests.dfu.modes_stage import CAN_REVERT, DEVICES, Stage
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

TEST, CONFIRM, UPLOAD = Policy.TEST_AND_CONFIRM, Policy.CONFIRM_ONLY, Policy.UPLOAD_ONLY
ENOUGH_CALLS = 4
"""A call may only find that a trial is over, and the next one begins it again."""


async def sick(client: Client) -> None:
    raise LinkLostError("the sensor does not answer")


def finish(stage: Stage, version: str) -> None:
    """Call until it is done."""
    errors: list[SmpdfuError] = []
    while read_record(stage.journal).end != DONE:
        assert len(errors) < ENOUGH_CALLS, errors
        try:
            stage.update(stage.package(version))
        except (
            StepError,
            RevertedError,
            DeviceError,
        ) as error:  # the firmware refuses a torn mark, and erases the slot
            errors.append(error)
    assert stage.runs(version), stage.listed
    assert not any("pending" in line for line in stage.listed)


# --- killed ---------------------------------------------------------------------------------------------------------


def killed_at(stage: Stage, life: int) -> bool:
    with MortalJournal(stage.journal) as journal:
        journal.life = life
        try:
            stage.try_update(stage.package(), journal)
        except KilledError:
            return True
    return False


@pytest.mark.parametrize("resets", [0, 1, 2])
@pytest.mark.parametrize("name", DEVICES)
def test_killed_at_every_entry_the_next_calls_finish(make: Maker, tmp_path: Path, name: str, resets: int) -> None:
    """Whatever the journal saw last, and however often the device was switched off and on meanwhile."""
    lives = 0
    while True:
        folder = tmp_path / str(lives)
        folder.mkdir()
        stage = Stage(make, name, folder)
        if not killed_at(stage, lives):
            break
        lives += 1
        marked = {"test external", "test app"} & read_record(stage.journal).steps
        if (name, resets, marked) == ("split", 2, {"test external"}):
            continue  # preflight warned ("not-tied"): the network core's image comes before it
        for _ in range(resets):
            stage.device.reset()
        assert stage.version in ("1.0.0", "2.0.0")
        finish(stage, "2.0.0")
    assert lives > 7


# --- the power goes -------------------------------------------------------------------------------------------------


def cut_at(stage: Stage, operation: int, tear: Tear) -> None:
    """The power goes at this flash operation of an update, and comes back."""
    power = stage.device.chip.power
    power.cut_after, power.tear = operation, tear
    with Journal(stage.journal) as journal, suppress(StepError, RevertedError, DeviceError, LinkError):
        stage.try_update(stage.package(), journal)
    power.cut_after = None
    stage.device.reset()


@pytest.mark.parametrize("tear", [Tear.CLEAN, Tear.UPPER])
@pytest.mark.parametrize("name", DEVICES)
def test_without_power_in_between_the_next_calls_finish(make: Maker, tmp_path: Path, name: str, tear: Tear) -> None:
    (tmp_path / "whole").mkdir()
    whole = Stage(make, name, tmp_path / "whole")
    before = whole.device.chip.power.operations
    whole.update(whole.package())
    operations = whole.device.chip.power.operations - before
    step = max(operations // 24, 1)
    for cut in range(0, operations, step):
        (tmp_path / str(cut)).mkdir()
        stage = Stage(make, name, tmp_path / str(cut))
        cut_at(stage, cut, tear)
        assert stage.version in ("1.0.0", "2.0.0"), cut
        assert stage.half_version in (None, stage.version), cut
        finish(stage, "2.0.0")


# --- not well -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEVICES)
def test_what_is_not_well_goes_back_where_that_is_possible(make: Maker, tmp_path: Path, name: str) -> None:
    stage = Stage(make, name, tmp_path)
    if name in CAN_REVERT:
        with pytest.raises(RevertedError, match=r"fails its check .*; it was not confirmed"):
            stage.update(stage.package(), health=sick)
        assert stage.runs("1.0.0")
        assert read_record(stage.journal).end == REVERTED
        finish(stage, "2.0.0")
        return
    why = "starts the highest version" if name in ("direct-xip", "ram-load") else "overwrites"
    with pytest.raises(StepError, match=f"the bootloader {why}, so the device cannot go back") as caught:
        stage.update(stage.package(), health=sick)
    assert caught.value.resumable
    assert stage.version == "2.0.0"
    stage.update(stage.package("3.0.0"))
    assert stage.runs("3.0.0")


# --- refused --------------------------------------------------------------------------------------------------------

STRANGER = generate("ecdsa-p256")


@pytest.mark.parametrize("name", ["direct-xip", "direct-xip-revert", "ram-load"])
def test_an_image_by_another_key_is_erased_and_told(make: Maker, tmp_path: Path, name: str) -> None:
    stage = Stage(make, name, tmp_path)
    with pytest.raises(RevertedError, match=r"the bootloader did not take|was tried and did not last") as caught:
        stage.update(stage.package(key=STRANGER))
    assert caught.value.ran is (None if name == "direct-xip-revert" else False)
    assert stage.runs("1.0.0")
    finish(stage, "2.0.0")


@pytest.mark.parametrize("policy", [TEST, CONFIRM])
def test_a_half_that_cannot_be_confirmed_goes_back_with_the_other_one(
    make: Maker, tmp_path: Path, policy: Policy
) -> None:
    """As builds are by default. What is to be permanent at once is refused before anything is marked."""
    stage = Stage(make, "split-no-net", tmp_path, ConfirmsOthers.NONE)
    if policy is CONFIRM:
        with pytest.raises(DeviceError, match="IMAGE_CONFIRMATION_DENIED"):
            stage.update(stage.package(), policy)
    else:
        with pytest.raises(RevertedError, match=r"does not let smpdfu confirm image 1, .* previous firmware again"):
            stage.update(stage.package(), policy)
        assert read_record(stage.journal).end == REVERTED
    assert stage.runs("1.0.0")


@pytest.mark.parametrize("name", ["split-no-net", "split-no-net-overwrite"])
@pytest.mark.parametrize("confirms", ConfirmsOthers)
def test_what_cannot_be_confirmed_is_told_before(
    make: Maker, tmp_path: Path, confirms: ConfirmsOthers, name: str
) -> None:
    """Asked without writing anything; of a bootloader that overwrites, nothing needs a confirmation."""
    stage = Stage(make, name, tmp_path, confirms)
    before = stage.device.chip.power.operations

    async def look() -> list[str]:
        with Journal(stage.journal) as journal:
            async with client_of(stage.device) as client:
                return [one.code for one in (await Update(client, stage.package(), journal).look()).findings]

    told = "confirm-denied" in simulate(look())
    assert told is (confirms is not ConfirmsOthers.ANY and name == "split-no-net")
    assert stage.device.chip.power.operations == before


def test_firmware_that_confirms_all_of_its_images_needs_no_confirmation(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, "split-no-net", tmp_path, ConfirmsOthers.NONE)

    async def confirms_all(client: Client) -> None:
        for slots in stage.device.images:
            slots.primary.set_confirmed()

    stage.update(stage.package(), health=confirms_all)
    assert stage.runs("2.0.0")


def test_firmware_that_confirms_its_application_alone_is_not_restarted(make: Maker, tmp_path: Path) -> None:
    """Its half in external flash would go back alone, and it would not start again."""
    stage = Stage(make, "split-no-net", tmp_path, ConfirmsOthers.NONE)

    async def confirms_one(client: Client) -> None:
        stage.device.images[0].primary.set_confirmed()

    with pytest.raises(StepError, match=r"Do not restart the device before its firmware") as caught:
        stage.update(stage.package(), health=confirms_one)
    assert not caught.value.resumable
    assert read_record(stage.journal).end == FAILED
    assert (stage.version, stage.half_version) == ("2.0.0", "2.0.0")
    stage.device.images[1].primary.set_confirmed()
    assert stage.update(stage.package()) == []
    assert stage.runs("2.0.0")


@pytest.mark.parametrize("tied", [True, False])
def test_a_reset_between_the_confirmations_breaks_halves_that_are_not_tied(
    make: Maker, tmp_path: Path, tied: bool
) -> None:
    """The one moment that no order of steps avoids; with a dependency, both go back."""
    for life in count(1):
        (tmp_path / str(life)).mkdir()
        stage = Stage(make, "split-no-net", tmp_path / str(life), tied=tied)
        assert killed_at(stage, life)
        if "confirm external" in read_record(stage.journal).steps:
            break
    stage.device.reset()
    assert stage.device.ending is (Ending.RUNS if tied else Ending.CRASH)
    assert stage.half_version == ("1.0.0" if tied else "2.0.0")
    if tied:
        finish(stage, "2.0.0")


# --- a part that is not taken ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [BootMode.MOVE, BootMode.OVERWRITE_ONLY])
def test_a_part_that_is_refused_is_told_with_what_runs(make: Maker, tmp_path: Path, mode: BootMode) -> None:
    """A pair of a project's own: its application runs without the new one. Where it can go back, it does."""
    stage = Stage(make, f"other-{mode}", tmp_path)
    app, _ = stage.images("2.0.0")
    refused = stage.other("2.0.0", key=STRANGER)
    text = "confirmed, and the device runs its previous" if mode is BootMode.MOVE else "runs version 2.0.0, and image 1"
    with pytest.raises(RevertedError, match=rf"did not take other\.bin and erased it.*{text}") as caught:
        stage.update(Package((app, refused)), wish={"force": True})
    assert caught.value.partly is (mode is BootMode.OVERWRITE_ONLY)
    assert stage.version == ("1.0.0" if mode is BootMode.MOVE else "2.0.0")
    assert stage.other_version == "1.0.0"
    finish(stage, "2.0.0")
    assert stage.other_version == "2.0.0"


@pytest.mark.parametrize("mode", [BootMode.MOVE, BootMode.OVERWRITE_ONLY])
def test_an_application_that_is_refused_takes_its_part_back(make: Maker, tmp_path: Path, mode: BootMode) -> None:
    stage = Stage(make, f"other-{mode}", tmp_path)
    _, other = stage.images("2.0.0")
    with pytest.raises(RevertedError, match=r"did not take app\.bin"):
        stage.update(Package((stage.app("2.0.0", key=STRANGER), other)), wish={"force": True})
    assert stage.version == "1.0.0"
    assert stage.other_version == ("1.0.0" if mode is BootMode.MOVE else "2.0.0")
    finish(stage, "2.0.0")
    assert stage.other_version == "2.0.0"
