"""Histories that are generated, torn or hostile: the answer is that of a slow model, and no guess."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bench_affected import digest, write_state
from smpdfu.device_search import affected
from smpdfu.dfu.do.journal.updates import JournalUpdate, JournalUpload, updates_in
from smpdfu.dfu.fleet.affected.answer import AffectedStatus, DeviceHistory, Judge, catalog_of
from smpdfu.dfu.fleet.affected.boards import APP, NET, NOT_KNOWN, Attempt, Exchanged, Result, boards_of
from smpdfu.dfu.fleet.affected.histories import in_order
from smpdfu.dfu.fleet.affected.journals import JournalRecord
from smpdfu.dfu.fleet.affected.question import by_hashes
from smpdfu.dfu.fleet.log import log as logs
from smpdfu.dfu.fleet.log.events import Fields, LogEvent
from smpdfu.dfu.fleet.log.log import log_path
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.dfu.package.images import Core, Role
from smpdfu.errors import UnknownDevicesError

IMAGES = {
    release: tuple(ImageRecord(part, digest(f"{part} {release}"), f"{release}.0.0") for part in (APP, NET))
    for release in range(4)
}
PACKAGES = {f"package {release}": images for release, images in IMAGES.items()}


def test_the_names_of_parts_are_those_of_packages() -> None:
    assert (APP, NET) == (Core.APP, Core.NET)
    assert {APP, NET, "external", "mcuboot", "other"} == set(Role)


@st.composite
def attempts(draw: st.DrawFn) -> list[Attempt]:
    """Updates of one board, and what they noted of it. The model follows the notes."""
    found = []
    for at in range(draw(st.integers(0, 6))):
        release = draw(st.integers(0, 3))
        known = draw(st.booleans()) or draw(st.booleans())
        result = draw(st.sampled_from(Result))
        lists = draw(st.booleans())
        old = IMAGES[draw(st.integers(0, 3))][0].hash
        runs = "" if not lists else IMAGES[release][0].hash if result is Result.INSTALLED else old
        either = draw(st.none() | st.frozensets(st.sampled_from([APP, NET])))
        package = f"package {release}" if known else "of an older release"
        found.append(
            Attempt(
                10.0 * at, 10.0 * at + 5, package, parts=(APP, NET), result=result, proven=draw(st.booleans()),
                either=either, was=old if lists and draw(st.booleans()) else "", runs=runs, seen=10.0 * at + 5,
            )
        )  # fmt: skip
    return found


def may_run(found: list[Attempt]) -> Mapping[str, frozenset[str]]:
    """The slow model: all that each part may run, by the table of ``boards``, one rule after the other."""
    parts: dict[str, set[str]] = {}
    for one in found:
        if one.was:
            parts[APP] = {one.was}
        images = PACKAGES.get(one.package)
        new = {image.part: image.hash for image in images} if images else {APP: NOT_KNOWN, NET: NOT_KNOWN}
        before = {part: set(parts.get(part, {NOT_KNOWN})) for part in new}
        for part, key in new.items():
            opened = one.either is None or part in one.either
            if part == APP and one.runs:
                parts[part] = {one.runs} | (before[part] | {key} if one.result is Result.LEFT and opened else set())
            elif one.result is Result.INSTALLED:
                parts[part] = {key} if one.proven or before[part] == {key} or key == NOT_KNOWN else {key} | before[part]
            elif opened:
                parts[part] = before[part] | {key}
    return {part: frozenset(keys) for part, keys in parts.items()}


@given(attempts(), st.integers(0, 3), st.sampled_from([APP, NET]))
def test_the_answer_is_that_of_a_slow_model(found: list[Attempt], release: int, part: str) -> None:
    sought = next(one.hash for one in IMAGES[release] if one.part == part)
    catalog = catalog_of(PACKAGES, {})
    boards = boards_of(found, PACKAGES) if found else []
    (answer,) = Judge(by_hashes([sought], catalog), catalog).answers(DeviceHistory("a", "a", boards=tuple(boards)))
    keys = may_run(found).get(part)
    if found:
        assert {name: runs.keys for name, runs in boards[-1].runs.items()} == dict(may_run(found))
    if keys is None or (sought in keys and len(keys) > 1) or (sought not in keys and NOT_KNOWN in keys):
        assert answer.status in (AffectedStatus.UNKNOWN, AffectedStatus.AFFECTED)
        assert answer.status is AffectedStatus.UNKNOWN or (keys is not None and sought in keys)
    elif keys == {sought}:
        assert answer.status is AffectedStatus.AFFECTED
    else:
        assert answer.status in (AffectedStatus.NOT_AFFECTED, AffectedStatus.WAS_AFFECTED)
        assert (answer.status is AffectedStatus.WAS_AFFECTED) == bool(answer.past)


def test_another_board_at_the_address_leaves_the_first_one_unknown() -> None:
    here = Attempt(0, 5, "package 1", result=Result.INSTALLED, proven=True, runs=IMAGES[1][0].hash, chip="01", seen=5)
    catalog = catalog_of(PACKAGES, {})
    boards = tuple(boards_of([here, Exchanged(9, "02")], PACKAGES))
    judge = Judge(by_hashes([IMAGES[1][0].hash], catalog), catalog)
    old, new = judge.answers(DeviceHistory("a", "a", boards=boards))
    assert (old.status, old.replaced, old.chip) == (AffectedStatus.UNKNOWN, 9, "01")
    assert (new.status, new.chip) == (AffectedStatus.UNKNOWN, "02")


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The history of 20 devices with 3 releases each, in the state folder."""
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state"))
    write_state(tmp_path / "state", 20, 3)
    return tmp_path / "state"


