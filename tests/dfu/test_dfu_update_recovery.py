"""``update`` by MCUboot's serial recovery: on a device with one slot, and on one that is found there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.do.replacing.reach import Reach
from smpdfu.dfu.do.update import Wish
from smpdfu.dfu.package.images import Role
from smpdfu.errors import ImageError, PlanError, StepError
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from tests.dfu.conftest import Maker
from tests.dfu.dfu_device import net_holds
from tests.dfu.replacing_bench import (
    BY_RECOVERY,
    PartOf,
    client,
    cut,
    killed_at,
    of_application,
    of_the_other,
    run,
    swapping,
    version,
    with_one_slot,
)

if TYPE_CHECKING:
    from smpdfu.dfu.package.package import Package

STEPS = ["enter-recovery app", "upload net", "upload app", "reset app", "check app", "check net"]
APP_STEPS = ["enter-recovery app", "upload app", "reset app", "check app"]
DIRECT = RecoveryBuild(params=False, slot_info=True)
PLAIN = RecoveryBuild(params=False, direct_upload=False)
OLD_NET = NRF5340DK_STAGED.net.app.start


@pytest.fixture
def package(make: Maker) -> Package:
    return make.package(make.image(size=9000), make.image(Role.NET, size=5000))


def has_both(device: VirtualNrf5340, package: Package) -> bool:
    net = package.image(Role.NET)
    assert net is not None
    return version(device) == "2.0.0" and net_holds(device, net)


# --- one slot -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [None, DIRECT], ids=["tells nothing", "slot info"])
def test_both_cores_are_replaced_and_a_second_call_does_nothing(
    make: Maker, package: Package, tmp_path: Path, build: RecoveryBuild | None
) -> None:
    device = with_one_slot(make, build=build)
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, has_both(device, package)) == (STEPS, True)
    assert done.proven is False, "nothing tells of the network core"
    assert done.proof is not None
    assert "does not report whether the network core took" in done.proof.reason
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, done.changed) == ([], False)
    done, steps = run(device, package, tmp_path / "j", Wish(again=True))
    assert steps == ["enter-recovery net", "upload net", "reset net", "check net"]
    assert has_both(device, package)


def test_the_application_alone_is_proven_by_its_hash(make: Maker, tmp_path: Path) -> None:
    device = with_one_slot(make, build=PLAIN)
    done, steps = run(device, make.package(make.image()), tmp_path / "j")
    assert (steps, done.proven, version(device)) == (APP_STEPS, True, "2.0.0")


@pytest.mark.parametrize("slot_info", [False, True])
def test_without_direct_upload_nothing_is_written_and_the_application_starts_again(
    make: Maker, package: Package, tmp_path: Path, slot_info: bool
) -> None:
    build = RecoveryBuild(params=False, direct_upload=False, slot_info=slot_info)
    device = with_one_slot(make, build=build)
    before = device.chip.app.read(0, 0xF_0000), device.net.read(OLD_NET, 0x8000)
    with pytest.raises(PlanError, match="it has no direct upload, or no such image") as refused:
        run(device, package, tmp_path / "j")
    assert "Nothing was written" in str(refused.value)
    assert (device.chip.app.read(0, 0xF_0000), device.net.read(OLD_NET, 0x8000)) == before
    device.finish_reset()
    assert version(device) == "1.0.0"


def test_firmware_without_boot_modes_is_left_as_it_is(
    make: Maker, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = with_one_slot(make)
    real = VirtualNrf5340._want_reset
    monkeypatch.setattr(VirtualNrf5340, "_want_reset", lambda self, boot_mode: real(self, 0))
    device = with_one_slot(make)
    with pytest.raises(PlanError, match="hold the recovery button while you restart the device") as refused:
        run(device, package, tmp_path / "j")
    assert "Nothing was written" in str(refused.value)
    assert version(device) == "1.0.0"
    device.enter_recovery()  # by its button
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, done.changed, has_both(device, package)) == (STEPS[1:], True, True), "the journal knows why"


def test_an_application_on_another_wire_needs_the_serial_port_of_the_bootloader(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = with_one_slot(make)
    done, steps = run(device, package, tmp_path / "j", reach=Reach(of_application(device), of_the_other(device)))
    assert (steps, done.changed, has_both(device, package)) == (STEPS, True, True)


# --- a device that is found there -----------------------------------------------------------------------------------


def test_a_device_that_is_found_in_recovery_is_updated_when_it_is_asked_for(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = swapping(make)
    device.enter_recovery()
    with pytest.raises(PlanError, match="where an upload overwrites what runs"):
        run(device, package, tmp_path / "j", Wish(force=True))
    done, steps = run(device, package, tmp_path / "j", BY_RECOVERY)
    assert (steps, has_both(device, package)) == (STEPS[1:], True)
    assert done.state.running is not None
    assert (done.state.running.slot, done.state.recovery) == (0, False)


def test_recovery_is_entered_where_it_is_asked_for(make: Maker, package: Package, tmp_path: Path) -> None:
    device = swapping(make)
    _, steps = run(device, package, tmp_path / "j", BY_RECOVERY)
    assert (steps, has_both(device, package)) == (STEPS, True)


def test_an_update_through_the_slot_that_stopped_is_begun_anew_by_recovery_and_the_reverse(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = swapping(make)
    assert killed_at(device, package, tmp_path / "j", 9, written=True)
    _, steps = run(device, package, tmp_path / "j", BY_RECOVERY)
    assert ([*steps[:2]], has_both(device, package)) == (STEPS[:2], True)
    newer = make.package(make.image(version="3.0.0"), make.image(Role.NET, version="3.0.0", mark=3))
    assert killed_at(device, newer, tmp_path / "j", 4, written=True, wish=BY_RECOVERY)
    device.reset()
    _, steps = run(device, newer, tmp_path / "j")
    assert steps[:2] == ["upload app", "test app"], "nobody asks for recovery any more"
    assert version(device) == "3.0.0"


def test_an_application_that_says_nothing_cannot_be_checked(make: Maker, tmp_path: Path) -> None:
    """Recovery is on the serial port, and the application has no SMP server there."""
    device = swapping(make)
    device.enter_recovery()
    mute = client(device, PartOf(device, lambda one: one.recovery is not None))
    done, steps = run(device, make.package(make.image()), tmp_path / "j", BY_RECOVERY, reach=Reach(mute))
    assert (steps, done.proven, version(device)) == (APP_STEPS[1:], False, "2.0.0")
    assert done.proof is not None
    assert "nothing answers at the application's address" in done.proof.reason


def test_an_image_that_the_bootloader_does_not_accept(make: Maker, package: Package, tmp_path: Path) -> None:
    stranger = Maker(generate("ecdsa-p256"), make.encryption)
    device = with_one_slot(make)
    with pytest.raises(ImageError, match="does not accept it"):
        run(device, stranger.package(stranger.image()), tmp_path / "j")
    assert device.recovery is not None
    done, steps = run(device, package, tmp_path / "j", BY_RECOVERY)
    assert (steps, done.changed, has_both(device, package)) == (STEPS[1:], True, True)


# --- interrupted ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [False, True])
def test_a_tool_that_dies_at_any_entry_is_continued(
    make: Maker, package: Package, tmp_path: Path, written: bool
) -> None:
    life = 0
    while True:
        device, path = with_one_slot(make), tmp_path / str(life)
        if not killed_at(device, package, path, life, written=written):
            break
        run(device, package, path)
        assert has_both(device, package), life
        life += 1
    assert life >= 2 * len(STEPS)


def test_power_that_goes_at_any_time_leaves_a_device_that_is_updated_by_the_next_call(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = with_one_slot(make)
    before = device.chip.power.operations
    run(device, package, tmp_path / "whole")
    whole = device.chip.power.operations - before
    for after in sorted({0, 1, whole // 4, whole // 2, 3 * whole // 4, whole - 2}):
        device, path = with_one_slot(make), tmp_path / str(after)
        with pytest.raises((StepError, PlanError)), cut(device, after):
            run(device, package, path)
        assert device.recovery is not None or version(device) in ("1.0.0", "2.0.0"), "it can be repaired"
        run(device, package, path)
        assert has_both(device, package), after


@pytest.mark.parametrize("life", [4, 6])
def test_another_board_is_noticed_when_its_application_answers(
    make: Maker, package: Package, tmp_path: Path, life: int
) -> None:
    """A bootloader tells no number of its chip; what the journal has of it is compared behind the reset."""
    first, other = with_one_slot(make), with_one_slot(make, number="fedcba9876543210")
    assert killed_at(first, package, tmp_path / "j", life, written=True)
    other.enter_recovery()
    with pytest.raises(StepError, match="is another one than before: its chip has the number fedcba9876543210"):
        run(other, package, tmp_path / "j")


def test_the_journal_of_another_board_proves_nothing(make: Maker, package: Package, tmp_path: Path) -> None:
    first, other = with_one_slot(make), with_one_slot(make, number="fedcba9876543210")
    run(first, package, tmp_path / "j")
    run(other, make.package(package.images[0]), tmp_path / "other")
    _, steps = run(other, package, tmp_path / "j")
    assert (steps[:2], has_both(other, package)) == (["enter-recovery net", "upload net"], True)
