"""The journal: what is written is there, whatever kills the writer; what is damaged is said."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smpdfu.dfu.decide.evidence import Clue, console_clue
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.record import DONE, Record, replay
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import MAX_JOURNAL_BYTES, journal_path, read_record
from smpdfu.dfu.do.journal.repair import is_damaged, set_aside
from smpdfu.errors import JournalError
from smpdfu.loaders.console import read_boot


def entries(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "journal.jsonl"
    with Journal(path, clock=lambda: 12.5) as journal:
        assert journal.record == Record()
        journal.begin("d1", device="virtual:x")
        journal.begun("upload app")
        journal.done("upload app")
        journal.begun("test app")
        assert journal.record == Record("d1", frozenset({"upload app"}))
    assert read_record(path) == Record("d1", frozenset({"upload app"}))
    assert read_record(path).unfinished
    assert entries(path)[:3] == [
        {"update": "d1", "device": "virtual:x", "time": 12.5},
        {"step": "upload app", "is": "begun", "time": 12.5},
        {"step": "upload app", "is": "done", "time": 12.5},
    ]
    with Journal(path) as journal:
        journal.end(DONE)
        assert not journal.record.unfinished
    assert read_record(path).end == DONE


@pytest.mark.parametrize("now", [-1.0, 1e18, float("inf"), float("nan")])
def test_a_clock_that_tells_no_date_damages_no_journal(tmp_path: Path, now: float) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, clock=lambda: now) as journal:
        journal.begin("d1", device="virtual:x")
        journal.done("upload app")
        journal.end(DONE)
    assert not is_damaged(path)
    assert read_record(path).end == DONE


def test_the_last_update_counts_and_only_its_own_package() -> None:
    record = replay(
        [
            {"update": "old"},
            {"step": "upload app", "is": "done"},
            {"update": "new"},
            {"step": "test app", "is": "begun"},
        ]
    )
    assert record == Record("new")
    assert record.of("new") is record
    assert record.of("old") == Record()
    assert not Record().unfinished


def test_reading_a_journal_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none") == Record()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("rest", [b'{"step": "test app", "is": "do', b"\0" * 4096, b'{"step": 1}', b"[1]\n", b"x\n"])
def test_a_last_line_that_was_cut_short_is_removed(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.begin("d1")
    whole = path.read_bytes()
    path.write_bytes(whole + rest)
    assert read_record(path) == Record("d1")
    with Journal(path) as journal:
        assert path.read_bytes() == whole
        journal.done("upload app")
    assert read_record(path) == Record("d1", frozenset({"upload app"}))


UPLOAD, TEST = ({"step": f"{name} app", "is": "begun"} for name in ("upload", "test"))
UPLOADED, TESTED = (one | {"is": "done"} for one in (UPLOAD, TEST))
D1, D2, ENDED = {"update": "d1"}, {"update": "d2"}, {"end": DONE}


@pytest.mark.parametrize(
    ("lines", "record"),
    [
        ([D1, None, ENDED], Record("d1", end=DONE)),
        ([D1, UPLOAD, None, TEST, TESTED, ENDED], Record("d1", frozenset({"test app"}), DONE)),
        ([D1, UPLOAD, UPLOADED, None, TEST], Record("d1", frozenset({"upload app"}))),
        ([D1, None, D2, UPLOAD, UPLOADED], Record("d2", frozenset({"upload app"}))),
        ([None, UPLOAD, UPLOADED], Record("", frozenset({"upload app"}))),  # of no package that we know
        ([D1, ENDED, None, UPLOAD, UPLOADED, ENDED], Record("", frozenset({"upload app"}), DONE)),
        ([D1, UPLOAD, UPLOADED, None, UPLOAD, UPLOADED], Record("", frozenset({"upload app"}))),  # another one began
        ([D1, '{"update": "d2", "ti', UPLOAD, UPLOADED], Record("", frozenset({"upload app"}))),
    ],
)
def test_a_damaged_line_counts_for_nothing_and_the_rest_counts(
    tmp_path: Path, lines: list[dict[str, str] | str | None], record: Record
) -> None:
    path = tmp_path / "journal"
    made = [one if isinstance(one, str) else "no json" if one is None else json.dumps(one) for one in lines]
    path.write_text("".join(f"{line}\n" for line in made))
    number = next(number for number, one in enumerate(lines, 1) if not isinstance(one, dict))
    assert read_record(path) == record
    with Journal(path) as journal:
        assert (journal.record, journal.damaged) == (record, (number,))
        assert path.read_text().splitlines() == made, "nothing is deleted"
        journal.begin("d3")
    assert read_record(path) == Record("d3", past=record.past)
    assert is_damaged(path)


@pytest.mark.parametrize("time_s", ["1e400", "NaN", '"soon"', "-1", "1e17", "true", "1" + "0" * 400])
def test_a_time_that_is_none_is_damage(tmp_path: Path, time_s: str) -> None:
    (tmp_path / "a").write_text(f'{{"update": "d1"}}\n{{"end": "done", "time": {time_s}}}\n{{"update": "d1"}}\n')
    with Journal(tmp_path / "a") as journal:
        assert (journal.damaged, journal.record.unfinished) == ((2,), True)


def test_a_journal_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert set_aside(path) is None
    with Journal(path) as journal:
        journal.begin("d1")
        with pytest.raises(JournalError, match="another process"):
            set_aside(path)
    assert set_aside(path) == tmp_path / "a.jsonl.old-1"
    Journal(path).close()
    assert set_aside(path) == tmp_path / "a.jsonl.old-2"
    assert read_record(path) == Record()
    assert read_record(tmp_path / "a.jsonl.old-1") == Record("d1")
    assert not is_damaged(path)


def test_a_journal_cannot_be_had_twice(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        with pytest.raises(JournalError, match="another process"):
            Journal(tmp_path / "journal")
        journal.close()
        Journal(tmp_path / "journal").close()


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    for use in (Journal, read_record):
        with pytest.raises(JournalError):
            use(tmp_path)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """The file size limit of a process stands for the disk: it takes a part of a line, then refuses."""
    script = """
