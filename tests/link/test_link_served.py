"""A wire in memory whose far end is served in this process."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from smpdfu.errors import LinkLostError
from smpdfu.link.memory import Faults, served_pipe
from smpdfu.link.pipe import Pipe


async def shout(device: Pipe) -> None:
    """A device that answers in capitals, until its link is lost."""
    with suppress(LinkLostError):
        while True:
            await device.write((await device.read()).upper())


def test_a_served_pipe_answers_at_every_opening() -> None:
    async def talk() -> None:
        pipe = served_pipe(shout, Faults(cut_after_writes=1), name="loud")
        for _ in range(2):
            await pipe.open()
            await pipe.write(b"hello")
            assert await pipe.read() == b"HELLO"
            with pytest.raises(LinkLostError, match="loud"):
                await pipe.write(b"cut")
        await pipe.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(talk())


def test_a_served_device_acts_on_what_was_sent_before_closing() -> None:
    heard = []

    async def listen(device: Pipe) -> None:
        with suppress(LinkLostError):
            while True:
                heard.append(await device.read())

    async def talk() -> None:
        async with served_pipe(listen) as pipe:
            await pipe.write(b"one")
            await pipe.write(b"two")

    asyncio.run(talk())
    assert heard == [b"one", b"two"]


def test_a_device_that_fails_loses_the_link_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def die(device: Pipe) -> None:
        await device.read()
        raise RuntimeError("a bug")

    async def talk() -> None:
        async with served_pipe(die) as pipe:
            await pipe.write(b"x")
            with pytest.raises(LinkLostError):
                await pipe.read()
        gc.collect()

    asyncio.run(talk())
    assert not caplog.records


def test_a_device_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpdfu.link.memory.GRACE_S", 0.0)

    async def hang(device: Pipe) -> None:
        await asyncio.Event().wait()

    async def talk() -> None:
        async with served_pipe(hang):
            assert len(asyncio.all_tasks()) == 2
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(talk())


def test_a_cancelled_closing_ends_the_device_too() -> None:
    async def hang(device: Pipe) -> None:
        await asyncio.Event().wait()

    async def talk() -> None:
        pipe = served_pipe(hang)
        await pipe.open()
        closing = asyncio.ensure_future(pipe.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(talk())
