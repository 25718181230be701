"""Serial ports, on real ptys; each test for the event loop's way and for the threads that Windows needs."""

from __future__ import annotations

import asyncio
import os
from typing import NamedTuple

import pytest
from serial import Serial

from smpdfu.errors import LinkLostError
from smpdfu.link.serial import pipe as serial_pipe
from smpdfu.link.serial.descriptor import Descriptor
from smpdfu.link.serial.pipe import SerialPipe
from tests.link.conftest import Board

pytestmark = pytest.mark.usefixtures("every_port_is_released")


class Cable(NamedTuple):
    board: Board
    pipe: SerialPipe


@pytest.fixture(params=[False, True], ids=["loop", "threads"])
def cable(request: pytest.FixtureRequest, board: Board) -> Cable:
    return Cable(board, SerialPipe(board.port, threaded=request.param))


async def read(pipe: SerialPipe, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = await pipe.read()
        assert piece
        received += piece
    return bytes(received)


# --- bytes --------------------------------------------------------------------------------------------------------


def test_every_value_of_a_byte_passes_in_both_directions(cable: Cable) -> None:
    everything = bytes(range(256))

    async def talk() -> None:
        async with cable.pipe as pipe:
            await pipe.write(everything)
            assert await cable.board.read(256) == everything
            await Descriptor(cable.board.fd).write(everything)
            assert await read(pipe, 256) == everything

    asyncio.run(talk())


def test_many_small_pieces_arrive_in_order(cable: Cable) -> None:
    async def talk() -> None:
        async with cable.pipe as pipe:
            reading = asyncio.ensure_future(read(pipe, 500))
            for number in range(500):
                os.write(cable.board.fd, bytes([number % 251]))
                if number % 10 == 0:
                    await asyncio.sleep(0)
            assert await reading == bytes(number % 251 for number in range(500))

    asyncio.run(talk())


def test_a_large_write_waits_for_a_slow_reader_and_loses_nothing(cable: Cable) -> None:
    data = os.urandom(200_000)

    async def talk() -> None:
        async with cable.pipe as pipe:
            writing = asyncio.ensure_future(pipe.write(data))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not writing.done()
            received = bytearray()
            while len(received) < len(data):
                received += await Descriptor(cable.board.fd).read()
                await asyncio.sleep(0)
            await writing
            assert received == data

    asyncio.run(talk())


def test_writes_of_two_tasks_do_not_mix(cable: Cable) -> None:
    one, two = b"1" * 20_000, b"2" * 20_000

    async def talk() -> None:
        async with cable.pipe as pipe:
            writing = asyncio.gather(pipe.write(one), pipe.write(two))
            assert await cable.board.read(40_000) == one + two
            await writing

    asyncio.run(talk())


def test_a_cancelled_read_loses_nothing(cable: Cable) -> None:
    async def talk() -> None:
        async with cable.pipe as pipe:
            for _ in range(3):
                reading = asyncio.ensure_future(pipe.read())
                await asyncio.sleep(0.001)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
            os.write(cable.board.fd, b"kept")
            assert await read(pipe, 4) == b"kept"

    asyncio.run(talk())


def test_what_came_before_the_opening_is_not_read(board: Board) -> None:
    async def talk() -> None:
        keeper = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        os.write(board.fd, b"boot text of yesterday\n")
        async with SerialPipe(board.port) as pipe:
            os.write(board.fd, b"today")
            assert await pipe.read() == b"today"
        os.close(keeper)

    asyncio.run(talk())


def test_a_port_without_bytes_is_not_at_its_end(board: Board) -> None:
    async def talk() -> None:
        async with SerialPipe(board.port) as pipe:
            assert pipe._serial
            with pytest.raises(BlockingIOError):  # and not b"", which means that the port has hung up
                os.read(pipe._serial.fileno(), 1)

    asyncio.run(talk())


# --- ends ---------------------------------------------------------------------------------------------------------


def test_a_pulled_cable_ends_a_waiting_read_and_every_write(cable: Cable) -> None:
    async def talk() -> None:
        async with cable.pipe as pipe:
            reading = asyncio.ensure_future(pipe.read())
            await asyncio.sleep(0.001)
            cable.board.pull_cable()
            with pytest.raises(LinkLostError, match=r"ttyACM0 is gone: the cable was pulled, or the device restarted$"):
                await reading
            with pytest.raises(LinkLostError, match=r"ttyACM0 is gone: the cable was pulled, or the device restarted$"):
                await pipe.write(b"x")

    asyncio.run(talk())


def test_a_pulled_cable_ends_a_write_that_waits(cable: Cable) -> None:
    async def talk() -> None:
        async with cable.pipe as pipe:
            writing = asyncio.ensure_future(pipe.write(bytes(200_000)))
            await asyncio.sleep(0.001)
            cable.board.pull_cable()
            with pytest.raises(LinkLostError, match=r"the cable was pulled, or the device restarted$"):
                await writing

    asyncio.run(talk())


def test_a_cable_that_is_plugged_in_again_works_again(cable: Cable) -> None:
    async def talk() -> None:
        async with cable.pipe as pipe:
            cable.board.pull_cable()
            with pytest.raises(LinkLostError):
                await pipe.read()
            cable.board.plug_in()
            await pipe.open()
            await pipe.write(b"again")
            assert await cable.board.read(5) == b"again"

    asyncio.run(talk())


def test_closing_ends_a_waiting_read_and_a_waiting_write(cable: Cable) -> None:
    async def talk() -> None:
        await cable.pipe.open()
        waiting = [asyncio.ensure_future(cable.pipe.read()), asyncio.ensure_future(cable.pipe.write(bytes(200_000)))]
        await asyncio.sleep(0.001)
        await cable.pipe.close()
        for task in waiting:
            with pytest.raises(LinkLostError):
                await task
        for step in (cable.pipe.read(), cable.pipe.write(b"x")):
            with pytest.raises(LinkLostError, match="is not open"):
                await step
        await cable.pipe.close()

    asyncio.run(talk())


def test_a_cancelled_write_to_a_deaf_device_does_not_hold_the_port(cable: Cable) -> None:
    async def talk() -> None:
        async with cable.pipe as pipe:
            writing = asyncio.ensure_future(pipe.write(bytes(200_000)))
            await asyncio.sleep(0.001)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
        async with SerialPipe(cable.board.port):
            pass

    asyncio.run(talk())


def test_bytes_that_never_leave_are_dropped_at_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_pipe, "DRAIN_STEP_S", 0.0)

    class Deaf:
        out_waiting = 7

        def reset_output_buffer(self) -> None:
            self.out_waiting = 0

    deaf = Deaf()
    asyncio.run(serial_pipe._drain(deaf))  # type: ignore[arg-type]  # stands in for a UART: a pty never holds bytes back
    assert deaf.out_waiting == 0


