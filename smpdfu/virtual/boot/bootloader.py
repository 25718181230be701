"""MCUboot on the application core, from reset to the jump into the application.

Which loader it is, and what it does with an image for the network core, is a ``loaders.rules.Build``. How it finds the
image that it starts depends on the mode that it is built in: a module each. ``checks`` checks what is in flash; nothing
is taken on trust. Source: Nordic's ``loader.c`` and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smpdfu.loaders import lines
from smpdfu.virtual.boot.build import DEFAULT_OPTIONS as DEFAULT_OPTIONS
from smpdfu.virtual.boot.build import BootKeys as BootKeys
from smpdfu.virtual.boot.build import BootOptions as BootOptions
from smpdfu.virtual.boot.build import Entrance
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.modes.direct_xip import start_in_place, start_in_place_or_revert
from smpdfu.virtual.boot.modes.firmware_loader import start_or_load
from smpdfu.virtual.boot.modes.ram_load import start_in_ram
from smpdfu.virtual.boot.modes.single import start_single
from smpdfu.virtual.boot.modes.upgrade import start_upgraded
from smpdfu.virtual.boot.network.netcore import NetCore
from smpdfu.virtual.boot.nsib.second_stage import SecondStage
from smpdfu.virtual.boot.result import BootResult as BootResult
from smpdfu.virtual.boot.result import Ending as Ending
from smpdfu.virtual.boot.result import RunningImage as RunningImage
from smpdfu.virtual.boot.swap.swap import Log
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Bus
from smpdfu.virtual.chip.layout import Layout

# By mode: what an MCUboot that is built so does, up to the jump. It raises ``PowerCut``.
_STARTS: Mapping[BootMode, Callable[[Checks], BootResult]] = {
    BootMode.SCRATCH: start_upgraded,
    BootMode.MOVE: start_upgraded,
    BootMode.OFFSET: start_upgraded,
    BootMode.OVERWRITE_ONLY: start_upgraded,
    BootMode.DIRECT_XIP: start_in_place,
    BootMode.DIRECT_XIP_REVERT: start_in_place_or_revert,
    BootMode.RAM_LOAD: start_in_ram,
    BootMode.SINGLE_SLOT: start_single,
    BootMode.SINGLE_SLOT_RAM_LOAD: start_single,
    BootMode.FIRMWARE_LOADER: start_or_load,
}


def boot(
    bus: Bus,
    layout: Layout,
    keys: BootKeys,
    log: Log,
    net: NetCore | None = None,
    asked: Entrance | None = None,
    stage: SecondStage | None = None,
) -> BootResult:
    """Run the bootloader once. Raises ``PowerCut`` when the power goes; calling again is the next boot.

    ``bus`` is the application core's flash, or all flashes that the layout names. ``net`` is the network core, which
    network images are handed over to; without it none is taken. ``asked`` is what asks for the firmware loader, in the
    mode that has one, ``stage`` the slot that b0 started MCUboot from, where b0 is. ``ValueError`` for what no
    bootloader is built for.
    """
    checks = Checks(bus, layout, keys, log, net, asked, stage)
    for line in (*lines.banner(checks.build.loader), "I: Starting bootloader"):
        log(line)
    return _STARTS[layout.mode](checks)
