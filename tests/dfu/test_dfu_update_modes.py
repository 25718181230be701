"""Updates where the bootloader swaps nothing, and of several image pairs: to the end, by each policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.checks.demands import check_trust
from smpdfu.dfu.decide.device_state import Past
from smpdfu.dfu.decide.record import DONE
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.package.images import Core
from smpdfu.dfu.package.package import Package
from smpdfu.errors import PlanError
from tests.dfu.modes_stage import DEVICES, OTHER_MODES, Stage

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker

TEST, CONFIRM, UPLOAD = Policy.TEST_AND_CONFIRM, Policy.CONFIRM_ONLY, Policy.UPLOAD_ONLY
NO_MARKS = ["upload app", "reset app", "check app"]
TRIAL = ["upload app", "test app", "reset app", "check app", "confirm app"]
HALVES = ["upload external", "upload app", "test external", "test app", "reset app", "check app", "check external"]
BOTH = ["confirm external", "confirm app"]
KEPT = ["upload external", "upload app", "keep external", "keep app", "reset app", "check app", "check external", *BOTH]
WITH_NET = ["upload net", *HALVES[:2], "test net", *HALVES[2:], *BOTH, "check net"]
STEPS = {
    ("direct-xip", TEST): NO_MARKS,
    ("direct-xip-revert", TEST): TRIAL,
    ("direct-xip-revert", CONFIRM): ["upload app", "keep app", *TRIAL[2:]],
    ("ram-load", TEST): NO_MARKS,
    ("split", TEST): WITH_NET,
    ("split-no-net", TEST): [*HALVES, *BOTH],
    ("split-no-net", CONFIRM): KEPT,
    ("split-no-net-overwrite", TEST): [*HALVES, *BOTH],
    ("split-no-net-overwrite", CONFIRM): KEPT,
    **{
        ("other-" + mode, policy): [step.replace("external", "other 1") for step in steps]
        for mode in OTHER_MODES
        for policy, steps in ((TEST, [*HALVES, *BOTH]), (CONFIRM, KEPT))
    },
}
NOT_KNOWN = {"split": ["upload net", "test net", "reset net", "check net"]}
"""Nothing tells whether a network core has its image that was overwritten in an update that ended."""


@pytest.fixture
def stage(make: Maker, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    return Stage(make, request.param, tmp_path)


@pytest.mark.parametrize("policy", [TEST, CONFIRM])
@pytest.mark.parametrize("stage", DEVICES, indirect=True)
def test_to_the_end_and_again_and_the_next_one(stage: Stage, policy: Policy) -> None:
    for version in ("2.0.0", "3.0.0"):
        package = stage.package(version)
        assert stage.update(package, policy) == STEPS.get((stage.name, policy), STEPS[stage.name, TEST])
        assert stage.runs(version), stage.listed
        assert read_record(stage.journal).end == DONE
        assert stage.update(package, policy) == NOT_KNOWN.get(stage.name, [])
        assert stage.runs(version)


@pytest.mark.parametrize("stage", DEVICES, indirect=True)
def test_what_is_only_sent_does_not_run_yet(stage: Stage) -> None:
    package = stage.package()
    uploads = [step for step in STEPS[stage.name, TEST] if step.startswith("upload")]
    assert stage.update(package, UPLOAD) == uploads
    assert stage.version == "1.0.0"
    stage.update(package)
    assert stage.runs("2.0.0")


@pytest.mark.parametrize("stage", ["direct-xip", "ram-load"], indirect=True)
def test_what_was_only_sent_starts_with_the_next_reset_where_the_version_decides(stage: Stage) -> None:
    stage.update(stage.package(), UPLOAD)
    stage.device.reset()
    assert stage.update(stage.package()) == []
    assert stage.runs("2.0.0")


@pytest.mark.parametrize("stage", ["direct-xip", "direct-xip-revert"], indirect=True)
def test_the_variant_for_the_other_slot_is_refused(stage: Stage) -> None:
    only_0, only_1 = (Package((image,)) for image in stage.images("2.0.0"))
    with pytest.raises(PlanError, match=r"app0\.bin is linked for slot 0, which runs") as caught:
        stage.update(only_0, wish={"force": False})
    assert caught.value.codes == ("wrong-slot",)
    stage.update(only_1)
    assert stage.runs("2.0.0")


@pytest.mark.parametrize("stage", ["direct-xip", "direct-xip-revert", "ram-load"], indirect=True)
def test_a_version_that_would_not_start_is_refused(stage: Stage) -> None:
    with pytest.raises(PlanError, match="its bootloader starts the highest version") as caught:
        stage.update(stage.package("0.9.0"))
    assert caught.value.codes[0] == "not-higher"
    assert len(stage.listed) == 1


def test_the_past_is_that_of_the_variant_that_runs(make: Maker, tmp_path: Path) -> None:
    stage = Stage(make, "direct-xip", tmp_path)
    package = stage.package()
    stage.update(package)
    assert Past.from_entry(read_record(stage.journal).past).app == package.images[1].hash


@pytest.mark.parametrize("name", ["direct-xip", "split-no-net"])
def test_variants_stay_together_until_a_device_chooses(make: Maker, tmp_path: Path, name: str) -> None:
    """A package with variants is whole until a device chooses: everything that needs no device takes it as it is."""
    package = Stage(make, name, tmp_path).package()
    check_trust(package.images, (make.key.public,))
    assert package.only(Core.APP).images == package.images
    assert len({image.part for image in package.images}) == (1 if name == "direct-xip" else 2)
