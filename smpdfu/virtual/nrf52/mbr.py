"""The master boot record: it replaces the bootloader, which cannot replace itself.

The command is in the page of MBR parameters until the copy is whole, so that a power cut only makes it begin again.
The page is the one that the backup of the bootloader settings is in: that is lost then, and the bootloader writes it
again. The form of the command is our own; the MBR's is not published. Source: nRF5 SDK 17, ``nrf_mbr.h``
(SD_MBR_COMMAND_COPY_BL).
"""

from __future__ import annotations

import struct
import zlib

from smpdfu.image.secure_dfu.flash import PAGE_SIZE, align_to_page
from smpdfu.image.vector_table import Vectors
from smpdfu.virtual.nrf52.chip import Nrf52Chip

_COMMAND = struct.Struct("<4sII")
_MAGIC = b"MBR\x01"
_CRC = struct.Struct("<I")


def ask_for_bootloader(chip: Nrf52Chip, source: int, size: int) -> None:
    """Ask the MBR to copy a bootloader into its place at the next start. Raises ``PowerCut``."""
    command = _COMMAND.pack(_MAGIC, source, size)
    page = chip.layout.mbr_parameters.start
    chip.erase(page, PAGE_SIZE)
    chip.write(page, command + _CRC.pack(zlib.crc32(command)))


def run_mbr(chip: Nrf52Chip) -> bool:
    """Do what the MBR does at each start. True if there is a bootloader that can run. Raises ``PowerCut``."""
    page = chip.layout.mbr_parameters.start
    command = chip.read(page, _COMMAND.size)
    (crc,) = _CRC.unpack(chip.read(page + _COMMAND.size, _CRC.size))
    magic, source, size = _COMMAND.unpack(command)
    place = chip.layout.bootloader
    if magic == _MAGIC and crc == zlib.crc32(command) and size <= place.size_bytes:
        for at in range(0, align_to_page(size), PAGE_SIZE):
            chip.erase(place.start + at, PAGE_SIZE)
            chip.write(place.start + at, chip.read(source + at, PAGE_SIZE))
        chip.erase(page, PAGE_SIZE)
    vectors = Vectors.of(chip.read(place.start, PAGE_SIZE))
    return vectors is not None and vectors.reset in place