import resource, signal, sys
sys.dont_write_bytecode = True  # it would be cut short
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.errors import JournalError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(sys.argv[1])
journal.begin("d1")
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
try:
    for number in range(100):
        journal.done(f"step {number}")
except JournalError as error:
    print(number, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.done("there is room again")
"""
    path = tmp_path / "journal"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True, env=ENV)
    assert "cannot be written" in done.stdout
    steps = int(done.stdout.split()[0])
    wanted = {f"step {number}" for number in range(steps)} | {"there is room again"}
    assert steps > 0
    assert read_record(path) == Record("d1", frozenset(wanted))


def test_a_line_is_on_the_disk_before_anything_else_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((tmp_path / "a").read_bytes()))
    with Journal(tmp_path / "a") as journal:
        assert len(synced) == 1, "the name of a new file"
        journal.begin("d1")
        assert synced[-1].count(b"\n") == 1
        journal.begun("upload app")
        assert synced[-1].count(b"\n") == 2
    with Journal(tmp_path / "a"):
        assert len(synced) == 3


def test_a_journal_that_grew_without_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from smpdfu.dfu.do.journal import reading

    (tmp_path / "a").write_bytes(b'{"end": "done"}\n' * 10)
    monkeypatch.setattr(reading, "MAX_JOURNAL_BYTES", 160)
    assert read_record(tmp_path / "a").end == DONE
    monkeypatch.setattr(reading, "MAX_JOURNAL_BYTES", 159)
    with pytest.raises(JournalError, match="is larger than"):
        read_record(tmp_path / "a")


def test_nothing_stays_open(tmp_path: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not show the open files of a process")
    (tmp_path / "bad").touch()
    os.truncate(tmp_path / "bad", MAX_JOURNAL_BYTES + 1)
    before = count()
    with Journal(tmp_path / "new") as held:
        assert held.path.exists()
        with pytest.raises(JournalError):
            Journal(tmp_path / "new")
    for _ in range(2):
        with pytest.raises(JournalError):
            Journal(tmp_path / "bad")
        with pytest.raises(JournalError):
            read_record(tmp_path / "bad")
    read_record(tmp_path / "new")
    assert count() == before


def test_where_journals_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMPDFU_STATE_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert journal_path("virtual:a").parent == tmp_path / "smpdfu" / "updates"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert journal_path("virtual:a").parent == Path.home() / ".local" / "state" / "smpdfu" / "updates"


WRITER = """
import sys
from smpdfu.dfu.do.journal.journal import Journal
journal = Journal(sys.argv[1])
journal.begin("d1")
number = 0
while True:
    journal.begun(f"step {number}")
    journal.done(f"step {number}")
    print(number, flush=True)
    number += 1
"""
ENV = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(path for path in (str(Path(__file__).parents[2]), *sys.path) if path),
}


@pytest.mark.parametrize("lines", [1, 7, 30])
def test_what_was_said_to_be_done_survives_kill_9(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "journal"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True, env=ENV)
    assert writer.stdout is not None
    for _ in range(lines):
        last = int(writer.stdout.readline())
    writer.kill()
    writer.communicate()
    steps = read_record(path).steps
    assert {f"step {number}" for number in range(last + 1)} <= steps
    with Journal(path) as journal:  # the lock died with the process
        journal.end(DONE)
    assert read_record(path).end == DONE


def test_every_device_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path))
    devices = [
        "serial:/dev/ttyACM0",
        "serial:/dev/ttyACM0?baudrate=9600",
        "virtual:a",
        "virtual:A",
        "ble:../..",
        "x" * 300,
    ]
    paths = [journal_path(device) for device in devices]
    assert len(set(paths)) == len(devices)
    for path in paths:
        assert path.parent == tmp_path / "updates"
        assert len(path.name) < 100


def test_a_file_that_is_gone_is_a_journal_error(tmp_path: Path) -> None:
    """Even taking back what was half written fails then; nothing of it is taken for written."""
    with Journal(tmp_path / "journal") as journal:
        journal.begin("one")
        os.close(journal._fd)
        with pytest.raises(JournalError, match="cannot be written"):
            journal.done("upload app")
        assert not journal.record.steps
    assert read_record(tmp_path / "journal").package == "one"


def test_what_cannot_be_taken_back_is_a_journal_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path / "journal") as journal:
        journal.begin("one")
        for name in ("fsync", "ftruncate"):
            monkeypatch.setattr(os, name, full)
        with pytest.raises(JournalError, match="No space left"):
            journal.done("upload app")


def test_when_an_update_ended_is_kept(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", clock=lambda: 1_700_000_000.25) as journal:
        journal.begin("one")
        assert journal.record.ended_at is None
        journal.end(DONE)
    assert read_record(tmp_path / "journal").ended_at == 1_700_000_000.25


NOTES: list[dict[str, object]] = [
    {"loader": ["3.2/pm"], "source": "console", "text": "nRF Connect SDK v3.2.0"},
    {"net_version": "1.0.0"},
    {"proof": {"value": True, "reason": "It was printed.", "source": "console"}},
]


def test_notes_are_of_their_update(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, clock=lambda: 1.0) as journal:
        journal.begin("d1", about={"key": "ab", "net_address": 0x0100_8800})
        for note in NOTES:
            journal.note(note)
    record = read_record(path)
    assert [entry["loader"] for entry in record.clues] == [["3.2/pm"]]
    assert (record.net_version, record.is_proven, record.past_clues) == ("1.0.0", True, ())
    with Journal(path) as journal:
        journal.end(DONE)
        assert journal.record.past == {"key": "ab", "net_address": 0x0100_8800}
        journal.begin("d2", about={"net_address": 0x0100_2800})
        assert (journal.record.clues, journal.record.proof, journal.record.net_version) == ((), None, None)
        assert journal.record.past_clues == record.clues
        journal.end(DONE)
        assert journal.record.past["net_address"] == 0x0100_8800, "what was not proven says nothing of the device"
        journal.begin("d3")
        assert journal.record.past_clues == record.clues, "until an update notes others"
        assert journal.record.of("d4").past_clues == record.clues


@pytest.mark.parametrize("entry", [{"proof": 3}, {"loader": "3.2"}, {"net_version": 1}, {"later": {"a": 1}}])
def test_what_is_not_understood_is_passed_over(entry: dict[str, object]) -> None:
    """So did the tools before these lines: theirs were the steps alone."""
    plain: list[dict[str, object]] = [{"update": "d"}, {"step": "upload app", "is": "done"}]
    assert replay([*plain, entry]) == replay(plain)


@pytest.mark.parametrize(
    "entry", [{"loader": ["9.9/pm"]}, {"loader": [], "source": "console"}, {"loader": ["3.2/pm"], "source": "a dream"}]
)
def test_a_clue_that_is_not_known_here_is_none(entry: dict[str, object]) -> None:
    assert Clue.from_entry(entry) is None
    assert Proof.from_entry({"value": 3, "reason": "x"}) is None
    clue = console_clue(read_boot("*** Booting MCUboot v2.3.0-dev-e994ef4e ***\nI: Starting bootloader\n"))[0]
    assert Clue.from_entry(json.loads(json.dumps(clue.to_entry()))) == clue
