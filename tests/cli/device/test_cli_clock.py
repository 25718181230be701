"""``datetime``: a clock without a zone."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import TYPE_CHECKING

import pytest

from smpdfu.cli.device.datetime import device_time, typed_time

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer nine hours before UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()


def test_a_clock_that_was_never_set(desk: Desk) -> None:
    done = desk.call("datetime")
    assert "RTC_NOT_SET" in done.refused(5)
    assert "smpdfu datetime --now" in done.err


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize("word", ["--now", "now"])
def test_now_is_utc(desk: Desk, word: str) -> None:
    before = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    said = desk.json("datetime", word)
    assert list(said) == ["datetime", "zone", "ahead_s", "set"]
    assert said["zone"] == "utc"
    assert abs(dt.datetime.fromisoformat(said["datetime"]) - before) < dt.timedelta(minutes=2)
    assert abs(said["ahead_s"]) < 60
    assert "UTC" in desk.call("datetime").out


@pytest.mark.usefixtures("far_east")
def test_local_is_what_the_wall_shows(desk: Desk) -> None:
    said = desk.json("datetime", "--now", "--local")
    utc = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    ahead = dt.datetime.fromisoformat(said["datetime"]) - utc
    assert abs(ahead - dt.timedelta(hours=9)) < dt.timedelta(minutes=2)
    assert abs(said["ahead_s"]) < 60
    assert abs(desk.json("datetime")["ahead_s"] - 9 * 3600) < 120
    assert re.search(r"\b(8:5\d|9:0\d):\d\d ahead of", desk.call("datetime").out)


def test_a_time_is_set_as_it_is_typed(desk: Desk) -> None:
    said = desk.json("datetime", "2026-01-31T12:30:00")
    assert said["set"] == "2026-01-31T12:30:00"
    assert said["datetime"].startswith("2026-01-31T12:30:0")
    assert "behind" in desk.call("datetime", "2000-01-01").out


def test_not_two_times(desk: Desk) -> None:
    assert "not both" in desk.call("datetime", "2026-01-31T12:30:00", "--now").refused(2)


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "", "12:30", "9999-12-31T23:59:59.9", "0001-01-01T00:00+14:00"]
)
def test_what_is_no_time_is_refused_before_anything_is_sent(desk: Desk, text: str) -> None:
    assert "is no time" in desk.call("datetime", text).refused(2)


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize(
    ("text", "local", "wanted"),
    [
        ("2026-01-31T12:30:00", False, "2026-01-31T12:30:00"),
        ("2026-01-31T12:30:00Z", False, "2026-01-31T12:30:00"),
        ("2026-01-31T12:30:00+02:00", False, "2026-01-31T10:30:00"),
        ("2026-01-31T12:30:00Z", True, "2026-01-31T21:30:00"),
        ("2026-01-31 12:30:59.6", False, "2026-01-31T12:31:00"),
        ("2026-01-31", False, "2026-01-31T00:00:00"),
    ],
)
def test_zones_are_turned(text: str, local: bool, wanted: str) -> None:
    assert typed_time(text, local=local).isoformat() == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-01-31T12:30:00", "2026-01-31T12:30:00"),
        ("2026-01-31T12:30:00.7", "2026-01-31T12:30:00.007000"),
        ("2026-01-31T12:30:00.678", "2026-01-31T12:30:00.678000"),
        ("2026-01-31T12:30:00.678901", "2026-01-31T12:30:00.678901"),
        ("2026-01-31T12:30:00.5+01:00", "2026-01-31T11:30:00.005000"),
        ("0000-00-00T00:00:00", None),
        ("\x1b[2J", None),
    ],
)
def test_what_devices_tell(text: str, wanted: str | None) -> None:
    moment = device_time(text)
    assert (moment and moment.isoformat()) == wanted
