"""Dependencies between the images of one update: which of them are installed when one is not met.

======================================= ============================ ===============================================
what an image asks of the others        upstream MCUboot             Nordic's loaders
======================================= ============================ ===============================================
a newer version than will be there      no image is installed        this image is not; the loader looks no further:
                                                                     the images behind it are installed unseen
the same, asked by an image that stays  no image is installed        this image is to be reverted
an image number that does not exist     no image is installed        nothing changes; the loader looks no further
(TLVs that cannot be read)              no image is installed        nothing changes; the loader looks no further
a dependency of the wrong length        no image is installed        no image is installed
======================================= ============================ ===============================================

Source: ``boot_verify_dependencies`` and ``boot_verify_slot_dependencies`` of both ``loader.c``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from smpdfu.errors import FormatError
from smpdfu.image.format import Dependency, Image
from smpdfu.virtual.boot.image_pair import Pair
from smpdfu.virtual.boot.swap.swap_type import UPGRADES, SwapType


class _Outcome(Enum):
    MET = auto()
    NOT_MET = auto()
    NOT_KNOWN = auto()
    MALFORMED = auto()


_FALLS_BACK_TO = {
    SwapType.TEST: SwapType.NONE,
    SwapType.PERM: SwapType.NONE,
    SwapType.NONE: SwapType.REVERT,
}


def settle(pairs: Sequence[Pair], *, skips_one: bool) -> None:
    """Take back what the images' dependencies do not allow; see the table. ``skips_one`` is Nordic's rule."""
    for pair in pairs:
        outcome = _outcome(pair, pairs)
        if outcome is _Outcome.MET:
            continue
        if not skips_one or outcome is _Outcome.MALFORMED:
            for one in pairs:
                one.swap_type = SwapType.NONE
        elif outcome is _Outcome.NOT_MET:
            pair.swap_type = _FALLS_BACK_TO.get(pair.swap_type, pair.swap_type)
        return


def _outcome(pair: Pair, pairs: Sequence[Pair]) -> _Outcome:
    """What the first dependency that is not met comes to: the loader reads no further."""
    try:
        image = _coming(pair)
    except FormatError:
        return _Outcome.NOT_KNOWN
    try:
        for wanted in image.read_dependencies():
            if wanted.image >= len(pairs):
                return _Outcome.NOT_KNOWN
            if not _is_met(wanted, pairs[wanted.image]):
                return _Outcome.NOT_MET
    except FormatError:
        return _Outcome.MALFORMED
    return _Outcome.MET


def _coming(pair: Pair) -> Image:
    """The image that will lie in the primary slot; raises ``FormatError``."""
    if pair.swap_type in (SwapType.NONE, SwapType.FAIL):
        return pair.slots.primary.image()
    return pair.candidate.image()


def _is_met(wanted: Dependency, other: Pair) -> bool:
    version = other.candidate.header().version if other.swap_type in UPGRADES else other.primary_version()
    least = wanted.version
    return version >= (least.major, least.minor, least.revision)
