"""The error wall and the promises that every pipe inherits."""

from __future__ import annotations

import asyncio

import pytest

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.pipe import Pipe


class FakeWire(Pipe):
    """A wire whose every step fails with ``error``, if there is one."""

    def __init__(self, error: BaseException | None = None, max_write: int = 100) -> None:
        super().__init__("the wire", max_write)
        self.error = error
        self.calls: list[str] = []

    async def _step(self, name: str) -> None:
        self.calls.append(name)
        if self.error is not None:
            raise self.error

    async def _open(self) -> None:
        await self._step("open")

    async def _close(self) -> None:
        await self._step("close")

    async def _read(self) -> bytes:
        await self._step("read")
        return b"x"

    async def _write(self, data: bytes) -> None:
        for byte in data:
            await self._step(f"write {byte}")
            await asyncio.sleep(0)


ANYTHING = [OSError(5, "Input/output error"), RuntimeError("odd"), EOFError(), TimeoutError(), KeyError("x")]


@pytest.mark.parametrize("error", ANYTHING, ids=repr)
def test_only_link_errors_pass_the_wall(error: Exception) -> None:
    wire = FakeWire(error)
    with pytest.raises(ConnectError, match=r"^cannot open the wire: \S") as refused:
        asyncio.run(wire.open())
    assert (refused.value.address, refused.value.__cause__) == ("the wire", error)
    for step in (wire.read(), wire.write(b"x")):
        with pytest.raises(LinkLostError, match=r"^the link to the wire is lost: \S") as lost:
            asyncio.run(step)
        assert lost.value.__cause__ is error


def test_the_systems_words_are_used_without_its_numbers() -> None:
    with pytest.raises(LinkLostError, match=r"lost: Input/output error$"):
        asyncio.run(FakeWire(OSError(5, "Input/output error")).read())


@pytest.mark.parametrize("error", [LinkLostError("mine"), ConnectError("mine")])
def test_link_errors_pass_as_they_are(error: Exception) -> None:
    wire = FakeWire(error)
    for step in (wire.open(), wire.read(), wire.write(b"x")):
        with pytest.raises(type(error)) as passed:
            asyncio.run(step)
        assert passed.value is error


def test_cancellation_passes() -> None:
    wire = FakeWire(asyncio.CancelledError())
    for step in (wire.open(), wire.read(), wire.write(b"x"), wire.close()):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(step)


def test_closing_never_fails() -> None:
    asyncio.run(FakeWire(OSError("stuck")).close())


def test_opening_starts_afresh_and_the_context_closes() -> None:
    async def use() -> list[str]:
        async with FakeWire() as wire:
            await wire.read()
        return wire.calls

    assert asyncio.run(use()) == ["close", "open", "read", "close"]


def test_a_write_has_a_limit() -> None:
    wire = FakeWire(max_write=3)
    asyncio.run(wire.write(b"abc"))
    with pytest.raises(ValueError, match="takes 3 bytes in one write, not 4"):
        asyncio.run(wire.write(b"abcd"))


def test_writes_of_two_tasks_do_not_mix() -> None:
    async def use() -> list[str]:
        wire = FakeWire()
        await asyncio.gather(wire.write(b"\1\2\3"), wire.write(b"\4\5\6"))
        return wire.calls

    assert asyncio.run(use()) == [f"write {byte}" for byte in range(1, 7)]


def test_a_pipe_outlives_its_event_loop() -> None:
    wire = FakeWire()

    async def use() -> None:
        async with wire:
            await asyncio.gather(wire.write(b"\1\2"), wire.write(b"\3\4"))

    asyncio.run(use())
    asyncio.run(use())
    assert wire.calls.count("write 4") == 2


class HalfOpen(FakeWire):
    """A wire that has taken something by the time it fails, or hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def _open(self) -> None:
        await self._step("open")
        self.begun.set()
        await asyncio.sleep(3600)


def test_what_cannot_be_opened_is_not_left_half_open() -> None:
    wire = FakeWire(OSError(5, "Input/output error"))
    with pytest.raises(ConnectError):
        asyncio.run(wire.open())
    assert wire.calls == ["close", "open", "close"]


def test_a_cancelled_opening_is_not_left_half_open() -> None:
    wire = HalfOpen()

    async def interrupted() -> None:
        opening = asyncio.ensure_future(wire.open())
        await wire.begun.wait()
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()

    asyncio.run(interrupted())
    assert wire.calls == ["close", "open", "close"]
