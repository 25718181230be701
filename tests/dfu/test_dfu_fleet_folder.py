"""Where the log of a fleet is, and how much of its file and of the note beside the log is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpdfu.dfu.fleet.description.file import Fleet
from smpdfu.dfu.fleet.log.folder import folder_of, remember
from smpdfu.dfu.fleet.session import looks_at_once

TEXT = '[packages]\ndefault = "a.zip"\n[[device]]\naddress = "udp:10.0.0.7"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMPDFU_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "roofs.toml"
    path.write_text(TEXT)
    return path


def test_the_file_is_read_once(file: Path) -> None:
    """A pipe gives its bytes once, and a file may be another one, or endless, the second time."""
    fleet = Fleet.load(file)
    file.unlink()
    assert folder_of(fleet).name.startswith("roofs-")


def test_a_note_that_is_too_large_is_none(file: Path) -> None:
    fleet = Fleet.load(file)
    folder = folder_of(fleet)
    folder.mkdir(parents=True)
    remember(fleet, folder)
    note = folder / "fleet.json"
    assert file.name in note.read_text()
    note.write_text('{"paths": ["' + str(file) + '"], "pad": "' + "x" * (2 << 20) + '"}')
    assert folder_of(Fleet.load(file)) == folder, "by its name"
    remember(fleet, folder)
    assert note.stat().st_size < 4096


@pytest.mark.parametrize(("granted", "at_once"), [(1 << 20, 400), (256, 156), (64, 1)])
def test_no_device_is_silent_for_want_of_a_socket(monkeypatch: pytest.MonkeyPatch, granted: int, at_once: int) -> None:
    monkeypatch.setattr("smpdfu.dfu.fleet.session.allow_open_files", lambda count: min(count, granted))
    assert looks_at_once() == at_once
