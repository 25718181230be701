"""What the application expects of the next boot, by the mode of the bootloader that it was built for.

The answer is the swap type that would come to the same: NONE starts what runs again, PERM the other slot from then on,
TEST the other slot once, REVERT the other slot because what runs is not confirmed. Source: Zephyr, ``img_mgmt_state.c``
and ``img_mgmt.c``: ``img_mgmt_get_next_boot_slot``, ``img_mgmt_slot_in_use``, the table of handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from smpdfu.image.format import counted
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.server.slot_content import content_of


@dataclass(frozen=True, slots=True)
class ModeRules:
    """What the mode changes in the img group.

    ``next_boot`` is asked with the slots of an image and the number of the one that runs. ``takes_marks``: there is a
    handler that sets the state. ``keeps_needed``: what the next boot needs is not erased or written over.
    ``marks_in_place``: the library is MCUboot's for direct XIP, and a slot is marked whatever is pending. ``reach`` is
    how many slots of an image it reaches (SLOTS_PER_IMAGE): beside a firmware loader only the application's, whoever
    runs.
    """

    next_boot: Callable[[Slots, int], SwapType]
    takes_marks: bool = True
    keeps_needed: bool = True
    marks_in_place: bool = False
    reach: int = 2


def by_trailers(slots: Slots, active: int) -> SwapType:
    """What the trailers of both slots ask a bootloader for that installs updates."""
    return slots.next_boot()


def by_nothing(slots: Slots, active: int) -> SwapType:
    """Nothing of what the application can see decides about the next boot."""
    return SwapType.NONE


def by_version(slots: Slots, active: int) -> SwapType:
    """The other slot if its version is higher."""
    return SwapType.PERM if _is_higher(slots, active) else SwapType.NONE


def by_marks_in_place(slots: Slots, active: int) -> SwapType:
    """What the trailer of each slot says about that slot, where the bootloader reverts in place."""
    runs, other = (slots.places[place] for place in (active, 1 - active))
    if content_of(runs) is None or content_of(other) is None:
        return SwapType.NONE
    if _mark_of(runs) is _Mark.REVERT:
        return SwapType.REVERT
    return _BY_MARK.get(_mark_of(other), SwapType.NONE) if _is_higher(slots, active) else SwapType.NONE


class _Mark(Enum):
    """DIRECT_XIP_BOOT_..., what is to become of the image in a slot."""

    UNSET = auto()
    ONCE = auto()
    REVERT = auto()
    FOREVER = auto()


_BY_MARK = {_Mark.FOREVER: SwapType.PERM, _Mark.ONCE: SwapType.TEST}


def _mark_of(slot: Slot) -> _Mark:
    trailer = slot.trailer()
    if trailer.magic != "good":
        return _Mark.UNSET
    if trailer.image_ok == "set":
        return _Mark.FOREVER
    return _Mark.REVERT if trailer.copy_done == "set" else _Mark.ONCE


def _is_higher(slots: Slots, active: int) -> bool:
    """Is the version in the other slot the higher one? Build numbers do not count."""
    runs, other = (content_of(slots.places[place]) for place in (active, 1 - active))
    return runs is not None and other is not None and counted(other.version) > counted(runs.version)


_USUAL = ModeRules(by_trailers)
RULES: Mapping[BootMode, ModeRules] = dict.fromkeys(BootMode, _USUAL) | {
    BootMode.DIRECT_XIP: ModeRules(by_version, takes_marks=False, keeps_needed=False),
    BootMode.DIRECT_XIP_REVERT: ModeRules(by_marks_in_place, marks_in_place=True),
    BootMode.RAM_LOAD: ModeRules(by_trailers, takes_marks=False, keeps_needed=False),
    BootMode.FIRMWARE_LOADER: ModeRules(by_nothing, takes_marks=False, keeps_needed=False, reach=1),
}
