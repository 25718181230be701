"""File descriptors in the event loop: who waits is woken once, and nobody is watched for longer than that."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from smpdfu.errors import LinkLostError
from smpdfu.link.serial.descriptor import Descriptor
from tests.deadlines import HANG_S


@pytest.fixture
def wire() -> Iterator[tuple[int, socket.socket]]:
    """A descriptor, and the socket at its far end."""
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near.fileno(), far


def test_bytes_that_nobody_reads_wake_the_loop_once_and_wait(wire: tuple[int, socket.socket]) -> None:
    async def use() -> None:
        fd, far = wire
        stream = Descriptor(fd)
        far.send(b"x")
        assert await stream.read() == b"x"
        far.send(b"y")
        await asyncio.sleep(0.001)
        assert not asyncio.get_running_loop().remove_reader(fd)
        assert await stream.read() == b"y"
        stream.release(LinkLostError("closed"))

    asyncio.run(use())


def test_reads_in_a_row_are_one_watch(wire: tuple[int, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        fd, far = wire
        loop, watches = asyncio.get_running_loop(), list[int]()
        add_reader = loop.add_reader

        def watch(fd: int, call: Callable[[], None]) -> None:
            watches.append(fd)
            add_reader(fd, call)

        monkeypatch.setattr(loop, "add_reader", watch)
        stream = Descriptor(fd)
        for _ in range(5):
            reading = asyncio.ensure_future(stream.read())
            await asyncio.sleep(0)
            far.send(b"x")
            assert await reading == b"x"
        assert watches == [fd]
        stream.release(LinkLostError("closed"))

    asyncio.run(use())


def test_bytes_that_came_before_the_cancellation_are_kept(wire: tuple[int, socket.socket]) -> None:
    async def use() -> None:
        fd, far = wire
        stream = Descriptor(fd)
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0)
        far.send(b"kept")
        stream._readable()  # the descriptor has the bytes, and the task that reads has not run yet
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert await stream.read() == b"kept"
        stream.release(LinkLostError("closed"))

    asyncio.run(use())

    asyncio.run(use())


def test_the_far_ends_end_is_the_end(wire: tuple[int, socket.socket]) -> None:
    async def use() -> None:
        wire[1].close()
        with pytest.raises(EOFError):
            await Descriptor(wire[0]).read()

    asyncio.run(use())


def test_who_is_released_does_not_disturb_the_next_user_of_the_number(wire: tuple[int, socket.socket]) -> None:
    async def use() -> None:
        fd, far = wire
        old, new = Descriptor(fd), Descriptor(fd)
        waiting = asyncio.ensure_future(old.read())
        await asyncio.sleep(0)
        reading = asyncio.ensure_future(new.read())  # begins before ``waiting`` hears of its release
        old.release(LinkLostError("closed"))
        await asyncio.sleep(0)
        with pytest.raises(LinkLostError):
            await waiting
        far.send(b"for the new one")
        assert await asyncio.wait_for(reading, HANG_S) == b"for the new one"

    asyncio.run(use())


def test_release_watches_nothing_any_more(wire: tuple[int, socket.socket]) -> None:
    async def use() -> None:
        fd, loop = wire[0], asyncio.get_running_loop()
        stream = Descriptor(fd)
        waiting = [asyncio.ensure_future(stream.read()), asyncio.ensure_future(stream.write(bytes(10_000_000)))]
        await asyncio.sleep(0)
        stream.release(LinkLostError("closed"))
        assert not loop.remove_reader(fd)
        assert not loop.remove_writer(fd)
        for task in waiting:
            with pytest.raises(LinkLostError, match="closed"):
                await task

    asyncio.run(use())


def test_bytes_that_come_with_the_cancellation_are_kept(wire: tuple[int, socket.socket]) -> None:
    async def use() -> None:
        fd, far = wire
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        stream = Descriptor(fd)
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0)
        far.send(b"kept")
        asyncio.get_running_loop().call_soon(reading.cancel)  # runs right before the descriptor's own callback
        with suppress(asyncio.CancelledError):
            await reading
        assert await stream.read() == b"kept"
        assert not complaints

    asyncio.run(use())


def test_what_another_reader_took_is_not_the_end(
    wire: tuple[int, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use() -> None:
        fd, far = wire
        real_read = os.read

        def robbed(fd: int, size: int) -> bytes:
            monkeypatch.undo()
            real_read(fd, size)
            raise BlockingIOError

        monkeypatch.setattr(os, "read", robbed)
        far.send(b"taken")
        reading = asyncio.ensure_future(Descriptor(fd).read())
        await asyncio.sleep(0.001)
        far.send(b"mine")
        assert await asyncio.wait_for(reading, HANG_S) == b"mine"

    asyncio.run(use())
