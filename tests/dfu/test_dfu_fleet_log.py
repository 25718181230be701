"""The log of a fleet: what is on the disk, what is damaged, and what stands of earlier runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.log.log import FleetLog, log_path, read_log, repair_log
from smpdfu.dfu.fleet.schedule import Outcome
from smpdfu.errors import (
    JournalError,
)
from tests.dfu.test_dfu_fleet import fleet_of, standing

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker


def test_a_second_process_at_the_fleet_is_refused(tmp_path: Path) -> None:
    with FleetLog(tmp_path), pytest.raises(JournalError, match="is running this fleet"):
        FleetLog(tmp_path)


def test_a_log_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    with FleetLog(tmp_path, clock=lambda: 1.0) as log:
        log.write("run", fleet="x" * 9000)
        log.write("pause")
    whole = log_path(tmp_path).read_bytes()
    log_path(tmp_path).write_bytes(whole[:-5])
    with FleetLog(tmp_path, clock=lambda: 2.0) as log:
        log.write("resume")
    assert [event.kind for event in read_log(tmp_path)] == ["run", "resume"]


@pytest.mark.parametrize("now", [-1.0, 1e18, float("inf"), float("nan")])
def test_a_clock_that_tells_no_date_damages_no_log(tmp_path: Path, now: float) -> None:
    with FleetLog(tmp_path, clock=lambda: now) as log:
        log.write("run")
        log.write("leave")
    damaged: list[int] = []
    assert [event.kind for event in read_log(tmp_path, damaged.append)] == ["run", "leave"]
    assert damaged == []


DAMAGE = [
    b"no json",
    b'{"event": "end", "device": "a", "time": 1e400}',
    b'{"event": "end", "device": "a", "time": "soon"}',
    b'{"event": "end", "device": "a", "time": NaN}',
    b'{"event": "end", "device": "a", "time": 1.0, "bytes": 1' + b"0" * 400 + b"}",
    b'{"event": "end", "device": "a"}',
    b'{"event": 3, "time": 1.0}',
    b"[" * 100_000,
    b"\0" * 80,
]


@pytest.mark.parametrize("line", DAMAGE)
def test_a_damaged_line_of_the_log_is_named_and_set_aside(tmp_path: Path, line: bytes) -> None:
    with FleetLog(tmp_path, clock=lambda: 1.0) as log:
        log.write("run")
        log.write("leave")
    first, second = log_path(tmp_path).read_bytes().splitlines(keepends=True)
    log_path(tmp_path).write_bytes(first + line + b"\n" + second)
    damaged: list[int] = []
    assert [event.kind for event in read_log(tmp_path, damaged.append)] == ["run", "leave"]
    assert damaged == [2]
    with FleetLog(tmp_path), pytest.raises(JournalError, match="is running this fleet"):
        repair_log(tmp_path)
    assert repair_log(tmp_path) == (2,)
    assert log_path(tmp_path).read_bytes() == first + second
    assert (tmp_path / "events.damaged").read_bytes() == line + b"\n"
    assert repair_log(tmp_path) == ()


def test_what_later_events_hang_on_is_on_the_disk_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after an end that was not written, the next run would update the device again."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(log_path(tmp_path).read_text().splitlines()[-1]))
    with FleetLog(tmp_path) as log:
        for event in ("run", "wave", "begin", "step", "end", "stop", "leave"):
            log.write(event)
    assert [json.loads(line)["event"] for line in synced] == ["run", "end", "stop", "leave"]


def entry(event: str, name: str = "a", **facts: Any) -> dict[str, Any]:
    return {"event": event, "time": 1.0, "device": name, "identity": f"virtual:{name}", "package": "p", **facts}


DONE_ONCE = entry("end", outcome="done")


@pytest.mark.parametrize(
    ("events", "outcomes", "begun"),
    [
        ([DONE_ONCE], {"a": Outcome.DONE}, {}),
        ([DONE_ONCE, entry("begin", time=5.0)], {}, {"a": 5.0}),  # under way again: what was is no more
        ([entry("begin"), DONE_ONCE], {"a": Outcome.DONE}, {}),
        ([entry("end", outcome="done", package="other")], {}, {}),
        ([DONE_ONCE, entry("begin", package="other"), entry("end", package="other", outcome="done")], {}, {}),
        ([entry("end", outcome="done", identity="virtual:another")], {}, {}),
        ([DONE_ONCE, entry("end", outcome="done", identity="virtual:another")], {}, {}),
        ([entry("end", outcome=["done"])], {}, {}),
        ([entry("end", outcome="reverted")], {"a": Outcome.REVERTED}, {}),
        ([entry("end", outcome="unreachable")], {}, {}),
    ],
)
def test_what_stands_of_earlier_runs(
    make: Maker, events: list[dict[str, Any]], outcomes: dict[str, Outcome], begun: dict[str, float]
) -> None:
    package = make.package(make.image())
    digests = {"p": package.digest}
    known = [event for one in events if (event := LogEvent.from_entry(one | {"package": digests.get(one["package"])}))]
    found = standing(known, fleet_of(["a"]), {"default": package})
    assert (found.outcomes, found.begun) == (outcomes, begun)
    states = History.of(known, fleet_of(["a"]), {"default": package.digest}).counts()
    assert bool(outcomes) is any(state in states for state in ("done", "reverted"))
