"""Updates where the bootloader swaps nothing, and of several image pairs: to the end, by each policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.record import DONE
from smpdfu.dfu.decide.rules import Policy
from smpdfu.dfu.do.journal.journal import read_record

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker
    from tests.dfu.modes_stage import DEVICES, OTHER_MODES, Stage
else:
    from modes_stage import DEVICES, OTHER_MODES, Stage

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
