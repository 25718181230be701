"""Secure DFU over Bluetooth when something goes wrong: links that break at any step, full buffers, power, bonds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import ConnectError
from smpdfu.securedfu.protocol.actions import TransferProgress
from smpdfu.securedfu.protocol.messages import Execute
from smpdfu.securedfu.send.ble import BleTransport
from smpdfu.securedfu.send.session import Session
from smpdfu.securedfu.send.transport import CameBack
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.wires.dfu_gatt import DfuPresence
from smpdfu.virtual.wires.radio import Radio
from tests.securedfu.send.dfu_bench import package_of
from tests.simulated import simulate
from tests.virtual.nrf52.nrf52_bench import firmware

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.securedfu.ble.dfu_ble_rig import APP_START, BUILD, NEW, DfuRig, carry, device, holds, init_packet
else:
    from dfu_ble_rig import APP_START, BUILD, NEW, DfuRig, carry, device, holds, init_packet

pytestmark = pytest.mark.filterwarnings("ignore:Use utils.AsyncRunner:DeprecationWarning")  # bumble's own, of itself
SMALL = firmware(APP_START, 3, 4_400)
SMALL_INIT = init_packet(SMALL)


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("saves", [False, True], ids=["forgets", "saves its progress"])
def test_a_lost_link_is_opened_again_and_the_transfer_continues(saves: bool) -> None:
    seen: list[int] = []

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device(build=replace(BUILD, saves_progress=saves))
            rig.serve(lamp)
            transport = rig.transport()

            def watch(progress: TransferProgress) -> None:
                if progress.off >= 12_288 > max(seen, default=0):
                    rig.air.cut()
                seen.append(progress.off)

            await carry(transport, watch=watch)
            assert await transport.came_back(20.0) is CameBack.APPLICATION
            assert holds(lamp, NEW)
            assert sum("the init packet is valid" in line for line in lamp.log) == 1

    simulate(use())
    after = seen[next(at for at, off in enumerate(seen) if off >= 12_288) + 1 :]
    assert min(after) == (8_192 if saves else 0) or min(after) == 12_288


class CutTransport(BleTransport):
    """Cuts the link before the frame number ``at``, counted from 0."""

    at = frames = 0
    cut: Callable[[], None]

    async def request(self, message: bytes) -> None:
        self._count()
        await super().request(message)

    async def write_data(self, data: bytes) -> None:
        self._count()
        await super().write_data(data)

    def _count(self) -> None:
        if self.frames == self.at:
            self.cut()
        self.frames += 1


async def cut_at(frame: int, presence: DfuPresence) -> int:
    """Send a package, and cut the link before a frame of it; return how many frames there were."""
    async with DfuRig() as rig:
        lamp = device()
        rig.serve(lamp, presence)
        transport = CutTransport("lamp", backends=rig.backends)
        transport.at, transport.cut = frame, rig.air.cut
        sent = await Session(transport).send(package_of(SMALL, SMALL_INIT))
        assert sent.came_back is CameBack.APPLICATION, frame
        assert holds(lamp, SMALL), frame
    return transport.frames


@pytest.mark.parametrize(
    ("presence", "every"), [(DfuPresence(), 1), (DfuPresence(bonds=True), 5)], ids=["plain", "bonds"]
)
def test_a_link_that_breaks_at_any_frame_costs_nothing_but_time(presence: DfuPresence, every: int) -> None:
    frame = 0
    while frame < simulate(cut_at(frame, presence)):
        frame += every
    assert frame > 25


class GoneError(Exception):
    """The host has left."""


class LeavingTransport(BleTransport):
    """Leaves with the request to execute the last page, before its answer."""

    executions = 1 + -(-len(NEW) // 4096)
    cut: Callable[[], None]

    async def request(self, message: bytes) -> None:
        await super().request(message)
        self.executions -= message == Execute().to_bytes()
        if not self.executions:
            self.cut()
            raise GoneError


def test_a_host_that_leaves_while_the_last_page_is_executed_does_not_stop_the_update() -> None:
    """The bootloader writes its settings meanwhile; it resets when they are written, and not when a host comes."""

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp, DfuPresence(time_factor=1.0))
            transport = LeavingTransport("lamp", backends=rig.backends)
            transport.cut = rig.air.cut
            with pytest.raises(GoneError):
                await carry(transport)
            await asyncio.sleep(3)
            assert holds(lamp, NEW)
            await transport.close()

    simulate(use())


def test_a_call_that_was_killed_is_continued_by_the_next_one() -> None:
    """The second one has the application's address, and no memory of the first."""

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device(build=replace(BUILD, saves_progress=True))
            rig.serve(lamp, DfuPresence(address="C0:11:22:33:44:55"))
            half = asyncio.Event()

            def watch(progress: TransferProgress) -> None:
                if progress.off >= 8_192:
                    half.set()

            first = rig.transport("C0:11:22:33:44:55")
            sending = asyncio.ensure_future(carry(first, watch=watch))
            await half.wait()
            sending.cancel()
            await asyncio.wait([sending])
            await first.close()
            second = rig.transport("C0:11:22:33:44:55")
            transfer = await carry(second)
            assert transfer.resumed_at >= 8_192
            assert await second.came_back(20.0) is CameBack.APPLICATION
            assert holds(lamp, NEW)

    simulate(use())


