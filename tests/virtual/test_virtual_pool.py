"""A server under load: how many requests it bears, how long they take, and what it says when that is too much."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import DeviceError
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.os import Echo, Params, Reset
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.line.load import Pool, Resources
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.server.server import Buffers
from tests.simulated import simulate

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

from tests.virtual.load_rig import SLOW, echoes, made, sequences, served

SERIAL, SILENT = (ConsoleFraming, RawFraming), (DatagramFraming, GattFraming)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """With an application that serves SMP."""
    bench.write("primary", bench.app_image(1))
    return bench


# --- the pool --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [*SERIAL, *SILENT])
@pytest.mark.parametrize("count", [2, 4, 8])
def test_one_request_less_than_buffers_is_answered_at_any_pace(
    bench: Bench, framing: type[Framing], count: int
) -> None:
    async def talk() -> None:
        async with served(made(bench, replace(SLOW, buffers=Buffers(count=count))), framing) as host:
            for _ in range(3):
                assert await host.refusals(*echoes(count - 1)) == [False] * (count - 1)

    simulate(talk())


@pytest.mark.parametrize("framing", SERIAL)
def test_a_serial_server_without_a_buffer_for_the_answer_says_so(bench: Bench, framing: type[Framing]) -> None:
    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=4)))
        async with served(device, framing) as host:
            await host.pipe.write(b"".join(map(host.framing.encode, echoes(4))))
            answers = await host.hear()
            assert sequences(answers) == [0, 1, 2, 3]
            outcomes = [read_outcome(Echo("x"), answer[8:]) for _, answer in answers]
            assert [isinstance(outcome, DeviceError) for outcome in outcomes] == [True, False, False, False]
            assert (device.pool.refused, device.pool.free) == (1, 4)

    simulate(talk())


@pytest.mark.parametrize("framing", SILENT)
def test_other_servers_are_silent_then(bench: Bench, framing: type[Framing]) -> None:
    async def talk() -> None:
        async with served(made(bench, replace(SLOW, buffers=Buffers(count=4))), framing) as host:
            await host.send(*echoes(4))
            assert sequences(await host.hear()) == [0, 1, 2]  # the first has its two buffers when the last one comes

    simulate(talk())


@pytest.mark.parametrize("framing", [*SERIAL, *SILENT])
def test_what_finds_no_buffer_at_all_is_lost(bench: Bench, framing: type[Framing]) -> None:
    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=4)))
        async with served(device, framing) as host:
            await host.send(*echoes(7))
            assert set(sequences(await host.hear())) <= {0, 1, 2, 3}
            assert (device.pool.requests, device.pool.dropped) == (7, 4)
            await host.send(*echoes(3))
            assert len(await host.hear()) == 3  # and it goes on
        assert device.pool.free == device.pool.count

    simulate(talk())


def test_a_pool_of_one_answers_one_at_a_time(bench: Bench) -> None:
    """As MCUboot's serial recovery does: in the buffer of the request."""

    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=1)))
        async with served(device, ConsoleFraming) as host:
            assert await host.refusals(*echoes(2)) == [False]
            assert await host.refusals(*echoes(1)) == [False]
            assert (device.pool.free, device.pool.dropped, device.pool.refused) == (1, 1, 0)

    simulate(talk())


def test_spread_over_the_round_trip_as_many_as_there_are_buffers_find_room(bench: Bench) -> None:
    """What must not happen is that the server holds too many at one moment: pace, never burst."""

    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=2)), Traffic(latency_s=0.015))
        async with served(device) as host:
            for message in echoes(4):
                await host.send(message)
                await asyncio.sleep(0.008)
            assert sequences(await host.hear()) == [0, 1, 2, 3]

    simulate(talk())


def test_all_wires_of_a_device_share_the_pool_and_the_worker(bench: Bench) -> None:
    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=4)))
        async with served(device) as one, served(device) as other:
            await one.send(*echoes(2))
            await other.send(*echoes(2))
            first, second = await asyncio.gather(one.hear(), other.hear())
            assert len(first + second) == 3
            times = sorted(at for at, _ in first + second)
            assert times == [pytest.approx(number * times[0]) for number in (1, 2, 3)]
        assert device.pool.free == device.pool.count

    simulate(talk())


