"""The image in a secondary slot that is to be brought in: MCUboot's checks, and what it does with one that fails.

Source: ``boot_validate_slot`` of Nordic's ``loader.c``, its log lines too.
"""

from __future__ import annotations

from typing import Protocol

from smpdfu.errors import FormatError
from smpdfu.image.format import IMAGE_MAGIC, Flag, Image, TlvType
from smpdfu.image.ids import UUID_SIZE
from smpdfu.image.load_address import LOAD_ADDRESS_FLAGS
from smpdfu.loaders import lines
from smpdfu.loaders.rules import SelfUpdate, Target
from smpdfu.virtual.boot.checks import Checks
from smpdfu.virtual.boot.slot import RawHeader, Slots
from smpdfu.virtual.boot.swap.swap import Log, Status, Swap
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.boot_mode import BootMode

_VECTOR = 4


class ImageNumber(Protocol):
    """The image number that a candidate is for, with what the boot has found out about it so far (``Pair``)."""

    checks: Checks
    slots: Slots
    log: Log
    number: int
    swap: Swap
    status: Status
    swaps: bool
    is_network: bool
    is_external_half: bool


class Candidate:
    """The image of ``pair`` in its secondary slot."""

    def __init__(self, pair: ImageNumber) -> None:
        self.pair = pair
        self.checks = pair.checks
        self.slots = pair.slots
        self.slot = pair.slots.secondary
        self.log = pair.log

    # --- what is there ---

    @property
    def start(self) -> int:
        """Where in the slot it begins."""
        reverts = SwapType.REVERT in (self.pair.status.swap_type, self.slots.next_boot())
        return self.pair.swap.secondary_start(SwapType.REVERT if reverts else SwapType.NONE)

    def header(self) -> RawHeader:
        """What is where its header is expected."""
        return self.slot.raw_header(self.start)

    def image(self) -> Image:
        """The whole image; raises ``FormatError``."""
        return self.slot.image(self.start)

    def vector(self) -> int | None:
        """The word that MCUboot takes for its reset vector: it counts from the slot's start, wherever the image is."""
        header = self.header()
        return self.slot.word(header.hdr_size + _VECTOR) if header.is_image else None

    def address(self) -> int:
        """The load address in its header."""
        header = self.header()
        return header.load_addr if header.is_image else 0

    def target(self) -> Target:
        """Whom it is for, by its class UUID; one of another length names nobody (``read_image_uuid_tlv``)."""
        options = self.checks.keys.options
        try:
            named = self.image().tlv(TlvType.UUID_CID)
        except FormatError:
            named = None
        if named is None or len(named) != UUID_SIZE:
            return Target.UNNAMED
        return {options.app_class: Target.APPLICATION, options.net_class: Target.NETWORK}.get(named, Target.UNKNOWN)

    def is_for_network(self) -> bool:
        """True for one that goes to the network core, whatever its check says."""
        build = self.checks.build
        if build.by_uuid:
            return build.looks_for_network and self.target() is Target.NETWORK
        return build.is_for_network(self.vector(), self.address(), self.checks.network.region)

    # --- the checks ---

    def is_valid(self, swap_type: SwapType) -> bool:
        """The checks in their order; an image that is refused is erased."""
        header = self.header()
        if header.is_erased or header.flags & Flag.NON_BOOTABLE:
            self._forget_leftovers()
            return False
        misplaced = self._is_in_the_first_sector(swap_type)
        if not misplaced and self._is_overwriting_a_newer_one(header):
            return False
        if misplaced or not self._is_good(header):
            self.slot.area.erase_all()
            self.log("E: Image in the secondary slot is not valid!")
            return False
        return self._is_for_this_slot()

    def _is_good(self, header: RawHeader) -> bool:
        if self.checks.build.checks_header and not header.flags & LOAD_ADDRESS_FLAGS:
            self.log(f"E: IMAGE_F_ROM_FIXED | IMAGE_F_RAM_LOAD is not set for image {self.pair.number} slot 1")
            return False
        return self.checks.is_accepted(self.slots, "secondary", self.start)

    def _is_in_the_first_sector(self, swap_type: SwapType) -> bool:
        """True for an update that was not put a sector into the slot, where swap using offset wants it."""
        by_offset = self.checks.build.by_offset
        begins = swap_type in (SwapType.TEST, SwapType.PERM)
        if not (by_offset and begins) or self.slot.raw_header().magic != IMAGE_MAGIC:
            return False
        self.log("E: Secondary header magic detected in first sector, wrong upload address?")
        return True

    def _forget_leftovers(self) -> None:
        """Without an image, a trailer in the secondary slot is what is left of an erase that was cut off."""
        if not self.pair.swaps:
            return
        self.slot.erase_trailer()
        clears = self.checks.build.loader.release.clears_stuck_revert and self.checks.layout.mode is BootMode.MOVE
        if clears and SwapType.REVERT in (self.pair.status.swap_type, self.slots.next_boot()):
            self.slots.primary.erase_trailer()
            self.log(f"I: Cleared image {self.pair.number} primary slot trailer due to stuck revert")

    def _is_overwriting_a_newer_one(self, header: RawHeader) -> bool:
        """Downgrade prevention of a bootloader that overwrites: the image is erased before it is looked at closer.

        The versions of both headers are compared, whatever they are; that of a staged network image with the
        application's. An image pair of the network core is compared by b0n's count, if at all. MCUboot's own image is
        compared with what is in both of its slots, unless the one that it is for is blank.
        """
        build = self.checks.build
        if not (build.overwrites and build.prevents_downgrade):
            return False
        if self.pair.is_network:
            lower = build.compares_network and self.checks.network.is_lower(self.slot, header)
        else:
            old = self.slots.primary.raw_header()
            highest = max(old.version, self._running_version())
            lower = not old.is_erased and header.version < highest
        if lower:
            self.log(lines.insufficient_version(build.loader))
            self.slot.area.erase_all()
        return lower

    def _running_version(self) -> tuple[int, int, int]:
        """What MCUboot's own image is compared with, too; lower than any for other images."""
        checks = self.checks
        is_mcuboot = self.pair.number == len(checks.layout.images)
        copies = checks.build.rule.self_update is SelfUpdate.COPIES
        return checks.running_version() if is_mcuboot and copies else (0, 0, 0)

    def _home(self) -> range:
        """The addresses that the check takes for the primary slot's: in external flash it counts from that one's start.

        So an external half that is checked at all, by a word of its code, is nearly always erased. Behind b0, all from
        MCUboot's slot on counts as the application's.
        """
        region, external = self.slots.primary.area.region, self.checks.layout.external
        base = external.start if external is not None and self.pair.is_external_half else 0
        stage, first = self.checks.stage, region.start - base
        if stage is not None and self.pair.number == 0:
            copies = self.checks.build.rule.self_update is SelfUpdate.COPIES
            first = min(first, (stage.inactive if copies else stage.nsib.s0).start)
        return range(first, region.end - base)

    def _is_for_this_slot(self) -> bool:
        """The address check; an image whose code belongs elsewhere is erased."""
        build = self.checks.build
        if self.pair.is_external_half and self.pair.number in build.rule.unchecked_halves:
            return True
        net = self.checks.network.region
        home = net if self.pair.is_network else self._home()
        if build.is_kept(self.vector(), self.address(), home, net):
            if build.compares_addresses and not self.pair.is_network and self.is_for_network():
                self.log(lines.for_network(self.pair.number))
            return True
        self.log(lines.wrong_place(build.loader, self.pair.number))
        self.log("E: Erasing image from secondary slot")
        self.slot.area.erase_all()
        return False
