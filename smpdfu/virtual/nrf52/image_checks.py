"""What a secure bootloader checks of firmware that has arrived as a whole, and of firmware that it is to start.

Source: nRF5 SDK 17, ``nrf_dfu_validation.c`` (``postvalidate``, ``nrf_dfu_validation_boot_validate``).
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace

from smpdfu.image.secure_dfu.flash import MBR_END, align_to_page
from smpdfu.image.secure_dfu.init_packet import FwType, InitCommand, ValidationType
from smpdfu.securedfu.protocol.messages import ExtendedError, Result
from smpdfu.virtual.nrf52.build import Trust
from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.init_checks import Refused, extended, is_signed, overwrites_softdevice
from smpdfu.virtual.nrf52.settings import NO_CHECK, BankCode, BootCheck


def accept_image(init: InitCommand, chip: Nrf52Chip, trust: Trust, start: int, size: int) -> None:
    """Check the firmware at ``start``, and note in the settings that it is to be activated at the next boot.

    The settings are not saved yet. Raises ``Refused``, and then there is no update any more; ``PowerCut``.
    """
    try:
        _check_hash(init, chip.read(start, size))
        if init.type == FwType.APPLICATION:
            _accept_application(init, chip, trust, chip.read(start, size))
        elif init.type == FwType.EXTERNAL_APPLICATION:
            _mark(chip, BankCode.VALID_EXT_APP)
        else:
            _accept_system(init, chip, trust, start, size)
        settings = chip.settings
        settings.bank_1 = replace(settings.bank_1, image_crc=zlib.crc32(chip.read(start, size)), image_size=size)
    except Refused:
        chip.invalidate_bank_1()
        raise
    finally:
        chip.reset_progress()
        chip.settings.progress.update_start = start


def _check_hash(init: InitCommand, firmware: bytes) -> None:
    if init.hash is None or init.hash.digest != hashlib.sha256(firmware).digest():
        raise extended(ExtendedError.VERIFICATION_FAILED)


def _accept_application(init: InitCommand, chip: Nrf52Chip, trust: Trust, firmware: bytes) -> None:
    check = _boot_check(init, trust, firmware, ValidationType.VALIDATE_GENERATED_CRC)
    if trust.build.requires_app_signature and check.type != ValidationType.VALIDATE_ECDSA_P256_SHA256:
        raise Refused(Result.INVALID_OBJECT)
    settings = chip.settings
    settings.check_app = check
    _mark(chip, BankCode.VALID_APP)
    settings.bank_0 = replace(settings.bank_0, code=BankCode.INVALID)
    if overwrites_softdevice(init) and not trust.build.requires_softdevice:
        chip.invalidate_softdevice()
    if not _is_debug(init, trust):
        settings.app_version = init.fw_version or 0


def _accept_system(init: InitCommand, chip: Nrf52Chip, trust: Trust, start: int, size: int) -> None:
    """Accept a SoftDevice, a bootloader, or both, the SoftDevice first."""
    has_softdevice, has_bootloader = (bool((init.type or 0) & one) for one in (FwType.SOFTDEVICE, FwType.BOOTLOADER))
    sd_size = init.sd_size or 0 if has_softdevice else 0
    check_sd = check_bootloader = NO_CHECK
    is_major = False
    try:
        if has_softdevice:
            is_major = _check_softdevice(chip, trust, start, sd_size, has_bootloader=has_bootloader)
            check_sd = _boot_check(init, trust, chip.read(start, sd_size), ValidationType.VALIDATE_GENERATED_CRC)
        if has_bootloader:
            bootloader = chip.read(start + sd_size, size - sd_size)
            place = int(has_softdevice)  # the second entry; up to SDK 16, the first is both parts'
            check_bootloader = _boot_check(init, trust, bootloader, ValidationType.NO_VALIDATION, place=place)
    except Refused:
        if has_softdevice and not trust.build.requires_softdevice and start == MBR_END:
            chip.invalidate_softdevice()
        raise
    settings = chip.settings
    if has_softdevice:
        if is_major:
            chip.invalidate_bank_0()
        settings.check_sd, settings.sd_size = check_sd, sd_size
    if has_bootloader:
        settings.check_bootloader = check_bootloader
        if not _is_debug(init, trust):
            settings.bootloader_version = init.fw_version or 0
    kinds = {FwType.SOFTDEVICE: BankCode.VALID_SD, FwType.BOOTLOADER: BankCode.VALID_BL}
    _mark(chip, kinds.get(FwType(init.type or 0), BankCode.VALID_SD_BL))


def _check_softdevice(chip: Nrf52Chip, trust: Trust, start: int, size: int, *, has_bootloader: bool) -> bool:
    """Check what a received SoftDevice says of itself; True if its interface is another one. Raises ``Refused``."""
    new, old = chip.softdevice_at(start), chip.softdevice
    if new is None or new.end < align_to_page(size + MBR_END) or (old is not None and new.family != old.family):
        raise Refused(Result.INVALID_OBJECT)
    is_major = old is None or new.major != old.major
    if is_major and trust.build.requires_softdevice and not has_bootloader:
        raise Refused(Result.INVALID_OBJECT)
    return is_major


def _mark(chip: Nrf52Chip, code: BankCode) -> None:
    chip.settings.bank_1 = replace(chip.settings.bank_1, code=code)


def _is_debug(init: InitCommand, trust: Trust) -> bool:
    return trust.build.allows_debug and bool(init.is_debug)


# --- at each boot -------------------------------------------------------------------------------------------------


def _boot_check(
    init: InitCommand, trust: Trust, firmware: bytes, usual: ValidationType, *, place: int = 0
) -> BootCheck:
    """How firmware is to be checked at each boot, by the entry at ``place`` of the packet. Raises ``Refused``."""
    asked = init.boot_validation[place] if place < len(init.boot_validation) else None
    kind = usual if asked is None else asked.type or 0
    match kind:
        case ValidationType.NO_VALIDATION:
            return NO_CHECK
        case ValidationType.VALIDATE_GENERATED_CRC:
            return BootCheck.of(kind, zlib.crc32(firmware).to_bytes(4, "little"))
        case ValidationType.VALIDATE_SHA256:
            return BootCheck.of(kind, hashlib.sha256(firmware).digest())
        case ValidationType.VALIDATE_ECDSA_P256_SHA256:
            check = BootCheck.of(kind, b"" if asked is None else asked.data or b"")
            if is_signed(check.value, firmware, trust.key):
                return check
    raise Refused(Result.INVALID_OBJECT)


def passes(check: BootCheck, firmware: bytes, trust: Trust) -> bool:
    """Whether firmware passes its check at a boot. A bootloader with debug packets does not mind a wrong CRC."""
    match check.type:
        case ValidationType.NO_VALIDATION:
            return True
        case ValidationType.VALIDATE_GENERATED_CRC:
            return trust.build.allows_debug or check.value[:4] == zlib.crc32(firmware).to_bytes(4, "little")
        case ValidationType.VALIDATE_SHA256:
            return check.value[:32] == hashlib.sha256(firmware).digest()
        case ValidationType.VALIDATE_ECDSA_P256_SHA256:
            return is_signed(check.value, firmware, trust.key)
    return False
