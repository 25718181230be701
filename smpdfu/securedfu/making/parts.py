"""The firmware of a package: a hex or bin file, as bytes at their addresses and as the bytes that are sent.

Like nrfutil: of a hex file, the MBR and UICR are left out, gaps are filled with 0xFF, and the end is filled up to a
word. A bin file is sent as it is, up to a word.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from smpdfu.errors import ImageError
from smpdfu.image.files import Firmware, read_firmware
from smpdfu.image.hexfile import Segment
from smpdfu.image.inspect.identify import FileKind, identify
from smpdfu.image.secure_dfu.flash import MBR_END, MOST_FLASH, PAGE_SIZE, WORD_SIZE
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.image.vector_table import Vectors
from smpdfu.securedfu.making.memory import (
    APPLICATION_STARTS,
    MBR_BOOTLOADER_ADDRESS,
    UICR_BOOTLOADER_ADDRESS,
    UICR_START,
    word_at,
)


@dataclass(frozen=True, slots=True)
class Nrf52Firmware:
    """One firmware. ``data`` is what is sent; ``segments`` everything that the file holds, with UICR and MBR.

    ``start`` is the address of the first byte that is sent; None for a bin file, which does not say it.
    """

    name: str
    data: bytes = field(repr=False)
    start: int | None
    segments: tuple[Segment, ...] = field(repr=False)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Nrf52Firmware:
        """Read a file; raises ``ImageError`` for what is no firmware, such as an ELF file."""
        return cls.of(read_firmware(path), os.fspath(path))

    @classmethod
    def of(cls, firmware: Firmware, name: str) -> Nrf52Firmware:
        """Firmware in memory; ``name`` is for messages, and gives the names of the files in the package."""
        if not firmware.addressed:
            return cls(name, _whole_words(firmware.flat()), None, firmware.segments)
        sent = tuple(_sent(one) for one in firmware.segments if one.end > MBR_END and one.address < UICR_START)
        if not sent:
            raise ImageError(f"{name} has nothing between the MBR and UICR: there is no firmware to send")
        try:
            data = replace(firmware, segments=sent).flat(max_gap=MOST_FLASH)
        except ImageError:
            text = (
                f"{name} has parts at 0x{sent[0].address:x} and at 0x{sent[-1].address:x}, too far apart for one image"
            )
            raise ImageError(f"{text}. Give the hex file of one part alone, as its build made it") from None
        return cls(name, _whole_words(data), sent[0].address, firmware.segments)

    @property
    def stem(self) -> str:
        """The name of the file without its folder and its ending."""
        return Path(self.name).stem or "firmware"

    @property
    def flash(self) -> tuple[Segment, ...]:
        """What lies in flash; of a bin file, nothing is known."""
        return () if self.start is None else tuple(one for one in self.segments if one.address < UICR_START)

    @property
    def uicr(self) -> tuple[Segment, ...]:
        """What lies in UICR, or behind it."""
        return tuple(one for one in self.segments if one.address >= UICR_START)

    @property
    def kind(self) -> FileKind:
        """What the bytes that are sent look like."""
        return identify(self.data)

    @property
    def vectors(self) -> Vectors | None:
        """The vector table that it begins with."""
        return Vectors.of(self.data)

    @property
    def stated_bootloader(self) -> int | None:
        """Where the bootloader begins, by the words in the MBR and in UICR; the MBR's goes first."""
        in_mbr = word_at(self.flash, MBR_BOOTLOADER_ADDRESS)
        return in_mbr if in_mbr is not None else word_at(self.uicr, UICR_BOOTLOADER_ADDRESS)

    @property
    def softdevice(self) -> SoftDeviceInfo | None:
        """What it says about itself, if it is a SoftDevice, or begins with one."""
        return SoftDeviceInfo.find(self.data) if self.start in (None, MBR_END) else None

    def fits(self, start: int) -> bool:
        """True if the vectors, where there are any, point into it when its first byte is at ``start``."""
        found = self.vectors
        return found is None or (start <= found.lowest and found.reset < start + len(self.data))

    def surely_not_at(self, start: int) -> bool:
        """True if the file says that it begins elsewhere, or its vectors do not point into it there."""
        return not self.fits(start) if self.start is None else self.start != start

    @property
    def likely_start(self) -> int | None:
        """Where it is linked to begin. A bin file does not say it: where applications begin, and the vectors fit.

        If several such places fit, it is the one with a handler in the page behind it, as linkers lay them out.
        """
        vectors = self.vectors
        if self.start is not None or vectors is None:
            return self.start
        fitting = [start for start in APPLICATION_STARTS if self.fits(start)]
        if len(fitting) == 1:
            return fitting[0]
        return next((start for start in fitting if vectors.lowest - start < PAGE_SIZE), None)


def _sent(segment: Segment) -> Segment:
    if segment.address >= MBR_END:
        return segment
    return Segment(MBR_END, segment.data[MBR_END - segment.address :])


def _whole_words(data: bytes) -> bytes:
    return data + b"\xff" * (-len(data) % WORD_SIZE)
