"""``update`` by serial recovery of an application in two halves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import StepError
from smpdfu.virtual.server.serial_recovery import RecoveryBuild
from tests.dfu.replacing_bench import BY_RECOVERY, cut, run

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker
    from tests.dfu.modes_stage import Stage
else:
    from modes_stage import Stage


@pytest.mark.parametrize("found_there", [False, True])
@pytest.mark.parametrize("name", ["split", "split-no-net"])
def test_every_part_goes_to_its_number(make: Maker, tmp_path: Path, name: str, found_there: bool) -> None:
    stage = Stage(make, name, tmp_path)
    stage.device.recovery_build = RecoveryBuild(params=False)
    if found_there:
        stage.device.enter_recovery()
    _, steps = run(stage.device, stage.package(), tmp_path / "j", BY_RECOVERY)
    assert steps[0].startswith("upload " if found_there else "enter-recovery ")
    assert stage.runs("2.0.0"), steps


@pytest.mark.parametrize("after", [2, 20, 60])
def test_power_that_goes_between_the_parts_is_made_up_for(make: Maker, tmp_path: Path, after: int) -> None:
    stage = Stage(make, "split", tmp_path)
    stage.device.recovery_build = RecoveryBuild(params=False)
    stage.device.recovers = True
    with pytest.raises(StepError, match="could not"), cut(stage.device, after):
        run(stage.device, stage.package(), tmp_path / "j", BY_RECOVERY)
    if stage.version is None:
        stage.device.enter_recovery()
    run(stage.device, stage.package(), tmp_path / "j", BY_RECOVERY)
    assert stage.runs("2.0.0")
