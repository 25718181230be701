"""MCUboot's update of itself on a virtual device with b0: what runs then, what is said of it, and without power."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.evidence import Bootloader
from smpdfu.dfu.decide.proof_value import ProofSource
from smpdfu.dfu.decide.record import DONE, REVERTED
from smpdfu.dfu.decide.steps.rules import MCUBOOT, STAGED, Policy
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.update import Wish
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError, RevertedError, SmpdfuError, StepError
from smpdfu.image.nsib.trusted_keys import NsibKeys
from smpdfu.loaders.releases import LATEST, RELEASES, Release
from smpdfu.virtual.boot.bootloader import Ending
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Tear
from tests.dfu.dfu_device import SHORT, KilledError, MortalJournal, update
from tests.dfu.mcuboot_device import NUMBER, STRANGER, B0Device
from tests.dfu.mcuboot_images import mcuboot_image
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

ALL = [step.name for step in MCUBOOT]
OLD_RELEASE = next(one for one in RELEASES if one.name == "2.5")
MODES = [BootMode.MOVE, BootMode.OVERWRITE_ONLY]


def given(slot: int) -> Wish:
    return Wish(bootloader=Bootloader(active_b0_slot=slot))


# --- it works ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("runs", [0, 1])
def test_mcuboot_replaces_itself_and_b0_says_so(make: Maker, tmp_path: Path, mode: BootMode, runs: int) -> None:
    stage = B0Device(make, tmp_path, mode, runs)
    assert stage.update(stage.variants()) == ALL
    assert (stage.mcuboot, stage.version, stage.end) == ((1 - runs, 2), "1.0.0", DONE)
    assert stage.proof is not None
    assert (stage.proof.value, stage.proof.source) == (True, ProofSource.CONSOLE)
    assert stage.update(stage.variants()) == []
    assert stage.update(stage.variants(3)) == ALL
    assert stage.mcuboot == (runs, 3)


@pytest.mark.parametrize("mode", MODES)
def test_without_a_console_the_new_slot_proves_nothing(make: Maker, tmp_path: Path, mode: BootMode) -> None:
    """The device would report the same slot if b0 had refused the new MCUboot."""
    stage = B0Device(make, tmp_path, mode)
    assert stage.update(stage.variants(), console=False) == ALL
    assert (stage.mcuboot, stage.end) == ((1, 2), DONE)
    assert stage.proof is not None
    assert stage.proof.value is None
    assert "does not see whether b0 accepts" in stage.proof.doubt


def test_without_a_console_the_key_of_b0_proves_it(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path)
    knows = Wish(nsib=NsibKeys(b0=(make.key.public,)))
    with pytest.raises(PlanError) as error:
        stage.update(stage.variants(2, seal_key=STRANGER), knows, console=False)
    assert error.value.codes == ("seal",)
    assert stage.update(stage.variants(), knows, console=False) == ALL
    assert stage.mcuboot == (1, 2)
    assert stage.proof is not None
    assert (stage.proof.value, stage.proof.source) == (True, ProofSource.SEAL)


def test_a_bootloader_that_does_not_restart_after_the_copy(make: Maker, tmp_path: Path) -> None:
    """Before NCS 2.7: MCUboot swaps its update as any image and starts the application. The next boot is b0's."""
    stage = B0Device(make, tmp_path, release=OLD_RELEASE)
    assert stage.update(stage.variants()) == ALL
    assert stage.mcuboot == (1, 2)
    assert stage.proof is not None
    assert stage.proof.value is True


def test_swap_using_offset_is_refused_and_forced_it_stays_in_the_slot(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path, BootMode.OFFSET)
    with pytest.raises(PlanError, match="swaps using an offset") as error:
        stage.update(stage.variants())
    assert error.value.codes == ("mcuboot-offset",)
    with pytest.raises((RevertedError, StepError), match="still waits for the next boot"):
        stage.update(stage.variants(), Wish(force=True))
    assert (stage.mcuboot, stage.version) == ((0, 1), "1.0.0")


@pytest.mark.parametrize("console", [True, False])
def test_a_device_that_does_not_answer(make: Maker, tmp_path: Path, console: bool) -> None:
    stage = B0Device(make, tmp_path, tells=False)
    with pytest.raises(PlanError, match="Say which slot runs") as error:
        stage.update(stage.variants(), console=console)
    assert error.value.code == "b0-slot-unknown"
    assert not read_record(stage.journal).package
    assert stage.update(stage.variants(), given(0), console=console) == ALL
    assert stage.mcuboot == (1, 2)
    assert stage.proof is not None
    assert stage.proof.value is (True if console else None)
    assert stage.update(stage.variants(), given(0), console=console) == []