def counts(release: int) -> dict[str, int]:
    found = affected(hashes=[digest(f"app {release}")])
    return {status: number for status, number in found.counts.items() if number}


@pytest.mark.parametrize("gone", ["", "fleets", "updates"])
def test_the_log_and_the_journals_each_have_the_answer(state: Path, gone: str) -> None:
    for path in (state / gone).rglob("*.jsonl") if gone else ():
        path.unlink()
    assert (counts(3), counts(2), counts(9)) == ({"affected": 20}, {"was-affected": 20}, {"not-affected": 20})


def test_a_torn_last_line_counts_as_not_written(state: Path) -> None:
    log = log_path(state / "fleets" / "id-bench")
    log.write_bytes(log.read_bytes()[:-9])
    for path in (state / "updates").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    assert counts(3) == {"affected": 20}


@pytest.mark.parametrize(
    "line", [b"no json\n", b'{"event": "end", "time": 1e400}\n', b"[" * 99_999 + b"\n", b"\0" * 99 + b"\n"]
)
def test_damaged_lines_are_named_and_hide_no_device(state: Path, line: bytes) -> None:
    log = log_path(state / "fleets" / "id-bench")
    log.write_bytes(line + log.read_bytes())
    found = affected(hashes=[digest("app 3")])
    assert found.counts["affected"] == 20
    assert found.problems == (f"line 1 of {log} is damaged",)


def test_a_log_that_cannot_be_read_makes_no_device_clear(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 100)
    found = affected(hashes=[digest("app 3")])
    assert "is larger than" in found.problems[0]
    assert found.counts["affected"] == 20
    for path in (state / "updates").iterdir():
        path.unlink()
        path.mkdir()
    found = affected(hashes=[digest("app 3")])
    assert (found.counts["unknown"], found.counts["not-affected"]) == (21, 0)  # the fleet is one
    assert len(found.problems) == 22
    assert found.problems[0].startswith("no update has noted an image or a package with the hash")


def _without_journals(state: Path) -> None:
    for path in (state / "updates").iterdir():
        path.unlink()


