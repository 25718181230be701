"""``stat enum storage transport``."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from smpdfu.virtual.server.application import Options

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk


def test_stat(desk: Desk) -> None:
    assert "smp_svr_stats" in desk.json("stat", "list")["groups"]
    (one,) = desk.json("stat", "show", "smp_svr_stats")["groups"]
    assert (one["name"], list(one["fields"])) == ("smp_svr_stats", ["ticks"])
    assert [group["name"] for group in desk.json("stat", "show")["groups"]] == desk.json("stat", "list")["groups"]
    assert "ticks" in desk.call("stat", "show").out
    done = desk.call("stat", "show", "nope")
    assert "INVALID_STAT_NAME" in done.refused(5)
    assert "smpdfu stat list" in done.err


def test_stat_shows_what_there_is_and_names_what_is_not(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = {"many": lambda: {f"counter {number:>04}": 1 for number in range(200)}, "few": lambda: {"one": 1}}
    monkeypatch.setattr("smpdfu.virtual.server.application.DEFAULT_OPTIONS", Options(counters=counters))
    done = desk.call("stat", "show")
    assert "few" in done.out
    assert "ticks" in done.out
    assert "EMSGSIZE" in done.refused(5)
    assert "the counters of many are missing" in done.err
    answer = json.loads(desk.call("stat", "show", "--json").out)
    assert [one["name"] for one in answer["groups"]] == ["few", "smp_svr_stats"]
    assert [one["name"] for one in answer["refused"]] == ["many"]
    assert answer["error"]["exit_code"] == 5


def test_enum(desk: Desk) -> None:
    groups = {one["group"]: one for one in desk.json("enum")["groups"]}
    assert {0, 1, 2, 3, 8, 9, 10, 63} <= set(groups)
    assert groups[8] == {"group": 8, "name": "fs mgmt", "handlers": 5}
    assert "settings mgmt" in desk.call("enum").out


@pytest.mark.parametrize("missing", [("GroupDetails",), ("GroupDetails", "GroupList")])
def test_enum_of_a_build_that_tells_less(desk: Desk, missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    from smpdfu.smp.groups import enum
    from smpdfu.smp.message import MgmtRc
    from smpdfu.virtual.server.groups.enum import EnumGroup
    from smpdfu.virtual.server.server import Refused

    def refuse(self: EnumGroup, request: object) -> None:
        raise Refused(MgmtRc.ENOTSUP)

    whole = desk.json("enum")["groups"]
    for name in missing:
        assert hasattr(enum, name)
        monkeypatch.setattr(EnumGroup, {"GroupDetails": "on_group_details", "GroupList": "on_group_list"}[name], refuse)
    less = desk.json("enum")["groups"]
    assert [one["group"] for one in less] == [one["group"] for one in whole]
    assert all(one["name"] is None for one in less)
    assert "settings" in desk.call("enum").out  # our own name


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("", 130)])
def test_storage_erase_asks_a_person(desk: Desk, answer: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.json("settings", "write", "app/a", "1")
    desk.json("settings", "save")
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    done = desk.call("storage", "erase")
    assert done.code == code
    assert "virtual:desk" in done.err
    assert "unexpected" not in done.err
    assert ("Nothing was erased." in done.err) == (code == 130)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    desk.json("reset")
    assert desk.call("settings", "read", "app/a").code == (5 if code == 0 else 0)


def test_transport(desk: Desk) -> None:
    assert desk.json("transport", "list")["transports"][0] == {"id": 0, "name": "serial"}
    assert "bluetooth" in desk.call("transport", "list").out
    assert desk.json("transport", "status") == {"supported": 1, "active": 0, "bridged": None, "transport": None}
    assert "bridges now" in desk.call("transport", "status").out
    for words in (("modes", 0), ("configs", 0), ("connect", 1), ("disconnect",), ("disconnect", "--all")):
        assert "group 11" in desk.call("transport", *words).refused(5)
    assert "not both" in desk.call("transport", "disconnect", 1, "--all").refused(2)