def test_a_bootloader_that_gave_up_waiting_is_entered_again() -> None:
    """Without a host for two minutes it starts the old application, which starts the bootloader once more."""

    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp)
            transport = rig.transport()
            await transport.open()
            await transport.close()
            await asyncio.sleep(150.0)
            assert lamp.app_runs
            await carry(transport)
            assert holds(lamp, NEW)

    simulate(use())


# --- buffers ----------------------------------------------------------------------------------------------------------


async def repeats(presence: DfuPresence, *, receipts: bool) -> int:
    async with DfuRig(Radio(interval_ms=7.5)) as rig:
        lamp = device()
        rig.serve(lamp, presence)
        transport = rig.transport()
        transfer = await carry(transport, SMALL, SMALL_INIT, receipts=receipts)
        assert await transport.came_back(30.0) is CameBack.APPLICATION
        assert holds(lamp, SMALL)
    return transfer.progress.repeats


@pytest.mark.parametrize("mtu", [23, 247])
def test_receipts_keep_the_buffers_of_a_bootloader_from_overrunning(mtu: int) -> None:
    assert simulate(repeats(DfuPresence(mtu=mtu, buffers=16, time_factor=1.0), receipts=True)) == 0


def test_buffers_that_overrun_cost_repeats_and_no_bytes() -> None:
    """``NRF_DFU_BLE_BUFFERS`` may be as small as that; flash that is slow makes it worse."""
    few = DfuPresence(buffers=3, time_factor=3.0)
    assert simulate(repeats(few, receipts=False)) > 0
    assert simulate(repeats(few, receipts=True)) > 0


# --- power ------------------------------------------------------------------------------------------------------------


def test_a_power_cut_in_the_middle_is_a_lost_link() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp)
            transport = rig.transport()

            def watch(progress: TransferProgress) -> None:
                if progress.off >= 8_192 and lamp.chip.power.cut_after is None and not cuts:
                    lamp.chip.power.cut_after = 3
                    cuts.append(1)

            cuts: list[int] = []
            lamp.watch_power(lambda: back_on(lamp))
            await carry(transport, watch=watch)
            assert cuts
            assert holds(lamp, NEW)

    def back_on(lamp: VirtualNrf52) -> None:
        if not lamp.powered:
            asyncio.get_running_loop().call_later(1.0, lamp.reset)

    simulate(use())


# --- what the device does not allow -----------------------------------------------------------------------------------


def test_a_bonded_bootloader_takes_nothing_from_a_stranger() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            lamp = device()
            rig.serve(lamp, DfuPresence(bonds=True))
            first = rig.transport()
            await first.open()
            await first.close()
            with pytest.raises(ConnectError, match="only to a computer that it has a bond with"):
                await carry(rig.transport("*", backends=rig.new_host()))

    simulate(use())


def test_a_device_without_the_service_is_told_as_that() -> None:
    async def use() -> None:
        async with DfuRig() as rig:
            rig.serve(device(), DfuPresence(buttonless=False))
            await rig.transport().open()

    with pytest.raises(ConnectError, match="ble:lamp has no Secure DFU service: neither the bootloader") as refused:
        simulate(use())
    assert refused.value.code == "no-secure-dfu"


def test_a_request_without_a_subscription_is_refused_by_the_device() -> None:
    """The control point wants its notifications switched on first; ``open`` does that."""

    async def use() -> None:
        async with DfuRig() as rig:
            rig.serve(device(app=None))
            transport = rig.transport("*")
            await transport.open()
            client = transport._pipe._client
            control = transport._pipe._control
            assert client is not None
            assert control is not None
            await client.stop_notify(control)
            with pytest.raises(ConnectError, match="the device wants its notifications switched on first"):
                await transport.request(b"\x06\x01")

    simulate(use())
