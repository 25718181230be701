"""The serial line of a virtual nRF52: frames as the SDK finds them, speed, damage, erase times, inactivity."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.link.memory import served_pipe
from smpdfu.securedfu.protocol.messages import (
    Answer,
    Checksum,
    CreateObject,
    GetChecksum,
    ObjectType,
    Ping,
    Pong,
    Request,
    WriteObject,
)
from smpdfu.securedfu.protocol.slip import UART_MTU, SlipDecoder, encode, payload_max
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.nrf52.build import USB_MTU, Nrf52Build
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.slip_receiver import SlipReceiver
from smpdfu.virtual.nrf52.start import Nrf52Ending
from smpdfu.virtual.wires.dfu_serial import DEFAULT_LINE, DfuLine, serve_dfu, serve_dfu_pty
from tests.deadlines import HANG_S
from tests.simulated import simulate
from tests.virtual.nrf52.nrf52_bench import firmware, init_command, new_device, sign

APP = firmware(0x1000)


class Line:
    """The host's end of a line to ``device``."""

    def __init__(self, device: VirtualNrf52, line: DfuLine = DEFAULT_LINE) -> None:
        self.pipe = served_pipe(lambda pipe: serve_dfu(device, pipe, line))
        self._decoder = SlipDecoder(64)
        self._answers: list[bytes] = []

    async def write(self, request: Request) -> None:
        await self.pipe.write(encode(request.to_bytes()))

    async def read(self) -> Answer:
        while not self._answers:
            self._answers += self._decoder.feed(await self.pipe.read())
        return Answer.from_bytes(self._answers.pop(0))

    async def ask(self, request: Request) -> Answer:
        await self.write(request)
        return await self.read()


def talk(device: VirtualNrf52, say: Callable[[Line], Awaitable[None]], line: DfuLine = DEFAULT_LINE) -> None:
    async def run() -> None:
        end = Line(device, line)
        async with end.pipe:
            await say(end)

    simulate(run())


def in_dfu(build: Nrf52Build | None = None) -> VirtualNrf52:
    device = new_device(build or Nrf52Build(), app=APP)
    device.enter_dfu()
    return device


# --- frames ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=100)), st.integers(1, 50))
def test_messages_are_found_however_the_stream_is_cut(messages: list[bytes], piece: int) -> None:
    stream = b"".join(encode(one) for one in messages)
    receiver = SlipReceiver(UART_MTU)
    found = [one for at in range(0, len(stream), piece) for one in receiver.feed(stream[at : at + piece])]
    assert found == messages


def test_an_empty_frame_is_the_last_request_again() -> None:
    receiver = SlipReceiver(UART_MTU)
    assert receiver.feed(b"\x09\x01\xc0\xc0") == [b"\x09\x01", b"\x09\x01"]
    assert receiver.feed(b"\x08data\xc0") == [b"\x08data"]
    assert receiver.feed(b"\xc0") == [b"\x08" + bytes(0xFFFF)]


def test_a_wrong_escape_drops_its_frame() -> None:
    receiver = SlipReceiver(UART_MTU)
    assert receiver.feed(b"\x09\xdb\x01\x02\xc0\x09\x03\xc0") == [b"\x09\x03"]


@pytest.mark.parametrize("mtu", [UART_MTU, USB_MTU])
def test_two_full_frames_whose_border_is_lost_make_it_deaf(mtu: int) -> None:
    frame = bytes((mtu - 1) // 2)  # as long as nrfutil makes them
    receiver = SlipReceiver(mtu)
    assert receiver.feed(frame + b"\x01" + frame + b"\xc0") == []
    assert receiver.deaf
    assert receiver.feed(b"\x09\x01\xc0") == []
    ours = bytes(payload_max(mtu) + 1)
    shorter = SlipReceiver(mtu)
    assert len(shorter.feed(ours + b"\x01" + ours + b"\xc0")) == 1
    assert shorter.feed(b"\x09\x01\xc0") == [b"\x09\x01"]


@given(st.binary(max_size=400))
def test_garbage_neither_fails_nor_grows(data: bytes) -> None:
    receiver = SlipReceiver(UART_MTU)
    for message in receiver.feed(data):
        assert len(message) < UART_MTU or message[0] == WriteObject.opcode


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20))
def test_any_messages_leave_a_device_that_starts(messages: list[bytes]) -> None:
    device = in_dfu()
    for message in messages:
        answer = device.handle(message)
        assert answer is None or answer[0] == 0x60
        device.finish_reset()
    assert device.reset() is Nrf52Ending.APPLICATION


# --- the line -------------------------------------------------------------------------------------------------------


