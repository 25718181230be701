"""Many devices that begin as one device is now: in memory, and gone with the process."""

from __future__ import annotations

import secrets

from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.application import DEVICE_ID_SIZE, Kept


def copies_of(device: VirtualNrf5340, count: int) -> list[VirtualNrf5340]:
    """``count`` devices, named after ``device`` and numbered from 1, switched on.

    Their flash holds what its flash holds, and is in memory once as long as it is alike. Settings that lie in a
    partition are copied with it; files are not. Each chip has a number of its own, if ``device`` tells its number.
    """
    pages = {name: dict(flash.pages()) for name, flash in device.chip.flashes.items()}
    return [_copy(device, f"{device.name}-{number}", pages) for number in range(1, count + 1)]


def _copy(device: VirtualNrf5340, name: str, pages: dict[str, dict[int, bytes]]) -> VirtualNrf5340:
    told = device.application.device_id is not None
    kept = Kept(device_id=secrets.token_bytes(DEVICE_ID_SIZE) if told else None)
    copy = VirtualNrf5340(device.layout, device.keys, name=name, resources=device.resources, kept=kept)
    for part, held in pages.items():
        copy.chip.flashes[part].load(held)
    copy.reset()
    return copy
