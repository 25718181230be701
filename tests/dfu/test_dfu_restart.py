"""Resets that get lost, and those that must not be asked for twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.do.state_reading import read_state
from smpdfu.dfu.do.steps import Deadlines, _may_reset_again, mark, restart
from smpdfu.errors import NotBootedError
from smpdfu.link.memory import NO_FAULTS, Faults
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode
from smpdfu.virtual.device import VirtualNrf5340
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.dfu.conftest import Maker
    from tests.dfu.dfu_device import FAST, LosingPipe, client_of, new_device, version
else:
    from dfu_device import FAST, LosingPipe, client_of, new_device, version

PATIENT = Deadlines(boot_s=2.0, poll_s=0.01, again_s=0.05)


class Counting(VirtualNrf5340):
    """Counts its boots."""

    boots = 0

    def reset(self) -> object:  # type: ignore[override]  # the result is not of interest
        self.boots += 1
        return super().reset()


def counting(make: Maker) -> Counting:
    device = new_device(make)
    device.__class__ = Counting
    assert isinstance(device, Counting)
    return device


def restarted(
    device: VirtualNrf5340, make: Maker, *, lost: int = 0, trial: str = "", faults: Faults = NO_FAULTS
) -> DeviceState:
    """Restart it with the first ``lost`` requests lost; with ``trial`` an image pending, or running unconfirmed."""

    async def act() -> DeviceState:
        pipe = LosingPipe(device.connect(faults), 0)
        async with client_of(device, pipe=pipe) as client:
            client.timeout_s = 0.05
            if trial:
                await client.upload(make.data())
                await mark(client, await read_state(client), wanted(make))
            if trial == "running":
                await restart(client, await read_state(client), PATIENT)
            pipe.resets = lost
            return await restart(client, await read_state(client), PATIENT)

    return simulate(act())


def wanted(make: Maker) -> bytes:
    found = make.image().hash
    assert found is not None
    return found


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize(("trial", "runs"), [("", "1.0.0"), ("pending", "2.0.0"), ("running", "1.0.0")])
def test_a_lost_reset_is_asked_for_again(make: Maker, lost: int, trial: str, runs: str) -> None:
    device = counting(make)
    restarted(device, make, lost=lost, trial=trial)
    assert device.boots == (2 if trial == "running" else 1)
    assert version(device) == runs


WAITS = ImageSlot(slot=1, version="2.0.0", hash=b"2" * 32, pending=True)
RUNS = ImageSlot(slot=0, version="1.0.0", hash=b"1" * 32, active=True, confirmed=True)
TRIAL = ImageSlot(slot=0, version="2.0.0", hash=b"2" * 32, active=True)
SWAP_MODE = BootloaderMode.SWAP_USING_MOVE


@pytest.mark.parametrize(
    ("before", "now", "mode", "may"),
    [
        ((RUNS, WAITS), (RUNS, WAITS), None, True),
        ((RUNS, WAITS), (TRIAL,), SWAP_MODE, False),
        ((RUNS, WAITS), (RUNS,), SWAP_MODE, False),
        ((RUNS,), (RUNS, WAITS), SWAP_MODE, False),
        ((RUNS,), (RUNS,), None, True),
        ((TRIAL,), (TRIAL,), SWAP_MODE, True),
        ((TRIAL,), (TRIAL,), None, False),
        ((RUNS,), (TRIAL,), SWAP_MODE, False),
        ((RUNS,), (), SWAP_MODE, False),
    ],
)
def test_a_second_reset_never_reverts(
    before: tuple[ImageSlot, ...], now: tuple[ImageSlot, ...], mode: BootloaderMode | None, may: bool
) -> None:
    assert _may_reset_again(DeviceState(before, mode=mode), DeviceState(now, mode=mode)) is may


def test_a_reset_that_never_happened_is_not_reported(make: Maker) -> None:
    device = counting(make)
    with pytest.raises(NotBootedError, match="did not restart: it acknowledged none"):
        restarted(device, make, lost=99)
    with pytest.raises(NotBootedError, match="did not restart: it acknowledged none"):
        restarted(device, make, lost=99, trial="pending")
    assert device.boots == 0


def test_a_lost_answer_reverts_nothing(make: Maker) -> None:
    """The device took the reset and boots the image on trial: a second one would revert it."""
    device = counting(make)

    async def act() -> DeviceState:
        pipe = LosingPipe(device.connect(), answers=1)
        async with client_of(device, pipe=pipe) as client:
            client.timeout_s = 0.05
            await client.upload(make.data())
            marked = await mark(client, await read_state(client), wanted(make))
            state = await restart(client, marked, PATIENT)
            assert pipe.answers == 0
            return state

    now = simulate(act())
    assert (version(device), device.boots) == ("2.0.0", 1)
    assert now.running is not None
    assert not now.running.confirmed


def test_a_link_that_is_lost_before_the_reset_is_opened_again(make: Maker) -> None:
    device = counting(make)

    async def act() -> None:
        async with client_of(device) as client:
            await client.upload(make.data())
            marked = await mark(client, await read_state(client), wanted(make))
            await client._exchange.pipe.close()
            await asyncio.sleep(0.01)
            assert client._exchange.lost is not None
            await restart(client, marked, PATIENT)

    simulate(act())
    assert (version(device), device.boots) == ("2.0.0", 1)


def test_a_device_that_always_logs_is_waited_for_no_longer(make: Maker) -> None:
    device, patience = new_device(make), replace(FAST, quiet_s=0.1, quiet_max_s=0.2)

    async def act() -> float:
        async with Client(device.connect(), ConsoleFraming(), patience=patience) as client:
            chatter = asyncio.create_task(chat())
            state, began = await read_state(client), asyncio.get_running_loop().time()
            await restart(client, state, Deadlines(boot_s=60.0))
            chatter.cancel()
            return asyncio.get_running_loop().time() - began

    async def chat() -> None:
        while True:
            device._say("[00:00:01.000] <inf> app: tick")
            await asyncio.sleep(0.01)

    assert simulate(act()) < 30
