"""What direct XIP and RAM load have in common: both slots are alike, and the higher version in them is started.

An image that cannot be started makes room for the one in the other slot, and is erased if it is not valid, in the
primary slot as well. Source: ``boot_get_slot_usage``, ``find_slot_with_highest_version``,
``boot_load_and_validate_images`` and ``boot_validate_slot`` of Nordic's ``loader.c``, its log lines too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from smpdfu.image.format import COMPRESSED_FLAGS, Flag
from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
from smpdfu.image.verification.verify import Role
from smpdfu.loaders import lines
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.result import BootResult
from smpdfu.virtual.boot.security_counters import CounterError
from smpdfu.virtual.boot.slot import RawHeader, Slot
from smpdfu.virtual.boot.start import nothing_to_start

_NAMES = ("primary", "secondary")
_ENCRYPTED = (Flag.ENCRYPTED_AES128, Flag.ENCRYPTED_AES256)
_VECTOR = 4


class HigherVersion(ABC):
    """One boot. ``role`` is how images are decrypted: as in a secondary slot, or not at all."""

    role: ClassVar[Role]

    def __init__(self, checks: Checks) -> None:
        self.checks = checks
        self.build = checks.build
        self.log = checks.log
        self.places = checks.slots().places

    def run(self) -> BootResult:
        """Start the higher version, or the other one if that fails. Raises ``PowerCut``."""
        available = [number for number in range(len(self.places)) if self._has_image(number)]
        while available:
            number = self._highest(available)
            if self.is_ready(number) and self._is_valid(number):
                return self._started(number)
            available.remove(number)
        self.log("I: No slot to load for image 0")
        return nothing_to_start(self.checks)

    # --- what the modes differ in ---

    @abstractmethod
    def is_ready(self, number: int) -> bool:
        """True if the image in slot ``number`` can be looked at closer; what is in its way may be erased."""

    @abstractmethod
    def start(self, number: int) -> BootResult:
        """Jump into the image in slot ``number``."""

    def keeps_counter(self, number: int) -> bool:
        """True if the security counter of the image in slot ``number`` is remembered."""
        return True

    # --- the slots ---

    def name(self, number: int) -> str:
        """What MCUboot calls slot ``number``."""
        return _NAMES[number]

    def _highest(self, available: Sequence[int]) -> int:
        """Of equal versions, that of the primary slot; build numbers do not count."""
        return max(available, key=lambda number: (self.places[number].raw_header().version, -number))

    def _has_image(self, number: int) -> bool:
        slot = self.places[number]
        if self._is_header_valid(number, slot.raw_header(), slot):
            return True
        self.log(f"I: Image 0 {self.name(number)} slot: image not found")
        return False

    def _is_header_valid(self, number: int, header: RawHeader, slot: Slot) -> bool:
        """``boot_check_header_valid``."""
        end = header.hdr_size + header.img_size + header.protect_tlv_size
        if not header.is_image or end >= slot.area.size_bytes:
            return False
        if self.build.loader.release.skips_encrypted and self._is_unreadable(header):
            return False
        if self.build.checks_header and not header.flags & LOAD_ADDRESS_FLAGS:
            self.log(f"E: IMAGE_F_ROM_FIXED | IMAGE_F_RAM_LOAD is not set for image 0 slot {number}")
            return False
        return True

    def _is_unreadable(self, header: RawHeader) -> bool:
        """True for a compressed image, and for one that this build cannot decrypt."""
        found = sum(bool(header.flags & flag) for flag in _ENCRYPTED)
        most = 0 if self.checks.keys.decryption is None else 1
        return found > most or bool(header.flags & COMPRESSED_FLAGS)

    # --- the checks ---

    def _is_valid(self, number: int) -> bool:
        """The checks of the image; one that is refused is erased."""
        slot = self.places[number]
        if slot.raw_header().flags & Flag.NON_BOOTABLE:
            return False
        if not self.checks.is_good(slot, self.role, slot.geometry):
            slot.area.erase_all()
            self.log(f"E: Image in the {self.name(number)} slot is not valid!")
            return False
        return number == 0 or self._is_kept(slot)

    def _is_kept(self, slot: Slot) -> bool:
        """The address check of a build that has one: it knows the primary slot only, in these modes as well."""
        header, home = slot.raw_header(), self.places[0].area.region
        vector = slot.word(header.hdr_size + _VECTOR)
        if self.build.is_kept(vector, header.load_addr, range(home.start, home.end), range(0)):
            return True
        self.log(lines.wrong_place(self.build.loader, 0))
        self.log("E: Erasing image from secondary slot")
        slot.area.erase_all()
        return False

    def _started(self, number: int) -> BootResult:
        if self.keeps_counter(number):
            try:
                self.checks.store_counter(self.places[number])
            except CounterError:
                self.log("E: Security counter update failed after image 0 validation")
                return nothing_to_start(self.checks)
        self.log(f"I: Image 0 loaded from the {self.name(number)} slot")
        return self.start(number)
