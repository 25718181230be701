"""The flash of an nRF52 and the bootloader settings, as the bootloader works on them."""

from __future__ import annotations

from smpdfu.image.secure_dfu.flash import MBR_END, PAGE_SIZE, align_to_page
from smpdfu.image.secure_dfu.softdevices import (
    SOFTDEVICE_INFO_AT,
    SOFTDEVICE_INFO_SIZE,
    SOFTDEVICE_MAGIC_AT,
    SoftDeviceInfo,
)
from smpdfu.virtual.chip.flash import Flash, Power, Times
from smpdfu.virtual.nrf52.layout import Nrf52Layout
from smpdfu.virtual.nrf52.settings import EMPTY, SIZE, Bank, BankCode, Progress, Settings, read_pages

# nRF52840 Product Specification, NVMC, electrical specification: tERASEPAGE, tWRITE.
NVMC = Times(erase_s=0.085, program_s=41e-6)


class Nrf52Chip:
    """``flash`` from address 0, its ``power``, and ``settings``: the copy in RAM that ``load_settings`` makes."""

    def __init__(self, layout: Nrf52Layout, flash: Flash | None = None) -> None:
        self.layout = layout
        self.flash = Flash(0, layout.flash_bytes, page_size=PAGE_SIZE) if flash is None else flash
        self.flash.times = NVMC
        self.power = Power()
        self.flash.power = self.power
        self.settings = Settings()

    # --- flash -----------------------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes; raises ``FlashError`` outside the flash."""
        return self.flash.read(address, size)

    def erase(self, address: int, size: int) -> None:
        """Erase the pages that ``size`` bytes from ``address`` need. Raises ``PowerCut``, ``FlashError``."""
        self.flash.erase(address, align_to_page(size))

    def write(self, address: int, data: bytes) -> None:
        """Clear bits, as the chip does: what is not erased stays cleared. Whole words. Raises ``PowerCut``."""
        old = int.from_bytes(self.flash.read(address, len(data)), "little")
        kept = old & int.from_bytes(data, "little")
        self.flash.program(address, kept.to_bytes(len(data), "little"))

    def load(self, address: int, data: bytes) -> None:
        """Write ``data`` as a debugger does: pages keep what they hold around it. Raises ``FlashError`` outside."""
        start = address // PAGE_SIZE * PAGE_SIZE
        pages = bytearray(self.flash.read(start, align_to_page(address + len(data)) - start))
        pages[address - start : address - start + len(data)] = data
        self.flash.erase(start, len(pages))
        self.flash.program(start, bytes(pages))

    # --- what lies where -------------------------------------------------------------------------------------------

    def softdevice_at(self, start: int) -> SoftDeviceInfo | None:
        """The SoftDevice that begins at ``start``, if there is one."""
        return SoftDeviceInfo.from_bytes(self.flash.read(start + SOFTDEVICE_INFO_AT, SOFTDEVICE_INFO_SIZE))

    @property
    def softdevice(self) -> SoftDeviceInfo | None:
        """The SoftDevice behind the MBR."""
        return self.softdevice_at(MBR_END)

    @property
    def bank_0_start(self) -> int:
        """Where the application begins."""
        found = self.softdevice
        return MBR_END if found is None else align_to_page(found.end)

    @property
    def bank_1_start(self) -> int:
        """Where an update is received."""
        return align_to_page(self.bank_0_start + self.settings.bank_0.image_size)

    # --- settings --------------------------------------------------------------------------------------------------

    def load_settings(self) -> None:
        """Read the settings from both pages into RAM."""
        pages = (self.layout.settings.start, self.layout.mbr_parameters.start)
        self.settings = read_pages(*(self.flash.read(start, SIZE) for start in pages))

    def save_settings(self) -> None:
        """Write the settings into their page. An equal page is not written. Raises ``PowerCut``."""
        self._write_page(self.layout.settings.start)

    def save_settings_with_backup(self) -> None:
        """Write the settings into their page, then into the backup. Raises ``PowerCut``."""
        self.save_settings()
        self._write_page(self.layout.mbr_parameters.start)

    def _write_page(self, start: int) -> None:
        wanted = self.settings.to_bytes()
        if self.flash.read(start, SIZE) != wanted:
            self.flash.erase(start, PAGE_SIZE)
            self.flash.program(start, wanted)

    def invalidate_bank_0(self) -> None:
        """There is no application any more."""
        self.settings.bank_0, self.settings.write_offset = EMPTY, 0

    def invalidate_bank_1(self) -> None:
        """There is no update any more."""
        self.settings.bank_1, self.settings.write_offset = EMPTY, 0

    def reset_progress(self) -> None:
        """Forget the transfer under way and its init command."""
        self.settings.init_command = b"\xff" * len(self.settings.init_command)
        self.settings.progress = Progress()
        self.settings.write_offset = 0

    def invalidate_softdevice(self) -> None:
        """Make the SoftDevice unknown, for an application that needs its place. Raises ``PowerCut``."""
        found = self.softdevice
        if found is None:
            return
        self.write(MBR_END + SOFTDEVICE_MAGIC_AT, bytes(4))
        bank = self.settings.bank_0
        code = BankCode.INVALID if bank.code == BankCode.VALID_APP else bank.code
        # Bank 0 begins where the SoftDevice was, so that bank 1 stays where it is.
        self.settings.bank_0 = Bank(bank.image_size + found.end - MBR_END, bank.image_crc, code)
