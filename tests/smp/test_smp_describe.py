"""Messages in words: what is said of each, that secrets stay out, and that no bytes whatever make it fail or swell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.smp.describe import LINE_MAX, explain, line_of
from smpdfu.smp.groups import REQUESTS
from smpdfu.smp.groups.image import ImageUpload, StateRead
from smpdfu.smp.groups.os import Echo, Reset
from smpdfu.smp.groups.raw import RawRequest
from smpdfu.smp.groups.settings import SettingsRead, SettingsWrite
from smpdfu.smp.message import Header, Op, Refusal, Request

RECORDINGS = sorted((Path(__file__).parent.parent / "vectors" / "recordings").glob("*.jsonl"))


def described(message: bytes) -> str:
    return line_of(explain(message))


def answer(request: Request[Any], entries: object, sequence: int = 7) -> bytes:
    return Header.from_bytes(request.to_bytes(sequence)).reply(cbor2.dumps(entries))


def exchanged(path: Path) -> list[tuple[bytes, bytes]]:
    """Request and answer, of every step that has both."""
    found = []
    for line in path.read_text().splitlines():
        record = json.loads(line)
        asked = (record.get("request") or {}).get("hex") or record.get("request_hex")
        said = [record.get("response_hex"), *(one.get("hex") for one in record.get("responses") or ())]
        found += [(bytes.fromhex(asked), bytes.fromhex(text)) for text in said if asked and text]
    return found


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_what_real_servers_said_is_described(path: Path) -> None:
    found = exchanged(path)
    assert len(found) >= 20
    for request, response in found:
        said = explain(response)
        json.dumps(said, allow_nan=False)
        json.dumps(explain(request), allow_nan=False)  # bad on purpose, some of them
        assert described(response).startswith(f"#{said['sequence']} {said['name']}")
        assert list(said["body"]) == list(cbor2.loads(response[8:], str_errors="replace"))


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.title)
def test_every_command_has_its_name(kind: type[Request[Any]]) -> None:
    message = Header(kind.op, 1, 0, 1, kind.group, 3, kind.command).to_bytes() + b"\xa0"
    assert described(message) == f"#3 {kind.title} (empty)"
    assert explain(message)["kind"] in ("read", "write")


def test_a_request_and_its_answer() -> None:
    assert described(Echo("hi").to_bytes(7)) == "#7 os echo d=hi"
    assert described(answer(Echo("hi"), {"r": "a b\x1b[2J"})) == '#7 os echo reply: r="a b\\x1b[2J"'
    assert described(Reset(force=1).to_bytes(0, version=1)) == "#0 os reset (SMP version 1) force=1"
    assert "{image=0 bootable=true}" in described(answer(StateRead(), {"images": [{"image": 0, "bootable": True}]}))


def test_a_vendors_command_has_its_numbers() -> None:
    message = Header(Op.READ, 1, 0, 1, 77, 3, 9).to_bytes() + b"\xa0"
    assert described(message) == "#3 group 77 command 9 (empty)"
    for group, name in ((5, "crash"), (6, "split"), (7, "run")):  # as Zephyr's mgmt_defines.h has them
        assert described(RawRequest(group, 1).to_bytes(3)) == f"#3 {name} command 1 (empty)"


def test_firmware_is_left_out_and_hashes_are_not() -> None:
    sha = bytes(range(32))
    said = explain(ImageUpload(off=0, len=500, sha=sha, data=b"\xab" * 100).to_bytes(1))
    assert said["body"]["sha"] == sha.hex()
    assert said["body"]["data"] == {"bytes": 100, "begins": "ab" * 16}
    assert said["elided"] is True
    assert "elided" not in explain(ImageUpload(off=500, data=b"\xab" * 16).to_bytes(1))


@pytest.mark.parametrize(
    "message",
    [
        SettingsWrite("wifi/psk", b"hunter2").to_bytes(1),
        answer(SettingsRead("wifi/psk"), {"val": b"hunter2"}),
        answer(SettingsRead("wifi/psk"), {"val": "hunter2"}),
        answer(SettingsRead("wifi/psk"), {"val": [b"hunter2"]}),
        SettingsWrite("wifi/psk", b"hunter2").to_bytes(1)[:-1],
        b"\x0a\x00\x00\x09\x00\x03\x01\x00" + b"hunter2!!",
    ],
)
def test_the_value_of_a_setting_is_never_shown(message: bytes) -> None:
    text = json.dumps(explain(message)) + described(message)
    assert "hunter" not in text
    assert b"hunter".hex() not in text


def test_a_refusal_has_its_name() -> None:
    header = Header.from_bytes(ImageUpload(off=0, data=b"").to_bytes(7))
    assert described(header.reply(Refusal(9, 1).to_body())) == "#7 img upload refused: NO_FREE_SLOT (img, rc 9)"
    said = explain(header.reply(Refusal(8, None, "later").to_body()))
    assert said["error"] == {"group": None, "rc": 8, "name": "ENOTSUP", "reason": "later"}
    assert described(header.reply(Refusal(99, 70).to_body())).endswith("refused: unknown code (group 70, rc 99)")


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (b"", "fewer than its header"),
        (b"\xff" * 20, "not an SMP operation"),
        (Echo("hello").to_bytes(1)[:-2], "its header says"),
        (Header(Op.READ, 1, 0, 1, 0, 0, 0).to_bytes() + b"\x9f", "CBOR"),
        (Header(Op.READ, 1, 0, 1, 0, 0, 0).to_bytes() + b"\x01", "not a map"),
    ],
)
def test_what_cannot_be_read_says_why(message: bytes, what: str) -> None:
    assert what in explain(message)["fault"]
    assert what in described(message)


def check_bounds(message: bytes) -> None:
    said, line = explain(message), described(message)
    assert len(json.dumps(said, allow_nan=False)) < 200_000
    assert len(line) <= LINE_MAX
    assert line.isprintable()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(message: bytes) -> None:
    check_bounds(message)
    check_bounds(Header(Op.WRITE_RSP, 1, 0, len(message), 1, 2, 0).to_bytes() + message)


CBOR = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text() | st.binary(max_size=80),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.integers(0, 99), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text(), CBOR, max_size=5), st.sampled_from([0, 1, 3, 9, 77]))
def test_no_body_makes_it_fail(body: dict[str, object], group: int) -> None:
    data = cbor2.dumps(body)
    check_bounds(Header(Op.READ_RSP, 1, 0, len(data), group, 2, 0).to_bytes() + data)


def test_a_crowded_body_is_cut() -> None:
    wide = {"a": list(range(5000)), "b": "x" * 5000, **{f"k{number}": b"y" * 70 for number in range(500)}}
    deep: object = 1
    for _ in range(14):
        deep = {"d": deep}
    for body in (wide, deep):
        data = cbor2.dumps(body)
        message = Header(Op.READ_RSP, 1, 0, len(data), 1, 2, 0).to_bytes() + data
        check_bounds(message)
        assert explain(message)["elided"] is True