def test_bytes_that_leave_are_waited_for() -> None:
    class Slow:
        left = 3

        @property
        def out_waiting(self) -> int:
            self.left -= self.left > 0
            return self.left

        def reset_output_buffer(self) -> None:
            raise AssertionError("dropped")

    asyncio.run(serial_pipe._drain(Slow()))  # type: ignore[arg-type]  # as above


def test_draining_a_port_that_is_gone_ends() -> None:
    class Gone:
        @property
        def out_waiting(self) -> int:
            raise OSError("unplugged")

    asyncio.run(serial_pipe._drain(Gone()))  # type: ignore[arg-type]  # as above


def test_closing_drains_while_the_port_is_open(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    drained = []

    async def drain(port: Serial) -> None:
        drained.append(port.is_open)
        raise OSError("even if that fails")

    monkeypatch.setattr(serial_pipe, "_drain", drain)

    async def talk() -> None:
        async with SerialPipe(board.port):
            pass

    asyncio.run(talk())
    assert drained == [True]


# --- pace ---------------------------------------------------------------------------------------------------------


def test_a_paced_port_sends_no_faster_than_told(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is the sum of what it sleeps: no clock is looked at."""
    at, sent = 0.0, list[tuple[float, int]]()

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        pipe = SerialPipe(board.port, pace=10_000)
        async with pipe:
            assert pipe._stream is not None
            sleep, write = asyncio.sleep, pipe._stream.write

            async def count_sleep(seconds: float) -> None:
                nonlocal at
                at += max(seconds, 0.0)
                await sleep(0)

            async def count_write(data: bytes) -> None:
                sent.append((at, len(data)))
                await write(data)

            monkeypatch.setattr(asyncio, "sleep", count_sleep)
            monkeypatch.setattr(loop, "time", lambda: at)
            monkeypatch.setattr(pipe._stream, "write", count_write)
            await pipe.write(bytes(1000))
            await pipe.write(bytes(1000))
            monkeypatch.undo()
            assert len(await board.read(2000)) == 2000

    asyncio.run(talk())
    for number, (when, _) in enumerate(sent):
        assert sum(size for _, size in sent[:number]) <= 10_000 * when + 20 + 1
    assert 0.19 < at <= 0.2
    assert max(size for _, size in sent) == 20


def test_a_pace_of_nothing_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one byte per second"):
        SerialPipe("/dev/ttyACM0", pace=0)
