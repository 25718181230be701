"""``upload`` of one image to devices whose bootloader swaps nothing, and to those with more image pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.one_image import Wanted
from smpdfu.dfu.do.one_image import ImageEvent, ImageNote, ImageRequest, InstalledImage, install_one
from smpdfu.dfu.package.images import PackageImage
from smpdfu.errors import PlanError, RevertedError
from tests.dfu.dfu_device import PATIENT, client_of
from tests.dfu.modes_stage import Stage
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

UPLOAD, TEST, CONFIRM = Wanted(), Wanted(test=True), Wanted(confirm=True)
MODES = ("direct-xip", "direct-xip-revert", "ram-load")


def file_of(image: PackageImage) -> PackageImage:
    """As it is read from a file, without a manifest."""
    return PackageImage.from_bytes(image.data, image.file)


def install(stage: Stage, image: PackageImage, wanted: Wanted) -> tuple[InstalledImage, list[str]]:
    """What became of it, and the codes of the findings that were told."""
    told: list[str] = []

    def watch(event: ImageEvent) -> None:
        if isinstance(event, ImageNote) and event.finding is not None:
            told.append(event.finding.code)

    async def go() -> InstalledImage:
        async with client_of(stage.device) as client:
            return await install_one(client, ImageRequest(image, wanted, deadlines=PATIENT), watch)

    return simulate(go()), told


def app(stage: Stage, version: str = "2.0.0", slot: int = 1) -> PackageImage:
    return file_of(stage.app(version, slot if stage.name.startswith("direct") else None))


@pytest.mark.parametrize("name", MODES)
def test_confirm_brings_it_to_run_in_turns(make: Maker, tmp_path: Path, name: str) -> None:
    stage = Stage(make, name, tmp_path)
    for version, slot in (("2.0.0", 1), ("3.0.0", 0)):
        image = app(stage, version, slot)
        done, told = install(stage, image, CONFIRM)
        assert (done.running, done.proven, done.slot) == (True, True, slot)
        assert told == (["slot-unknown"] if name.startswith("direct") else [])
        assert done.reverts is (True if name == "direct-xip-revert" else None)
        again, _ = install(stage, image, CONFIRM)
        assert (again.changed, again.running) == (False, True)
        assert stage.runs(version)


@pytest.mark.parametrize("name", MODES)
def test_what_is_only_sent_is_listed_where_it_lies(make: Maker, tmp_path: Path, name: str) -> None:
    stage = Stage(make, name, tmp_path)
    done, _ = install(stage, app(stage), UPLOAD)
    assert (done.number, done.slot, done.running, stage.version) == (0, 1, False, "1.0.0")
    stage.device.reset()  # without marks, the highest version starts; with marks, it does not, and is erased
    assert stage.version == ("1.0.0" if name == "direct-xip-revert" else "2.0.0")


@pytest.mark.parametrize("name", MODES)
def test_a_test_is_for_those_that_take_marks(make: Maker, tmp_path: Path, name: str) -> None:
    stage = Stage(make, name, tmp_path)
    if name != "direct-xip-revert":
        with pytest.raises(PlanError, match="cannot try an image"):
            install(stage, app(stage), TEST)
        return
    done, _ = install(stage, app(stage), TEST)
    assert (done.marked, stage.listed[1]) == ("test", "0.1 2.0.0 pending")
    for version in ("2.0.0", "1.0.0"):
        stage.device.reset()
        assert stage.version == version


@pytest.mark.parametrize("name", MODES)
def test_a_version_that_would_not_start_is_refused(make: Maker, tmp_path: Path, name: str) -> None:
    stage = Stage(make, name, tmp_path)
    with pytest.raises(PlanError, match="starts the highest version"):
        install(stage, app(stage, "0.9.0"), CONFIRM)
    assert len(stage.listed) == 1


@pytest.mark.parametrize("name", ["direct-xip", "ram-load"])
def test_what_waits_is_replaced(make: Maker, tmp_path: Path, name: str) -> None:
    """Without marks, a slot that does not run is free, also for a lower version than the one in it."""
    stage = Stage(make, name, tmp_path)
    install(stage, app(stage, "3.0.0"), UPLOAD)
    done, _ = install(stage, app(stage, "2.0.0"), CONFIRM)
    assert done.running
    assert stage.runs("2.0.0")


def test_an_image_that_is_not_for_ram_is_refused(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, "ram-load", tmp_path)
    image = file_of(make.image())
    with pytest.raises(PlanError, match="flag RAM_LOAD"):
        install(stage, image, CONFIRM)
    with pytest.raises(RevertedError, match="did not take"):
        install(stage, image, Wanted(confirm=True, force=True))
    assert stage.runs("1.0.0")


@pytest.mark.parametrize(("name", "number"), [("split", 2), ("split-no-net", 1)])
def test_both_halves_one_after_the_other(make: Maker, tmp_path: Path, name: str, number: int) -> None:
    stage = Stage(make, name, tmp_path)
    half = file_of(stage.half("2.0.0"))
    assert half.role == "external"
    done, told = install(stage, half, Wanted(image=number))
    assert (done.number, done.slot) == (number, 1)
    assert "net-seal" not in told
    with pytest.raises(PlanError, match=r"Choose image"):
        install(stage, half, UPLOAD)
    with pytest.raises(PlanError, match=r"does not start with one half") as caught:
        install(stage, half, Wanted(image=number, confirm=True))
    assert caught.value.code == "half-alone"
    assert stage.runs("1.0.0")
    install(stage, half, Wanted(image=number, test=True))
    install(stage, replace(file_of(stage.app("2.0.0")), file="app.internal.bin"), Wanted(image=0, test=True))
    stage.device.reset()
    assert (stage.version, stage.half_version) == ("2.0.0", "2.0.0")


def test_a_half_is_known_by_the_name_that_the_build_gives_it(make: Maker, tmp_path: Path) -> None:
    half = Stage(make, "split", tmp_path).half("2.0.0")
    roles = {name: PackageImage.from_bytes(half.data, name).role for name in ("zephyr.external.signed.bin", "app.bin")}
    assert roles == {"zephyr.external.signed.bin": "external", "app.bin": "app"}