def test_damaged_lines_of_a_log_alone_make_no_device_clear(state: Path) -> None:
    """The journals have the same updates; without them, the lost lines may be of any device."""
    log = log_path(state / "fleets" / "id-bench")
    lines = log.read_bytes().splitlines(keepends=True)
    lost = [at for at, line in enumerate(lines) if b'"event": "run"' in line][-1] + 1
    log.write_bytes(b"".join(lines[:lost]) + b"\0\n" * (len(lines) - lost))
    assert counts(3) == {"affected": 20}
    _without_journals(state)
    found = affected(hashes=[digest("app 3")])
    assert found.counts["unknown"] == 20
    assert found.devices[0].reason == f"the log of its fleet has damaged lines: {log}"
    assert counts(2) == {"affected": 20}


def test_a_fleet_whose_log_cannot_be_read_is_not_left_out(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 100)
    _without_journals(state)
    found = affected(hashes=[digest("app 3")])
    assert [(one.device.name, one.status) for one in found.devices] == [("fleet id-bench", AffectedStatus.UNKNOWN)]
    assert isinstance(found.error(), UnknownDevicesError)


def test_a_fleets_folder_on_another_disk_is_not_left_out(state: Path, tmp_path: Path) -> None:
    (state / "fleets" / "id-bench").rename(tmp_path / "moved")
    (state / "fleets" / "id-bench").symlink_to(tmp_path / "moved")
    _without_journals(state)
    assert counts(3) == {"affected": 20}


def test_a_clock_that_went_back_leaves_the_order_unknown(state: Path) -> None:
    """The journal has one update more, which came first, and its clock was ahead."""
    for path in (state / "updates").iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        end = next(at for at, line in enumerate(lines) if line.startswith(b'{"end"')) + 1
        first = [line.replace(b'"time": 17', b'"time": 19') for line in lines[:end]]
        path.write_bytes(b"".join([*first, *lines]))
    assert counts(3) == {"unknown": 20}
    assert counts(2) == {"unknown": 20}


