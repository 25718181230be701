"""What a debugger writes into a new nRF52: bootloader, SoftDevice, application, and the settings that make it valid."""

from __future__ import annotations

import zlib

from smpdfu.errors import TooLargeError
from smpdfu.image.secure_dfu.flash import MBR_END
from smpdfu.image.secure_dfu.init_packet import ValidationType
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.virtual.nrf52.build import Nrf52Build
from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.settings import Bank, BankCode, BootCheck, Settings
from smpdfu.virtual.nrf52.softdevice import make_softdevice


def flash_bootloader(chip: Nrf52Chip, image: bytes, version: int = 1) -> None:
    """Write a bootloader, and settings without an application. Raises ``TooLargeError``."""
    place = chip.layout.bootloader
    _check_room("bootloader", len(image), place.size_bytes)
    chip.load(place.start, image)
    chip.settings = Settings(bootloader_version=version)
    chip.save_settings_with_backup()


def flash_softdevice(chip: Nrf52Chip, softdevice: SoftDeviceInfo) -> None:
    """Write a SoftDevice behind the MBR."""
    chip.load(MBR_END, make_softdevice(softdevice))


def flash_application(chip: Nrf52Chip, build: Nrf52Build, image: bytes, version: int = 1) -> None:
    """Write an application behind the SoftDevice, checked by its CRC at each boot, as nrfutil generates settings.

    Raises ``TooLargeError``.
    """
    start = chip.bank_0_start
    _check_room("application", len(image), chip.layout.bootloader.start - build.app_data_bytes - start)
    chip.load(start, image)
    crc = zlib.crc32(image)
    chip.load_settings()
    settings = chip.settings
    settings.bank_0, settings.app_version = Bank(len(image), crc, BankCode.VALID_APP), version
    settings.check_app = BootCheck.of(ValidationType.VALIDATE_GENERATED_CRC, crc.to_bytes(4, "little"))
    chip.save_settings_with_backup()


def _check_room(name: str, size: int, room: int) -> None:
    if size > room:
        raise TooLargeError(f"the {name} has {size} bytes, and there is room for {room}", size, room)
