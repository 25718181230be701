"""What the list of images after a reset proves about a network image.

Every loader leaves one of three pictures in the secondary slot for each outcome (``rules.HandOver``). What all loaders
that the device may have agree on is proven; where two outcomes leave the same picture, nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from smpdfu.loaders.rules import Build, Left


class Picture(StrEnum):
    """How the image shows in the list: pending, there and not pending, or not there."""

    PENDING = "pending"
    LISTED = "listed"
    GONE = "gone"


_SHOWS = {Left.ALL: Picture.PENDING, Left.NO_TRAILER: Picture.LISTED, Left.NO_HEADER: Picture.GONE}


def outcomes(build: Build, seen: Picture) -> frozenset[bool]:
    """The outcomes (True: taken) after which a device with this loader shows ``seen``.

    An image that was erased unread is gone and not taken; one that no loader looked at is still pending. Swap using
    offset never hands over what the slot holds: what is listed then was swapped in and back, or refused.
    """
    unread = {False} if build.by_offset or seen in (Picture.GONE, Picture.PENDING) else set[bool]()
    return handed_over(build, seen) | unread


def handed_over(build: Build, seen: Picture) -> frozenset[bool]:
    """The same where the image is known to have been handed over."""
    if not build.looks_for_network or build.by_offset:
        return frozenset()
    ends = ((True, build.handover.taken), (False, build.handover.refused))
    return frozenset(taken for taken, left in ends if _SHOWS[left] is seen)


def network_taken(builds: Iterable[Build], seen: Picture) -> bool | None:
    """Whether the network core took its image; None where the loaders that it may have do not agree."""
    possible = frozenset[bool]().union(*(outcomes(build, seen) for build in builds))
    return next(iter(possible)) if len(possible) == 1 else None
