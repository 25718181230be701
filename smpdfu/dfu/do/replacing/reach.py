"""The two places where a device answers: its application, and its firmware loader or the bootloader's recovery.

On one serial port, or at one address, they are the same. A firmware loader may advertise another name, and a bootloader
may have another serial port than the application: then each has a client of its own, and one of them is open.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from smpdfu.client import Client
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.record import Record
from smpdfu.dfu.do.same_device import read_hardware
from smpdfu.dfu.do.state_reading import read_b0_slot, read_state
from smpdfu.dfu.do.steps import SILENCE
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package
from smpdfu.errors import ConnectError, LinkError


class Reach:
    """``app`` reaches the application, ``loader`` what replaces it; ``current`` is the one that is open.

    ``async with reach:`` opens the application's, and where that fails the other one.
    """

    def __init__(self, app: Client, loader: Client | None = None) -> None:
        self.app = app
        self.loader = app if loader is None else loader
        self.current = app

    @property
    def is_one(self) -> bool:
        """True if both answer at the same address."""
        return self.loader is self.app

    async def __aenter__(self) -> Self:
        try:
            await self.app.open()
        except ConnectError:
            if self.is_one:
                raise
            with suppress(LinkError):
                await self.use(self.loader)
                return self
            raise
        self.current = self.app
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.current.close()

    async def use(self, client: Client) -> None:
        """Open ``client``, and close the other one before. Raises ConnectError."""
        if client is self.current:
            return
        await self.current.close()
        self.current = client
        await client.open()

    async def read(self) -> DeviceState:
        """Read the state of the device from whoever answers. Raises LinkError or RemoteProtocolError."""
        try:
            return await read_state(self.current)
        except SILENCE:
            if self.is_one:
                raise
            first, other = self.current, self.loader if self.current is self.app else self.app
            with suppress(*SILENCE):
                await self.use(other)
                return await read_state(other)
            with suppress(LinkError):
                await self.use(first)
            raise

    async def wait(self, client: Client, for_s: float) -> DeviceState:
        """Wait until the device answers ``client``; what it says then. Raises LinkError or RemoteProtocolError."""
        clock = asyncio.get_running_loop().time
        end = clock() + for_s
        if client is not self.current:
            await self.use(client)
        await client.wait_for_device(max(end - clock(), 0.0))
        return await read_state(client)


async def read_device(reach: Reach, package: Package, record: Record) -> DeviceState:
    """What the device tells; also its chip's number, where its journal has one to compare it with, and which MCUboot is
    active, where the package has one. Raises LinkError.
    """
    state = await reach.read()
    if package.of_role(Role.MCUBOOT):
        state = await read_b0_slot(reach.current, state)
    state = replace(state, over_serial=reach.loader.over_serial, renamed=reach.is_one and reach.app.found_by_name)
    return state if record.hardware is None else replace(state, hardware=await read_hardware(reach.current))
