"""A device that takes the wrong slot for the one it runs from: an upload or an erase would hit the running firmware.

A bootloader that swaps or overwrites starts slot 0 alone. An application that lists slot 1 as active all the same does
not know its own slot, and writes an upload to the other one, which is the one that runs (zephyr#99762: partitions with
the same offset in internal and in external flash). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from smpdfu.dfu.decide.checks.findings import Finding, Severity
from smpdfu.dfu.decide.device_state import SECONDARY, DeviceState


def wrong_active_slot(state: DeviceState) -> Iterator[Finding]:
    """The finding "active-slot" where the list of images contradicts itself or the bootloader's mode."""
    if state.recovery:  # its list shows flags that mean nothing
        return
    for number in sorted({slot.image for slot in state.slots if slot.active and slot.slot == SECONDARY}):
        active = [slot.slot for slot in state.slots if slot.image == number and slot.active]
        if len(active) > 1:
            said = f"both slots of image {number} as the running one"
        elif state.swap_mode is not None:
            said = f"slot {SECONDARY} of image {number} as the running one, and its bootloader starts slot 0 only"
        else:  # direct XIP and RAM load run from either slot
            continue
        yield Finding(
            "active-slot",
            Severity.ERROR,
            f"the device lists {said}: an upload or an erase would overwrite what runs",
            "Install firmware that knows its slot (zephyr#99762), with a debugger or in MCUboot's serial recovery.",
        )
