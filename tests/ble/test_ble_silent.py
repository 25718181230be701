"""Controllers that say nothing, from the beginning or from some moment on: nobody waits for them for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from bumble.transport.common import AsyncPipeSink

from smpdfu.errors import ConnectError, LinkError
from smpdfu.link.ble.bumble_backend import Dongle, on
from smpdfu.link.ble.pipe import BlePipe, scan
from smpdfu.smp.groups.os import Echo
from smpdfu.virtual.wires.gatt import serve_ble
from smpdfu.virtual.wires.peripheral import Hci
from smpdfu.virtual.wires.radio import Air, RadioController
from tests.simulated import simulate

if TYPE_CHECKING:  # mypy knows the file by its place, pytest by its folder
    from tests.ble.ble_rig import Rig, virtual_device
else:
    from ble_rig import Rig, virtual_device


class Faltering(AsyncPipeSink):
    """What the host says, until ``deaf``."""

    def __init__(self, controller: RadioController) -> None:
        super().__init__(controller)
        self.deaf = False

    def on_packet(self, packet: bytes) -> None:
        if not self.deaf:
            super().on_packet(packet)


class FalteringDongle(Dongle):
    """A controller that falls silent when ``deaf`` is set; its transport stays open."""

    def __init__(self, air: Air, *, deaf: bool) -> None:
        super().__init__("the dongle")
        self._air, self._deaf = air, deaf
        self._sink: Faltering | None = None

    def fall_silent(self) -> None:
        assert self._sink is not None
        self._sink.deaf = True

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[tuple[Any, Any]]:
        controller = self._air.controller()
        self._sink = Faltering(controller)
        self._sink.deaf = self._deaf
        try:
            yield controller, self._sink
        finally:
            self._air.remove(controller)


def test_a_controller_that_says_nothing_is_told_as_that() -> None:
    async def use() -> None:
        backends = on(FalteringDongle(Air(), deaf=True))
        with pytest.raises(ConnectError, match="the dongle does not answer"):
            await scan(1.0, backends)
        with pytest.raises(ConnectError, match="the dongle does not answer"):
            await BlePipe("board", backends=backends).open()

    simulate(asyncio.wait_for(use(), 30))


def test_a_controller_that_falls_silent_is_let_go() -> None:
    async def use() -> None:
        async with Rig() as rig:
            rig.serve(virtual_device())
            dongle = FalteringDongle(rig.air, deaf=False)
            async with rig.client(BlePipe("board", backends=on(dongle), connect_s=5.0), timeout_s=0.5) as client:
                assert (await client.request(Echo("x"))).r == "x"
                dongle.fall_silent()
                with pytest.raises(LinkError):
                    await client.request(Echo("y"))

    simulate(asyncio.wait_for(use(), 60))


def test_a_device_whose_controller_says_nothing_is_not_served() -> None:
    async def use() -> None:
        controller = Air().controller()
        sink = Faltering(controller)
        sink.deaf = True
        with pytest.raises(ConnectError, match="the Bluetooth controller does not answer"):
            await serve_ble(virtual_device(), Hci(controller, sink))

    simulate(asyncio.wait_for(use(), 30))
