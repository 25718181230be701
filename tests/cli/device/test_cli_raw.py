"""``raw``: any command, JSON in and JSON out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.cli.device.raw import plain, read_payload
from smpdfu.smp import cbor
from smpdfu.smp.groups import find_request
from smpdfu.smp.groups.os import Params
from smpdfu.smp.message import Header
from smpdfu.virtual.server.server import Server

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_answer_is_one_document(desk: Desk, more: list[str]) -> None:
    done = desk.call("raw", 0, 0, "--write", "--json-payload", '{"d": "hello"}', *more)
    assert (done.code, done.document) == (0, {"r": "hello"})


def test_bytes_go_both_ways(desk: Desk) -> None:
    payload = {"name": "app/a", "val": {"bytes": "00ff"}}
    assert desk.json("raw", 3, 0, "--write", "--json-payload", json.dumps(payload)) == {}
    assert desk.json("raw", 3, 0, "--json-payload", '{"name": "app/a"}') == {"val": {"bytes": "00ff"}}
    assert desk.json("settings", "read", "app/a")["value"] == "00ff"


def test_without_payload_the_map_is_empty(desk: Desk) -> None:
    assert desk.json("raw", 10, 0)["count"] > 5


def test_a_payload_from_a_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.folder / "payload.json"
    path.write_text('{"d": "from a file"}')
    assert desk.json("raw", 0, 0, "--json-payload", f"@{path}") == {"r": "from a file"}
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert desk.json("raw", 0, 0, "--json-payload", "@-") == {"r": "from a file"}
    assert "No such file" in desk.call("raw", 0, 0, "--json-payload", "@nowhere").refused(3)


def test_refusals_have_names(desk: Desk) -> None:
    assert "ENOTSUP" in desk.call("raw", 77, 0).refused(5)
    assert "INVALID_STAT_NAME" in desk.call("raw", 2, 0, "--json-payload", '{"name": "x"}').refused(5)


LONG = "x" * 70_000
NO_TEXT = "/lfs1/\udcff"  # what Python makes of a byte on the command line that is no UTF-8


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["echo", LONG], "70008 bytes, more than SMP can carry"),
        (["settings", "write", "app/a", LONG], "more than SMP can carry"),
        (["settings", "write", "app/a", LONG[:3000]], "needs a message of 30"),
        (["raw", 0, 0, "--json-payload", json.dumps({"d": LONG})], "more than SMP can carry"),
        (["raw", 0, 0, "--json-payload", '{"d": "\\ud800"}'], "UTF-8"),
        (["raw", 0, 0, "--json-payload", '{"d": ' + "[" * 700 + "]" * 700 + "}"], "too deeply"),
        (["echo", NO_TEXT], "UTF-8"),
        (["fs", "stat", NO_TEXT], "UTF-8"),
        (["settings", "read", NO_TEXT], "UTF-8"),
        (["stat", "show", NO_TEXT], "UTF-8"),
        (["shell", NO_TEXT], "UTF-8"),
    ],
    ids=lambda value: " ".join(map(str, value))[:30] if isinstance(value, list) else "",
)
def test_what_smp_cannot_carry_is_a_usage_error(desk: Desk, words: list[object], why: str) -> None:
    assert why in desk.call(*words).refused(2)
    assert desk.call("echo", "still there").out.strip() == "still there"


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[1]", "5", '{"bytes": "00"}', '{"a": {"bytes": "0"}}', '{"a": 18446744073709551616}', "[" * 100_000],
)
def test_what_cannot_be_sent_is_refused(desk: Desk, payload: str) -> None:
    assert desk.call("raw", 0, 0, "--json-payload", payload).refused(2)


@pytest.mark.parametrize("words", [[-1, 0], [65536, 0], [0, 256], ["os", 0]])
def test_numbers_that_smp_does_not_have(desk: Desk, words: list[Any]) -> None:
    assert desk.call("raw", "--", *words).code == 2


@pytest.mark.parametrize(
    ("words", "times"),
    [
        (["raw", 0, 0, "--write"], 1),
        (["raw", 0, 0], 4),
        (["shell", "kernel", "version"], 1),
        (["echo", "x"], 4),
    ],
)
def test_what_may_have_an_effect_is_sent_once(
    desk: Desk, words: list[Any], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []
    answers = Server.answers

    def lose(self: Server, packet: bytes) -> list[bytes]:
        if find_request(Header.from_bytes(packet).op, 0, packet[7]) is Params:
            return answers(self, packet)
        heard.append(packet)
        return []

    monkeypatch.setattr(Server, "answers", lose)
    assert "did not answer" in desk.call(*words, "--timeout", 0.2).refused(4)
    assert len(heard) == times


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\0\xff", {"bytes": "00ff"}),
        ({1: 2, b"a": [float("inf")]}, {"1": 2, "{'bytes': '61'}": ["inf"]}),
        ((True, None, 1.5, "x"), [True, None, 1.5, "x"]),
    ],
)
def test_answers_are_json(value: object, shown: object) -> None:
    assert plain(value) == shown
    json.loads(json.dumps(plain(value), allow_nan=False))


BODIES = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda name: name != "bytes"), inner),
        max_leaves=10,
    ),
).filter(lambda body: set(body) != {"bytes"})


@settings(max_examples=40)
@given(BODIES)
def test_what_came_can_be_sent_again(body: dict[str, object]) -> None:
    sent = read_payload(json.dumps(plain(body)))
    assert cbor.loads(cbor.dumps(sent)) == body
