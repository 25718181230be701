"""What smpdfu keeps for itself: for this user only, in regular files of this user, and never through a link."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from smpdfu.agent.actions.record import DeviceRecord
from smpdfu.agent.actions.record_files import RecordFiles
from smpdfu.agent.artifacts.partial import PartialFile
from smpdfu.agent.report.status import write_data
from smpdfu.dfu.do.journal.journal import Journal
from smpdfu.dfu.do.journal.reading import journal_path, read_record
from smpdfu.dfu.do.journal.repair import is_damaged
from smpdfu.dfu.fleet.log.log import FleetLog, log_path, read_log, repair_log
from smpdfu.errors import ConnectError, JournalError
from smpdfu.local.state.lock import Lock, holder
from smpdfu.local.state.own import make_own_folder, open_own
from smpdfu.virtual.store import devices as store_devices

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such links and rights there")
RECORD = DeviceRecord("d")
LINE = "one line of the user's, without an end"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text(LINE)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "state"
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(path))
    monkeypatch.delenv("SMPDFU_VIRTUAL_HOME", raising=False)
    return path


def journal(folder: Path) -> None:
    Journal(folder / "journal.jsonl").close()


def record(folder: Path) -> None:
    read_record(folder / "journal.jsonl")


def log(folder: Path) -> None:
    FleetLog(folder).close()


def lock(folder: Path) -> None:
    one = Lock(folder / "lock")
    one.acquire()
    one.release()


# What is opened, and the file in the folder that it opens.
OPENED: dict[str, tuple[Callable[[Path], object], str]] = {
    "journal": (journal, "journal.jsonl"),
    "record": (record, "journal.jsonl"),
    "fleet log": (log, "events.jsonl"),
    "fleet lock": (log, "lock"),
    "reading the log": (lambda folder: list(read_log(folder)), "events.jsonl"),
    "lock": (lock, "lock"),
    "is damaged": (lambda folder: is_damaged(folder / "journal.jsonl"), "journal.jsonl"),
    "holder": (lambda folder: holder(folder / "lock"), "lock"),
    "agent's record": (
        lambda folder: RecordFiles(folder).write(RECORD),
        RecordFiles(Path()).path_of("d").stem + ".new",
    ),
    "agent's status": (lambda folder: write_data(folder, b"{}"), "status.json.new"),
    "artifact": (lambda folder: PartialFile(folder / "a.part", 1000), "a.part"),
}
PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda place, victim: place.symlink_to(victim),
    "dangling link": lambda place, victim: place.symlink_to(victim.with_name("new")),
    "second name": lambda place, victim: os.link(victim, place),
    "pipe": lambda place, victim: os.mkfifo(place),
    "folder": lambda place, victim: place.mkdir(),
}


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("opened", OPENED)
def test_nothing_is_written_through_what_somebody_planted(
    opened: str, planted: str, tmp_path: Path, victim: Path
) -> None:
    act, name = OPENED[opened]
    folder = tmp_path / "folder"
    folder.mkdir()
    PLANTED[planted](folder / name, victim)
    with pytest.raises((JournalError, OSError)):
        act(folder)
    assert victim.read_text() == LINE
    assert not victim.with_name("new").exists()


@pytest.mark.parametrize("name", ["events.jsonl", "events.damaged", "events.new"])
def test_a_log_is_not_repaired_through_a_link(name: str, tmp_path: Path, victim: Path) -> None:
    (tmp_path / "events.jsonl").write_text("damaged\n")
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to(victim)
    if name == "events.new":  # what is left of an earlier repair is replaced, wherever it leads
        assert repair_log(tmp_path) == (1,)
    else:
        with pytest.raises(JournalError, match="symbolic link"):
            repair_log(tmp_path)
    assert victim.read_text() == LINE


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("opened", OPENED)
def test_a_file_of_another_user_is_refused(opened: str, tmp_path: Path) -> None:
    act, name = OPENED[opened]
    (tmp_path / name).write_text("")
    os.chown(tmp_path / name, 12345, -1)
    with pytest.raises((JournalError, OSError), match=r"belongs to another user|cannot (be )?(opened|open|read)"):
        act(tmp_path)


def test_a_refusal_says_what_is_wrong(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "link").symlink_to(victim)
    with pytest.raises(OSError, match=r"symbolic link\. smpdfu does not write to it\. Move it away"):
        open_own(tmp_path / "link", os.O_RDWR)
    with pytest.raises(JournalError, match="symbolic link"):
        Journal(tmp_path / "link")


def test_folders_are_for_this_user_only(home: Path) -> None:
    """Also those that older releases made for everybody, but no folder that the user named."""
    before = os.umask(0)
    try:
        Journal(journal_path("serial:/dev/ttyACM0")).close()
        FleetLog(home / "fleets" / "roofs").close()
        store_devices.create("desk", store_devices.Recipe("nrf5340dk-staged"))
    finally:
        os.umask(before)
    made = [home, *(path for path in home.rglob("*") if path.is_dir())]
    assert len(made) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*") if path.is_file()} == {0o600}
    for path in (home, home / "updates"):
        path.chmod(0o755)
    Journal(journal_path("serial:/dev/ttyACM0")).close()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, home / "updates")] == [0o755, 0o700]


def test_a_folder_elsewhere_keeps_its_rights(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    Journal(tmp_path / "mine" / "journal.jsonl").close()
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o755
    make_own_folder(tmp_path / "mine" / "new" / "newer")
    assert stat.S_IMODE((tmp_path / "mine" / "new").stat().st_mode) == 0o700


def test_the_log_is_read_as_it_was(home: Path) -> None:
    with FleetLog(home / "fleets" / "roofs") as one:
        one.write("run", devices=1)
    assert log_path(home / "fleets" / "roofs").stat().st_size
    assert [event.kind for event in read_log(home / "fleets" / "roofs")] == ["run"]
    assert list(read_log(home / "none")) == []
    assert holder(home / "none" / "lock") is None


@pytest.mark.parametrize("name", ["app.flash", "settings.flash", "console.log", "lock"])
def test_a_virtual_device_is_not_mapped_through_a_link(name: str, home: Path, victim: Path) -> None:
    store_devices.create("desk", store_devices.Recipe("nrf5340dk-staged"))
    folder = home / "virtual" / "desk"
    size = (folder / name).stat().st_size if (folder / name).exists() else 0
    (folder / name).unlink(missing_ok=True)
    victim.write_bytes(bytes(size or 10))
    (folder / name).symlink_to(victim)
    with pytest.raises(ConnectError, match="symbolic link"):
        store_devices.open_device("desk")
    assert victim.read_bytes() == bytes(size or 10)


def test_what_is_put_aside_replaces_a_link(home: Path, victim: Path) -> None:
    store_devices.create("desk", store_devices.Recipe("nrf5340dk-staged"))
    folder = home / "virtual" / "desk"
    device = store_devices.open_device("desk")
    (folder / "wear.json").symlink_to(victim)
    device.chip.flashes["app"].erase(0, 4096)
    device.close()
    assert victim.read_text() == LINE
    assert not (folder / "wear.json").is_symlink()
