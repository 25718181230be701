"""The records of devices: read as they were written, whole after a kill at any moment, damaged ones kept aside."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.agent.actions.record import ActionRecord, Answers, DeviceRecord, Message, PastAction, Stage
from smpdfu.agent.actions.record_files import MAX_RECORD_BYTES, RecordFiles, folder_of
from smpdfu.agent.ddi.feedback import Execution, Feedback, Finished
from smpdfu.errors import FormatError, JournalError

DONE = Message(Answers.DEPLOYMENT, "https://h/x", Feedback(Execution.CLOSED, Finished.SUCCESS, ("done",), time_ms=1))
REFUSED = Message(Answers.CANCEL, "https://h/c", Feedback(Execution.REJECTED, details=("too late",)))
ACTION = ActionRecord("17", "https://h/x?c=1", Stage.INSTALLING, "d1", "5a" * 32, (REFUSED,), DONE, 3, frozenset({"a"}))
PAST = (PastAction("3", "a1"), PastAction("4"))
RECORD = DeviceRecord("roof-1", "c1", "2026-11-30T10:00:00Z", {"smpdfu_gateway": "g"}, "other", ACTION, PAST)

texts = st.text(max_size=12)
actions = st.builds(
    ActionRecord,
    texts,
    texts,
    st.sampled_from(Stage),
    texts,
    texts,
    st.lists(st.sampled_from([DONE, REFUSED]), max_size=3).map(tuple),
    st.sampled_from([None, DONE]),
    st.integers(0, 1000),
    st.frozensets(texts, max_size=3),
)
records = st.builds(
    DeviceRecord,
    texts,
    texts,
    texts,
    st.dictionaries(texts, texts, max_size=3),
    st.none() | texts,
    st.none() | actions,
    st.lists(st.builds(PastAction, texts, texts), max_size=16).map(tuple),
)


def test_a_message_that_was_delivered_takes_no_other_one_with_it() -> None:
    """A refusal of a cancellation goes before the result, which is on its way then."""
    both = replace(ACTION, outbox=(REFUSED, DONE))
    assert both.delivered(DONE).outbox == (REFUSED,)
    assert both.reworded(DONE, REFUSED).outbox == (REFUSED, REFUSED)
    assert replace(ACTION, outbox=(REFUSED,)).delivered(DONE).outbox == (REFUSED,)


@given(records)
def test_a_record_is_read_as_it_was_written(record: DeviceRecord) -> None:
    assert DeviceRecord.from_entry(json.loads(json.dumps(record.to_entry()))) == record


def test_a_record_of_an_earlier_version_is_read() -> None:
    entry = RECORD.to_entry() | {"past": ["3", "4"]}
    del entry["action"]["asked"]
    assert DeviceRecord.from_entry(entry) == replace(RECORD, past=(PastAction("3"), PastAction("4")))


json_values = st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda of: st.lists(of, max_size=3))


@given(st.data())
def test_a_record_with_any_other_value_in_a_field_gives_one_error_or_none(data: st.DataObject) -> None:
    entry = RECORD.to_entry()
    place: dict[str, Any] = data.draw(
        st.sampled_from([entry, entry["action"], entry["action"]["outbox"][0], entry["past"][0]])
    )
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(json_values)
    try:
        DeviceRecord.from_entry(entry)
    except FormatError:
        return


def test_files(tmp_path: Path) -> None:
    files = RecordFiles(folder_of(tmp_path, "https://h", "DEFAULT"))
    assert files.read("roof-1") == (DeviceRecord("roof-1"), None)
    assert not list(tmp_path.iterdir()), "reading makes no file"
    files.write(RECORD)
    files.write(replace(RECORD, controller="../roof/1\n"))
    assert files.read("roof-1") == (RECORD, None)
    assert files.read("../roof/1\n")[0].controller == "../roof/1\n"
    assert len(list(files.folder.iterdir())) == 2
    assert all(path.parent == files.folder for path in files.folder.iterdir())


def test_ids_that_look_alike_have_files_of_their_own(tmp_path: Path) -> None:
    files = RecordFiles(tmp_path)
    ids = ["a/b", "a_b", "a b", "A_b", "a" * 256, "a" * 255, "\ud800", ".", "..", ""]
    assert len({files.path_of(one).name.casefold() for one in ids}) == len(ids)


def test_other_servers_and_tenants_have_other_folders(tmp_path: Path) -> None:
    places = [("https://a", "T"), ("https://b", "T"), ("https://a", "U"), ("https://aT", "")]
    assert len({folder_of(tmp_path, *place) for place in places}) == len(places)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\0" * 300,
        b'{"format": 2}',
        b'{"format": 1, "controller": "roof-1"}',
        json.dumps(replace(RECORD, controller="roof-2").to_entry()).encode(),
        json.dumps(RECORD.to_entry()).encode()[:-20],
        b" " * (MAX_RECORD_BYTES + 1),
    ],
)
def test_a_damaged_record_is_kept_and_begins_anew(tmp_path: Path, content: bytes) -> None:
    files = RecordFiles(tmp_path)
    for number in (1, 2):
        files.path_of("roof-1").write_bytes(content)
        record, moved = files.read("roof-1")
        assert record == DeviceRecord("roof-1")
        assert moved == tmp_path / f"{files.path_of('roof-1').name}.damaged-{number}"
        assert moved.read_bytes() == content
        assert files.read("roof-1") == (DeviceRecord("roof-1"), None)


def test_a_full_disk_is_said_and_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = RecordFiles(tmp_path)
    files.write(RECORD)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(JournalError, match="cannot be written: No space left on device"):
            files.write(replace(RECORD, claim="c2"))
    assert files.read("roof-1") == (RECORD, None)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_record_behind_a_link_is_not_written(tmp_path: Path) -> None:
    files = RecordFiles(tmp_path / "own")
    files.write(RECORD)
    (tmp_path / "foreign").write_text("foreign")
    files.path_of("roof-1").with_suffix(".new").symlink_to(tmp_path / "foreign")
    with pytest.raises(JournalError, match="symbolic link"):
        files.write(RECORD)
    assert (tmp_path / "foreign").read_text() == "foreign"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with RecordFiles(tmp_path).locked():
        why = f"another agent works for this gateway: process {os.getpid()}"
        with pytest.raises(JournalError, match=why) as found, RecordFiles(tmp_path).locked():
            pass
        assert found.value.code == "agent-runs"
    with RecordFiles(tmp_path).locked():
        pass


CHILD = """
import os, signal, sys
from pathlib import Path
from smpdfu.agent.actions.record import DeviceRecord
from smpdfu.agent.actions.record_files import RecordFiles
life, after = int(sys.argv[2]), sys.argv[3] == "after"
def mortal(name):
    real = getattr(os, name)
    def call(*args, **how):
        global life
        life -= 1
        if life < 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*args, **how)
        if life < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    setattr(os, name, call)
for name in ("open", "fsync", "replace", "close"):
    mortal(name)
RecordFiles(Path(sys.argv[1])).write(DeviceRecord("roof-1", claim="new" * 4000))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_moment_leaves_the_old_record_or_the_new_one(tmp_path: Path, moment: str) -> None:
    files = RecordFiles(tmp_path)
    old, new, seen = DeviceRecord("roof-1", claim="old"), DeviceRecord("roof-1", claim="new" * 4000), []
    for life in range(20):
        files.write(old)
        child = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), str(life), moment], check=False)
        found, moved = files.read("roof-1")
        assert moved is None
        assert found in (old, new)
        seen.append(found == new)
        if child.returncode == 0:
            break
    assert child.returncode == 0
    assert seen == sorted(seen), "once it is new, it stays new"
    assert {*seen} == {True, False}
