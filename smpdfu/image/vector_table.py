"""Where firmware is linked to run, as its vector table tells it, and whether that fits the slot it will lie in.

The table of a Cortex-M (Armv8-M architecture manual, "Vector table"): the stack pointer, then a handler address per
word, the reset handler first; bit 0 of a handler address is 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from smpdfu.image.format import IMAGE_MAGIC
from smpdfu.image.nrf5340 import APP, NET, CoreMemory
from smpdfu.image.nsib.firmware_info import FirmwareInfo

CORE_VECTORS = 16  # the stack pointer and the exceptions that every core has; a chip's interrupts follow

# What no bootloader is smaller than: no slot starts lower in the flash of a core. The smallest b0n has 0x2580 bytes
# and behind them 0x280 of provision data (nRF Connect SDK, migration guide of 3.4).
SMALLEST_BOOTLOADER = {APP: 0x4000, NET: 0x2800}

# Up to here handlers of firmware that begins at the start of the network core's flash are found, too.
_LOW_HANDLERS = NET.start + 0x4000

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
            f"the firmware is linked for another address: its reset vector 0x{vectors.reset:x} is not within "
            f"0x{address:x} to 0x{address + len(payload):x}, where the code will be"
        )
    start = vectors.lowest if address is None else address
    core = _core_with(start)
    if core is None or not (
        _is_bootloaders(start, core) or (address is None and _begins_the_network_flash(payload, vectors))
    ):
        return None
    return (
        f"the firmware is linked for the start of the {core.words}'s flash, where the bootloader is (reset vector "
        f"0x{vectors.reset:x}), and not for a slot"
    )


def _core_with(address: int) -> CoreMemory | None:
    """The core whose flash has this address."""
    return next((core for core in (APP, NET) if address in core), None)


def _is_bootloaders(address: int, core: CoreMemory) -> bool:
    return core.start <= address < core.start + SMALLEST_BOOTLOADER[core]


def _begins_the_network_flash(payload: bytes, vectors: Vectors) -> bool:
    """True if handlers in reach of a small b0n are not behind one: what b0n starts has firmware info."""
    fits = NET.start <= vectors.lowest < _LOW_HANDLERS and vectors.reset < NET.start + len(payload)
    return fits and FirmwareInfo.find(payload) is None


def linked_core(payload: bytes) -> CoreMemory | None:
    """The core in whose flash firmware is linked to run behind a bootloader; None if its vectors do not tell."""
    vectors = Vectors.of(payload)
    if vectors is None or link_warning(payload, None) is not None:
        return None
    return _core_with(vectors.reset)


def code_start(slot_address: int, header_size: int) -> int:
    """Where the first byte of code lies when the image's slot is at ``slot_address``.

    MCUboot's header is in front of it; b0n gets a network image without one.
    """
    return slot_address if slot_address in NET else slot_address + header_size


# --- what others say about the place, judged by the reset vector -----------------------------------------------------


def code_address(payload: bytes, header_size: int, claims: Iterable[int | None]) -> int | None:
    """Where the first byte of code lies: by the first of ``claims`` that the reset vector bears out.

    A claim is the address of the code, or of its slot: manifests of builds with Partition Manager have the first, of
    builds without it the second. With TF-M the first is that of the non-secure application, behind TF-M. None where no
    claim is borne out.
    """
    vectors = Vectors.of(payload)
    if vectors is None:
        return None
    known = [claim for claim in claims if claim is not None]
    starts = (start for claim in known for start in _starts(claim, header_size))
    found = next((start for start in starts if start <= vectors.reset < start + len(payload)), None)
    if found is not None:
        return found
    secure = (_secure_start(payload, vectors, header_size, claim) for claim in known)
    return next((start for start in secure if start is not None), None)


def _secure_start(payload: bytes, vectors: Vectors, header_size: int, claim: int) -> int | None:
    """Where TF-M begins if ``claim`` is the address of the application behind it: that has vectors of its own there.

    Source: nRF Connect SDK, ``cmake/sysbuild/zip.cmake`` (PM_APP_ADDRESS) and ``modules/trusted-firmware-m``
    (``tfm_merged.hex``). A slot starts with a page.
    """
    if claim not in APP:
        return None
    for slot in range(vectors.lowest // APP.page_size * APP.page_size, -1, -APP.page_size):
        start = slot + header_size
        inside = claim - start
        if inside >= len(payload):
            return None
        behind = Vectors.of(payload[inside : inside + 4 * CORE_VECTORS]) if start <= vectors.lowest < claim else None
        if behind is not None and claim <= behind.reset < start + len(payload):
            return start
    return None


def claim_warning(payload: bytes, header_size: int, claim: int | None) -> str | None:
    """``link_warning`` for a place that somebody claims, where the reset vector decides whether that means anything.

    A claim that cannot be an address of code, such as RAM or another core's flash, proves nothing: then it is as if
    none were there.
    """
    vectors = Vectors.of(payload)
    core = None if claim is None else _core_with(claim)
    if vectors is None or claim is None or core is None or _is_bootloaders(claim, core):
        return link_warning(payload, None)
    if _core_with(vectors.reset) not in (core, None) or code_address(payload, header_size, (claim,)) is not None:
        return link_warning(payload, None)
    return link_warning(payload, _starts(claim, header_size)[0])


def _starts(claim: int, header_size: int) -> tuple[int, ...]:
    """Where code may begin by a claim. A slot starts with a page; behind a header, code hardly does."""
    core = _core_with(claim)
    if core is not None and claim % core.page_size == 0 and core is not NET:
        return claim + header_size, claim
    return (claim,)


# --- images in other data --------------------------------------------------------------------------------------------


def find_images(data: bytes) -> Iterator[int]:
    """Where MCUboot images begin inside other data, at page starts: behind a bootloader, in a dump of flash."""
    at = 0
    magic = IMAGE_MAGIC.to_bytes(4, "little")
    left = _MOST_IMAGES
    while left and (at := data.find(magic, at)) >= 0:
        if at % _SMALLEST_PAGE == 0:
            yield at
            left -= 1
        at += len(magic)
