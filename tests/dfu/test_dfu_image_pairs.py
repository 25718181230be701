"""Packages whose images do not go with the device's image pairs: refused or warned of, before the device is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.decide.checks.preflight import preflight
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.one_image import Wanted
from smpdfu.dfu.decide.steps.plan import in_place, make_plan
from smpdfu.dfu.decide.steps.variants import for_device
from smpdfu.dfu.do.one_image import ImageRequest, install_one
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError, RevertedError
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.boot.result import Ending
from tests.dfu.dfu_device import client_of
from tests.dfu.modes_stage import Stage
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

Images = Callable[[Stage], tuple[PackageImage, ...]]
SPLITS = ("split", "split-no-net", "split-no-net-overwrite")


def entry(image: PackageImage, **how: Any) -> PackageImage:
    """The same, with another manifest entry."""
    return PackageImage.from_bytes(image.data, image.file, {**image.entry, **how})


def a_half(stage: Stage) -> PackageImage:
    """The half in external flash of another device."""
    folder = stage.folder / "other"
    folder.mkdir(exist_ok=True)
    return Stage(stage.make, "split-no-net", folder, tied=False).half("2.0.0")


def read(stage: Stage) -> DeviceState:
    async def call() -> DeviceState:
        async with client_of(stage.device) as client:
            return await read_state(client)

    return simulate(call())


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("internal", [True, False])
def test_one_half_alone_is_refused(make: Maker, tmp_path: Path, name: str, internal: bool) -> None:
    """A bootloader that overwrites would install it, and the device would not start again."""
    stage = Stage(make, name, tmp_path, tied=False)
    image = stage.app("2.0.0") if internal else stage.half("2.0.0")
    with pytest.raises(PlanError, match="is one half of an application, and the other half is not there"):
        stage.update(Package((image,)))
    assert stage.runs("1.0.0")


def upload(stage: Stage, image: PackageImage, wanted: Wanted) -> None:
    async def call() -> None:
        async with client_of(stage.device) as client:
            await install_one(client, ImageRequest(image, wanted))

    simulate(call())


@pytest.mark.parametrize(
    "name", ["app.internal.bin", "zephyr.internal.signed.bin", "app.internal.signed.encrypted.hex"]
)
def test_upload_confirms_no_half_alone(make: Maker, tmp_path: Path, name: str) -> None:
    stage = Stage(make, "split-no-net-overwrite", tmp_path)
    image = PackageImage.from_bytes(stage.app("2.0.0").data, name)
    with pytest.raises(PlanError, match="is one half of an application"):
        upload(stage, image, Wanted(confirm=True))
    assert stage.runs("1.0.0")


def test_upload_takes_a_half_whose_other_half_waits(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, "split-no-net-overwrite", tmp_path)
    half, app = (replace(one, entry={}) for one in (stage.half("2.0.0"), stage.app("2.0.0")))
    upload(stage, half, Wanted(image=1, test=True))
    upload(stage, app, Wanted(image=0, confirm=True))
    assert stage.runs("2.0.0")


def test_the_names_of_a_build_folder_tell_the_halves(make: Maker, tmp_path: Path) -> None:
    data = Stage(make, "split-no-net", tmp_path).half("2.0.0").data
    for file in ("app.external.bin", "zephyr.external.signed.bin", "zephyr.external.signed.encrypted.hex"):
        assert PackageImage.from_bytes(data, file).role is Role.EXTERNAL
    assert PackageImage.from_bytes(data, "external.bin").role is not Role.EXTERNAL


NUMBERS: dict[str, Images] = {
    "that is the application": lambda stage: (entry(a_half(stage), image_index="0"),),
    r"app1?\.bin goes there": lambda stage: (stage.images("2.0.0")[-1], entry(a_half(stage), image_index="0")),
    r"app\.external\.bin goes there": lambda stage: (
        stage.images("2.0.0")[-1],
        a_half(stage),
        replace(entry(a_half(stage), image_index="1"), role=Role.OTHER, file="patch.bin"),
    ),
}


@pytest.mark.parametrize("name", ["direct-xip", "direct-xip-revert"])
@pytest.mark.parametrize("why", NUMBERS)
def test_two_images_do_not_go_to_one_pair(make: Maker, tmp_path: Path, name: str, why: str) -> None:
    """Direct XIP would start the half as an application. No force gets past it."""
    stage = Stage(make, name, tmp_path)
    with pytest.raises(PlanError, match=f"goes to image [01], but {why}"):
        stage.update(Package(NUMBERS[why](stage)), wish={"force": True})
    assert stage.runs("1.0.0")


def test_a_build_without_the_network_pair_is_not_for_a_device_with_it(make: Maker, tmp_path: Path) -> None:
    """Its half in external flash would go to the network core, and the application would start without it."""
    stage = Stage(make, "split", tmp_path)
    with pytest.raises(PlanError, match=r"has image 2, and .* app\.external\.bin would go to the network core's image"):
        stage.update(Package((stage.app("2.0.0"), entry(stage.half("2.0.0"), image_index="1"))))
    assert stage.runs("1.0.0")


def test_a_network_image_where_the_half_lies_is_warned_of(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, "split-no-net-overwrite", tmp_path)

    found = preflight(Package((make.image(Role.NET),)), read(stage))
    (text,) = (one.message for one in found if one.code == "pair-taken")
    assert text.startswith("the device uses version 1.0.0 as image 1, where net_core_update.bin goes")
    assert stage.device.ending is Ending.RUNS


def test_what_is_left_out_is_not_taken_for_installed(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, "direct-xip", tmp_path)
    net, variants = make.image(Role.NET), stage.images("2.0.0")
    with pytest.raises(PlanError, match="nothing would be installed"):
        stage.update(Package((net,)), wish={"force": True})
    stage.update(Package(variants))
    package, state = for_device(Package((*variants, net)), read(stage))
    plan = make_plan(package, state)
    assert (plan.steps, plan.left_out, in_place(package, plan)) == ((), (net,), (package.image(Role.APP),))


def test_halves_by_two_keys_are_refused(make: Maker, tmp_path: Path) -> None:
    """The bootloader would erase one of them, and install the other one."""
    stage = Stage(make, "split-no-net-overwrite", tmp_path, tied=False)
    app = stage.app("2.0.0", key=generate("ecdsa-p256"))
    with pytest.raises(PlanError, match=r"app\.external\.bin is signed with another key than app\.internal\.bin"):
        stage.update(Package((app, stage.half("2.0.0"))))
    assert stage.runs("1.0.0")


def test_a_half_that_waits_alone_is_told(make: Maker, tmp_path: Path) -> None:
    """Its dependency does not hold it where a network image was before it: the next boot would install it."""
    stage = Stage(make, "split", tmp_path)
    package = stage.package(key=generate("ecdsa-p256"))
    with pytest.raises(RevertedError, match="Do not restart the device before that: image 2 would be installed"):
        stage.update(package, wish={"force": True})
    assert "2.1 2.0.0 pending" in stage.listed
    stage.update(stage.package())
    assert stage.runs("2.0.0")
