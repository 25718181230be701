"""The jump into an image where a bootloader brings nothing from one slot into the other, and the end without an image.

Source: ``boot/zephyr/main.c`` of Nordic's MCUboot, its log lines too.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.image.format import Image
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.result import BootResult, Ending, RunningImage
from smpdfu.virtual.boot.swap.swap_type import SwapType


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is started: from slot number ``slot``, its code at the addresses ``code``.

    ``vector`` is its reset vector in the clear, ``offset`` and ``words`` say on the console where it is.
    """

    slot: int
    code: range
    vector: int | None
    offset: int
    words: str


def jump(checks: Checks, image: Image, place: Place) -> BootResult:
    """Jump into an image; it crashes when its reset vector is elsewhere."""
    version = image.header.version
    checks.log(f"I: Bootloader chainload address offset: 0x{place.offset:x}")
    checks.log(f"I: Image version: v{version.major}.{version.minor}.{version.revision}")
    checks.log(f"I: Jumping to the {place.words}")
    runs = place.vector is not None and place.vector in place.code
    running = RunningImage(image.header, image.hash or b"", place.slot) if runs else None
    ending = Ending.CRASH if running is None else Ending.RUNS
    return BootResult(running, (SwapType.NONE,), ending=ending, seconds=checks.seconds)


def nothing_to_start(checks: Checks) -> BootResult:
    """The end without an image that can be started."""
    checks.log("E: Unable to find bootable image")
    return BootResult(None, (SwapType.NONE,), ending=Ending.NO_IMAGE, seconds=checks.seconds)
