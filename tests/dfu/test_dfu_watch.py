"""Who watches an update: what it raises, what a cancel leaves, and that the disk stops nobody."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.do.journal.journal import Journal, off_loop
from smpdfu.dfu.do.journal.reading import read_record
from smpdfu.dfu.do.result import Installed
from smpdfu.dfu.do.update import Event, Progress, StepBegun, StepDone, Update
from smpdfu.errors import DeviceError, JournalError, ResponseTimeoutError, RevertedError, StepError
from smpdfu.virtual.device import VirtualNrf5340
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker
    from tests.dfu.dfu_device import SHORT, client_of, new_device, run_update, version
else:
    from dfu_device import SHORT, client_of, new_device, run_update, version


async def watched(device: VirtualNrf5340, update: Callable[[Any], Any], watch: Callable[[Event], None]) -> Installed:
    async with client_of(device) as client:
        job = update(client)
        done: Installed = await job.run(await job.look(), watch)
        return done


@pytest.fixture
def device(make: Maker) -> VirtualNrf5340:
    return new_device(make)


@pytest.mark.parametrize("kind", [StepBegun, Progress, StepDone])
@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError("the terminal is gone"),
        RevertedError("not the device's"),
        StepError("not the device's", "upload app", resumable=False),
        DeviceError(1, 1, "img upload"),
        ResponseTimeoutError("not the device's", 1.0, 1),
    ],
)
def test_what_a_watch_raises_ends_the_call_and_not_the_update(
    device: VirtualNrf5340, make: Maker, tmp_path: Path, kind: type[Event], error: Exception
) -> None:
    """It comes out as it is, nothing goes on behind the call, and the same call continues."""
    package, path = make.package(make.image(size=60_000)), tmp_path / "journal"

    def watch(event: Event) -> None:
        if isinstance(event, kind):
            raise error

    async def go() -> int:
        with Journal(path) as journal, pytest.raises(type(error)) as caught:
            await watched(device, lambda client: Update(client, package, journal, deadlines=SHORT), watch)
        assert caught.value is error
        return len(asyncio.all_tasks())

    assert simulate(go()) == 1
    record = read_record(path)
    assert record.unfinished
    assert record.end is None
    run_update(device, package, path)
    assert version(device) == "2.0.0"


def test_a_cancel_in_an_upload_leaves_nothing_behind(device: VirtualNrf5340, make: Maker, tmp_path: Path) -> None:
    package, path = make.package(make.image(size=200_000)), tmp_path / "journal"
    unheard: list[dict[str, Any]] = []

    async def leave() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        with Journal(path) as journal:
            tasks = list[asyncio.Task[Installed]]()

            def watch(event: Event) -> None:
                if isinstance(event, Progress) and event.done > 20_000:
                    tasks[0].cancel()

            work = watched(device, lambda client: Update(client, package, journal, deadlines=SHORT), watch)
            tasks.append(asyncio.ensure_future(work))
            await asyncio.wait(tasks)
            assert tasks.pop().cancelled()
        gc.collect()
        return len(asyncio.all_tasks())

    assert simulate(leave()) == 1
    assert unheard == []
    assert read_record(path).unfinished
    events = run_update(device, package, path)
    assert max(event.resumed_at for event in events if isinstance(event, Progress)) > 20_000
    assert version(device) == "2.0.0"


@pytest.mark.parametrize("keeps", [True, False])
def test_every_line_of_the_journal_is_written_off_the_event_loop(
    device: VirtualNrf5340, make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    """All lines go through ``off_loop``, which a test below holds to its word."""
    lines: list[tuple[str, int]] = []
    within, append = [0], Journal._append

    async def counted(write: Callable[[Any], None], what: object) -> None:
        within[0] += 1
        await off_loop(write, what)
        within[0] -= 1

    def noted(self: Journal, entry: dict[str, Any]) -> None:
        lines.append((next(iter(entry)), within[0]))
        append(self, entry)

    async def unwell(client: object) -> None:
        if not keeps:
            raise StepError("not well", "check app", resumable=False)

    monkeypatch.setattr(Journal, "_append", noted)
    for module in ("update", "journal.notes"):
        monkeypatch.setattr(f"smpdfu.dfu.do.{module}.off_loop", counted)
    try:
        run_update(device, make.package(), tmp_path / "journal", health=unwell)
    except RevertedError:
        assert not keeps
    assert {"update", "step", "end"} <= {kind for kind, _ in lines}
    assert [kind for kind, inside in lines if not inside] == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_write_that_is_cancelled_twice_is_seen_through(fails: bool) -> None:
    go_on, written, unheard = threading.Event(), list[str](), list[Any]()

    def write(line: str) -> None:
        assert threading.current_thread() is not threading.main_thread()
        go_on.wait(10)
        if fails:
            raise JournalError("the disk is full")
        written.append(line)

    async def cancel_twice() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        writing = asyncio.ensure_future(off_loop(write, "a line"))
        for _ in range(2):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            writing.cancel()
        await asyncio.sleep(0)
        assert not writing.done()
        go_on.set()
        await asyncio.wait([writing])
        assert writing.cancelled()
        del writing
        gc.collect()

    asyncio.run(cancel_twice())
    assert written == ([] if fails else ["a line"])
    assert unheard == []
