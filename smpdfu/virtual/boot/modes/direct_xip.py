"""An MCUboot for direct XIP: an image runs in the slot where it lies, and must be linked for it.

With revert, only an image whose trailer has the magic is started. Its copy_done is set before its first start; one that
is not confirmed by the next one is erased, and the other slot is started. Source: ``boot_rom_address_check`` and
``boot_select_or_erase`` of Nordic's ``loader.c``, its log lines too.
"""

from __future__ import annotations

from smpdfu.image.format import Flag
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.higher_version import HigherVersion
from smpdfu.virtual.boot.result import BootResult
from smpdfu.virtual.boot.start import Place, jump
from smpdfu.virtual.chip.flash import FlashError


def start_in_place(checks: Checks) -> BootResult:
    """Start the higher version in its slot. Raises ``PowerCut``."""
    return _InPlace(checks).run()


def start_in_place_or_revert(checks: Checks) -> BootResult:
    """The same, with a way back from an image that is not confirmed. Raises ``PowerCut``."""
    return _InPlaceOrRevert(checks).run()


class _InPlace(HigherVersion):
    role = "primary"

    def is_ready(self, number: int) -> bool:
        """False for an image whose header says that it is linked for another slot; it is left alone."""
        header, offset = self.places[number].raw_header(), self._offset(number)
        if not header.flags & Flag.ROM_FIXED or header.load_addr == offset:
            return True
        self.log(
            f"W: Image in {self.name(number)} slot at 0x{offset:x} has been built for offset 0x{header.load_addr:x}, "
            "skipping"
        )
        return False

    def start(self, number: int) -> BootResult:
        """Jump into the slot."""
        image, region = self.places[number].image(), self.places[number].area.region
        code = range(region.start, region.end)
        return jump(self.checks, image, Place(number, code, image.reset_vector, self._offset(number), "image slot"))

    def _offset(self, number: int) -> int:
        """Where the slot begins, counted from the start of its memory, as MCUboot counts."""
        region, external = self.places[number].area.region, self.checks.layout.external
        return region.start - (external.start if external is not None and external.holds(region) else 0)


class _InPlaceOrRevert(_InPlace):
    def is_ready(self, number: int) -> bool:
        """False for what was started before and not confirmed, or has no magic: it is erased."""
        if not super().is_ready(number):
            return False
        slot = self.places[number]
        trailer = slot.trailer()
        if trailer.magic != "good" or (trailer.copy_done == "set" and trailer.image_ok != "set"):
            slot.area.erase_all()
            return False
        if trailer.copy_done != "set":
            try:
                slot.write_copy_done()
            except FlashError:
                self.log(f"W: Failed to set copy_done flag of the image in the {self.name(number)} slot.")
        return True

    def keeps_counter(self, number: int) -> bool:
        """Only of an image that is confirmed, so that the other one still is good for a revert."""
        return self.places[number].trailer().image_ok == "set"
