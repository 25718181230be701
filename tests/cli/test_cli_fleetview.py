"""The live table of a fleet, as a terminal shows it: messages above, devices under way below, nothing left behind."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import threading
from pathlib import Path

import pytest

from smpdfu.cli.fleet.live_view import View
from smpdfu.cli.terminal.show import Output
from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice, Limits, Wave
from smpdfu.dfu.fleet.log.events import LogEvent
from smpdfu.dfu.fleet.schedule import Outcome, Schedule
from tests.simulated import simulate

NAMES = tuple(f"roof-{number}" for number in range(6))


class Terminal(io.StringIO):
    """Just as much of one as rich uses: carriage return, cursor up, erase line; colours are passed over."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines, row, column = [""], 0, 0
        for piece in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", self.getvalue()):
            if piece == "\r":
                column = 0
            elif piece == "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif piece.endswith("A"):
                row -= int(piece[2:-1] or 1)
                assert row >= 0
            elif piece == "\x1b[2K":
                lines[row] = ""
            elif not piece.startswith("\x1b"):
                lines[row] = lines[row].ljust(column)[:column] + piece + lines[row][column + len(piece) :]
                column += len(piece)
        return [line.rstrip() for line in lines]


def put_up(monkeypatch: pytest.MonkeyPatch, lines: int = 24) -> Terminal:
    """Called by the test itself: pytest has a stderr of its own for each part of one."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", "100"), ("LINES", str(lines))):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(sys.stderr, Terminal)
    return sys.stderr


def fleet() -> tuple[Fleet, Schedule]:
    waves = (Wave("canary", NAMES[:2], 600.0), Wave("rest", NAMES[2:]))
    devices = {name: FleetDevice(name, f"virtual:{name}") for name in NAMES}
    made = Fleet("roofs", Path("roofs.toml"), devices, waves, {})
    return made, Schedule(waves, Limits(), {})


def new_view(made: Fleet, schedule: Schedule) -> View:
    view = View(made, Output(json=False))
    view.begins(schedule)
    return view


def note(view: View, entry: dict[str, object]) -> None:
    event = LogEvent.from_entry(entry | {"time": 1.0})
    assert event is not None
    view.note(event)


def test_messages_come_above_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_up(monkeypatch)
    made, schedule = fleet()
    view = new_view(made, schedule)
    with view.drawn() as draw:
        schedule.begin(0.0)
        note(view, {"event": "wave", "wave": "canary", "devices": 2})
        for name in NAMES[:2]:
            note(view, {"event": "begin", "device": name})
        note(view, {"event": "step", "device": "roof-0", "step": "upload app", "number": 1, "of": 9})
        draw()
        assert terminal.screen()[:4] == [
            "wave canary: 2 devices",
            "roof-0  upload app  1/9",
            "roof-1  connecting",
            "wave canary: 0 of 2 ended, 0 failed, 2 under way",
        ]
        schedule.ended("roof-0", Outcome.UNREACHABLE)
        note(
            view,
            {"event": "end", "device": "roof-0", "outcome": "unreachable", "seconds": 2.0, "message": "no\x1b answer"},
        )
        draw()
        assert terminal.screen()[:4] == [
            "wave canary: 2 devices",
            "warning: roof-0: unreachable after 2.0 s: no\ufffd answer",
            "roof-1  connecting",
            "wave canary: 1 of 2 ended, 1 failed, 1 under way",
        ]
    assert [line for line in terminal.screen() if line] == [
        "wave canary: 2 devices",
        "warning: roof-0: unreachable after 2.0 s: no\ufffd answer",
    ]


def test_no_more_rows_than_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_up(monkeypatch, lines=6)
    made, schedule = fleet()
    view = new_view(made, schedule)
    with view.drawn() as draw:
        for name in NAMES:
            note(view, {"event": "begin", "device": name})
        draw()
        assert terminal.screen()[3].endswith("0 under way, 3 of them not shown")


def test_it_is_drawn_again_by_the_event_loop_and_by_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a thread drew while a message was put above it would stand beside the table, not in it."""
    terminal = put_up(monkeypatch)
    made, schedule = fleet()
    view = new_view(made, schedule)

    async def watch() -> int:
        threads = threading.active_count()
        async with view.kept_drawn():
            note(view, {"event": "begin", "device": "roof-0"})
            assert "connecting" not in terminal.getvalue()
            await asyncio.sleep(0.3)
            assert terminal.screen()[0] == "roof-0  connecting"
            return threading.active_count() - threads

    assert simulate(watch()) == 0
    assert not any(terminal.screen())


def test_it_is_not_drawn_before_the_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the passphrase of a key may be asked for; the question would stand in the table."""
    terminal = put_up(monkeypatch)
    made, schedule = fleet()
    view = View(made, Output(json=False))

    async def watch() -> None:
        async with view.kept_drawn():
            await asyncio.sleep(1.0)
            assert terminal.getvalue() == ""
            view.begins(schedule)
            await asyncio.sleep(1.0)
            assert terminal.screen()[0] == "wave canary: 0 of 2 ended, 0 failed, 0 under way"

    simulate(watch())
    assert not any(terminal.screen())


def test_a_table_that_cannot_be_drawn_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = put_up(monkeypatch)
    view = new_view(*fleet())

    async def watch() -> None:
        async with view.kept_drawn():
            await asyncio.sleep(1.0)
            monkeypatch.setattr(View, "_summary", lambda *_: 1 / 0)
            await asyncio.sleep(1.0)
            assert [line for line in terminal.screen() if line][-1] == (
                "warning: smpdfu stops showing the table of the devices: division by zero"
            )

    simulate(watch())
