"""Where things lie in the flash of an nRF52 with the nRF5 SDK's secure bootloader. Addresses are absolute.

From address 0: the MBR, a SoftDevice if there is one, the application (bank 0), room for updates (bank 1), the
application's data, the bootloader, the page of MBR parameters, the page of bootloader settings. Source: nRF5 SDK 17,
``nrf_dfu_types.h`` and the linker scripts of ``examples/dfu/secure_bootloader``.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.virtual.chip.regions import Region

PAGE_SIZE = 4096
"""Size of a flash page (``CODE_PAGE_SIZE``), and of the largest data object (``DATA_OBJECT_MAX_SIZE``)."""
MBR_SIZE = 0x1000
RAM_START = 0x2000_0000


@dataclass(frozen=True, slots=True)
class Nrf52Layout:
    """A chip and the place of its bootloader. ``part`` and ``variant`` are what FICR has (INFO.PART, INFO.VARIANT)."""

    name: str
    part: int
    variant: int
    flash_bytes: int
    ram_bytes: int
    bootloader: Region

    @property
    def mbr_parameters(self) -> Region:
        """The page that the MBR's commands and the backup of the bootloader settings share."""
        return Region("MBR parameters", self.flash_bytes - 2 * PAGE_SIZE, PAGE_SIZE)

    @property
    def settings(self) -> Region:
        """The page of the bootloader settings."""
        return Region("bootloader settings", self.flash_bytes - PAGE_SIZE, PAGE_SIZE)

    @property
    def mbr(self) -> Region:
        """The master boot record."""
        return Region("MBR", 0, MBR_SIZE)

    @property
    def ram(self) -> Region:
        """The chip's RAM."""
        return Region("RAM", RAM_START, self.ram_bytes)

    @property
    def regions(self) -> tuple[Region, ...]:
        """What lies at a fixed place."""
        return self.mbr, self.bootloader, self.mbr_parameters, self.settings


LAYOUTS = {
    layout.name: layout
    for layout in (
        Nrf52Layout(
            "nrf52840-secure-dfu", 0x52840, 0x41414430, 0x10_0000, 0x4_0000, Region("bootloader", 0xF_8000, 0x6000)
        ),
        Nrf52Layout(
            "nrf52832-secure-dfu", 0x52832, 0x41414530, 0x8_0000, 0x1_0000, Region("bootloader", 0x7_8000, 0x6000)
        ),
    )
}


def align_to_page(address: int) -> int:
    """The first page start that is not below ``address``."""
    return -(-address // PAGE_SIZE) * PAGE_SIZE
