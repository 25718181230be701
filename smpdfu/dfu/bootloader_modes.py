"""What MCUboot's modes mean for an update: each fact in one table, for build folders and for devices.

Source: MCUboot, ``docs/design.md`` and ``enum mcuboot_mode`` (boot_status.h).
"""

from __future__ import annotations

from collections.abc import Mapping

from smpdfu.image.trailer import SwapMode
from smpdfu.smp.groups.os import BootloaderMode

SWAP_MODES: Mapping[BootloaderMode, SwapMode] = {
    BootloaderMode.SWAP_USING_SCRATCH: SwapMode.SCRATCH,
    BootloaderMode.OVERWRITE_ONLY: SwapMode.OVERWRITE_ONLY,
    BootloaderMode.SWAP_USING_MOVE: SwapMode.MOVE,
    BootloaderMode.SWAP_USING_OFFSET: SwapMode.OFFSET,
}
"""How an image comes into the primary slot, in the modes that bring one there."""
NO_MARKS = frozenset({BootloaderMode.DIRECT_XIP, BootloaderMode.RAM_LOAD})
"""The highest version starts, whatever is marked."""
RUNS_IN_BOTH_SLOTS = frozenset({BootloaderMode.DIRECT_XIP, BootloaderMode.DIRECT_XIP_WITH_REVERT})
"""An image runs in the slot where it lies, for which it must be linked."""
RUNS_IN_RAM = frozenset({BootloaderMode.RAM_LOAD, BootloaderMode.SINGLE_APP_RAM_LOAD})
ONE_SLOT = frozenset({BootloaderMode.SINGLE_APP, BootloaderMode.SINGLE_APP_RAM_LOAD, BootloaderMode.FIRMWARE_LOADER})
"""The application has one slot: another program writes it, so that the application needs no list of images."""
