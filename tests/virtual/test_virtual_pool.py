"""A server under load: how many requests it bears, how long they take, and what it says when that is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import DeviceError
from smpdfu.link.memory import pipe_pair
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, DatagramFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.image import ImageUpload
from smpdfu.smp.groups.os import Echo, Params, Reset
from smpdfu.smp.message import Header, MgmtRc
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.flash import NVMC
from smpdfu.virtual.pool import BYTE_S, REQUEST_S, Pool, Resources
from smpdfu.virtual.server import Buffers
from smpdfu.virtual.traffic import NO_TRAFFIC, Traffic
from tests.virtual.clockwork import now, run, stall

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

SLOW = Resources(time_factor=1.0, reset_delay_s=0.0)
SERIAL, SILENT = (ConsoleFraming, RawFraming), (DatagramFraming, GattFraming)
WORD = 4


@dataclass
class Host:
    """The other end of a device's wire."""

    pipe: Pipe
    framing: Framing

    async def send(self, *messages: bytes) -> None:
        """All of ``messages`` at one moment, each in a write of its own."""
        for message in messages:
            await self.pipe.write(self.framing.encode(message))

    async def hear(self, within_s: float = 1000.0) -> list[tuple[float, bytes]]:
        """The answers, and when each came, until it is silent for so long."""
        start, found = now(), []
        with suppress(TimeoutError):
            while True:
                data = await asyncio.wait_for(self.pipe.read(), within_s)
                found += [(now() - start, message) for message in self.framing.feed(data)]
        return found

    async def refusals(self, *messages: bytes) -> list[bool]:
        """Of each answer to messages that come at once: is it the server's ENOMEM?"""
        await self.send(*messages)
        outcomes = [read_outcome(Echo("x"), answer[8:]) for _, answer in await self.hear()]
        return [isinstance(outcome, DeviceError) and outcome.rc == MgmtRc.ENOMEM for outcome in outcomes]


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """With an application that serves SMP."""
    bench.write("primary", bench.app_image(1))
    return bench


def made(bench: Bench, resources: Resources, traffic: Traffic = NO_TRAFFIC) -> VirtualNrf5340:
    """The bench's chip with such a server behind such a wire, running."""
    flashes = {"app": bench.app, "net": bench.net_flash}
    device = VirtualNrf5340(bench.layout, bench.keys, flashes=flashes, resources=resources)
    device.reset()
    device.traffic = traffic
    return device


@asynccontextmanager
async def served(device: VirtualNrf5340, framing: type[Framing] = DatagramFraming) -> AsyncIterator[Host]:
    host, far = pipe_pair()
    far.ordered = framing is not DatagramFraming
    async with host, far:
        serving = asyncio.create_task(device.serve(far, framing()))
        yield Host(host, framing())
        serving.cancel()
        await asyncio.wait([serving])


def echoes(count: int, text: str = "x") -> list[bytes]:
    return [Echo(text).to_bytes(sequence) for sequence in range(count)]


def sequences(answers: list[tuple[float, bytes]]) -> list[int]:
    return [Header.from_bytes(answer[:8]).sequence for _, answer in answers]


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

    run(talk())


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

    run(talk())


@pytest.mark.parametrize("framing", SILENT)
def test_other_servers_are_silent_then(bench: Bench, framing: type[Framing]) -> None:
    async def talk() -> None:
        async with served(made(bench, replace(SLOW, buffers=Buffers(count=4))), framing) as host:
            await host.send(*echoes(4))
            assert sequences(await host.hear()) == [0, 1, 2]  # the first has its two buffers when the last one comes

    run(talk())


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

    run(talk())


def test_a_pool_of_one_answers_one_at_a_time(bench: Bench) -> None:
    """As MCUboot's serial recovery does: in the buffer of the request."""

    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=1)))
        async with served(device, ConsoleFraming) as host:
            assert await host.refusals(*echoes(2)) == [False]
            assert await host.refusals(*echoes(1)) == [False]
            assert (device.pool.free, device.pool.dropped, device.pool.refused) == (1, 1, 0)

    run(talk())


def test_spread_over_the_round_trip_as_many_as_there_are_buffers_find_room(bench: Bench) -> None:
    """What must not happen is that the server holds too many at one moment: pace, never burst."""

    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=2)), Traffic(latency_s=0.015))
        async with served(device) as host:
            for message in echoes(4):
                await host.send(message)
                await asyncio.sleep(0.008)
            assert sequences(await host.hear()) == [0, 1, 2, 3]

    run(talk())


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

    run(talk())


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

    run(talk())


# --- time ------------------------------------------------------------------------------------------------------------


def test_by_default_nothing_takes_time(bench: Bench) -> None:
    async def talk() -> None:
        async with served(made(bench, Resources())) as host:
            await host.send(*echoes(3))
            assert [at for at, _ in await host.hear()] == [0.0] * 3

    run(talk())


@pytest.mark.parametrize("factor", [0.5, 1.0, 10.0])
def test_a_request_takes_its_time_and_one_follows_the_other(bench: Bench, factor: float) -> None:
    messages = echoes(3, "some text")
    each = factor * (REQUEST_S + len(messages[0]) * BYTE_S)

    async def talk() -> None:
        async with served(made(bench, replace(SLOW, time_factor=factor))) as host:
            await host.send(*messages)
            assert [at for at, _ in await host.hear()] == [pytest.approx(each * number) for number in (1, 2, 3)]

    run(talk())


