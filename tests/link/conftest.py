"""The far end of a serial cable, for the tests of serial ports."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpdfu.link.serial.descriptor import Descriptor


class Board:
    """The far end of a serial cable: the master of a pty, and a link in /dev's stead that leads to it."""

    def __init__(self, port: Path) -> None:
        self.port = str(port)
        self.plug_in()

    def plug_in(self) -> None:
        self.fd, slave = pty.openpty()
        os.set_blocking(self.fd, False)
        Path(self.port).unlink(missing_ok=True)
        os.symlink(os.ttyname(slave), self.port)
        os.close(slave)

    def pull_cable(self) -> None:
        os.close(self.fd)
        self.fd = -1

    async def read(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            received += await Descriptor(self.fd).read()
        return bytes(received)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path / "ttyACM0")
    yield board
    if board.fd >= 0:
        board.pull_cable()


@pytest.fixture
def every_port_is_released() -> Iterator[None]:
    before = os.listdir("/dev/fd")
    yield
    assert len(os.listdir("/dev/fd")) <= len(before)