def whole(stage: B0Device) -> Package:
    """Images of both cores, and both files of MCUboot."""
    return Package((stage.app("2.0.0"), stage.make.image(Role.NET), *stage.variants().images))


def test_a_package_of_everything(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path)
    package = whole(stage)
    assert stage.update(package) == [step.name for step in STAGED] + ALL
    assert (stage.mcuboot, stage.version, stage.end) == ((1, 2), "2.0.0", DONE)
    assert stage.update(package) == []


def test_an_application_that_is_not_well_leaves_mcuboot_alone(make: Maker, tmp_path: Path) -> None:
    async def unwell(_: object) -> None:
        raise SmpdfuError("not well")

    stage = B0Device(make, tmp_path)
    with pytest.raises(RevertedError, match="fails its check"):
        stage.update(Package((stage.app("2.0.0"), mcuboot_image(make, 1))), health=unwell)
    assert (stage.mcuboot, stage.version) == ((0, 1), "1.0.0")


def test_only_sent_it_waits_for_nothing(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path)
    assert stage.update(stage.variants(), Wish(Policy.UPLOAD_ONLY)) == ALL[:1]
    stage.device.reset()
    assert stage.mcuboot == (0, 1)
    assert stage.update(stage.variants()) == ALL
    assert stage.mcuboot == (1, 2)


# --- it does not, and that is said ------------------------------------------------------------------------------------


def test_a_key_that_b0_does_not_have(make: Maker, tmp_path: Path) -> None:
    """MCUboot copies it, b0 refuses it for ever, and the device counts its version all the same."""
    stage = B0Device(make, tmp_path)
    with pytest.raises(RevertedError, match="b0 printed that it does not accept slot 1") as error:
        stage.update(stage.variants(2, seal_key=STRANGER))
    assert "the previous MCUboot runs" in str(error.value)
    assert (stage.mcuboot, stage.end) == ((0, 1), REVERTED)
    with pytest.raises(PlanError, match="reports slot 1 by its version, and in the last update b0 refused"):
        stage.update(stage.variants(3))
    assert stage.update(stage.variants(3), given(0)) == ALL
    assert stage.mcuboot == (1, 3)
    assert stage.proof is not None
    assert stage.proof.value is True
    assert stage.update(stage.variants(4)) == ALL
    assert stage.mcuboot == (0, 4)


def test_a_key_that_b0_does_not_have_and_no_console(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path)
    assert stage.update(stage.variants(2, seal_key=STRANGER), console=False) == ALL
    assert stage.mcuboot == (0, 1)
    assert stage.proof is not None
    assert stage.proof.value is None


@pytest.mark.parametrize("console", [True, False])
@pytest.mark.parametrize(("number", "counter"), [(1, 240), (0, 240), (1, 0)])
def test_a_version_that_is_not_higher(make: Maker, tmp_path: Path, number: int, counter: int, console: bool) -> None:
    stage = B0Device(make, tmp_path, counter_slots=counter)
    with pytest.raises(RevertedError, match="b0 did not start signed_by_mcuboot_and_b0_s1_image"):
        stage.update(stage.variants(number), console=console)
    assert (stage.mcuboot, stage.version, stage.end) == ((0, 1), "1.0.0", REVERTED)


def test_a_version_that_is_not_higher_is_known_after_a_proven_update(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path, number=NUMBER)
    stage.update(stage.variants(5))
    with pytest.raises(PlanError, match="by the journal version 5 runs") as error:
        stage.update(stage.variants(4))
    assert error.value.codes == ("mcuboot-version",)
    assert stage.mcuboot == (1, 5)


def test_a_key_that_mcuboot_does_not_have(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path)
    with pytest.raises(RevertedError, match="The device reports slot 0 as the active one"):
        stage.update(stage.variants(2, key=STRANGER), console=False)
    assert (stage.mcuboot, stage.end) == ((0, 1), REVERTED)


def test_the_wrong_slot_is_given(make: Maker, tmp_path: Path) -> None:
    """MCUboot erases an image for the slot that runs; the answer of the device was the same before."""
    stage = B0Device(make, tmp_path)
    with pytest.raises(RevertedError, match="MCUboot printed that the image is for the slot that runs"):
        stage.update(stage.variants(), given(1))
    (tmp_path / "mute").mkdir()
    mute = B0Device(make, tmp_path / "mute")
    assert mute.update(mute.variants(), given(1), console=False) == ALL
    assert mute.proof is not None
    assert (mute.proof.value, "before the update, too" in mute.proof.reason) == (None, True)
    for one in (stage, mute):
        assert (one.mcuboot, one.version) == ((0, 1), "1.0.0")
        assert one.update(one.variants()) == ALL
        assert one.mcuboot == (1, 2)


