"""What the trailers of an image's two slots ask the bootloader for, when no swap is under way.

Source: the table of swap types in MCUboot's ``bootutil_public.c``.
"""

from __future__ import annotations

from enum import IntEnum

from smpdfu.image.trailer import SwapMode, Trailer


class SwapType(IntEnum):
    """What the bootloader is going to do (BOOT_SWAP_TYPE_...)."""

    NONE = 1
    TEST = 2
    PERM = 3
    REVERT = 4
    FAIL = 5
    PANIC = 0xFF


UPGRADES = (SwapType.TEST, SwapType.PERM, SwapType.REVERT)


def recorded(swap_info: int | None) -> SwapType:
    """The type of a swap under way, by the byte that records it; None for an erased one.

    The low four bits count as they are: MCUboot panics at one that is no type (``swap_read_status``).
    """
    kind = SwapType.NONE if swap_info is None else swap_info & 0x0F
    return SwapType(kind) if kind in set(SwapType) else SwapType.PANIC


def decide(
    primary: Trailer, secondary: Trailer, mode: SwapMode | None = SwapMode.MOVE, *, reverts_past_any_magic: bool = True
) -> SwapType:
    """The swap that the trailers ask for; the table, top row first.

    Loaders that do not revert past any magic want an unset one in the secondary slot; see ``loaders.releases``.

    ================ ================== =========================================== =========
    secondary: magic secondary image_ok others                                      swap type
    ================ ================== =========================================== =========
    good             unset              secondary copy_done set (swap-offset only)  revert
    good             unset              anything                                    test
    good             set                anything                                    permanent
    any (unset)      anything           primary magic good, copy_done set,          revert
                                        image_ok unset
    anything else                                                                   none
    ================ ================== =========================================== =========
    """
    if secondary.magic == "good" and secondary.image_ok == "unset":
        reverts = mode is SwapMode.OFFSET and secondary.copy_done == "set"
        return SwapType.REVERT if reverts else SwapType.TEST
    if secondary.magic == "good" and secondary.image_ok == "set":
        return SwapType.PERM
    unconfirmed = (primary.magic, primary.copy_done, primary.image_ok) == ("good", "set", "unset")
    may_revert = reverts_past_any_magic or secondary.magic == "unset"
    return SwapType.REVERT if unconfirmed and may_revert else SwapType.NONE
