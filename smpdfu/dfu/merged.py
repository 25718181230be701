"""Which bytes of a firmware file are the image of a core: the slot's part of a merged hex, or all there is.

A merged hex of the nRF Connect SDK holds bootloaders as well: MCUboot at 0 and the application in its slot, b0n at the
start of the network core's flash and the network application behind it. Firmware that was built without a bootloader
is linked for the start of the flash; it is taken whole, and ``link_warning`` has something to say about it.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.dfu.package import Core
from smpdfu.errors import FormatError, ImageError
from smpdfu.image.files import Firmware, split_cores
from smpdfu.image.format import Image
from smpdfu.image.linked import Vectors


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the image of a core lies: ``start`` to ``end``, the code ``header_size`` bytes behind ``start``.

    The network core's image has no header in flash: b0n gets what is behind it.
    """

    start: int
    end: int
    header_size: int = 0

    @property
    def code(self) -> int:
        """The address of the first byte of code."""
        return self.start + self.header_size


@dataclass(frozen=True, slots=True)
class Code:
    """The firmware of a core without any header; ``whole`` is True where it was not found in its slot."""

    payload: bytes
    whole: bool


def code_of(firmware: Firmware, core: Core, slot: Slot) -> Code | None:
    """The code for this core in a firmware file; None when the file has nothing for it.

    A .bin has no addresses, so all of it is meant. Raises ImageError when the parts are too far apart for one image.
    """
    if not firmware.addressed:
        return Code(firmware.flat(), whole=False)
    part = getattr(split_cores(firmware), core.value)
    if part is None:
        return None
    return _signed(part, slot) or _linked_for(part, slot) or Code(part.flat(), whole=True)


def _signed(part: Firmware, slot: Slot) -> Code | None:
    """The payload of an MCUboot image that fills the slot: a merged hex of a sysbuild has the signed application."""
    try:
        image = Image.from_bytes(_between(part, slot.start, slot.end))
    except FormatError:
        return None
    if image.encrypted:
        raise ImageError(
            f"the image at 0x{slot.start:x} is encrypted and cannot be packed again: use the plain firmware"
        )
    return Code(image.payload, whole=False)


def _linked_for(part: Firmware, slot: Slot) -> Code | None:
    """What lies from the slot's first byte of code on, if it begins with a vector table for that place."""
    payload = _between(part, slot.code, slot.end)
    vectors = Vectors.of(payload)
    if vectors is None or not slot.code <= vectors.reset < slot.end:
        return None
    return Code(payload, whole=False)


def _between(part: Firmware, start: int, end: int) -> bytes:
    """The bytes from ``start`` to the last one below ``end``; empty when there is none at ``start`` itself."""
    found = bytearray()
    for segment in part.segments:
        low, high = max(segment.address, start), min(segment.end, end)
        if low < high:
            if not found and low > start:
                return b""
            found += b"\xff" * (low - start - len(found)) + segment.data[low - segment.address : high - segment.address]
    return bytes(found)
