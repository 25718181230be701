"""Serial ports that cannot be opened: each with one sentence that says why."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from smpdfu.errors import ConnectError
from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.link.serial.pipe import SerialPipe
from tests.link.conftest import Board

pytestmark = pytest.mark.usefixtures("every_port_is_released")


def refusal(port: str, baudrate: int = 115_200) -> str:
    """The sentence with which opening ``port`` fails."""
    with pytest.raises(ConnectError) as refused:
        asyncio.run(SerialPipe(port, baudrate).open())
    assert refused.value.address == port
    return str(refused.value)


def test_a_missing_port() -> None:
    assert refusal("/dev/ttyNOPE7") == "there is no port /dev/ttyNOPE7"


def test_a_busy_port_is_refused_until_it_is_released(board: Board) -> None:
    async def talk() -> None:
        first, second = SerialPipe(board.port), SerialPipe(board.port)
        async with first:
            with pytest.raises(ConnectError, match="is in use: another program has it open"):
                await second.open()
            await first.write(b"mine")
            assert await board.read(4) == b"mine"
        async with second:
            pass

    asyncio.run(talk())


def test_the_holders_of_a_busy_port_are_searched_off_the_loop_and_rarely(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reconnects tries ten times a second, and the search reads files of every process."""
    monkeypatch.setattr(serial_pipe, "HOLDERS_EVERY_S", 1e9)
    searches: list[int] = []

    def holders(port: str) -> list[str]:
        searches.append(threading.get_ident())
        return ["process 7 (screen)", "cat"]

    async def talk() -> None:
        async with SerialPipe(board.port):
            pipe = SerialPipe(board.port, holders=holders)
            for _ in range(20):
                with pytest.raises(ConnectError, match=r"is in use: process 7 \(screen\) and cat have it open"):
                    await pipe.open()
            assert len(searches) == 1
            pipe._search_at = 0.0  # later
            with pytest.raises(ConnectError, match="is in use"):
                await pipe.open()

    asyncio.run(talk())
    assert len(searches) == 2
    assert threading.get_ident() not in searches


def test_things_that_are_no_ports(tmp_path: Path) -> None:
    file = tmp_path / "app.bin"
    file.write_bytes(b"\0" * 100)
    for path in (tmp_path, file, Path("/dev/null")):
        assert refusal(str(path)) == f"{path} is not a serial port"
    assert file.read_bytes() == b"\0" * 100


def test_a_speed_that_no_port_has(board: Board) -> None:
    assert refusal(board.port, -1) == f"{board.port} cannot run at -1 baud"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_port_of_others(tmp_path: Path) -> None:
    port = tmp_path / "ttyS0"
    port.touch(mode=0)
    assert refusal(str(port)).startswith(f"you have no permission to open {port}: it belongs to the group ")
