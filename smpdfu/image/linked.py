"""Where firmware is linked to run, as its vector table tells it, and whether that fits the slot it will lie in.

The table of a Cortex-M (Armv8-M architecture manual, "Vector table"): the stack pointer, then a handler address per
word, the reset handler first; bit 0 of a handler address is 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CORE_VECTORS = 16  # the stack pointer and the exceptions that every core has; a chip's interrupts follow

# Where the nRF5340's cores find their flash, and what no bootloader is smaller than: no slot starts lower.
FLASH_STARTS = (("application core", 0x0000_0000), ("network core", 0x0100_0000))
SMALLEST_BOOTLOADER = 0x4000


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
    core = next((core for core, flash in FLASH_STARTS if flash <= start < flash + SMALLEST_BOOTLOADER), None)
    if core is None:
        return None
    return (
        f"the firmware is linked for the start of the {core}'s flash, where the bootloader is (reset vector "
        f"0x{vectors.reset:x}), and not for a slot"
    )