def test_params_tell_the_truth(bench: Bench) -> None:
    buffers = Buffers(size_bytes=512, count=3)
    (answer,) = made(bench, Resources(buffers=buffers)).answers(Params().to_bytes(0))
    reply = read_outcome(Params(), answer[8:])
    assert not isinstance(reply, DeviceError)
    assert (reply.buf_size, reply.buf_count) == (512, 3)  # type: ignore[attr-defined]  # any response has its own


@pytest.mark.parametrize(("framing", "longest"), [(DatagramFraming, 256), (ConsoleFraming, 252)])
def test_a_request_longer_than_a_buffer_is_lost(bench: Bench, framing: type[Framing], longest: int) -> None:
    """A console's length and check sum take four bytes of it."""
    text = "x" * (longest - len(Echo("").to_bytes(0)) - 1)  # whose length takes a byte

    async def talk() -> None:
        async with served(made(bench, Resources(buffers=Buffers(size_bytes=256))), framing) as host:
            for message in (Echo(text).to_bytes(1), Echo(text + "x").to_bytes(2)):
                await host.send(message)
            assert len(Echo(text).to_bytes(1)) == longest
            assert sequences(await host.hear()) == [1]

    simulate(talk())


# --- the UART --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", SERIAL)
def test_a_small_ring_loses_what_comes_while_the_server_is_busy(bench: Bench, framing: type[Framing]) -> None:
    messages = echoes(2, "x" * 100)

    async def talk(ring: int) -> list[int]:
        async with served(made(bench, replace(SLOW, uart_ring=ring)), framing) as host:
            await host.pipe.write(b"".join(map(host.framing.encode, messages)))
            return sequences(await host.hear())

    assert simulate(talk(64)) == [0]
    assert simulate(talk(1024)) == [0, 1]


def test_a_small_ring_is_enough_for_one_request_after_the_other(bench: Bench) -> None:
    async def talk() -> None:
        async with served(made(bench, replace(SLOW, uart_ring=64)), ConsoleFraming) as host:
            for sequence in range(5):
                await host.send(Echo("x" * 500).to_bytes(sequence))
                assert sequences(await host.hear(1.0)) == [sequence]

    simulate(talk())


# --- the reset -------------------------------------------------------------------------------------------------------


def test_the_reset_comes_after_its_answer_and_takes_what_waits_with_it(bench: Bench) -> None:
    device = made(bench, replace(SLOW, reset_delay_s=0.25, time_factor=100.0, buffers=Buffers(count=8)))

    async def talk() -> None:
        async with served(device) as host:
            boots = list(device.log).count("*** Booting Zephyr OS v4.4.0 ***")
            await host.send(Reset().to_bytes(0), *(Echo("x" * 900).to_bytes(sequence) for sequence in (1, 2, 3, 4)))
            answers = await host.hear(10.0)
            assert sequences(answers)[0] == 0
            assert len(answers) < 5
            assert list(device.log).count("*** Booting Zephyr OS v4.4.0 ***") == boots + 1
            assert device.pool.free == device.pool.count
            await asyncio.sleep(100.0 * device.boot_s)
            await host.send(*echoes(1))
            assert len(await host.hear()) == 1

    simulate(talk())


def test_a_reset_button_leaves_nobody_with_an_answer(bench: Bench) -> None:
    """Neither who is being served, nor who waits on the same wire or on another one."""
    device = made(bench, SLOW)

    async def talk() -> None:
        async with served(device) as one, served(device) as other:
            await one.send(*echoes(1))
            await other.send(*echoes(2))
            device.reset()
            assert not any(await asyncio.gather(one.hear(), other.hear()))
            assert device.pool.free == device.pool.count
            await other.send(*echoes(1))
            assert len(await other.hear()) == 1

    simulate(talk())


@pytest.mark.parametrize(
    "wrong",
    [
        {"buffers": Buffers(count=0)},
        {"buffers": Buffers(size_bytes=63)},
        {"buffers": Buffers(size_bytes=0x10000)},
        {"uart_ring": 0},
        {"time_factor": -1.0},
        {"reset_delay_s": -1.0},
    ],
)
def test_what_no_build_has_is_a_mistake(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"at least|at most|backwards"):
        Resources(**wrong)  # type: ignore[arg-type]  # the table's values have several types


def test_the_pool_counts() -> None:
    pool = Pool(2)
    assert [pool.take_for_request(), pool.take_for_request(), pool.take_for_request()] == [True, True, False]
    assert not pool.take_for_answer()
    pool.give_request()
    assert pool.take_for_answer()
    assert (pool.free, pool.requests, pool.dropped, pool.refused) == (0, 3, 1, 1)
