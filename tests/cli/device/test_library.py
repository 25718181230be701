"""``install``: the whole job in one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from smpdfu import Core, PlanError, Wish, install
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from smpdfu import Event
    from tests.cli.device.conftest import Desk


def test_install(desk: Desk) -> None:
    events: list[Event] = []
    done = asyncio.run(install(desk.address, desk.package(), watch=events.append))
    assert (done.changed, done.proven, len(events) > 9) == (True, True, True)
    assert done.state.running is not None
    assert done.state.running.version == "2.0.0"
    assert desk.net_holds("2.0.0")
    again = asyncio.run(install(desk.address, str(desk.package()), watch=None))
    assert (again.changed, again.proven) == (False, True)
    assert (done.proof is not None, again.proof is not None) == (True, True)


def test_what_speaks_against_it_is_raised_before_anything_is_written(desk: Desk) -> None:
    package = desk.package(cores=(Core.NET,), encrypted=True)
    with pytest.raises(PlanError, match="nothing was written") as caught:
        asyncio.run(install(desk.address, package))
    assert caught.value.codes == ("net-encrypted",)
    assert desk.slots() == [(0, "1.0.0", "active confirmed")]
    plan_only = Wish(force=False)
    with pytest.raises(PlanError):
        asyncio.run(install(desk.address, package, wish=plan_only))
    assert store_devices.view_device(desk.name).images[0].secondary.header() is None
