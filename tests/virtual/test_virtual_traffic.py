"""The model of a wire: when bytes arrive, to the microsecond, and which of them do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest

from smpdfu.errors import LinkLostError
from smpdfu.link.memory import pipe_pair
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.virtual.line.traffic import LATE_S, Traffic, TrafficPipe
from tests.simulated import now, simulate

EXACT = 1e-6


def approx(seconds: float) -> object:
    return pytest.approx(seconds, abs=EXACT)


@asynccontextmanager
async def wire(traffic: Traffic, *, console: bool = False, ordered: bool = True) -> AsyncIterator[tuple[Pipe, Pipe]]:
    """``(far, near)``: what is written at one end comes out at the other as ``traffic`` has it."""
    far, inner = pipe_pair()
    inner.ordered = ordered
    async with far, TrafficPipe(inner, traffic, console=console) as near:
        yield far, near


async def arrivals(pipe: Pipe, size: int) -> list[tuple[float, bytes]]:
    """What comes, with its time since now, until ``size`` bytes are there."""
    start, found = now(), list[tuple[float, bytes]]()
    while size > 0:
        data = await pipe.read()
        found.append((now() - start, data))
        size -= len(data)
    return found


def test_bytes_pass_at_the_baud_rate_in_both_directions() -> None:
    async def talk() -> None:
        async with wire(Traffic(baudrate=115_200)) as ends:
            for sender, receiver in (ends, reversed(ends)):
                data = bytes(range(256)) * 40
                sending = asyncio.create_task(sender.write(data))
                found = await arrivals(receiver, len(data))
                assert b"".join(piece for _, piece in found) == data
                assert found[-1][0] == approx(len(data) * 10 / 115_200)
                for at, arrived in pairwise(found):
                    assert arrived[0] - at[0] <= 0.001 + EXACT  # it trickles, and does not come in one lump
                await sending

    simulate(talk())


def test_the_sender_goes_on_when_the_last_byte_is_on_the_line_whatever_the_latency() -> None:
    async def talk() -> None:
        async with wire(Traffic(baudrate=10_000, latency_s=5.0)) as (_, near):
            start = now()
            await near.write(bytes(100))
            assert now() - start == approx(0.1)

    simulate(talk())


def test_what_is_written_while_the_line_is_busy_follows_without_a_gap() -> None:
    async def talk() -> None:
        async with wire(Traffic(baudrate=10_000, latency_s=0.02)) as (far, near):
            await far.write(bytes(50))
            await far.write(bytes(50))
            assert (await arrivals(near, 100))[-1][0] == approx(0.1 + 0.02)

    simulate(talk())


def test_a_line_of_a_console_is_there_as_soon_as_its_newline() -> None:
    async def talk() -> None:
        async with wire(Traffic(baudrate=1_000_000)) as (far, near):
            await far.write(b"0123456789\n" + bytes(500))
            ((at, line),) = await arrivals(near, 11)
            assert line == b"0123456789\n"
            assert at == approx(11 * 10 / 1_000_000)

    simulate(talk())


def test_latency_is_added_and_many_are_on_the_way_at_once() -> None:
    async def talk() -> None:
        async with wire(Traffic(latency_s=0.015)) as (far, near):
            for number in range(3):
                await far.write(bytes([number]))
                await asyncio.sleep(0.001)
            found = await arrivals(near, 3)
            assert [piece for _, piece in found] == [b"\0", b"\1", b"\2"]
            assert [at for at, _ in found] == [approx(0.012), approx(0.013), approx(0.014)]

    simulate(talk())


def test_errors_of_the_timers_do_not_add_up() -> None:
    async def talk() -> None:
        async with wire(Traffic(latency_s=0.0151)) as (far, near):
            start = now()
            for _ in range(200):
                await far.write(b"?")
                await near.read()
                await near.write(b"!")
                await far.read()
            assert now() - start == approx(200 * 2 * 0.0151)

    simulate(talk())


def test_an_answer_that_was_ready_earlier_is_no_later_for_it() -> None:
    async def talk() -> None:
        async with wire(Traffic(latency_s=0.010)) as (far, near):
            start = now()
            await far.write(b"?")
            await near.read()
            assert isinstance(near, TrafficPipe)
            assert near.arrived_at - start == approx(0.010)
            await asyncio.sleep(0.004)  # a slow computer, and nothing that is modelled
            await near.write_at(b"!", near.arrived_at)
            await far.read()
            assert now() - start == approx(0.020)

    simulate(talk())


def test_bytes_leave_at_connection_events_only() -> None:
    async def talk() -> None:
        async with wire(Traffic(interval_s=0.030)) as (far, near):
            for _ in range(5):
                await far.write(b"?")
                await near.read()
                assert now() / 0.030 == pytest.approx(round(now() / 0.030))
            start = now()
            await near.write(b"!")  # at an event: it has begun without it
            await far.read()
            assert now() - start == approx(0.030)

    simulate(talk())


def test_datagrams_get_lost_as_often_as_was_asked_for_and_always_the_same() -> None:
    async def survivors(traffic: Traffic) -> list[int]:
        async with wire(traffic, ordered=False) as (far, near):
            for number in range(1000):
                await near.write(number.to_bytes(2, "big"))
            found = []
            with suppress(TimeoutError):
                while True:
                    found.append(int.from_bytes(await asyncio.wait_for(far.read(), 1), "big"))
            return found

    first = simulate(survivors(Traffic(loss=0.1, seed=1)))
    assert 850 <= len(first) <= 950
    assert first == simulate(survivors(Traffic(loss=0.1, seed=1)))
    assert first != simulate(survivors(Traffic(loss=0.1, seed=2)))


@pytest.mark.parametrize("size", [3, 7, 4096])
def test_a_console_loses_whole_frames_and_no_text(size: int) -> None:
    """However the bytes are cut: of a lost frame the beginning is gone, and the next one is not hurt."""
    framing = ConsoleFraming()
    messages = [bytes((0, 0, 0, 200, 0, number, 0, 0)) + bytes(200) for number in range(100)]
    stream = b"".join(b"text %d\r\n" % message[5] + framing.encode(message) for message in messages)

    async def receive() -> tuple[list[int], str]:
        reader, text = ConsoleFraming(), ""
        async with wire(Traffic(loss=0.2, seed=3), console=True) as (far, near):
            for start in range(0, len(stream), size):
                await far.write(stream[start : start + size])
            await far.write(b"end\n")
            found: list[int] = []
            while "end" not in text:
                found += [message[5] for message in reader.feed(await near.read())]
                text += reader.take_text()
            return found, text

    found, text = simulate(receive())
    assert text == "".join(f"text {number}\n" for number in range(100)) + "end\n"
    assert 65 <= len(found) <= 95
    assert found == sorted(found)


def test_a_datagram_arrives_whole_or_not_at_all() -> None:
    async def talk() -> None:
        async with wire(Traffic(baudrate=115_200), ordered=False) as (far, near):
            for sender, receiver in ((far, near), (near, far)):
                sending = asyncio.create_task(sender.write(b"line\n" * 300))
                ((at, data),) = await arrivals(receiver, 1500)
                assert data == b"line\n" * 300
                assert at == approx(1500 * 10 / 115_200)
                await sending

    simulate(talk())


def test_datagrams_come_twice_and_late() -> None:
    async def talk() -> None:
        async with wire(Traffic(duplication=1.0, latency_s=0.01), ordered=False) as (far, near):
            await near.write(b"x")
            assert [data for _, data in await arrivals(far, 2)] == [b"x", b"x"]
        async with wire(Traffic(reordering=0.5, latency_s=0.01, seed=1), ordered=False) as (far, near):
            for number in range(20):
                await near.write(bytes([number]))
            found = await arrivals(far, 20)
            numbers = [data[0] for _, data in found]
            assert sorted(numbers) == list(range(20))
            assert numbers != sorted(numbers)
            assert found[-1][0] == approx(0.01 + LATE_S + 2 * 0.01)

    simulate(talk())


@pytest.mark.parametrize("traffic", [Traffic(duplication=0.1), Traffic(reordering=0.1)])
def test_a_stream_of_bytes_does_neither(traffic: Traffic) -> None:
    with pytest.raises(ValueError, match="does not duplicate or reorder"):
        TrafficPipe(pipe_pair()[1], traffic)


@pytest.mark.parametrize(
    "wrong", [{"baudrate": 0}, {"latency_s": -1}, {"interval_s": -1}, {"loss": 1.1}, {"duplication": -0.1}]
)
def test_what_no_wire_does_is_a_mistake(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"at least|nothing arrives|between 0 and 1"):
        Traffic(**wrong)  # type: ignore[arg-type]  # the baud rate of the table is a number, too


def test_the_end_of_the_wire_behind_it_is_told() -> None:
    async def talk() -> None:
        async with wire(Traffic(latency_s=0.01)) as (far, near):
            await far.close()
            with pytest.raises(LinkLostError):
                await near.read()

    simulate(talk())


def test_closing_ends_who_waits_and_forgets_what_is_on_its_way() -> None:
    async def talk() -> None:
        async with wire(Traffic(latency_s=0.01)) as (far, near):
            await far.write(b"late")
            waiting = asyncio.create_task(near.read())
            await asyncio.sleep(0.001)
            await near.close()
            with pytest.raises(LinkLostError):
                await waiting
            await near.open()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(near.read(), 1)

    simulate(talk())


def test_what_is_longer_than_a_write_goes_out_in_pieces() -> None:
    async def talk() -> None:
        far, inner = pipe_pair()
        inner.max_write = 20
        near = TrafficPipe(inner, Traffic(latency_s=0.01))
        async with far, near:
            await near.write_at(bytes(50), now())
            assert [len(data) for _, data in await arrivals(far, 50)] == [20, 20, 10]

    simulate(talk())
