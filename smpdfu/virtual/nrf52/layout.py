"""Where things lie in the flash of an nRF52 with the nRF5 SDK's secure bootloader. Addresses are absolute.

From address 0: the MBR, a SoftDevice if there is one, the application (bank 0), room for updates (bank 1), the
application's data, the bootloader, the page of MBR parameters, the page of bootloader settings. Source: nRF5 SDK 17,
``nrf_dfu_types.h`` and the linker scripts of ``examples/dfu/secure_bootloader``.
"""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.image.secure_dfu.flash import FLASH_SIZES, MBR_END, PAGE_SIZE
from smpdfu.virtual.chip.regions import Region

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
        return Region("MBR", 0, MBR_END)

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
            name="nrf52840-secure-dfu",
            part=0x52840,
            variant=0x41414430,
            flash_bytes=FLASH_SIZES["nrf52840"],
            ram_bytes=0x4_0000,
            bootloader=Region("bootloader", 0xF_8000, 0x6000),
        ),
        Nrf52Layout(
            name="nrf52832-secure-dfu",
            part=0x52832,
            variant=0x41414530,
            flash_bytes=FLASH_SIZES["nrf52832"],
            ram_bytes=0x1_0000,
            bootloader=Region("bootloader", 0x7_8000, 0x6000),
        ),
    )
}
