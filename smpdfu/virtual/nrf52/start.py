"""The start of an nRF52: MBR, bootloader, and the application or DFU mode.

Source: nRF5 SDK 17, ``nrf_bootloader.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from smpdfu.image.secure_dfu.flash import MBR_END
from smpdfu.image.secure_dfu.init_packet import ValidationType
from smpdfu.image.vector_table import Vectors
from smpdfu.virtual.chip.flash import FlashError
from smpdfu.virtual.nrf52.activation import Activation, activate
from smpdfu.virtual.nrf52.advertised_name import erase_name
from smpdfu.virtual.nrf52.build import Trust
from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.image_checks import passes
from smpdfu.virtual.nrf52.mbr import run_mbr
from smpdfu.virtual.nrf52.settings import BankCode


class Nrf52Ending(StrEnum):
    """How a start ended. ``CRASH``: the application is valid, but its code cannot run there: the device is silent."""

    APPLICATION = "application"
    DFU = "dfu"
    CRASH = "crash"
    NO_BOOTLOADER = "no bootloader"


def start(chip: Nrf52Chip, trust: Trust, say: Callable[[str], None], *, wants_dfu: bool) -> Nrf52Ending:
    """Start the chip; ``wants_dfu``: the button is held, or GPREGRET asks for DFU mode. Raises ``PowerCut``.

    Settings that a debugger has written may say anything: a bootloader that they lead out of the flash crashes.
    """
    try:
        return _start(chip, trust, say, wants_dfu=wants_dfu)
    except FlashError as error:
        say(f"the bootloader crashes: {error}")
        return Nrf52Ending.NO_BOOTLOADER


def _start(chip: Nrf52Chip, trust: Trust, say: Callable[[str], None], *, wants_dfu: bool) -> Nrf52Ending:
    while True:
        if not run_mbr(chip):
            return Nrf52Ending.NO_BOOTLOADER
        chip.load_settings()
        chip.save_settings_with_backup()
        match activate(chip):
            case Activation.RESTART:
                say("an update was activated")
                continue
            case Activation.EXPECT_MORE:
                say("a SoftDevice was activated; an application may follow")
                return Nrf52Ending.DFU
        return _choose(chip, trust, say, wants_dfu=wants_dfu)


def _choose(chip: Nrf52Chip, trust: Trust, say: Callable[[str], None], *, wants_dfu: bool) -> Nrf52Ending:
    """DFU mode, or the application."""
    why = _refusal(chip, trust)
    if why is None and not wants_dfu and not chip.settings.enter_buttonless:
        return _run_application(chip, say)
    say("DFU mode" if why is None else f"DFU mode: {why}")
    if chip.settings.enter_buttonless:
        chip.settings.enter_buttonless = 0
        chip.save_settings()
    return Nrf52Ending.DFU


def _refusal(chip: Nrf52Chip, trust: Trust) -> str | None:
    """Why the bootloader does not start the application; None if it does."""
    settings = chip.settings
    if settings.bank_0.code != BankCode.VALID_APP:
        return "there is no valid application"
    by_signature = settings.check_app.type == ValidationType.VALIDATE_ECDSA_P256_SHA256
    if trust.build.requires_app_signature and not by_signature:
        return "the boot validation of the application is no signature"
    if chip.softdevice is not None and not passes(settings.check_sd, _read(chip, MBR_END, settings.sd_size), trust):
        return "the SoftDevice does not pass its check"
    if not passes(settings.check_app, _read(chip, chip.bank_0_start, settings.bank_0.image_size), trust):
        return "the application does not pass its check"
    return None


def _read(chip: Nrf52Chip, start: int, size: int) -> bytes:
    """What lies there, up to the end of the flash: settings may hold any number."""
    return chip.read(start, max(0, min(size, chip.layout.flash_bytes - start)))


def _run_application(chip: Nrf52Chip, say: Callable[[str], None]) -> Nrf52Ending:
    """Jump into the application. It runs if its stack is in RAM and its reset handler is in its own code."""
    erase_name(chip)
    begin, size = chip.bank_0_start, chip.settings.bank_0.image_size
    code = _read(chip, begin, size)
    vectors = Vectors.of(code)
    stack = int.from_bytes(code[:4], "little")
    ram = chip.layout.ram
    say(f"start the application at 0x{begin:x}")
    if vectors is None or not begin <= vectors.reset < begin + size or not ram.start < stack <= ram.end:
        return Nrf52Ending.CRASH
    return Nrf52Ending.APPLICATION
