"""A fleet whose package has a variant for each slot, or several images for one core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.fleet.schedule import Outcome
from tests.dfu.modes_stage import Stage
from tests.dfu.test_dfu_fleet import Bench, fleet_of

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker


def test_each_device_gets_the_variant_for_its_free_slot(make: Maker, tmp_path: Path) -> None:
    stages = {name: Stage(make, "direct-xip", tmp_path / name) for name in ("zero", "one")}
    for stage in stages.values():
        stage.folder.mkdir()
    stages["one"].update(stages["one"].package("1.5.0"))
    package = stages["zero"].package()
    here = Bench(tmp_path, {name: stage.device for name, stage in stages.items()}, package)
    schedule = here.run(fleet_of(list(stages)))
    assert schedule.outcomes == {"zero": Outcome.DONE, "one": Outcome.DONE}
    runs = {name: stage.device.running for name, stage in stages.items()}
    assert {name: slot and slot.slot for name, slot in runs.items()} == {"zero": 1, "one": 0}
    assert all(stage.runs("2.0.0") for stage in stages.values())
    ends = [event for event in here.events if event["event"] == "end"]
    assert [event["wanted"] for event in ends] == [{"app": "2.0.0"}, {"app": "2.0.0"}]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("split", {"app": "2.0.0", "net": "2.0.0", "external": "2.0.0"}),
        ("other-swap-move", {"app": "2.0.0", "other 1": "2.0.0"}),
    ],
)
def test_every_image_is_noted(make: Maker, tmp_path: Path, name: str, wanted: dict[str, str]) -> None:
    stage = Stage(make, name, tmp_path)
    here = Bench(tmp_path, {"a": stage.device}, stage.package())
    assert here.run(fleet_of(["a"])).outcomes["a"].good
    assert stage.runs("2.0.0")
    ends = [event for event in here.events if event["event"] == "end"]
    assert [event["wanted"] for event in ends] == [wanted]
