"""The wire in memory: what arrives, what goes wrong, and that it goes wrong the same way every time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import ConnectError, LinkLostError
from smpdfu.link.memory import Faults, pipe_pair
from smpdfu.link.pipe import Pipe
from tests.simulated import simulate

WRITES = [bytes([number]) * (number % 7 + 1) for number in range(1, 200)]


async def drain(pipe: Pipe) -> list[bytes]:
    """The pieces until the end."""
    pieces = []
    with suppress(LinkLostError):
        while True:
            pieces.append(await pipe.read())
    return pieces


async def send_all(faults: Faults, writes: list[bytes]) -> list[bytes]:
    """What the device reads when the host sends ``writes`` and closes."""
    host, device = pipe_pair(faults)
    await host.open()
    await device.open()
    for write in writes:
        await host.write(write)
    await host.close()
    return await drain(device)


def arrivals(writes: list[bytes] = WRITES, **faults: Any) -> list[bytes]:
    return simulate(send_all(Faults(**faults), writes))


@given(
    st.lists(st.tuples(st.booleans(), st.binary(min_size=1))), st.integers(1, 9) | st.none(), st.sampled_from([0, 1e-6])
)
def test_without_faults_every_byte_arrives_in_order(
    writes: list[tuple[bool, bytes]], split: int | None, delay_s: float
) -> None:
    async def talk() -> None:
        ends = pipe_pair(Faults(split=split, delay_s=delay_s))
        for end in ends:
            await end.open()
        for side, data in writes:
            await ends[side].write(data)
        for side in (False, True):
            expected = b"".join(data for sender, data in writes if sender is side)
            received = bytearray()
            while len(received) < len(expected):
                received += await ends[not side].read()
            assert received == expected

    simulate(talk())


def test_a_write_arrives_as_one_piece_or_split() -> None:
    assert arrivals([b"abcdefg", b"hi"]) == [b"abcdefg", b"hi"]
    assert arrivals([b"abcdefg", b"hi"], split=3) == [b"abc", b"def", b"g", b"hi"]


@pytest.mark.parametrize("fault", [{"loss": 0.3}, {"corruption": 0.3}, {"duplication": 0.3}], ids=str)
def test_faults_are_a_matter_of_the_seed(fault: dict[str, Any]) -> None:
    first = arrivals(seed=1, **fault)
    assert first == arrivals(seed=1, **fault)
    assert first != arrivals(seed=2, **fault)
    assert first != WRITES


def test_the_directions_have_dice_of_their_own() -> None:
    async def talk() -> tuple[list[bytes], list[bytes]]:
        host, device = pipe_pair(Faults(seed=1, loss=0.5))
        await host.open()
        await device.open()
        for number in range(100):
            await host.write(bytes([number]))
            await device.write(bytes([number]))
        at_host, at_device = asyncio.ensure_future(drain(host)), asyncio.ensure_future(drain(device))
        await asyncio.sleep(0)
        for end in (host, device):
            await end.close()
        return await at_host, await at_device

    to_host, to_device = simulate(talk())
    assert to_host != to_device


def test_everything_lost() -> None:
    assert arrivals(loss=1.0) == []


def test_a_share_is_lost() -> None:
    share = 1 - len(arrivals([b"x"] * 4000, loss=0.05)) / 4000
    assert share == pytest.approx(0.05, rel=0.3)


def test_everything_twice() -> None:
    assert arrivals([b"ab", b"c"], duplication=1.0) == [b"ab", b"ab", b"c", b"c"]


def test_corruption_flips_one_bit_of_a_piece() -> None:
    for sent, received in zip(WRITES, arrivals(corruption=1.0), strict=True):
        assert len(received) == len(sent)
        assert (int.from_bytes(sent, "big") ^ int.from_bytes(received, "big")).bit_count() == 1


def test_each_direction_can_have_its_own_faults() -> None:
    async def talk() -> None:
        host, device = pipe_pair(Faults(loss=1.0), to_host=Faults(duplication=1.0))
        await host.open()
        await device.open()
        await host.write(b"lost")
        await device.write(b"twice")
        assert [await host.read(), await host.read()] == [b"twice", b"twice"]
        await host.close()
        assert await drain(device) == []

    simulate(talk())


def test_a_slow_wire_holds_back_and_keeps_the_order() -> None:
    async def talk() -> None:
        host, device = pipe_pair(Faults(delay_s=0.01, split=1))
        await host.open()
        await device.open()
        await host.write(b"abc")
        waiting = asyncio.ensure_future(device.read())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert [await waiting, await device.read(), await device.read()] == [b"a", b"b", b"c"]

    simulate(talk())


def test_a_cancelled_read_loses_nothing() -> None:
    async def talk() -> None:
        host, device = pipe_pair(Faults(delay_s=0.005))
        await host.open()
        await device.open()
        for wait_for_data in (False, True):
            if wait_for_data:
                await host.write(b"kept")
            reading = asyncio.ensure_future(device.read())
            await asyncio.sleep(0.001)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert await device.read() == b"kept"

    simulate(talk())


def test_the_other_end_runs_while_one_writes() -> None:
    async def talk() -> None:
        host, device = pipe_pair()
        await host.open()
        await device.open()
        reading = asyncio.ensure_future(device.read())
        await host.write(b"one")
        await host.write(b"two")
        assert reading.done()

    simulate(talk())


# --- the end of a connection --------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [Faults(cut_after_writes=2), Faults(cut_after_bytes=5)])
def test_a_cut_wire_is_lost_at_both_ends(faults: Faults) -> None:
    async def talk() -> None:
        host, device = pipe_pair(faults)
        await host.open()
        await device.open()
        await host.write(b"ab")
        await host.write(b"cd")
        with pytest.raises(LinkLostError, match="cut"):
            await host.write(b"ef")
        arrived = b"abcd" if faults.cut_after_writes else b"abcde"
        assert b"".join(await drain(device)) == arrived
        for step in (host.read, device.read, lambda: host.write(b"g"), lambda: device.write(b"g")):
            with pytest.raises(LinkLostError):
                await step()

    simulate(talk())


def test_a_cut_wakes_who_reads() -> None:
    async def talk() -> None:
        host, device = pipe_pair(Faults(cut_after_writes=0))
        await host.open()
        await device.open()
        reading = asyncio.ensure_future(device.read())
        await asyncio.sleep(0)
        with pytest.raises(LinkLostError):
            await host.write(b"x")
        with pytest.raises(LinkLostError, match="cut"):
            await reading

    simulate(talk())


@pytest.mark.parametrize("first", [0, 1])
def test_a_cut_wire_can_be_opened_again_by_either_end_first(first: int) -> None:
    async def talk() -> None:
        ends = pipe_pair(Faults(cut_after_writes=1))
        for _ in range(3):
            await ends[first].open()
            await ends[1 - first].open()
            await ends[0].write(b"in")
            assert await ends[1].read() == b"in"
            with pytest.raises(LinkLostError):
                await ends[0].write(b"out")

    simulate(talk())


def test_a_wire_can_be_cut_a_number_of_times() -> None:
    async def talk() -> None:
        host, _ = pipe_pair(Faults(cut_after_writes=1, cuts=2))
        for _ in range(2):
            await host.open()
            await host.write(b"in")
            with pytest.raises(LinkLostError):
                await host.write(b"out")
        await host.open()
        for _ in range(5):
            await host.write(b"in")

    simulate(talk())


def test_what_was_sent_before_a_cut_does_not_come_after_it() -> None:
    async def talk() -> None:
        host, device = pipe_pair(Faults(cut_after_writes=1))
        await host.open()
        await host.write(b"before")
        with pytest.raises(LinkLostError):
            await host.write(b"cuts")
        await host.open()
        await device.open()
        await host.write(b"after")
        assert await device.read() == b"after"

    simulate(talk())


def test_a_wire_can_be_cut_for_good() -> None:
    async def talk() -> None:
        host, device = pipe_pair(Faults(cut_after_bytes=0, reconnect=False))
        await host.open()
        with pytest.raises(LinkLostError):
            await host.write(b"x")
        for end in (host, device):
            with pytest.raises(ConnectError, match="its wire was cut"):
                await end.open()

    simulate(talk())


def test_closing_lets_the_other_end_read_the_rest() -> None:
    async def talk() -> None:
        host, device = pipe_pair()
        await device.open()
        await host.open()
        await host.write(b"reset")
        await host.close()
        assert await device.read() == b"reset"
        with pytest.raises(LinkLostError, match="closed"):
            await device.read()
        with pytest.raises(LinkLostError, match="not open"):
            await host.read()
        with pytest.raises(LinkLostError):
            await device.write(b"x")

    simulate(talk())


@pytest.mark.parametrize("on_its_way", [False, True])
def test_closing_wakes_ones_own_reader(on_its_way: bool) -> None:
    async def talk() -> None:
        host, device = pipe_pair(Faults(delay_s=0.005))
        await host.open()
        if on_its_way:
            await device.open()
            await device.write(b"too late")
            await device.close()
        reading = asyncio.ensure_future(host.read())
        await asyncio.sleep(0)
        await host.close()
        with pytest.raises(LinkLostError):
            await reading
        with pytest.raises(LinkLostError, match="not open"):
            await device.write(b"x")

    simulate(talk())


@pytest.mark.parametrize(
    "wrong",
    [{"split": 0}, {"loss": 1.1}, {"corruption": -0.1}, {"duplication": 2}, {"delay_s": -1}, {"cut_after_bytes": -1}],
    ids=str,
)
def test_impossible_faults_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"piece|probability|negative"):
        Faults(**wrong)
