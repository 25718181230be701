"""The serial ports that are there, and why one cannot be opened, in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.link.serial.pipe import PortInfo, list_serial_ports


def test_ports_on_usb_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    uart, board = ListPortInfo("/dev/ttyA"), ListPortInfo("/dev/ttyB")
    board.vid, board.pid, board.description, board.serial_number = 0x1366, 0x51, "J-Link", "1050"
    monkeypatch.setattr(list_ports, "comports", lambda: [uart, board])
    assert list_serial_ports() == (
        PortInfo("/dev/ttyB", "J-Link", "1050", "1366:0051"),
        PortInfo("/dev/ttyA", ""),
    )


def test_the_real_ports_can_be_listed() -> None:
    assert all(port.name for port in list_serial_ports())


# --- reasons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gid", "group"), [(0, "dialout"), (None, "dialout")])
def test_the_group_is_named(gid: int | None, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "ttyS0"
    if gid is not None:
        port.touch()
        monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_gid=gid))
    sentence = serial_pipe._why_not(str(port), OSError(errno.EACCES, "Permission denied"))
    assert sentence == f"you have no permission to open {port}: it belongs to the group {group}"


def test_the_group_is_the_ports_own(monkeypatch: pytest.MonkeyPatch) -> None:
    grp = pytest.importorskip("grp")
    uucp = next(entry for entry in grp.getgrall() if entry.gr_gid)
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_gid=uucp.gr_gid))
    assert serial_pipe._group_of("/dev/ttyS0") == uucp.gr_name


def test_a_reason_nobody_foresaw_is_told_in_the_systems_words() -> None:
    sentence = serial_pipe._why_not("/dev/ttyS0", OSError(errno.EMFILE, "Too many open files"))
    assert sentence == "cannot open /dev/ttyS0: Too many open files"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FileNotFoundError(2, 'Das System kann die Datei nicht finden.', None, 2)", "there is no port COM9"),
        ("PermissionError(13, 'Zugriff verweigert', None, 5)", "COM9 is in use: another program has it open"),
        ("something else", "cannot open COM9: could not open port 'COM9': something else"),
    ],
)
def test_windows_hides_its_numbers_in_the_text(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_pipe, "_WINDOWS", True)
    assert serial_pipe._why_not("COM9", OSError(f"could not open port 'COM9': {text}")) == reason
