"""The first look at a wave: who answers at all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.dfu.fleet.description.file import FleetDevice, Wave
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.log.log import read_log
from smpdfu.dfu.fleet.schedule import Outcome
from tests.dfu.dfu_device import new_device
from tests.dfu.test_dfu_fleet import Bench, fleet_of

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker


def test_the_first_look_at_a_wave(make: Maker, tmp_path: Path) -> None:
    """All of a wave are asked at once, whatever ``at_once`` is, and the silent ones take no place."""
    names = [f"d{number}" for number in range(20)]
    answering = {"d3", "d7"}
    devices = {name: new_device(make) for name in answering}
    here = Bench(tmp_path, devices, make.package(make.image()))
    asked, together, most = 0, 0, 0

    async def look(device: FleetDevice) -> bool:
        nonlocal asked, together, most
        asked, together = asked + 1, together + 1
        most = max(most, together)
        await asyncio.sleep(0)
        together -= 1
        return device.name in answering

    here.look = look
    here.looks_at_once = 15
    fleet = fleet_of(names, at_once=1)
    outcomes = here.run(fleet).outcomes
    assert (asked, most) == (20, 15), "so many have a socket"
    assert {name for name, one in outcomes.items() if one is Outcome.DONE} == answering
    assert {outcomes[name] for name in set(names) - answering} == {Outcome.UNREACHABLE}
    history = History.of(read_log(tmp_path), fleet, {"default": here.packages["default"].digest})
    assert len(history.causes()["no answer"]) == 18
    asked = 0
    here.run(fleet)
    assert asked == 18, "who has its package is not asked"


def test_no_wave_begins_without_a_look(make: Maker, tmp_path: Path) -> None:
    """Also where the wave before it ended with its own look, because nobody in it answered."""
    names, asked = [f"d{number}" for number in range(8)], []
    here = Bench(tmp_path, {"d7": new_device(make)}, make.package(make.image()))

    async def look(device: FleetDevice) -> bool:
        asked.append(device.name)
        return device.name == "d7"

    here.look = look
    waves = (Wave("first", tuple(names[:2])), Wave("second", tuple(names[2:4])), Wave("third", tuple(names[4:])))
    outcomes = here.run(fleet_of(names, waves, at_once=2, wave_success=0.0)).outcomes
    assert asked == names
    assert [name for name, one in outcomes.items() if one is not Outcome.UNREACHABLE] == ["d7"]
    assert [event["silent"] for event in here.events if event["event"] == "look"] == [2, 2, 3]
