"""Ports that can only block, as on Windows. What a real port does in threads is in test_link_serial.py."""

from __future__ import annotations

import asyncio
import queue
import threading

import pytest

from smpdfu.errors import LinkLostError
from smpdfu.link.serial.threaded import ThreadedPort


class FakePort:
    """A port whose calls block until the test lets them go on."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[bytes | OSError] = queue.Queue()
        self.buffer = b""
        self.written: list[bytes] = []
        self.writes = threading.Event()
        self.may_write = threading.Semaphore(0)
        self.pulled = False

    @property
    def in_waiting(self) -> int:
        return len(self.buffer)

    def read(self, size: int, /) -> bytes:
        if size and not self.buffer:
            news = self.arrived.get()
            if isinstance(news, OSError):
                raise news
            self.buffer = news
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def write(self, data: bytes, /) -> int:
        self.writes.set()
        self.may_write.acquire()
        self.written.append(data)
        return len(data)

    def cancel_read(self) -> None:
        self.arrived.put(b"")
        if self.pulled:
            raise OSError("the port is gone")

    def cancel_write(self) -> None:
        self.may_write.release()


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("serial")}


def test_what_waits_comes_in_one_piece() -> None:
    async def use() -> None:
        fake = FakePort()
        port = ThreadedPort(fake)
        fake.arrived.put(b"abcd")
        assert await port.read() == b"abcd"
        port.release(LinkLostError("closed"))

    asyncio.run(use())


def test_a_drivers_error_ends_reading_as_it_is() -> None:
    async def use() -> None:
        fake = FakePort()
        port = ThreadedPort(fake)
        fake.arrived.put(b"last")
        fake.arrived.put(OSError("unplugged"))
        assert await port.read() == b"last"
        with pytest.raises(OSError, match="unplugged"):
            await port.read()
        port.release(LinkLostError("closed"))

    asyncio.run(use())


@pytest.mark.parametrize("pulled", [False, True])
def test_release_ends_threads_and_who_waits(pulled: bool) -> None:
    async def use() -> None:
        fake = FakePort()
        fake.pulled = pulled
        port = ThreadedPort(fake)
        reading = asyncio.ensure_future(port.read())
        writing = asyncio.ensure_future(port.write(b"x"))
        await asyncio.sleep(0)
        assert threads() == {"serial-read", "serial-write_0"}
        if pulled:
            fake.cancel_write()  # as a driver does by itself
        port.release(LinkLostError("closed"))
        assert threads() == set()
        for task in (reading, writing):
            with pytest.raises(LinkLostError, match="closed"):
                await task

    asyncio.run(use())


def test_a_cancelled_write_ends_before_the_next_begins() -> None:
    async def use() -> None:
        fake = FakePort()
        port = ThreadedPort(fake)
        first, second = (asyncio.ensure_future(port.write(data)) for data in (b"first", b"second"))
        await asyncio.to_thread(fake.writes.wait)
        first.cancel()
        fake.may_write.release(2)
        await second
        assert fake.written == [b"first", b"second"]
        port.release(LinkLostError("closed"))

    asyncio.run(use())


def test_a_write_that_waits_for_its_turn_is_not_begun_after_release() -> None:
    async def use() -> None:
        fake = FakePort()
        port = ThreadedPort(fake)
        writing = [asyncio.ensure_future(port.write(data)) for data in (b"first", b"second")]
        await asyncio.to_thread(fake.writes.wait)
        port.release(LinkLostError("closed"))
        for task in writing:
            with pytest.raises(LinkLostError):
                await task
        assert fake.written == [b"first"]

    asyncio.run(use())


def test_a_thread_outlives_its_loop_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)
    fake = FakePort()

    async def use() -> ThreadedPort:
        return ThreadedPort(fake)

    port = asyncio.run(use())
    fake.arrived.put(b"too late")
    port.release(LinkLostError("closed"))
    assert not complaints
    assert threads() == set()
