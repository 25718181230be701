"""The application core from reset to the application: b0 where there is one, then MCUboot.

A MCUboot that has replaced itself resets the chip: then b0 is first again.
"""

from __future__ import annotations

from dataclasses import replace

from smpdfu.virtual.boot.bootloader import boot
from smpdfu.virtual.boot.build import BootKeys, Entrance
from smpdfu.virtual.boot.network.netcore import NetCore
from smpdfu.virtual.boot.nsib.b0 import B0
from smpdfu.virtual.boot.nsib.second_stage import SecondStage
from smpdfu.virtual.boot.result import BootResult, Ending
from smpdfu.virtual.boot.swap.swap import Log
from smpdfu.virtual.chip.flash import Bus
from smpdfu.virtual.chip.layout import Layout


def b0_of(bus: Bus, layout: Layout, keys: BootKeys, log: Log) -> B0 | None:
    """The b0 of a device; None where MCUboot is the first stage."""
    of_2024 = keys.options.loader.release.b0_of_2024
    return None if layout.nsib is None else B0(bus, layout.nsib, log, of_2024=of_2024)


def start(
    bus: Bus,
    layout: Layout,
    keys: BootKeys,
    log: Log,
    net: NetCore | None = None,
    asked: Entrance | None = None,
) -> BootResult:
    """From a reset to the jump into the application; otherwise as ``bootloader.boot``.

    What a MCUboot that restarts the chip has done before counts for the result. Raises ``PowerCut``.
    """
    b0 = b0_of(bus, layout, keys, log)
    if b0 is None or layout.nsib is None:
        return boot(bus, layout, keys, log, net, asked)
    before = BootResult(None, ())
    while True:
        slot = b0.run()
        if slot is None:
            return replace(before, ending=Ending.NO_BOOTLOADER)
        found = boot(bus, layout, keys, log, net, asked, SecondStage(layout.nsib, slot))
        before = replace(
            found,
            swapped=found.swapped or before.swapped,
            net_updated=found.net_updated or before.net_updated,
            mcuboot_updated=found.mcuboot_updated or before.mcuboot_updated,
            seconds=found.seconds + before.seconds,
            mcuboot=slot,
        )
        if found.ending is not Ending.RESTARTS:
            return before
