"""The other end of a wire to a device under load, and devices that are served there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smpdfu.errors import DeviceError
from smpdfu.link.memory import pipe_pair
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import DatagramFraming, Framing
from smpdfu.smp.groups.os import Echo
from smpdfu.smp.message import Header, MgmtRc
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.line.load import Resources
from smpdfu.virtual.line.traffic import NO_TRAFFIC, Traffic
from tests.simulated import now

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

SLOW = Resources(time_factor=1.0, reset_delay_s=0.0)


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
