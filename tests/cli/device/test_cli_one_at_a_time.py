"""One device, one call at a time; and why the installation of one image continues without a journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from smpdfu import (
    ImageEvent,
    ImageNote,
    JournalError,
    Package,
    StepBegun,
    Wanted,
    install,
    install_image,
    plan_update,
    recover_image,
)
from smpdfu.connect import places_by_lookup
from smpdfu.dfu.do.journal.device_lock import locked
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import journal_path, read_record
from smpdfu.virtual.store import names as store_names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from smpdfu import Event
    from tests.cli.device.conftest import Desk

RUNS_1 = (0, "1.0.0", "active confirmed")
HELD = "is updating the device at virtual:desk"

CALLS: dict[str, Callable[[str, Path, Path], Awaitable[object]]] = {
    "install": lambda address, _, package: install(address, package),
    "install_image": lambda address, image, _: install_image(address, image),
    "recover_image": lambda address, image, _: recover_image(address, image),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_second_call_on_the_same_device_ends_with_the_reason(
    desk: Desk, call: Callable[[str, Path, Path], Awaitable[object]]
) -> None:
    """While an image is sent, whichever of the three is called."""
    image, package = desk.image(), desk.package()

    async def second() -> object:
        return await call(desk.address, image, package)

    async def both() -> list[object]:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def first() -> object:
            with locked(await places_by_lookup(desk.address)):
                begun.set()
                await ended.wait()
            return "done"

        running = asyncio.create_task(first())
        await begun.wait()
        failed = await asyncio.gather(second(), return_exceptions=True)
        ended.set()
        return [*failed, await running]

    error, done = asyncio.run(both())
    assert done == "done"
    assert isinstance(error, JournalError)
    assert HELD in str(error)
    assert desk.slots() == [RUNS_1]


def test_a_plan_needs_nobody_to_wait_and_writes_nothing(desk: Desk) -> None:
    """Also while another call updates the device: the library's plan, like that of ``update --plan``, only reads."""
    package, journal = desk.package(), journal_path(desk.address)

    async def planned() -> list[str]:
        with locked(await places_by_lookup(desk.address)):
            decision = await plan_update(desk.address, package)
        assert decision.refused == ()
        return [step.name for step in decision.plan.steps]

    steps = asyncio.run(planned())
    shown = desk.json("update", package, "--plan")
    assert steps == [step["name"] for step in shown["steps"]]
    assert steps
    assert desk.slots() == [RUNS_1]
    assert not journal.exists()


def test_two_installations_of_an_image_at_once_are_one_and_an_error(desk: Desk) -> None:
    image = desk.image()

    async def both() -> list[object]:
        calls = (install_image(desk.address, image, wanted=Wanted(test=True)) for _ in range(2))
        return await asyncio.gather(*calls, return_exceptions=True)

    ended = asyncio.run(both())
    assert sum(isinstance(one, JournalError) and HELD in str(one) for one in ended) == 1
    assert desk.slots()[1] == (1, "2.0.0", "pending")


@pytest.mark.parametrize("how", [(), ("--confirm",), ("--recovery",)], ids=" ".join)
def test_upload_waits_for_nobody(desk: Desk, how: tuple[str, ...]) -> None:
    image = desk.image()
    with locked(asyncio.run(places_by_lookup(desk.address))):
        refused = desk.call("upload", image, *how)
    assert HELD in refused.refused(8)
    assert "run the same command again" in refused.err
    assert desk.slots() == [RUNS_1]


@pytest.fixture
def no_state(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that nobody can create: a file stands in its place. The device is elsewhere."""
    monkeypatch.setenv("SMPDFU_VIRTUAL_HOME", str(store_names.home()))
    in_the_way = tmp_path / "in-the-way"
    in_the_way.write_bytes(b"")
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(in_the_way / "state"))
    return in_the_way


@pytest.mark.parametrize("how", [(), ("--test",), ("--confirm",)], ids=" ".join)
def test_an_upload_needs_no_state_folder(desk: Desk, no_state: Path, how: tuple[str, ...]) -> None:
    """It needs nothing there, and a computer with a read-only disk can send an image."""
    ended = desk.call("upload", desk.image(), *how)
    assert ended.code == 0
    assert "warning: the lock " in ended.err
    assert "Run no other command for this device until this one ends." in ended.err


def test_an_update_needs_its_journal(desk: Desk, no_state: Path) -> None:
    assert str(no_state) in desk.call("update", desk.package()).refused(8)
    assert desk.slots() == [RUNS_1]


def test_a_program_gets_the_warning_as_an_event(desk: Desk, no_state: Path) -> None:
    events: list[ImageEvent] = []
    asyncio.run(install_image(desk.address, desk.image(), watch=events.append))
    assert isinstance(events[0], ImageNote)
    assert events[0].warning
    assert str(no_state) in events[0].text


class StoppedError(Exception):
    """The update is stopped."""


def interrupted(desk: Desk) -> Path:
    """A package of which the application is installed, and the network core's image is not sent."""
    package = desk.package()

    def watch(event: Event) -> None:
        if isinstance(event, StepBegun) and event.step.name == "upload net":
            raise StoppedError

    with pytest.raises(StoppedError):
        asyncio.run(install(desk.address, package, watch=watch))
    assert read_record(journal_path(desk.address)).of(Package.load(package).digest).unfinished
    return package


def test_an_image_leaves_the_journal_of_an_interrupted_update_alone(desk: Desk) -> None:
    package, path = interrupted(desk), journal_path(desk.address)
    before = path.read_bytes()
    asyncio.run(install_image(desk.address, desk.image(version="2.0.1"), wanted=Wanted()))
    assert path.read_bytes() == before
    assert desk.call("update", package, "--resume").code == 0
    assert desk.net_holds("2.0.0")


def test_a_second_record_would_end_the_interrupted_update(desk: Desk) -> None:
    """The reason for not continuing by a journal: it holds one update, the last that began."""
    package = interrupted(desk)
    with Journal(journal_path(desk.address)) as journal:
        journal.begin("another digest")
        journal.end("done")
    assert "no unfinished update" in desk.call("update", package, "--resume").refused(6)