def test_few_lines_of_a_history_are_decoded(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes it fast: lines of steps, updates that the log has too, and lines that are as others, are not decoded.

    Of the 20 beginnings and the 20 ends of a run, the first is decoded, and once more with other values.
    """
    read: list[bytes] = []
    real = LogEvent.from_bytes

    def noting(line: bytes, fields: Fields | None = None) -> LogEvent | None:
        read.append(line)
        return real(line, fields)

    monkeypatch.setattr(LogEvent, "from_bytes", noting)
    assert counts(3) == {"affected": 20}
    assert len(read) == 3 * (2 + 2 + 1 + 1)
    journal = next((state / "updates").iterdir()).read_bytes()
    assert updates_in(journal, lambda began, ended: True) == []
    assert [one.begin["update"] for one in updates_in(journal)] == [digest(f"package {at}") for at in (1, 2, 3)]


@given(st.lists(st.sampled_from(["update", "step", "end", "note", "upload", "damaged"]), max_size=12), st.booleans())
def test_the_fast_reader_of_a_journal_finds_what_the_whole_one_does(kinds: list[str], torn: bool) -> None:
    entries: list[dict[str, Any] | None] = []
    step, upload = {"step": "upload app", "is": "begun"}, {"upload": {"is": "begun"}}
    for at, kind in enumerate(kinds):
        update = {"update": str(at)}
        entry: dict[str, dict[str, Any]] = {"update": update, "step": step, "end": {"end": "done"}, "upload": upload}
        entries.append(None if kind == "damaged" else {**entry.get(kind, {"proof": None}), "time": float(at)})
    data = b"".join(b"\0\n" if one is None else json.dumps(one).encode() + b"\n" for one in entries)
    found = updates_in(data[:-1] if torn else data)
    whole = updates_in(data[:-1] if torn else data, lambda began, ended: False)
    assert [one.begin for one in found] == [one.begin for one in whole]
    assert [one.end for one in found] == [one.end for one in whole]


BEGUN, INSTALLED = {"upload": {"is": "begun", "runs": "aa"}}, {"upload": {"is": "installed", "runs": "bb"}}
UPDATE, STEP, END = {"update": "p", "runs": "00"}, {"step": "upload app", "is": "begun"}, {"end": "done"}


def journal_of(*entries: Mapping[str, Any]) -> bytes:
    """A journal with these entries, one each second."""
    return b"".join(json.dumps({**one, "time": float(at)}).encode() + b"\n" for at, one in enumerate(entries))


def test_an_update_around_an_upload_comes_in_two_parts() -> None:
    first, upload, rest = updates_in(journal_of(UPDATE, STEP, BEGUN, INSTALLED, STEP, END))
    assert isinstance(first, JournalUpdate)
    assert isinstance(upload, JournalUpload)
    assert isinstance(rest, JournalUpdate)
    assert (first.end, len(first.steps)) == (None, 1)
    assert (upload.begin["time"], upload.end) == (2.0, {"is": "installed", "runs": "bb", "time": 3.0})
    assert (rest.begin, len(rest.steps)) == ({"update": "p", "runs": "bb", "time": 3.0}, 1)
    assert rest.end == {"end": "done", "time": 5.0}


def test_an_update_around_an_upload_that_did_not_end_is_about_a_device_of_which_nobody_knows_what_runs() -> None:
    *_, rest = updates_in(journal_of(UPDATE, STEP, BEGUN, END))
    assert rest.begin == {"update": "p", "runs": None, "time": 2.0}


@pytest.mark.parametrize("upload", [(BEGUN,), (BEGUN, INSTALLED)])
@pytest.mark.parametrize("at", range(1, 4))
def test_an_update_that_the_log_has_hides_no_upload(at: int, upload: tuple[Mapping[str, Any], ...]) -> None:
    entries: list[Mapping[str, Any]] = [UPDATE, STEP, END]
    entries[at:at] = upload
    asked: list[tuple[float, float]] = []

    def known(began: float, ended: float) -> bool:
        asked.append((began, ended))
        return True

    (found,) = updates_in(journal_of(*entries), known)
    assert isinstance(found, JournalUpload)
    assert (found.begin["time"], found.end is None) == (float(at), len(upload) == 1)
    assert asked == [(0.0, 2.0 if at == 3 else 2.0 + len(upload))]


@pytest.mark.parametrize("entry", [{}, {"is": "begun", "image": 7}, {"is": [], "time": []}, {"is": "installed"}])
def test_an_upload_that_cannot_be_read_makes_no_device_clear(state: Path, entry: Mapping[str, Any]) -> None:
    """It comes twice: the second line may count as the end of the first."""
    for path in (state / "updates").iterdir():
        path.write_bytes(path.read_bytes() + 2 * (json.dumps({"upload": entry, "time": 4e9}).encode() + b"\n"))
    assert counts(3) == counts(9) == {"unknown": 20}


def test_uploads_count_in_the_order_of_the_journal_whatever_the_clock_said() -> None:
    new = {"part": APP, "hash": IMAGES[3][0].hash, "version": "3.0.0"}
    begun = {"is": "begun", "image": new, "runs": IMAGES[1][0].hash}
    lines = [
        {"update": "p", "images": [IMAGES[1][0].to_entry()], "runs": IMAGES[0][0].hash, "time": 100.0},
        {"end": "done", "time": 101.0},
        {"upload": begun, "time": 3.0},
        {"upload": {"is": "installed", "proven": True, "runs": IMAGES[3][0].hash}, "time": 4.0},
    ]
    record = JournalRecord.of(updates_in(b"".join(json.dumps(one).encode() + b"\n" for one in lines)), Path("a.jsonl"))
    (board,) = boards_of(in_order(record.attempts), {})
    assert board.runs[APP].keys == {IMAGES[3][0].hash}
