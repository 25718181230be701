"""What a loader does at the next boot with a valid, marked image in the application's secondary slot.

Pure, like ``rules``: one build, what it sees of the image, and where the two cores' images belong go in. What the
network core's own bootloader (b0n) decides afterwards about a seal or a version is not judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smpdfu.loaders.rules import Build, Target


class Fate(StrEnum):
    """The result for the image. REFUSED: handed over in a form that b0n cannot accept. LEFT: pending for ever."""

    INSTALLED = "installed in the application's slot"
    HANDED_OVER = "handed to the network core"
    REFUSED = "handed to the network core, which refuses it"
    ERASED = "erased"
    LEFT = "left in the slot, never installed"


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to see of an image.

    ``vector`` is the word behind the header's end plus 4, where the reset vector lies: ciphertext in an encrypted
    image, None in one that is too short. ``address`` is the load address in the header, None without the flags
    ROM_FIXED and RAM_LOAD. ``start`` is where the code begins, None where nothing tells; only b0n compares it.
    ``target`` is whom its class UUID is of, which only builds with MCUBOOT_UUID_CID look at.
    """

    vector: int | None
    address: int | None
    start: int | None = None
    encrypted: bool = False
    target: Target = Target.UNNAMED


def fate(build: Build, seen: Seen, home: range, net: range) -> Fate:
    """What ``build`` does with the image.

    ``home`` is the application's primary slot, ``net`` the network application's part of flash. With swap using offset
    the loader looks for the vector, and lets b0n copy, at the slot's start; the image lies one sector behind.
    """
    barred = _barred(build, seen.target)
    if barred is not None:
        return barred
    if build.checks_header and seen.address is None:
        return Fate.ERASED  # an invalid header (boot_check_header_valid)
    address = seen.address or 0
    vector = None if build.by_offset else seen.vector
    if not build.is_kept(vector, address, home, net):
        return Fate.ERASED
    named = seen.target is Target.NETWORK
    if not (named if build.goes_by_class else build.is_for_network(vector, address, net)):
        return Fate.INSTALLED
    elsewhere = seen.start is not None and seen.start != net.start
    return Fate.REFUSED if build.by_offset or seen.encrypted or elsewhere else Fate.HANDED_OVER


def _barred(build: Build, target: Target) -> Fate | None:
    """What a build that goes by class UUIDs does with an image for none of its cores, before it looks at the image.

    (``boot_validated_swap_type`` of Nordic's ``loader.c``)
    """
    if not build.goes_by_class:
        return None
    if target is Target.UNKNOWN:
        return Fate.ERASED
    is_dropped = target is Target.APPLICATION and not build.rule.application_by_uuid
    return Fate.LEFT if target is Target.UNNAMED or is_dropped else None
