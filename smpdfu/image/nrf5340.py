"""The nRF5340's memory map, as far as firmware knows of it: the flash of each core, and the UICR behind it.

Source: nRF5340 product specification, "Memory map" of the application and of the network core.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoreMemory:
    """A core's flash, from ``start`` to below ``end``, and where its UICR begins; ``words`` is what people call it."""

    words: str
    start: int
    end: int
    uicr: int
    page_size: int

    @property
    def size_bytes(self) -> int:
        """Bytes of flash."""
        return self.end - self.start

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end


APP = CoreMemory("application core", 0x0000_0000, 0x0010_0000, uicr=0x00FF_8000, page_size=4096)
NET = CoreMemory("network core", 0x0100_0000, 0x0104_0000, uicr=0x01FF_8000, page_size=2048)

# The application core's one-time programmable memory, in its UICR: OTP[n], 191 words.
OTP = range(0x00FF_8100, 0x00FF_83FC)

# External flash as the application core sees it. Code that runs there is a part of an application.
XIP = range(0x1000_0000, 0x1800_0000)
