"""Putting a received update into its place at the next boot, so that a power cut at any moment only delays it.

What is copied moves down, page by page, and the settings tell how far it is. Source: nRF5 SDK 17,
``nrf_bootloader_fw_activation.c``.
"""

from __future__ import annotations

import zlib
from enum import Enum

from smpdfu.image.secure_dfu.flash import MBR_END, PAGE_SIZE, align_to_page
from smpdfu.virtual.chip.flash import FlashError
from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.mbr import ask_for_bootloader
from smpdfu.virtual.nrf52.settings import Bank, BankCode

_STORE_STEP = 8
"""Pages between two notes of the progress (NRF_BL_FW_COPY_PROGRESS_STORE_STEP)."""


class Activation(Enum):
    """What became of it. ``RESTART``: the device starts again; ``EXPECT_MORE``: an application is to follow."""

    NONE = "none"
    RESTART = "restart"
    EXPECT_MORE = "expect more"


def activate(chip: Nrf52Chip) -> Activation:
    """Activate the update in bank 1, if there is one, or go on with that. Raises ``PowerCut``.

    ``FlashError`` for settings that no bootloader has written: what they say leads out of the flash, or up in it.
    """
    code = chip.settings.bank_1.code
    updates_softdevice = code in (BankCode.VALID_SD, BankCode.VALID_SD_BL)
    if code == BankCode.VALID_APP:
        _activate_application(chip)
    elif updates_softdevice or code == BankCode.VALID_BL:
        is_there = not updates_softdevice or _activate_softdevice(chip)
        if is_there and code != BankCode.VALID_SD and not _activate_bootloader(chip):
            return Activation.RESTART
    else:
        return Activation.NONE
    chip.invalidate_bank_1()
    chip.save_settings_with_backup()
    has_app = chip.settings.bank_0.code == BankCode.VALID_APP
    return Activation.EXPECT_MORE if updates_softdevice and has_app else Activation.RESTART


def _activate_application(chip: Nrf52Chip) -> None:
    settings = chip.settings
    size, expected = settings.bank_1.image_size, settings.bank_1.image_crc
    _copy(chip, chip.bank_0_start, size)
    if zlib.crc32(chip.read(chip.bank_0_start, size)) == expected:
        settings.bank_0 = Bank(size, expected, BankCode.VALID_APP)


def _activate_softdevice(chip: Nrf52Chip) -> bool:
    """True if the new SoftDevice is in its place; False if there is none where it was received."""
    settings = chip.settings
    if chip.softdevice_at(settings.progress.update_start) is None:
        return False
    _copy(chip, MBR_END, align_to_page(settings.sd_size))
    chip.save_settings_with_backup()
    return True


def _activate_bootloader(chip: Nrf52Chip) -> bool:
    """True if the new bootloader is in its place; otherwise the MBR is asked to put it there."""
    settings = chip.settings
    source, size = settings.progress.update_start, settings.bank_1.image_size
    if settings.bank_1.code == BankCode.VALID_SD_BL:
        source, size = source + settings.sd_size, size - settings.sd_size
    if not 0 <= size <= chip.layout.bootloader.size_bytes:
        raise FlashError(f"a bootloader of {size} bytes does not fit its place", chip.layout.bootloader.start)
    if chip.read(chip.layout.bootloader.start, size) == chip.read(source, size):
        return True
    ask_for_bootloader(chip, source, size)
    return False


def _copy(chip: Nrf52Chip, target: int, size: int) -> None:
    """Copy ``size`` bytes from where the update was received down to ``target``, from where the settings tell on."""
    settings = chip.settings
    source = settings.progress.update_start
    if source == target:
        return
    step = min(_STORE_STEP, (source - target) // PAGE_SIZE) * PAGE_SIZE
    if step <= 0:
        raise FlashError(f"an update at 0x{source:x} cannot be copied, as it is not a page above its place", target)
    while settings.write_offset < size:
        at = settings.write_offset
        count = min(step, size - at)
        chip.erase(target + at, count)
        piece = chip.read(source + at, count)
        chip.write(target + at, piece + b"\xff" * (-count % 4))
        settings.write_offset = at + count
        chip.save_settings_with_backup()
