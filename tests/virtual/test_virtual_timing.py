"""How long a virtual device takes: handling, flash, waves of requests, and a computer that is late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.smp.groups.image import ImageUpload
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.chip.flash import NVMC
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import BYTE_S, REQUEST_S, Resources
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.server.server import Buffers
from tests.simulated import now, simulate, stall

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

from tests.virtual.load_rig import SLOW, echoes, made, sequences, served

WORD = 4


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """With an application that serves SMP."""
    bench.write("primary", bench.app_image(1))
    return bench


def test_by_default_nothing_takes_time(bench: Bench) -> None:
    async def talk() -> None:
        async with served(made(bench, Resources())) as host:
            await host.send(*echoes(3))
            assert [at for at, _ in await host.hear()] == [0.0] * 3

    simulate(talk())


@pytest.mark.parametrize("factor", [0.5, 1.0, 10.0])
def test_a_request_takes_its_time_and_one_follows_the_other(bench: Bench, factor: float) -> None:
    messages = echoes(3, "some text")
    each = factor * (REQUEST_S + len(messages[0]) * BYTE_S)

    async def talk() -> None:
        async with served(made(bench, replace(SLOW, time_factor=factor))) as host:
            await host.send(*messages)
            assert [at for at, _ in await host.hear()] == [pytest.approx(each * number) for number in (1, 2, 3)]

    simulate(talk())


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
    found = simulate(seconds(made(bench, SLOW), message))
    assert found == [pytest.approx(handling_s(message) + 1024 / WORD * NVMC.program_s)]


def test_a_used_slot_is_erased_at_the_first_chunk(bench: Bench) -> None:
    bench.write("secondary", bench.app_image(3))
    message = first_chunk(bench, 512)
    (found,) = simulate(seconds(made(bench, SLOW), message))
    pages = -(-len(bench.app_image(2)) // 4096) + 1  # and that of the trailer
    assert found == pytest.approx(handling_s(message) + 512 / WORD * NVMC.program_s + pages * NVMC.erase_s)


def test_progressive_erase_spreads_that_over_the_upload(bench: Bench) -> None:
    bench.write("secondary", bench.app_image(3))
    image = bench.app_image(2)
    steps = range(0, len(image), 512)
    messages = [ImageUpload(off=off, data=image[off : off + 512], len=None if off else len(image)) for off in steps]
    device = made(bench, replace(SLOW, erase_progressively=True))
    found = simulate(seconds(device, *(message.to_bytes(0) for message in messages)))
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

    simulate(talk())


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

    simulate(talk())


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

    one, three = simulate(talk())
    assert one / three == pytest.approx(3, rel=0.1)
