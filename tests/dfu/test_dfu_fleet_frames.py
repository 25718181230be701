"""Logs of which most lines are as others: a reader of frames finds what a reader of whole lines does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.fleet.affected.fleet_logs import FIELDS, FleetRecord, SharedFacts
from smpdfu.dfu.fleet.device_outcome import Outcome
from smpdfu.dfu.fleet.log.events import LogEvent, fields_of
from smpdfu.dfu.fleet.log.frames import Frames
from smpdfu.dfu.fleet.log.log import log_path, read_lines, read_log

HASHES = st.sampled_from(["a1" * 32, "b2" * 32, "no hash", None, 5])
NAMES = st.sampled_from(["roof-1", "roof-2", "", 'a "quoted" one', "b\\", "c\n", "é", 'd, "time": 5', "n" * 5000, 7])
NUMBERS = st.sampled_from([0, 1, 5, 0.0, 0.5, 41.2, -1, 1e300, 10**11, 10**18, 10**19, 5e-324, True, "5", None])
TIMES = st.floats(1.7e9, 1.8e9).map(lambda at: round(at, 3)) | NUMBERS
WANTED = st.sampled_from([{}, {"app": "1.0.0"}, {"app": "1.0.0", "device": "x", "time": 5}, [{"time": 3.0}], None])
PROOFS = st.sampled_from([None, {"value": False, "reason": "r", "source": "slots"}, {"value": 5, "identity": "x"}])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line of a log: most as smpdfu writes them, some with fields of the wrong kind, some damaged."""
    fields = {
        "time": TIMES, "device": NAMES, "identity": NAMES, "bytes": NUMBERS, "seconds": NUMBERS, "chip": HASHES,
        "from": HASHES, "to": HASHES, "from_hash": HASHES, "to_hash": HASHES, "package": HASHES,
        "policy": st.sampled_from(["upload-only", "test-and-confirm"]), "wanted": WANTED, "proof": PROOFS,
        "either": st.sampled_from([[], ["app"], ["net", 5], None]), "fleet": NAMES,
        "outcome": st.sampled_from([*Outcome, "another"]),
        "packages": st.sampled_from([{}, {"p": [{"part": "app", "hash": "a1" * 32}]}]),
    }  # fmt: skip
    kind = draw(st.sampled_from(["begin", "end", "exchanged", "run", "leave"]))
    wanted = draw(st.sampled_from([list(fields), ["time", "device", "identity", "package"], ["device", "time"]]))
    entry: dict[str, Any] = {"event": kind}
    plain = {"time": 1.7e9, "device": "roof-1", "identity": "udp:1", "chip": None, "bytes": 5, "seconds": 1.5}
    for name in draw(st.permutations(wanted)) if draw(st.booleans()) else wanted:
        entry[name] = plain[name] if name in plain and draw(st.booleans()) else draw(fields[name])
    text = json.dumps(entry, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return text if draw(st.booleans()) else draw(damaged(text))


def damaged(text: bytes) -> st.SearchStrategy[bytes]:
    """A line that is not as smpdfu writes it: cut, torn, of another spelling, with a field twice, or too long."""
    return st.sampled_from(
        [
            text[: len(text) // 2], text[:-1], text + b"\r", b"", b"{}", text + b" 5", text.replace(b": ", b":"),
            text[:-1] + b', "time": 1700000009.5}', text[:-1] + b', "device": "other"}', text[:-1] + b', "time": }',
            text.replace(b'"device"', b'"\\u0064evice"'), text.replace(b"1", b"\xff", 1), text + text,
            text[:-1] + b', "more": {"device": "x", "identity": "y", "time": 7}}', text.decode().encode("utf-16-le"),
            text[:-1] + b', "more": "' + b"x" * (1 << 20) + b'"}', text.replace(b'"time": 1', b'"time": 01'),
            text.replace(b'"time": 1', b'"time": 1e'), text.replace(b"udp:1", b"udp:\x01"), b"\xef\xbb\xbf" + text,
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fleet."""
    return tmp_path_factory.mktemp("fleet")


@given(st.lists(lines(), max_size=6), st.booleans())
def test_a_reader_of_frames_finds_what_one_of_whole_lines_does(folder: Path, found: list[bytes], torn: bool) -> None:
    again = [line.replace(b"roof-1", b"roof-3").replace(b"17000000", b"17000001") for line in found]
    data = b"".join(line + b"\n" for line in (*found, *again, *found))
    check(folder, data[:-5] if torn else data)


def check(folder: Path, data: bytes) -> None:
    """Both readers find the same in a log."""
    log_path(folder).write_bytes(data)
    framed, plain = FleetRecord(), FleetRecord()
    frames = Frames(SharedFacts.of, FIELDS)
    framed.add(read_lines(folder, frames.read, framed.damaged.append))
    whole = (frames.whole(event) for event in read_log(folder, plain.damaged.append, fields=FIELDS))
    plain.add(event for event in whole if event is not None)
    assert framed == plain


LINE = (
    b'{"event": "end", "time": 15.5, "device": "roof-1", "bytes": 5, "chip": "a1", "identity": "udp:1", '
    b'"outcome": "unreachable", "seconds": 1.5}'
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"15.5", b"16.5"), (b"15.5", b"015.5"), (b"15.5", b"15.5e1"), (b"15.5", b"15.50000000"), (b"15.5", b"15."),
        (b"15.5", b"99999999999"), (b"15.5", b"999999999999"), (b"15.5", b"-15.5"), (b"15.5", b'"15.5"'),
        (b"15.5", b"0"), (b"15.5", b"0.5"), (b"15.5", b"00.5"), (b"15.5", b"1" * 400), (b"15.5", b""),
        (b'"roof-1"', b"5"), (b'"roof-1"', b"null"), (b"roof-1", b""), (b"roof-1", b"r" * 5000), (b"roof-1", b"\\"),
        (b"roof-1", b"\\u0041"), (b"roof-1", b"\\x"), (b"roof-1", b"\x01"), (b"roof-1", b"\t"), (b"roof-1", b"\xff"),
        (b"roof-1", b"\xc3\xa9"), (b"roof-1", b"\x7f"), (b"udp:1", b"u" * 5000), (b'"a1"', b"null"), (b'"a1"', b"5"),
        (b" 5,", b" 0,"), (b" 5,", b" 05,"), (b" 5,", b" 0.5,"), (b" 5,", b' "5",'), (b" 5,", b" 5" + b"0" * 30 + b","),
        (b" 1.5", b" 0.25"), (b" 1.5", b" 01.5"), (b" 1.5", b" 1.5, "), (b"}", b"}\r"), (b"}", b"}}"), (b"}", b""),
        (b"{", b" {"), (b"{", b"\xef\xbb\xbf{"), (b", ", b","), (b": ", b":"), (b"}", b', "time": 19.5}'),
    ],
)  # fmt: skip
def test_a_line_that_is_nearly_as_another_reads_as_by_itself(folder: Path, old: bytes, new: bytes) -> None:
    near = LINE.replace(old, new)
    assert near != LINE
    for one in (LINE, LINE.replace(b", ", b', "wanted": {"app": "1.0.0"}, "either": [], ', 1)):
        near = one.replace(old, new)
        check(folder, b"".join(line + b"\n" for line in (one, one, near, near, one, near)))


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "end","time":1#.5,"device":"b#", "wanted": {"a": "1", "time": 1#.5}, "identity": "u#"}',
        b'{"event": "end", "time": 1#.5, "device": "b#", "time": 15.5, "identity": "u#"}',
        b'{"event": "end", "time": 1#.5, "wanted": {"a": "1", "device": "b#"}, "device": "b5", "identity": "u#"}',
        b'{"event": "end","device":"b5","time":15.5,"identity":"u5",'
        b'"w":{"a":1, "time": 1#.5, "device": "b#", "identity": "u#"}}',
        b'{"event": "end","device":"1b5","time":115.5,"identity":"1u5",'
        b'"w":{"a":1, "time": 1#.5, "device": "b#", "identity": "u#"}}',
        b'{"event": "end", "bytes": 5, "time": 1#.5, "device": "b#", "identity": "u#", "bytes":#}',
    ],
)
def test_a_value_that_is_not_of_the_line_itself_is_none_of_its_values(folder: Path, line: bytes) -> None:
    check(folder, b"".join(line.replace(b"#", at) + b"\n" for at in (b"5", b"6", b"7", b"0", b"5")))


def test_a_log_with_many_messages_needs_no_memory_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpdfu.dfu.fleet.log.frames._MOST", 10)
    frames = Frames(lambda event: event.message, fields_of("device", "identity", "message"))
    line = '{"event": "end", "time": 1.5, "device": "a", "identity": "b", "message": "%d"}\n'
    for at in [*range(30), *range(30)]:
        found = frames.read((line % at).encode())
        assert found is not None
        assert (found.device, found.identity, found.shared) == ("a", "b", str(at))
        assert len(frames._frames) <= 10


def test_the_same_frame_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Frames(lambda event: event.kind)
    line = b'{"event": "end", "time": %d.25, "device": "roof-%d", "identity": "udp:%d", "chip": "0%d"}\n'
    assert frames.read(line % (1, 1, 1, 1)) is not None
    monkeypatch.setattr(LogEvent, "from_bytes", lambda *_: pytest.fail("the line was decoded"))
    assert frames.read(line % (2, 3, 4, 5)) == (2.25, "roof-3", "udp:4", "05", "end")
