"""The one reader of a fleet's log: whatever stands in a line, every command reads it in the same way."""

from __future__ import annotations

import ast
import inspect
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.dfu.fleet import run as fleet_run
from smpdfu.dfu.fleet.log.events import _FIELDS, MAX_LINE_BYTES, MAX_TEXT, LogEvent
from smpdfu.dfu.fleet.log.history import History
from smpdfu.dfu.fleet.log.log import log_path, read_log, repair_log
from smpdfu.dfu.fleet.log.standing import standing_of
from smpdfu.dfu.fleet.schedule import Outcome
from tests.dfu.test_dfu_fleet import fleet_of

DIGEST = "ab" * 32
ABOUT = {"device": "a", "identity": "virtual:a", "package": DIGEST}
KINDS = (
    *("run", "wave", "look", "exchanged", "begin", "step", "end", "damaged"),
    *("pause", "resume", "stop", "leave", "of a later release"),
)
FIELDS = (*_FIELDS, "of a later release")
UNREAD = {"fleet", "before", "kind", "code"}
"""Fields that are written for people and programs, and that no command of ours reads."""
FORMATS = Path(__file__).parent.parent.parent / "docs" / "reference" / "file-formats.md"
ODD_NUMBERS = st.sampled_from(["1e400", "NaN", "-Infinity", "9" * 400, "-1", "-0.5", "1e17", "true"])
PROOFS = st.fixed_dictionaries({"value": st.sampled_from([True, None, 1, "x"]), "reason": st.text(max_size=5)})
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*Outcome, *ABOUT.values()])
    | st.lists(st.integers() | st.none(), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3), max_size=2)
    | PROOFS
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line that is right but for some fields, or is no event at all."""
    entry: dict[str, Any] = {"event": draw(st.sampled_from(KINDS)), "time": draw(st.floats(0, 2e9))}
    entry |= ABOUT if draw(st.booleans()) else {}
    entry |= draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
    entry |= draw(
        st.dictionaries(st.sampled_from(["event", "time"]), VALUES, max_size=draw(st.sampled_from([0, 0, 1])))
    )
    text = json.dumps(entry)
    if draw(st.integers(0, 9)) == 0:
        text = text.replace(json.dumps(entry["time"]), draw(ODD_NUMBERS), 1)
    return draw(st.binary(max_size=20)) if draw(st.integers(0, 9)) == 0 else text.encode()


@given(st.lists(lines(), max_size=12), st.booleans())
def test_no_line_breaks_any_reader(tmp_path_factory: pytest.TempPathFactory, found: list[bytes], torn: bool) -> None:
    """Status, report and the next run go over the same events, and a repaired log says what the damaged one said."""
    folder = tmp_path_factory.mktemp("log")
    data = b"\n".join(found) + (b"" if torn else b"\n")
    log_path(folder).write_bytes(data)
    damaged: list[int] = []
    events = list(read_log(folder, damaged.append))
    whole = data.split(b"\n")[:-1]
    assert len(events) + len(damaged) == len(whole)
    assert all(event.time >= 0 and event.seconds >= 0 and event.size_bytes >= 0 for event in events)
    fleet = fleet_of(["a"])
    history = History.of(events, fleet, {"default": DIGEST})
    assert sum(history.counts().values()) == 1
    schedule = standing_of(history).schedule(fleet, time.time())
    assert schedule.outcomes.get("a") in (None, history.courses["a"].outcome)
    repair_log(folder)
    assert [event.entry for event in read_log(folder, lambda number: pytest.fail(f"line {number}"))] == [
        event.entry for event in events
    ]


RUN = {"event": "run", "time": 1.0}
END = {"event": "end", "time": 2.0, **ABOUT, "outcome": "done", "seconds": 3.5, "bytes": 700, "from": "1.0.0"}


@pytest.mark.parametrize(
    ("key", "value", "name", "expected"),
    [
        ("seconds", True, "seconds", 0.0),
        ("seconds", -1, "seconds", 0.0),
        ("seconds", "3", "seconds", 0.0),
        ("bytes", 7.9, "size_bytes", 7),
        ("bytes", None, "size_bytes", 0),
        ("outcome", ["done"], "outcome", None),
        ("outcome", "later", "outcome", None),
        ("outcome", "unproven", "outcome", Outcome.UNPROVEN),
        ("from", 1, "was", None),
        ("proof", {"value": 1, "reason": "x"}, "proof", None),
        ("proof", {"value": None}, "proof", None),
        ("lines", [1, True, -2, "3", 4], "lines", (1, 4)),
        ("wanted", {"app": "2.0.0", "net": 2}, "wanted", {"app": "2.0.0"}),
        ("message", "x" * 9000, "message", "x" * MAX_TEXT),
        ("chip", {}, "chip", None),
    ],
)
def test_a_field_of_the_wrong_kind_reads_as_a_missing_one(key: str, value: Any, name: str, expected: Any) -> None:
    event = LogEvent.from_entry(END | {key: value})
    assert event is not None
    assert (getattr(event, name), event.seconds == 3.5 or key == "seconds") == (expected, True)
    assert event.entry[key] == value, "what was written is kept"


@pytest.mark.parametrize("time", [None, True, "1", -1, 1e12, [], {}])
def test_an_event_without_a_time_is_damaged_for_every_command(tmp_path: Path, time: Any) -> None:
    """A null time passed ``fleet status``, and was a TypeError in ``fleet run``."""
    assert LogEvent.from_entry(END | {"time": time}) is None
    text = "".join(json.dumps(one) + "\n" for one in (RUN, END | {"time": time}))
    log_path(tmp_path).write_text(text)
    damaged: list[int] = []
    assert [event.kind for event in read_log(tmp_path, damaged.append)] == ["run"]
    assert damaged == [2]


@pytest.mark.parametrize("rest", [b"\n", b""])
def test_a_line_is_bounded(tmp_path: Path, rest: bytes) -> None:
    """In both its length and the memory that reading it takes; it is moved whole."""
    long = json.dumps(END | {"message": "x" * (2 * MAX_LINE_BYTES)}).encode()
    first = json.dumps(RUN).encode() + b"\n"
    log_path(tmp_path).write_bytes(first + long + rest)
    damaged: list[int] = []
    assert [event.kind for event in read_log(tmp_path, damaged.append)] == ["run"]
    assert damaged == [2]
    assert repair_log(tmp_path) == (2,)
    assert log_path(tmp_path).read_bytes() == first
    assert (tmp_path / "events.damaged").read_bytes() == long + b"\n"


FIRST_FORM = [
    {"event": "run", "time": 1.0, "fleet": "roofs", "devices": 1},
    {"event": "begin", "time": 2.0, "device": "a", "wave": "all", "package": DIGEST},
    {"event": "step", "time": 3.0, "device": "a", "step": "upload app", "number": 1, "of": 9},
    {"event": "end", "time": 4.0, "device": "a", "outcome": "done", "package": DIGEST, "seconds": 2.0, "bytes": 9},
    {"event": "stop", "time": 5.0, "reason": "1 device failed; the limit is 1"},
    {"event": "leave", "time": 6.0, "phase": "stopped"},
]
"""As the first releases wrote it: without ``identity``, ``proof``, ``chip`` and ``advice``."""


@pytest.mark.parametrize(("more", "state"), [({}, "waiting"), ({"identity": "virtual:a"}, "done")])
def test_logs_of_every_earlier_form_are_read(more: dict[str, str], state: str) -> None:
    """An outcome without an identity belongs to nobody: that device is asked anew. The rest counts."""
    events = [event for one in FIRST_FORM if (event := LogEvent.from_entry(one | more))]
    assert len(events) == len(FIRST_FORM)
    history = History.of(events, fleet_of(["a"]), {"default": DIGEST})
    assert history.counts() == {state: 1}
    assert (history.stopped, history.began, history.ended) == ("1 device failed; the limit is 1", 1.0, 6.0)


# --- the writer, the reader and the page of formats -------------------------------------------------------------------


def written() -> set[str]:
    """The fields that a run writes: what it gives to ``write``, and the facts of a device."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(fleet_run))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "write":
            found |= {one.arg for one in node.keywords if one.arg is not None}
        elif isinstance(node, ast.FunctionDef) and node.name == "facts":
            keys = [key for one in ast.walk(node) if isinstance(one, ast.Dict) for key in one.keys]
            found |= {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return found


def described() -> set[str]:
    """The fields in the table of the page."""
    part = FORMATS.read_text("utf-8").split("## Fleet log", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[2] for line in part.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_field_that_is_written_is_read() -> None:
    assert {"proof", "operator", "phase"} <= written()
    assert written() - UNREAD <= set(_FIELDS)


def test_every_field_that_is_written_or_read_is_described() -> None:
    assert (written() | set(_FIELDS)) - described() == set()
