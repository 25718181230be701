"""Virtual nRF5340 in numbers: a signed application of 400 KiB and network firmware of 100 KiB, in memory once for all."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from smpdfu.image.build import build
from smpdfu.image.format import Version
from smpdfu.image.keys import PrivateKey, generate
from smpdfu.image.spec import ImageSpec
from smpdfu.virtual.bootloader import BootKeys
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.layout import NRF5340DK_STAGED, Region

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


def board(name: str, flashes: Flashes, *, key: PrivateKey = KEY) -> VirtualNrf5340:
    """A device that was loaded and booted, and trusts ``key``."""
    device = VirtualNrf5340(NRF5340DK_STAGED, BootKeys((key.public,)), name=name)
    for flash, pages in zip((device.app, device.net), flashes, strict=True):
        flash.load(pages)
    device.reset()
    return device


def used_bytes() -> int:
    """What this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def allow_open_files(count: int) -> None:
    """Raise this process's own limit, as far as the system lets it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
