"""Where firmware is linked to run, as its vector table tells it, and whether that fits the slot it will lie in.

The table of a Cortex-M (Armv8-M architecture manual, "Vector table"): the stack pointer, then a handler address per
word, the reset handler first; bit 0 of a handler address is 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from smpdfu.image.format import IMAGE_MAGIC
from smpdfu.image.memory import APP, NET

CORE_VECTORS = 16  # the stack pointer and the exceptions that every core has; a chip's interrupts follow

# What no bootloader is smaller than: no slot starts lower in the flash of a core.
SMALLEST_BOOTLOADER = 0x4000

# Slots start at flash pages; nothing smaller is a slot's start.
_SMALLEST_PAGE = 0x200
_MOST_IMAGES = 8


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a vector table tells: the reset handler, and the lowest of the handlers, without their bit 0."""

    reset: int
    lowest: int

    @classmethod
    def of(cls, payload: bytes) -> Vectors | None:
        """Read the table that ``payload`` begins with; None when it does not begin with one."""
        if len(payload) < 4 * CORE_VECTORS:
            return None
        words = struct.unpack_from(f"<{CORE_VECTORS}I", payload)
        handlers = [word for word in words[1:] if word]
        if not words[1] or any(word % 2 == 0 for word in handlers):
            return None
        return cls(words[1] - 1, min(handlers) - 1)


def link_warning(payload: bytes, address: int | None) -> str | None:
    """Why firmware would not run where it will lie, in one sentence; None when nothing speaks against it.

    ``payload`` is the firmware without MCUboot's header and ``address`` where its first byte will lie. Without an
    address, only firmware that is linked to replace the bootloader itself is noticed.
    """
    vectors = Vectors.of(payload)
    if vectors is None:
        return None
    if address is not None and not address <= vectors.reset < address + len(payload):
        return (
            f"the firmware is linked for another place: its reset vector 0x{vectors.reset:x} is not within "
            f"0x{address:x} to 0x{address + len(payload):x}, where the code will lie"
        )
    start = vectors.lowest if address is None else address
    core = next((core for core in (APP, NET) if core.start <= start < core.start + SMALLEST_BOOTLOADER), None)
    if core is None:
        return None
    return (
        f"the firmware is linked for the start of the {core.words}'s flash, where the bootloader is (reset vector "
        f"0x{vectors.reset:x}), and not for a slot"
    )


def find_images(data: bytes) -> Iterator[int]:
    """Where MCUboot images begin inside other data, at page starts: behind a bootloader, in a dump of flash."""
    at, magic, left = 0, IMAGE_MAGIC.to_bytes(4, "little"), _MOST_IMAGES
    while left and (at := data.find(magic, at)) >= 0:
        if at % _SMALLEST_PAGE == 0:
            yield at
            left -= 1
        at += len(magic)
