"""The serial ports that are there."""

from __future__ import annotations

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from smpdfu.link.serial import PortInfo, list_serial_ports


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