def first_chunk(bench: Bench, size: int) -> bytes:
    image = bench.app_image(2)
    return ImageUpload(off=0, data=image[:size], len=len(image), sha=bytes(32)).to_bytes(0)


def handling_s(message: bytes) -> float:
    return REQUEST_S + len(message) * BYTE_S


async def seconds(device: VirtualNrf5340, *messages: bytes) -> list[float]:
    """From each message to its answer."""
    async with served(device) as host:
        found = []
        for message in messages:
            await host.send(message)
            ((at, _),) = await host.hear(100.0)
            found.append(at)
        return found


def test_flash_takes_its_time_by_words(bench: Bench) -> None:
    message = first_chunk(bench, 1024)
    found = run(seconds(made(bench, SLOW), message))
    assert found == [pytest.approx(handling_s(message) + 1024 / WORD * NVMC.program_s)]


def test_a_used_slot_is_erased_at_the_first_chunk(bench: Bench) -> None:
    bench.write("secondary", bench.app_image(3))
    message = first_chunk(bench, 512)
    (found,) = run(seconds(made(bench, SLOW), message))
    pages = -(-len(bench.app_image(2)) // 4096) + 1  # and that of the trailer
    assert found == pytest.approx(handling_s(message) + 512 / WORD * NVMC.program_s + pages * NVMC.erase_s)


def test_progressive_erase_spreads_that_over_the_upload(bench: Bench) -> None:
    bench.write("secondary", bench.app_image(3))
    image = bench.app_image(2)
    steps = range(0, len(image), 512)
    messages = [ImageUpload(off=off, data=image[off : off + 512], len=None if off else len(image)) for off in steps]
    device = made(bench, replace(SLOW, erase_progressively=True))
    found = run(seconds(device, *(message.to_bytes(0) for message in messages)))
    for off, took in zip(steps, found, strict=True):
        erased = 2 if off == 0 else 1 if off % 4096 == 0 else 0  # the first page, and the trailer's
        assert int(took / NVMC.erase_s) == erased
    assert device.images[0].secondary.area.read(0, len(image)) == image


def test_many_round_trips_take_exactly_as_long_as_their_sum(bench: Bench) -> None:
    traffic, message = Traffic(latency_s=0.015, baudrate=1_000_000), Echo("x").to_bytes(0)
    rounds = 100

    async def talk() -> None:
        async with served(made(bench, SLOW, traffic)) as host:
            start = now()
            for _ in range(rounds):
                await host.send(message)
                answer = b""
                while not answer:
                    answer = b"".join(host.framing.feed(await host.pipe.read()))
            each = 0.030 + (len(message) + len(answer)) * 10 / 1_000_000 + handling_s(message)
            assert now() - start == pytest.approx(rounds * each, abs=1e-6)

    run(talk())


def test_a_computer_that_is_late_neither_fills_the_pool_nor_delays_the_next(bench: Bench) -> None:
    """Four requests that come apart find room in two buffers, also if all of them are seen at once."""

    async def talk() -> None:
        device = made(bench, replace(SLOW, buffers=Buffers(count=2)), Traffic(latency_s=0.015))
        async with served(device) as host:
            start = now()
            for message in echoes(4):
                await host.send(message)
                await asyncio.sleep(0.003)
            stall(0.5)
            answers = await host.hear(0.1)
            assert sequences(answers) == [0, 1, 2, 3]
            late_at = now() - 0.1
            assert late_at - start == pytest.approx(4 * 0.003 + 0.5)  # at once, for they should have been there
            await host.send(*echoes(1))
            assert [at for at, _ in await host.hear(0.1)] == [pytest.approx(0.030 + handling_s(echoes(1)[0]))]

    run(talk())


def test_a_full_window_hides_the_latency(bench: Bench) -> None:
    async def talk() -> list[float]:
        took = []
        for window in (1, 3):
            async with served(made(bench, SLOW, Traffic(latency_s=0.015))) as host:
                start = now()
                await host.send(*echoes(window))
                for sequence in range(window, 30):
                    await host.pipe.read()
                    await host.send(Echo("x").to_bytes(sequence))
                await host.hear(0.1)
                took.append(now() - start - 0.1)
        return took

    one, three = run(talk())
    assert one / three == pytest.approx(3, rel=0.1)


# --- the UART --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", SERIAL)
def test_a_small_ring_loses_what_comes_while_the_server_is_busy(bench: Bench, framing: type[Framing]) -> None:
    messages = echoes(2, "x" * 100)

    async def talk(ring: int) -> list[int]:
        async with served(made(bench, replace(SLOW, uart_ring=ring)), framing) as host:
            await host.pipe.write(b"".join(map(host.framing.encode, messages)))
            return sequences(await host.hear())

    assert run(talk(64)) == [0]
    assert run(talk(1024)) == [0, 1]


def test_a_small_ring_is_enough_for_one_request_after_the_other(bench: Bench) -> None:
    async def talk() -> None:
        async with served(made(bench, replace(SLOW, uart_ring=64)), ConsoleFraming) as host:
            for sequence in range(5):
                await host.send(Echo("x" * 500).to_bytes(sequence))
                assert sequences(await host.hear(1.0)) == [sequence]

    run(talk())


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

    run(talk())


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

    run(talk())


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
