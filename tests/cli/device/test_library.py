"""The public API: its names, what an import costs, and the whole job in ten lines."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import smpdfu
from smpdfu import Core, PlanError, Wish, install
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from smpdfu.dfu.do.update import Event
    from tests.cli.device.conftest import Desk


def test_every_public_name_is_there() -> None:
    for name in smpdfu.__all__:
        assert getattr(smpdfu, name) is not None
    assert set(smpdfu.__all__) <= set(dir(smpdfu))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        smpdfu.nothing  # noqa: B018 - that is the test


def test_an_import_brings_nothing_in() -> None:
    program = "import sys; import smpdfu; print([name for name in sys.modules if name.startswith('smpdfu.')])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_install(desk: Desk) -> None:
    events: list[Event] = []
    done = asyncio.run(install(desk.address, desk.package(), watch=events.append))
    assert (done.changed, done.proven, len(events) > 9) == (True, True, True)
    assert done.state.running is not None
    assert done.state.running.version == "2.0.0"
    assert desk.net_holds("2.0.0")
    again = asyncio.run(install(desk.address, str(desk.package())))
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