def test_the_file_for_the_other_slot_is_missing(make: Maker, tmp_path: Path) -> None:
    stage = B0Device(make, tmp_path)
    before = stage.device.chip.power.operations
    with pytest.raises(PlanError, match="the device needs the file for slot 1"):
        stage.update(Package((mcuboot_image(make, 0),)))
    assert stage.device.chip.power.operations == before


# --- without power, and without the tool ------------------------------------------------------------------------------


def cut_at(stage: B0Device, package: Package, operation: int, tear: Tear) -> None:
    """The power goes at this flash operation of an update, and comes back."""
    power = stage.device.chip.power
    power.cut_after, power.tear = operation, tear
    with suppress(SmpdfuError):
        stage.update(package, deadlines=SHORT)
    power.cut_after = None
    stage.device.reset()


def operations_of(make: Maker, folder: Path, mode: BootMode, release: Release) -> int:
    folder.mkdir()
    stage = B0Device(make, folder, mode, release=release)
    before = stage.device.chip.power.operations
    stage.update(stage.variants())
    return stage.device.chip.power.operations - before


@pytest.mark.parametrize("tear", [Tear.CLEAN, Tear.UPPER])
@pytest.mark.parametrize(
    ("mode", "release"),
    [(BootMode.MOVE, LATEST), (BootMode.OVERWRITE_ONLY, LATEST), (BootMode.OVERWRITE_ONLY, OLD_RELEASE)],
)
def test_without_power_at_any_flash_operation(
    make: Maker, tmp_path: Path, mode: BootMode, release: Release, tear: Tear
) -> None:
    """b0 starts a MCUboot each time, and the next call finishes.

    But builds that swap stop where the other slot has a header and no end of its image (``boot_read_image_size`` in
    ``boot_swap_image``, loader.c): between the first and the last bytes of the copy.
    """
    stopped = []
    total = operations_of(make, tmp_path / "whole", mode, release)
    for operation in range(total):
        folder = tmp_path / str(operation)
        folder.mkdir()
        stage = B0Device(make, folder, mode, release=release)
        cut_at(stage, stage.variants(), operation, tear)
        assert stage.mcuboot in ((0, 1), (1, 2)), operation
        if stage.device.ending is Ending.ASSERT:
            stopped.append(operation)
            continue
        assert stage.version == "1.0.0", operation
        stage.update(stage.variants())
        assert (stage.mcuboot, stage.version, stage.end) == ((1, 2), "1.0.0", DONE), operation
    assert len(stopped) <= (2 if mode is BootMode.MOVE else 0)
    assert stopped == [*range(stopped[0], stopped[0] + len(stopped))] if stopped else mode is not BootMode.MOVE


def test_a_device_that_stopped_is_said_to_stay_away(make: Maker, tmp_path: Path) -> None:
    for operation in range(operations_of(make, tmp_path / "whole", BootMode.MOVE, LATEST)):
        folder = tmp_path / str(operation)
        folder.mkdir()
        stage = B0Device(make, folder)
        cut_at(stage, stage.variants(), operation, Tear.CLEAN)
        if stage.device.ending is Ending.ASSERT:
            assert not read_record(stage.journal).end
            assert read_record(stage.journal).absent
            return
    raise AssertionError("no operation stopped it")


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("written", [True, False])
def test_killed_at_every_line_of_the_journal_the_next_call_finishes(
    make: Maker, tmp_path: Path, written: bool, everything: bool
) -> None:
    lives = 0
    while True:
        folder = tmp_path / str(lives)
        folder.mkdir()
        stage = B0Device(make, folder, number=NUMBER)
        with MortalJournal(stage.journal) as journal:
            journal.life, journal.written = lives, written
            try:
                package = whole(stage) if everything else stage.variants()
                simulate(update(stage.device, package, journal, wish=Wish()))
            except KilledError:
                pass
            else:
                break
        for _ in range(lives % 2):
            stage.device.reset()  # it may restart by itself meanwhile
        with suppress(RevertedError) if everything else nullcontext():  # a reset during the application's trial
            stage.update(package)
        stage.update(package)
        assert (stage.mcuboot, stage.version, stage.end) == ((1, 2), "2.0.0" if everything else "1.0.0", DONE), lives
        lives += 1
    assert lives > len(ALL)
