"""Every kind of build of an nRF5340, from its folder to the device: package, inspect, update, power cut, final state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from tests.build_folders import key_of
from tests.cli.device.build_kinds import NEW, NAME, NRF5340_KINDS, OLD, Bench

if TYPE_CHECKING:
    from tests.cli.conftest import Call

CUTS = {"early in the upload": 0.04, "in the uploads": 0.3, "in the middle": 0.55, "late": 0.8, "near the end": 0.97}
"""At which part of all flash operations of an update the power goes."""


@pytest.fixture
def bench(request: pytest.FixtureRequest, smpdfu: Call, tmp_path: Path, soon: None) -> Bench:
    """Of the kind that the test is for; its package is signed now."""
    made = Bench(smpdfu, request.param, tmp_path)
    made.pack_with_key()
    return made


each_kind = pytest.mark.parametrize("bench", NRF5340_KINDS, indirect=True)


@each_kind
def test_update(bench: Bench) -> None:
    bench.new()
    before = bench.state()
    assert before.application[0] == OLD
    done = bench.update()
    assert done.code == 0, done.err
    assert bench.state() == bench.wanted()
    again = bench.smpdfu("update", bench.package, "--to", "virtual:board", "--json")
    assert again.code == 0, again.err
    # Nothing proves what the network core of an overwriting bootloader with two image pairs runs: it gets its image again.
    unproven = {"net"} if bench.words.simultaneous else set()
    assert {step["core"] for step in json.loads(again.out)["steps"]} == unproven, again.out
    assert bench.state() == bench.wanted()


@each_kind
@pytest.mark.parametrize("where", CUTS)
def test_power_cut(bench: Bench, where: str) -> None:
    after = int(operations(bench) * CUTS[where])
    bench.new()
    bench.cut(after)
    codes = [bench.update(*IMPATIENT).code]
    assert not bench.is_armed()
    while codes[-1] and len(codes) < 4:
        codes.append(bench.update().code)
    assert codes[-1] == 0, codes
    assert bench.state() == bench.wanted()


# A device without power does not come back by itself: the call that it goes in need not wait for that as long.
IMPATIENT = ("--boot-timeout", 1, "--timeout", 0.5, "--retries", 0)
_OPERATIONS: dict[str, int] = {}


def operations(bench: Bench) -> int:
    """How many flash operations an update of this kind has; counted once."""
    if bench.kind not in _OPERATIONS:
        bench.new()
        _OPERATIONS[bench.kind] = bench.operations()
        assert bench.smpdfu("virtual", "delete", NAME).code == 0
    return _OPERATIONS[bench.kind]
