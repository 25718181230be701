"""Virtual nRF5340 in numbers: a signed application of 400 KiB, network firmware of 100 KiB, in memory once for all."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.build import build
from smpdfu.image.signing.spec import ImageSpec
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED, Region
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.wires.udp import serve_udp

KEY = generate("ecdsa-p256")
HEADER = 0x200
APP_SIZE, NET_SIZE = 400 << 10, 100 << 10
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")

Flashes = tuple[Mapping[int, bytes], Mapping[int, bytes]]
"""The pages of the application core's flash and of the network core's."""


def firmware(region: Region, header: int, size: int, seed: int) -> bytes:
    """Firmware that is linked for a region."""
    table = struct.pack("<16I", 0x2000_4000, *[region.start + header + 0x101] * 15)
    return table + random.Random(seed).randbytes(size - len(table))


def application(version: Version, *, size: int = APP_SIZE, key: PrivateKey = KEY, address: int | None = None) -> bytes:
    """A signed image; ``address``: linked for another place than the primary slot."""
    region = NRF5340DK_STAGED.primary if address is None else Region("elsewhere", address, size)
    payload = firmware(region, HEADER, size, version.major)
    return build(ImageSpec(version, HEADER, 0, pad_header=True), payload, key).to_bytes()


@cache
def loaded(size: int = APP_SIZE) -> Flashes:
    """What a debugger leaves in both cores: version 1."""
    device = VirtualNrf5340(NRF5340DK_STAGED, BootKeys((KEY.public,)))
    device.load_app(application(Version(1), size=size))
    device.load_net(firmware(NRF5340DK_STAGED.net.app, 0, NET_SIZE, 2))
    return dict(device.app.pages()), dict(device.net.pages())


def board(
    name: str, flashes: Flashes, *, key: PrivateKey = KEY, kind: type[VirtualNrf5340] = VirtualNrf5340
) -> VirtualNrf5340:
    """A device that was loaded and booted, and trusts ``key``."""
    device = kind(NRF5340DK_STAGED, BootKeys((key.public,)), name=name)
    for flash, pages in zip((device.app, device.net), flashes, strict=True):
        flash.load(pages)
    device.reset()
    return device


async def at_ports(devices: Sequence[VirtualNrf5340]) -> tuple[list[int], list[asyncio.Task[None]]]:
    """Each device at a UDP port of its own: the ports, and the tasks that serve them until they are cancelled."""
    ports: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in devices]

    def told(number: int) -> Callable[[str, int], None]:
        return lambda _, port: ports[number].set_result(port)

    serving = [
        asyncio.create_task(serve_udp(device, port=0, ready=told(number))) for number, device in enumerate(devices)
    ]
    return await asyncio.gather(*ports), serving


async def put_away(serving: Sequence[asyncio.Task[None]]) -> None:
    """End what ``at_ports`` began."""
    for task in serving:
        task.cancel()
    await asyncio.wait(serving)


def used_bytes() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
