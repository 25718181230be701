"""``virtual new --demo`` and ``tutorial``: a board to try, its files, and commands that work as they are printed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.package.package import Package
from smpdfu.virtual.store import sample_firmware
from smpdfu.virtual.store.devices import view_device
from tests.deadlines import HANG_S

if TYPE_CHECKING:
    from tests.cli.conftest import Call


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the current one."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture(params=["sample", "stand-in"])
def firmware(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The firmware of a demo: with Zephyr's sample, and without."""
    if request.param == "stand-in":
        monkeypatch.setattr(sample_firmware, "PACKAGE", "a_package_that_nobody_has")
    elif not sample_firmware.has_sample():
        pytest.skip("smpdfu[samples] is not installed")
    return str(request.param)


def commands(smpdfu: Call) -> list[list[str]]:
    made = smpdfu("virtual", "new", "desk", "--demo", "--json")
    assert made.code == 0, made.err
    return [shlex.split(one["command"]) for one in made.document["demo"]["commands"]]


def test_the_four_commands_update_the_board(smpdfu: Call, firmware: str, folder: Path) -> None:
    lines = commands(smpdfu)
    assert len(lines) == 4
    assert view_device("desk").running is not None
    before, planned, updated, after = [smpdfu(*words[1:]) for words in lines if words[0] == "smpdfu"]
    assert [one.code for one in (before, planned, updated, after)] == [0] * 4, updated.err
    assert "1.0.0" in before.out
    assert "2.0.0" not in before.out
    assert "2.0.0" in after.out
    assert [one.name for one in folder.iterdir()] == ["desk-demo"], "nothing else is touched"
    assert "error" not in planned.out


def test_both_releases_are_packages_for_both_cores(smpdfu: Call, firmware: str) -> None:
    commands(smpdfu)
    for number in (1, 2):
        package = Package.load(Path("desk-demo") / f"v{number}" / "dfu_application.zip")
        assert [str(one.image.header.version) for one in package.images] == [f"{number}.0.0"] * 2
    assert smpdfu("verify", "desk-demo/v2/app_update.bin", "-k", "desk-demo/sign.pub.pem").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX access modes")
def test_the_key_is_new_and_its_owners_alone(smpdfu: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands(smpdfu)
    key = Path("desk-demo/sign.pem")
    assert key.stat().st_mode & 0o777 == 0o600
    first = key.read_bytes()
    assert smpdfu("virtual", "new", "other", "--demo").code == 0
    assert Path("other-demo/sign.pem").read_bytes() != first


def test_nothing_is_overwritten(smpdfu: Call) -> None:
    commands(smpdfu)
    key = Path("desk-demo/sign.pem").read_bytes()
    assert "smpdfu virtual delete desk" in smpdfu("virtual", "new", "desk", "--demo").refused(2)
    assert smpdfu("virtual", "delete", "desk").code == 0
    assert "desk-demo exists already" in smpdfu("virtual", "new", "desk", "--demo").refused(2)
    assert Path("desk-demo/sign.pem").read_bytes() == key
    assert "desk-demo exists already" in smpdfu("tutorial").refused(2)


def test_a_name_leads_to_no_other_folder(smpdfu: Call, folder: Path) -> None:
    for command in (("virtual", "new", "../away", "--demo"), ("tutorial", "../away")):
        assert "cannot be the name of a device" in smpdfu(*command).refused(2)
    assert not (folder.parent / "away-demo").exists()


def test_a_demo_that_fails_leaves_nothing(smpdfu: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smpdfu.virtual.store.devices.create", full)
    assert smpdfu("virtual", "new", "desk", "--demo").code == 3
    assert list(folder.iterdir()) == []
    assert smpdfu("virtual", "list", "--json").document == {"devices": []}


@pytest.mark.parametrize("option", [("-k", "key.pem"), ("--layout", "nrf5340dk-simultaneous"), ("--ncs", "2.5")])
def test_a_demo_chooses_keys_and_bootloader(smpdfu: Call, option: tuple[str, str]) -> None:
    assert "Leave out the options" in smpdfu("virtual", "new", "desk", "--demo", *option).refused(2)


def test_a_board_without_firmware_says_what_to_type(smpdfu: Call) -> None:
    blank = smpdfu("virtual", "new", "blank")
    assert blank.code == 0
    assert "blank has no application" in blank.err
    assert "smpdfu virtual new blank -k KEY --app FILE" in blank.err
    commands(smpdfu)
    trusting = smpdfu("virtual", "new", "trusting", "-k", "desk-demo/sign.pub.pem")
    assert "smpdfu virtual load trusting app_update.bin" in trusting.err
    assert smpdfu("virtual", "load", "trusting", "desk-demo/v1/app_update.bin").code == 0
    assert "1.0.0" in smpdfu("list", "--to", "virtual:trusting").out
    assert "no application" not in smpdfu("virtual", "new", "full", "--app", "desk-demo/v1/app_update.bin").err


def test_the_tutorial_prints_every_command_and_runs_none_without_a_terminal(smpdfu: Call, folder: Path) -> None:
    done = smpdfu("tutorial")
    printed = [line.strip() for line in done.out.splitlines() if line.startswith("   smpdfu ")]
    assert done.code == 0
    assert printed[0] == "smpdfu virtual new desk --demo"
    assert list(folder.iterdir()) == []
    assert printed[1:] == [shlex.join(words) for words in commands(smpdfu)]
    assert [one["command"] for one in smpdfu("tutorial", "--json").document["commands"]] == printed[1:]


def test_the_tutorial_runs_all_of_it_on_demand(folder: Path) -> None:
    words = [sys.executable, "-m", "smpdfu", "tutorial", "try", "--run"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("Created the virtual board try") < done.stdout.index("The device now")
    assert [one.name for one in folder.iterdir()] == ["try-demo"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo terminal")
def test_with_a_terminal_each_command_waits_for_enter(folder: Path) -> None:
    ours, theirs = os.openpty()
    os.write(ours, b"\ns\nq\n")  # run the first, skip the second, stop at the third
    words = [sys.executable, "-m", "smpdfu", "tutorial"]
    done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, timeout=HANG_S)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "Created the virtual board desk" in done.stdout
    assert done.stdout.count("Press Enter") == 3
    assert "active" not in done.stdout, "the second command was skipped"
    assert [one.name for one in folder.iterdir()] == ["desk-demo"]


def test_a_command_that_fails_ends_the_tutorial_with_its_code(folder: Path, smpdfu: Call) -> None:
    commands(smpdfu)
    (folder / "desk-demo" / "v2" / "dfu_application.zip").write_bytes(b"no package")
    words = [sys.executable, "-m", "smpdfu", "tutorial", "--run"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 3
    assert "4. " not in done.stdout
