"""A device that resets comes back as another port, or another device has its port: by what it is found."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.link.serial.descriptor import Descriptor
from smpdfu.link.serial.pipe import PortInfo, SerialPipe
from smpdfu.link.serial.usb_identity import find_again, port_named

BOARD = PortInfo("/dev/ttyACM0", "DK", "1050012345", "1915:520f", "1-2:1.0")
MOVED = replace(BOARD, name="/dev/ttyACM3")
OTHER = replace(BOARD, serial_number="1050099999", location="1-3:1.0")
UART = PortInfo("/dev/ttyS0", "")
CHEAP = PortInfo("/dev/ttyUSB0", "CH340", None, "1a86:7523", "1-4")


@pytest.mark.parametrize(
    ("known", "there", "found"),
    [
        (BOARD, [UART, BOARD], BOARD.name),
        (BOARD, [UART, MOVED], MOVED.name),
        (BOARD, [replace(OTHER, name=BOARD.name), MOVED], MOVED.name),  # two boards have swapped their ports
        (BOARD, [OTHER], None),
        (BOARD, [], None),
        (BOARD, [replace(MOVED, usb_id="1915:5210")], MOVED.name),  # a bootloader with a product number of its own
        (BOARD, [replace(MOVED, usb_id="1366:1051")], None),
        (BOARD, [replace(MOVED, location="1-2:1.2"), replace(MOVED, name="/dev/ttyACM4")], "/dev/ttyACM4"),
        (BOARD, [replace(MOVED, location="1-2:1.2"), BOARD], BOARD.name),
        (CHEAP, [replace(CHEAP, name="/dev/ttyUSB1")], "/dev/ttyUSB1"),
        (CHEAP, [replace(CHEAP, name="/dev/ttyUSB1", location="1-5")], None),
        (CHEAP, [replace(CHEAP, serial_number="7")], None),
        (UART, [UART], None),
    ],
)
def test_what_is_found_again(known: PortInfo, there: list[PortInfo], found: str | None) -> None:
    assert find_again(known, there) == found


def test_ports_that_nothing_tells_apart_are_not_guessed() -> None:
    there = [replace(MOVED, location=None, name=f"/dev/cu.usbmodem{number}") for number in (1, 3)]
    with pytest.raises(ConnectError, match=r"came back as several ports: /dev/cu\.usbmodem1, /dev/cu\.usbmodem3"):
        find_again(BOARD, there)


def test_only_devices_on_usb_are_known_again() -> None:
    assert port_named(BOARD.name, [UART, BOARD]) is BOARD
    assert port_named(UART.name, [UART, BOARD]) is None


# --- with ports -----------------------------------------------------------------------------------------------------


class Hub:
    """Ports that are links to pseudo terminals, and the list of them in place of the system's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plugged: dict[str, tuple[PortInfo, int]] = {}

    def plug(self, name: str, what: PortInfo) -> str:
        master, slave = pty.openpty()
        os.set_blocking(master, False)
        path = str(self.folder / name)
        os.symlink(os.ttyname(slave), path)
        os.close(slave)
        self.plugged[path] = (replace(what, name=path), master)
        return path

    def pull(self, path: str) -> None:
        os.close(self.plugged.pop(path)[1])
        os.unlink(path)

    def ports(self) -> tuple[PortInfo, ...]:
        return tuple(info for info, _ in self.plugged.values())

    async def read(self, path: str, size: int) -> bytes:
        return (await Descriptor(self.plugged[path][1]).read())[:size]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(tmp_path)
    monkeypatch.setattr(serial_pipe, "list_serial_ports", hub.ports)
    monkeypatch.setattr(serial_pipe, "usb_port", lambda name: port_named(name, hub.ports()))
    yield hub
    for path in list(hub.plugged):
        hub.pull(path)


def test_a_device_is_opened_where_it_comes_back(hub: Hub) -> None:
    async def use() -> None:
        old = hub.plug("ttyACM0", BOARD)
        async with SerialPipe(old) as pipe:
            hub.pull(old)
            with pytest.raises(LinkLostError):
                await pipe.read()
            with pytest.raises(ConnectError, match=f"there is no port {old}"):
                await pipe.open()
            new = hub.plug("ttyACM7", BOARD)
            await pipe.open()
            await pipe.write(b"back")
            assert await hub.read(new, 10) == b"back"
            assert pipe.name == old

    asyncio.run(use())


def test_another_device_at_its_port_is_left_alone(hub: Hub) -> None:
    async def use() -> None:
        port = hub.plug("ttyACM0", BOARD)
        async with SerialPipe(port) as pipe:
            hub.pull(port)
            with pytest.raises(LinkLostError):
                await pipe.read()
            assert hub.plug("ttyACM0", OTHER) == port
            with pytest.raises(ConnectError, match="ttyACM0 is another device now"):
                await pipe.open()
            moved = hub.plug("ttyACM1", BOARD)
            await pipe.open()
            await pipe.write(b"mine")
            assert await hub.read(moved, 10) == b"mine"

    asyncio.run(use())


def test_a_pipe_that_is_used_again_in_another_event_loop_works(hub: Hub) -> None:
    port = hub.plug("ttyACM0", BOARD)
    pipe = SerialPipe(port)

    async def use() -> None:
        async with pipe:
            await pipe.write(b"x")
            assert await hub.read(port, 1) == b"x"

    for _ in range(3):
        asyncio.run(use())
