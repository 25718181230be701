"""What a firmware file holds besides the firmware: MBR, SoftDevice, bootloader, its settings, UICR.

A merged hex is for a programmer. In a package, only one part may be in a file: the bootloader writes it from the place
of that part on, so that everything else would lie where it does not belong.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from smpdfu.image.hexfile import Segment
from smpdfu.image.secure_dfu.flash import FLASH_SIZES, MBR_END, PAGE_SIZE
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.image.vector_table import Vectors
from smpdfu.securedfu.findings import Finding, Severity
from smpdfu.securedfu.making.memory import SETTINGS_BYTES, UICR_END, UICR_START
from smpdfu.securedfu.making.parts import Nrf52Firmware

_LEAST_VECTORS = 64
_ALONE = "Give the hex file of the {image} alone, as its build made it"


def holds_mbr(part: Nrf52Firmware, image: str) -> Iterator[Finding]:
    """Bytes in the first page, which the bootloader never writes."""
    inside = [one for one in part.flash if one.address < MBR_END]
    if inside:
        yield _error(part, "holds-mbr", f"also holds the MBR (0x0 to 0x{MBR_END:x})", image)


def holds_softdevice(part: Nrf52Firmware, image: str) -> Iterator[Finding]:
    """A SoftDevice in front of the firmware."""
    info = _softdevice(part)
    if info is not None:
        version = f" {info.version_words}" if info.version_words else ""
        holds = "is" if part.flash[-1].end <= info.end else "also holds"
        text = f"{holds} a SoftDevice{version} (ID 0x{info.fwid:02X}, up to 0x{info.end:x})"
        yield _error(part, "holds-softdevice", text, image)


def _softdevice(part: Nrf52Firmware) -> SoftDeviceInfo | None:
    first = next((one for one in part.flash if one.address <= MBR_END < one.end), None)
    return None if first is None else SoftDeviceInfo.find(first.data[MBR_END - first.address :])


def holds_bootloader(part: Nrf52Firmware, start: int | None, image: str) -> Iterator[Finding]:
    """A bootloader behind the firmware: at its address, or a second part with vectors of its own."""
    if start is None:
        start = part.stated_bootloader
    behind = _behind(part, start) if start is not None else _second_program(part)
    if behind is not None:
        holds = "is" if behind.address == part.start else "also holds"
        yield _error(part, "holds-bootloader", f"{holds} a bootloader, from 0x{behind.address:x} on", image)


def _behind(part: Nrf52Firmware, start: int) -> Segment | None:
    found = next((one for one in part.flash if one.end > start and not is_settings(one)), None)
    return None if found is None else Segment(max(found.address, start), b"")


def _second_program(part: Nrf52Firmware) -> Segment | None:
    """A later part that begins with a page and a vector table that points into itself."""
    for one in part.flash[1:]:
        if one.address == MBR_END:  # a SoftDevice or an application behind the MBR
            continue
        vectors = Vectors.of(one.data) if one.address % PAGE_SIZE == 0 and len(one.data) >= _LEAST_VECTORS else None
        if vectors is not None and one.address <= vectors.lowest and vectors.reset < one.end:
            return one
    return None


def holds_settings(part: Nrf52Firmware, image: str, chip: str | None = None) -> Iterator[Finding]:
    """The bootloader's settings, which ``nrfutil settings generate`` makes for a programmer."""
    last = None if chip is None else FLASH_SIZES[chip] - PAGE_SIZE
    for one in part.flash:
        if is_settings(one) or (last is not None and one.end > last):
            text = f"also holds the bootloader's settings (page at 0x{one.address // PAGE_SIZE * PAGE_SIZE:x})"
            yield _error(part, "holds-settings", text, image)
            return


def is_settings(segment: Segment) -> bool:
    """True if a part of a hex file is a settings page, or its backup: it begins with a page and has the right CRC.

    A hex file may have settings and backup in one piece: then it begins with the backup.
    """
    head = segment.data[:SETTINGS_BYTES]
    if segment.address % PAGE_SIZE or len(head) < SETTINGS_BYTES:
        return False
    return int.from_bytes(head[:4], "little") == zlib.crc32(head[4:])


def holds_uicr(part: Nrf52Firmware, image: str) -> Iterator[Finding]:
    """Words in UICR: they are not sent."""
    words = [one for one in part.uicr if UICR_START <= one.address < UICR_END]
    if words:
        text = f"{part.name} has values for UICR (0x{words[0].address:x}): an update cannot write them"
        yield Finding("holds-uicr", Severity.WARNING, text, image=image)
    elsewhere = [one for one in part.uicr if one.address >= UICR_END]
    if elsewhere:
        text = f"has bytes outside of the flash of an nRF52, at 0x{elsewhere[0].address:x}"
        yield _error(part, "outside-flash", text, image)


def _error(part: Nrf52Firmware, code: str, text: str, image: str) -> Finding:
    advice = _ALONE.format(image="bootloader" if "bootloader" in image else image)
    return Finding(code, Severity.ERROR, f"{part.name} {text}", advice, image)
