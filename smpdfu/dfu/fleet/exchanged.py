"""Notice that another board is at the address of a device: its chip has another number."""

from __future__ import annotations

import asyncio

from smpdfu.dfu.fleet.description.file import Fleet, FleetDevice
from smpdfu.dfu.fleet.log import events
from smpdfu.dfu.fleet.log.log import FleetLog
from smpdfu.dfu.fleet.log.standing import Standing
from smpdfu.dfu.fleet.run import Ports


async def note_exchanged(known: Standing, fleet: Fleet, log: FleetLog, ports: Ports) -> tuple[str, ...]:
    """Ask the devices that have told the number of their chip for it again, and return those with another one.

    They are noted in the log: no outcome of the board before counts for them. A device that does not answer keeps its
    outcome. Raises JournalError if the log cannot be written.
    """
    ask = ports.chip
    gate = asyncio.Semaphore(fleet.limits.at_once)
    if ask is None:
        return ()

    async def number(device: FleetDevice) -> str | None:
        async with gate:
            return await ask(device)

    devices = [fleet.devices[name] for name in known.chips]
    found = zip(devices, await asyncio.gather(*map(number, devices)), strict=True)
    others = [(one, chip) for one, chip in found if chip is not None and chip != known.chips[one.name]]
    log.write_all(
        {
            "event": events.EXCHANGED,
            "device": one.name,
            "identity": one.identity,
            "chip": chip,
            "before": known.chips[one.name],
        }
        for one, chip in others
    )
    return tuple(one.name for one, _ in others)