def test_only_dfu_mode_answers() -> None:
    device = new_device(app=APP)
    device.reset()

    async def say(line: Line) -> None:
        await line.write(Ping(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.read(), 5)
        device.enter_dfu()
        assert (await line.ask(Ping(2))).content == Pong(2)

    talk(device, say)


def test_a_line_of_115200_baud_takes_its_time() -> None:
    async def say(line: Line) -> None:
        clock = asyncio.get_running_loop().time
        before = clock()
        assert (await line.ask(Ping(1))).content == Pong(1)
        assert clock() - before == pytest.approx((3 + 5) * 10 / 115_200, abs=1e-4)

    talk(in_dfu(), say, DfuLine(Traffic(baudrate=115_200)))


def test_a_page_is_erased_in_the_time_of_the_chip() -> None:
    image = firmware(0x1000, 2)
    packet = sign(init_command(image))

    async def say(line: Line) -> None:
        await line.ask(CreateObject(ObjectType.COMMAND, len(packet)))
        for at in range(0, len(packet), 64):
            await line.write(WriteObject(packet[at : at + 64]))
        await line.pipe.write(encode(b"\x04"))
        await line.read()
        clock = asyncio.get_running_loop().time
        before = clock()
        await line.ask(CreateObject(ObjectType.DATA, 4096))
        assert clock() - before == pytest.approx(0.085, abs=1e-3)

    talk(in_dfu(), say, DfuLine(time_factor=1.0))


@pytest.mark.parametrize("flow_control", [True, False])
def test_without_flow_control_what_comes_during_an_erase_is_lost(flow_control: bool) -> None:
    image = firmware(0x1000, 2)
    packet = sign(init_command(image))

    async def say(line: Line) -> None:
        await line.ask(CreateObject(ObjectType.COMMAND, len(packet)))
        for at in range(0, len(packet), 64):
            await line.write(WriteObject(packet[at : at + 64]))
        await line.pipe.write(encode(b"\x04"))
        await line.read()
        await line.write(CreateObject(ObjectType.DATA, 4096))
        await asyncio.sleep(0.02)  # the chip erases
        for at in range(0, 640, 64):
            await line.write(WriteObject(image[at : at + 64]))
            await asyncio.sleep(0.006)
        await line.read()
        await asyncio.sleep(1)
        await line.write(GetChecksum())  # it ends the frame whose end was lost
        found = (await line.ask(GetChecksum())).content
        assert isinstance(found, Checksum)
        assert (found.offset == 640) is flow_control

    talk(in_dfu(), say, DfuLine(Traffic(baudrate=115_200), flow_control=flow_control, time_factor=1.0))


def answers(corruption: float, seed: int) -> list[bool]:
    """Which of 200 pings were answered rightly."""
    found: list[bool] = []

    async def say(line: Line) -> None:
        for number in range(200):
            await line.pipe.write(encode(bytes([9, number])))
            try:
                answer = await asyncio.wait_for(line.pipe.read(), 1)
            except TimeoutError:
                answer = b""
            found.append(answer == encode(bytes([0x60, 9, 1, number])))

    talk(in_dfu(Nrf52Build(inactivity_s=0)), say, DfuLine(Traffic(corruption=corruption, seed=seed)))
    return found


def test_a_line_that_damages_bytes_does_so_by_its_seed() -> None:
    some = answers(0.01, 1)
    assert 0 < some.count(False) < 50
    assert some == answers(0.01, 1)
    assert some != answers(0.01, 2)
    assert all(answers(0.0, 1))


def test_dfu_mode_without_a_host_ends_after_its_time() -> None:
    device = in_dfu()

    async def say(line: Line) -> None:
        await asyncio.sleep(100)
        assert (await line.ask(CreateObject(ObjectType.COMMAND, 100))).result == 1
        await asyncio.sleep(100)
        assert not device.app_runs
        await asyncio.sleep(21)
        assert device.app_runs

    talk(device, say)


def test_a_build_without_that_timer_waits_for_ever() -> None:
    device = in_dfu(Nrf52Build(inactivity_s=0))

    async def say(line: Line) -> None:
        await asyncio.sleep(10_000)
        assert device.ending is Nrf52Ending.DFU

    talk(device, say)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
def test_a_program_on_this_computer_talks_to_it_at_a_terminal() -> None:
    device = in_dfu()

    async def run() -> bytes:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve_dfu_pty(device, ready.set_result))
        client = os.open(await ready, os.O_RDWR | os.O_NOCTTY)
        os.write(client, encode(b"\x09\x2a"))
        found = await asyncio.to_thread(os.read, client, 64)
        serving.cancel()
        await asyncio.wait([serving])
        os.close(client)
        return found

    assert asyncio.run(asyncio.wait_for(run(), HANG_S)) == encode(b"\x60\x09\x01\x2a")
