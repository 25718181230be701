"""``install``: the whole job in one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from smpdfu import (
    Core,
    FormatError,
    ImageNote,
    ImageStage,
    LinkLostError,
    PlanError,
    UploadProgress,
    Wanted,
    Wish,
    install,
    install_image,
)
from smpdfu.virtual.store import devices as store_devices

if TYPE_CHECKING:
    from smpdfu import Event, ImageEvent
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


def test_install_image_runs_it_permanently_and_a_second_call_has_nothing_to_do(desk: Desk) -> None:
    events: list[ImageEvent] = []
    image = desk.image(version="2.0.0")
    done = asyncio.run(install_image(desk.address, image, watch=events.append))
    assert (done.changed, done.running, done.proven, done.marked) == (True, True, True, "permanent")
    assert done.state.running is not None
    assert (done.state.running.version, done.state.running.confirmed) == ("2.0.0", True)
    assert [event for event in events if isinstance(event, ImageStage)] == ["sending", "sent", "steps"]
    assert any(isinstance(event, ImageNote) for event in events)
    again = asyncio.run(install_image(desk.address, str(image)))
    assert (again.changed, again.running, again.sent) == (False, True, None)


def test_install_image_for_a_test_marks_it(desk: Desk) -> None:
    done = asyncio.run(install_image(desk.address, desk.image(version="2.0.0"), wanted=Wanted(test=True)))
    assert (done.marked, done.running, done.proven, done.slot) == ("test", False, None, 1)
    assert desk.slots()[1] == (1, "2.0.0", "pending")


@pytest.mark.parametrize("kind", [ImageNote, ImageStage, UploadProgress])
@pytest.mark.parametrize("error", [BrokenPipeError("no reader"), LinkLostError("not the device's")])
def test_what_the_watch_of_one_image_raises_comes_out_and_the_same_call_continues(
    desk: Desk, kind: type, error: Exception
) -> None:
    def watch(event: ImageEvent) -> None:
        if isinstance(event, kind) and not (isinstance(event, UploadProgress) and event.off == 0):
            raise error  # of an upload: in the middle, where a link is opened again

    image = desk.image(version="2.0.0")
    with pytest.raises(type(error)) as caught:
        asyncio.run(install_image(desk.address, image, watch=watch))
    assert caught.value is error
    assert desk.slots()[0] == (0, "1.0.0", "active confirmed")
    assert asyncio.run(install_image(desk.address, image)).running


def test_install_image_takes_no_package(desk: Desk) -> None:
    with pytest.raises(FormatError, match="is a package for whole devices"):
        asyncio.run(install_image(desk.address, desk.package()))
