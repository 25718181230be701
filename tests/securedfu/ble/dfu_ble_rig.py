"""A virtual nRF52 in an air of its own, and a host with bleak's API over bumble. Nothing of the protocol is a mock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from bumble.transport.common import AsyncPipeSink

from smpdfu.errors import LinkLostError
from smpdfu.link.ble.bumble_backend import Dongle, on
from smpdfu.link.ble.search import Backends
from smpdfu.securedfu.protocol.actions import SendRequest, TransferProgress, WriteData
from smpdfu.securedfu.protocol.transfer import Transfer
from smpdfu.securedfu.send.ble import BleTransport
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.wires.dfu_gatt import USUAL, DfuPresence, serve_dfu_ble
from smpdfu.virtual.wires.peripheral import Hci
from smpdfu.virtual.wires.radio import AT_ONCE, Air, Radio
from tests.virtual.nrf52.nrf52_bench import S140_7_2, firmware, init_command, new_device, sign

BUILD = Nrf52Build(transport=Transport.BLE)
APP_START = 0x27000
ANSWER_S = 3.0
Watch = Callable[[TransferProgress], None]


def nothing(_: TransferProgress) -> None:
    """Watch nothing."""


OLD = firmware(APP_START, 1)
NEW = firmware(APP_START, 2, 20_000)


def init_packet(image: bytes) -> bytes:
    """A signed init packet for ``image``."""
    return sign(init_command(image, sd_req=(S140_7_2.fwid,)))


INIT = init_packet(NEW)


def device(*, app: bytes | None = OLD, name: str = "lamp", build: Nrf52Build = BUILD) -> VirtualNrf52:
    """A started device with a SoftDevice; without an ``app`` it is in its bootloader."""
    made = new_device(build, softdevice=S140_7_2, app=app)
    made.name = name
    made.reset()
    return made


def holds(one: VirtualNrf52, image: bytes) -> bool:
    """Whether the application runs, and is ``image``."""
    return one.app_runs and one.chip.read(APP_START, len(image)) == image


class AirDongle(Dongle):
    """A host's controller in the air of the test."""

    def __init__(self, air: Air, *, bonds: bool = False) -> None:
        super().__init__("air", bonds=bonds)
        self._air = air

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[tuple[Any, Any]]:
        controller = self._air.controller()
        try:
            yield controller, AsyncPipeSink(controller)
        finally:
            self._air.remove(controller)


class DfuRig:
    """An air with devices in it, and a host. To be entered."""

    def __init__(self, radio: Radio = AT_ONCE, *, bonds: bool = True) -> None:
        self.air = Air(radio)
        self.backends = self.new_host(bonds=bonds)
        self.addresses: list[str] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> DfuRig:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def new_host(self, *, bonds: bool = True) -> Backends:
        """A computer that the devices have not met."""
        return on(AirDongle(self.air, bonds=bonds))

    def serve(self, one: VirtualNrf52, presence: DfuPresence = USUAL) -> Callable[[], Awaitable[None]]:
        """Put a device into the air; ``addresses`` gets its address at every start. Returns what switches it off."""
        transport = Hci.of(self.air.controller())
        serving = asyncio.ensure_future(serve_dfu_ble(one, transport, presence, self.addresses.append))
        self._stack.push_async_callback(_stop, serving)
        return partial(_stop, serving)

    def transport(self, target: str = "lamp", **options: Any) -> BleTransport:
        usual: dict[str, Any] = {"backends": self.backends, "connect_s": 8.0}
        made = BleTransport(target, **(usual | options))
        self._stack.push_async_callback(made.close)
        return made


async def carry(
    transport: BleTransport, image: bytes = NEW, init: bytes = INIT, watch: Watch = nothing, *, receipts: bool = True
) -> Transfer:
    """Open ``transport`` and carry out a transfer over it; ``watch`` sees each step before it is done."""
    await transport.open()
    transfer = Transfer(
        init,
        image,
        write_size=transport.write_size,
        receipts=transport.receipts if receipts else 0,
        writes_max=transport.writes_max if receipts else 0,
        pings=transport.pings,
    )
    while (action := transfer.next_action()) is not None:
        try:
            watch(transfer.progress)
            if isinstance(action, SendRequest):
                await transport.request(action.message)
            elif isinstance(action, WriteData):
                await transport.write_data(action.data)
            else:
                await _answer(transport, transfer)
        except LinkLostError:
            if not transfer.ending:
                await transport.open()
            transfer.link_lost()
    return transfer


async def _answer(transport: BleTransport, transfer: Transfer) -> None:
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await transport.read()
    except TimeoutError:
        transfer.silence()
    else:
        transfer.answered(answer)


async def _stop(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
