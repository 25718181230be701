"""Each of MCUboot's modes means one thing, wherever it is asked for."""

from __future__ import annotations

import pytest

from smpdfu.dfu.bootloader_modes import NO_MARKS, ONE_SLOT, RUNS_IN_BOTH_SLOTS, RUNS_IN_RAM, SWAP_MODES
from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.one_image import NO_MARK_MODES, ONE_SLOT_MODES, REVERTING_MODES
from smpdfu.smp.groups.os import BootloaderMode
from smpdfu.virtual.chip.boot_mode import BootMode

KNOWN = set(BootloaderMode) - {BootloaderMode.UNKNOWN}


def test_each_mode_is_of_one_kind() -> None:
    kinds = (set(SWAP_MODES), NO_MARKS | RUNS_IN_BOTH_SLOTS, ONE_SLOT)
    assert set().union(*kinds) == KNOWN
    assert sum(len(kind) for kind in kinds) == len(KNOWN)


def test_messages_know_the_same_modes() -> None:
    assert set(NO_MARK_MODES) == NO_MARKS
    assert set(ONE_SLOT_MODES) == ONE_SLOT
    assert set(REVERTING_MODES) == RUNS_IN_BOTH_SLOTS - NO_MARKS


@pytest.mark.parametrize("mode", BootMode)
def test_the_virtual_device_means_the_same(mode: BootMode) -> None:
    number = BootloaderMode(mode.number)
    state = DeviceState((), mode=number)
    assert (mode.swap_mode, mode.trailer_mode) == (SWAP_MODES.get(number), state.trailer_mode)
    assert mode.has_equal_slots is (number in NO_MARKS | RUNS_IN_BOTH_SLOTS)
    assert mode.has_one_slot is (number in ONE_SLOT - {BootloaderMode.FIRMWARE_LOADER})
    assert (number in RUNS_IN_RAM) is ("ram-load" in str(mode))
