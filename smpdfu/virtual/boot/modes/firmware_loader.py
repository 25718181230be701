"""An MCUboot in firmware loader mode: one slot for the application, and a loader application beside it that updates it.

=================================== ======================= ==============================
what asks for the loader            the loader is valid     it is not
=================================== ======================= ==============================
the button or the boot mode         the loader              the application if valid
nothing, the application is valid   the application         the application
nothing, the application is invalid the loader (an option)  nothing
=================================== ======================= ==============================

Valid is what is signed and whole; nothing is erased, marked, decrypted or brought in, and no image is looked at for the
network core. Source: ``firmware_loader.c`` and ``io.c`` of Nordic's MCUboot, its log lines too.
"""

from __future__ import annotations

from smpdfu.virtual.boot.build import Entrance
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.result import BootResult
from smpdfu.virtual.boot.single import has_image
from smpdfu.virtual.boot.start import Place, jump, nothing_to_start

APPLICATION, LOADER = 0, 1
"""The slots of both images."""


def start_or_load(checks: Checks) -> BootResult:
    """Start the application, or the firmware loader where that is asked for; see the table."""
    entrances = checks.keys.options.entrances
    if checks.asked in entrances and _is_valid(checks, LOADER):
        return _start(checks, LOADER)
    if _is_valid(checks, APPLICATION):
        return _start(checks, APPLICATION)
    if Entrance.NO_APPLICATION in entrances and _is_valid(checks, LOADER):
        return _start(checks, LOADER)
    return nothing_to_start(checks)


def _is_valid(checks: Checks, place: int) -> bool:
    slot = checks.slots().places[place]
    return has_image(checks, slot) and checks.is_good(slot, "primary", slot.geometry)


def _start(checks: Checks, place: int) -> BootResult:
    slot = checks.slots().places[place]
    image, region = slot.image(), slot.area.region
    code = range(region.start, region.end)
    return jump(checks, image, Place(place, code, image.reset_vector, region.start, "first image slot"))
