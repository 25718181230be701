"""What serial ports of Windows and macOS are known to do, by stand-ins for pyserial's ``Serial``."""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import sys
from pathlib import Path
from typing import Any

import pytest
import serial as pyserial

from smpdfu.client import Client, Patience
from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.link.serial.pipe import SerialPipe
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.os import Echo, EchoReply
from smpdfu.smp.message import decode_map, split_message


class Com:
    """COM7 of a board on USB: what its driver says when, and the board itself, which echoes."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.opened = 0
        self.current: FakeSerial | None = None

    def open(self, name: str, *_: Any, **__: Any) -> FakeSerial:
        if self.refusals:
            raise pyserial.SerialException(f"could not open port {name!r}: {self.refusals.pop(0)}")
        self.opened += 1
        self.current = FakeSerial()
        return self.current


class FakeSerial:
    """An open port. ``pull`` is the cable: every call fails from then on, in pyserial's words for Windows."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[bytes] = queue.Queue()
        self.rest = b""
        self.pulled = self.closed = False
        self.framing = ConsoleFraming()

    def pull(self) -> None:
        self.pulled = True
        self.arrived.put(b"")

    def _check(self) -> None:
        if self.pulled:
            raise pyserial.SerialException("ClearCommError failed (PermissionError(13, 'Access is denied.', None, 5))")

    @property
    def in_waiting(self) -> int:
        self._check()
        return len(self.rest)

    @property
    def out_waiting(self) -> int:
        self._check()
        return 0

    def read(self, size: int = 1) -> bytes:
        if size and not self.rest:
            self.rest = self.arrived.get()
        self._check()
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def write(self, data: bytes) -> int:
        self._check()
        for message in self.framing.feed(data):
            header, body = split_message(message)
            self.arrived.put(self.framing.encode(header.reply(EchoReply(Echo.from_map(decode_map(body)).d).to_body())))
        return len(data)

    def cancel_read(self) -> None:
        self.arrived.put(b"")

    def cancel_write(self) -> None:
        self._check()

    def close(self) -> None:
        self.closed = True
        self._check()


@pytest.fixture
def com(monkeypatch: pytest.MonkeyPatch) -> Com:
    com = Com()
    monkeypatch.setattr(serial_pipe, "_WINDOWS", True)
    monkeypatch.setattr(pyserial, "Serial", com.open)
    return com


GONE = "FileNotFoundError(2, 'The system cannot find the file specified.', None, 2)"
DENIED = "PermissionError(13, 'Access is denied.', None, 5)"
NOT_READY = "OSError(22, 'A device attached to the system is not functioning.', None, 31)"


def test_windows_reads_raise_when_the_device_leaves_and_the_port_is_released(com: Com) -> None:
    async def use() -> None:
        async with SerialPipe("COM7", threaded=True) as pipe:
            assert com.current is not None
            reading = asyncio.ensure_future(pipe.read())
            await asyncio.sleep(0)
            com.current.pull()
            for step in (reading, pipe.write(b"x")):
                with pytest.raises(LinkLostError, match="COM7 is gone: the cable was pulled, or the device restarted"):
                    await step
        assert com.current.closed

    asyncio.run(use())


def test_windows_takes_a_while_to_give_a_port_back(com: Com) -> None:
    """First it is gone, then it is there and refuses, then it works: one wait for the device covers all of it."""

    async def use() -> None:
        pipe = SerialPipe("COM7", threaded=True)
        patience = Patience(pause_s=0.0, quiet_s=0.0, reset_grace_s=0.0)
        async with Client(pipe, ConsoleFraming(), timeout_s=20, patience=patience) as client:
            assert (await client.request(Echo("a"))).r == "a"
            assert com.current is not None
            com.current.pull()
            with pytest.raises(LinkLostError):
                await client.request(Echo("b"))
            com.refusals = [GONE, GONE, DENIED, NOT_READY, DENIED]
            await client._reconnect()
            assert (await client.request(Echo("c"))).r == "c"
        assert (com.opened, com.refusals) == (2, [])

    asyncio.run(use())


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (GONE, "there is no port COM7"),
        (DENIED, "COM7 is in use: another program has it open"),
        (NOT_READY, "cannot open COM7: could not open port 'COM7': OSError"),
    ],
)
def test_windows_reasons_in_words(com: Com, reason: str, sentence: str) -> None:
    com.refusals = [reason]
    with pytest.raises(ConnectError) as refused:
        asyncio.run(SerialPipe("COM7", threaded=True).open())
    assert str(refused.value).startswith(sentence)


# --- macOS ----------------------------------------------------------------------------------------------------------


def test_macos_opens_the_name_that_does_not_wait_for_a_carrier(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"/dev/cu.usbmodem1", "/dev/tty.usbmodem1", "/dev/tty.odd"}
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os.path, "exists", lambda path: path in there)
    names = ("/dev/tty.usbmodem1", "/dev/cu.usbmodem1", "/dev/tty.odd", "/dev/ttys001")
    assert [serial_pipe._calling_out(name) for name in names] == [
        "/dev/cu.usbmodem1",
        "/dev/cu.usbmodem1",
        "/dev/tty.odd",
        "/dev/ttys001",
    ]


def test_elsewhere_a_name_is_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "cu.x").touch()
    assert serial_pipe._calling_out(f"{tmp_path}/tty.x") == f"{tmp_path}/tty.x"


def test_macos_says_that_an_unplugged_device_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> bytes:
        raise OSError(errno.ENXIO, "Device not configured")

    async def use() -> None:
        pipe = SerialPipe("/dev/cu.usbmodem1")
        left, right = os.openpty()
        monkeypatch.setattr(pipe, "_open_port", lambda name: pyserial.Serial(os.ttyname(right), exclusive=True))
        async with pipe:
            os.write(left, b"x")
            monkeypatch.setattr(os, "read", read)
            with pytest.raises(LinkLostError, match=r"cu\.usbmodem1 is gone: the cable was pulled"):
                await pipe.read()
            monkeypatch.undo()
        os.close(left)
        os.close(right)

    asyncio.run(use())


def test_macos_refuses_a_device_that_is_just_leaving() -> None:
    sentence = serial_pipe._why_not("/dev/cu.usbmodem1", OSError(errno.ENXIO, "Device not configured"))
    assert sentence == "/dev/cu.usbmodem1 has no hardware behind it"
