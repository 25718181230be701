"""Where an update is received: beside the application if there is room, else in its place.

Source: nRF5 SDK 17, ``nrf_dfu_cache_prepare`` in ``nrf_dfu_utils.c``.
"""

from __future__ import annotations

from smpdfu.image.secure_dfu.flash import MBR_END
from smpdfu.virtual.nrf52.build import Nrf52Build
from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.settings import BankCode


def make_room(chip: Nrf52Chip, build: Nrf52Build, size: int, *, single_bank: bool, keeps_softdevice: bool) -> bool:
    """Delete what must go for ``size`` bytes; False, and nothing deleted, if they do not fit. Raises ``PowerCut``.

    The application goes first, then the SoftDevice. With ``single_bank`` both go, except what has to stay.
    """
    end = chip.layout.bootloader.start - build.app_data_bytes
    has_app = chip.settings.bank_0.code == BankCode.VALID_APP
    stages = (
        (chip.bank_1_start, build.forces_dual_bank and has_app),
        (chip.bank_0_start, keeps_softdevice or chip.softdevice is None),
        (MBR_END, True),
    )
    deleted = 0
    fits = False
    for deleted, (start, stays) in enumerate(stages):  # noqa: B007 - used behind the loop
        fits = size <= end - start
        if (fits and not single_bank) or stays:
            break
    if not fits:
        return False
    if deleted >= 2:
        chip.invalidate_softdevice()
    if deleted >= 1:
        chip.invalidate_bank_0()
    return True
