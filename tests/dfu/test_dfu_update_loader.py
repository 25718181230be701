"""``update`` on a device whose application is replaced by a firmware loader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.do.replacing.reach import Reach
from smpdfu.dfu.do.update import Wish
from smpdfu.dfu.package.images import Role
from smpdfu.errors import ImageError, PlanError, StepError
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.boot.build import BootOptions, Entrance
from tests.dfu.conftest import Maker
from tests.dfu.replacing_bench import (
    cut,
    killed_at,
    of_application,
    of_the_other,
    run,
    version,
    with_loader,
)

if TYPE_CHECKING:
    from smpdfu.dfu.package.package import Package
    from smpdfu.virtual.device import VirtualNrf5340

STEPS = ["enter-loader app", "upload app", "reset app", "check app"]
UNASKED = Wish(force=True)


@pytest.fixture
def package(make: Maker) -> Package:
    return make.package(make.image(size=9000))


def loader_is_whole(device: VirtualNrf5340) -> bool:
    """A device that can be repaired: the loader is there, and starts when it is asked for."""
    device.button_held = True
    device.reset()
    device.button_held = False
    runs = device.is_loader(device.running)
    device.reset()
    return runs


def test_the_application_is_replaced_and_a_second_call_does_nothing(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = with_loader(make)
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, done.proven, version(device)) == (STEPS, True, "2.0.0")
    assert device.running is not None
    assert device.running.slot == 0
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, done.changed, done.proven) == ([], False, True)


def test_a_device_that_is_in_its_loader_is_not_restarted_first(make: Maker, package: Package, tmp_path: Path) -> None:
    device = with_loader(make)
    device.images[0].primary.area.erase_all()
    device.reset()
    assert device.is_loader(device.running)
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, done.proven, version(device)) == (STEPS[1:], True, "2.0.0")


def test_both_answer_at_addresses_of_their_own(make: Maker, package: Package, tmp_path: Path) -> None:
    device = with_loader(make)
    reach = Reach(of_application(device), of_the_other(device))
    done, steps = run(device, package, tmp_path / "j", reach=reach)
    assert (steps, done.proven, version(device)) == (STEPS, True, "2.0.0")
    device.images[0].primary.area.erase_all()
    device.reset()
    reach = Reach(of_application(device), of_the_other(device))
    done, steps = run(device, package, tmp_path / "j", reach=reach)
    assert (steps, done.proven, version(device)) == (STEPS[1:], True, "2.0.0"), "the journal of the first is old"


def test_a_loader_that_is_not_found_is_said_and_nothing_is_written(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = with_loader(make)
    with pytest.raises(StepError, match="another address or another serial port there, name it") as failed:
        run(device, package, tmp_path / "j", reach=Reach(of_application(device)))
    assert failed.value.resumable
    done, steps = run(device, package, tmp_path / "j", reach=Reach(of_application(device), of_the_other(device)))
    assert (steps, done.proven, version(device)) == (STEPS[1:], True, "2.0.0")


def test_firmware_without_boot_modes_is_left_as_it_is(make: Maker, package: Package, tmp_path: Path) -> None:
    device = with_loader(make, options=BootOptions(entrances=(Entrance.BUTTON, Entrance.NO_APPLICATION)))
    before = device.images[0].primary.area.read_all()
    with pytest.raises(PlanError, match="hold the pin of the firmware loader while you restart the device") as refused:
        run(device, package, tmp_path / "j")
    assert "Nothing was written" in str(refused.value)
    assert (version(device), device.images[0].primary.area.read_all()) == ("1.0.0", before)
    device.button_held = True
    device.reset()
    device.button_held = False
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, done.proven, version(device)) == (STEPS[1:], True, "2.0.0")


def test_an_application_without_a_list_is_installed_and_cannot_be_checked(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = with_loader(make, serves_images=False)
    done, steps = run(device, package, tmp_path / "j")
    assert (steps, done.proven, version(device)) == (STEPS, False, "2.0.0")
    assert done.proof is not None
    assert "does not list its images" in done.proof.reason


def test_an_image_that_the_bootloader_does_not_start_leaves_the_loader(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    stranger = Maker(generate("ecdsa-p256"), make.encryption)
    device = with_loader(make)
    with pytest.raises(ImageError, match="stays in its firmware loader"):
        run(device, stranger.package(stranger.image()), tmp_path / "j")
    assert device.is_loader(device.running)
    done, _ = run(device, package, tmp_path / "j")
    assert (done.proven, version(device)) == (True, "2.0.0")


@pytest.mark.parametrize("forced", [False, True])
def test_a_network_image_is_refused_or_left_out(make: Maker, tmp_path: Path, forced: bool) -> None:
    device = with_loader(make)
    both = make.package()
    if not forced:
        with pytest.raises(PlanError, match="no steps that install it"):
            run(device, both, tmp_path / "j")
        assert version(device) == "1.0.0"
        return
    done, steps = run(device, both, tmp_path / "j", UNASKED)
    assert (steps, version(device)) == (STEPS, "2.0.0")
    assert both.image(Role.NET) is not None
    assert done.proven is False, "of the network core nothing is known"


@pytest.mark.parametrize("written", [False, True])
def test_a_tool_that_dies_at_any_entry_is_continued(
    make: Maker, package: Package, tmp_path: Path, written: bool
) -> None:
    life = 0
    while True:
        device, path = with_loader(make), tmp_path / str(life)
        if not killed_at(device, package, path, life, written=written):
            break
        done, _ = run(device, package, path)
        assert (done.proven, version(device)) == (True, "2.0.0"), life
        life += 1
    assert life >= 2 * len(STEPS)


def test_power_that_goes_at_any_time_leaves_a_device_that_is_updated_by_the_next_call(
    make: Maker, package: Package, tmp_path: Path
) -> None:
    device = with_loader(make)
    before = device.chip.power.operations
    run(device, package, tmp_path / "whole")
    whole = device.chip.power.operations - before
    for after in sorted({0, 1, whole // 3, whole // 2, whole - 2}):
        device, path = with_loader(make), tmp_path / str(after)
        with pytest.raises(StepError), cut(device, after):
            run(device, package, path)
        assert loader_is_whole(device)
        done, _ = run(device, package, path)
        assert (done.proven, version(device)) == (True, "2.0.0"), after
