"""One image on its way through MCUboot: what its two slots ask for, whether that is good, and the work.

Source: ``boot_prepare_image_for_update``, ``boot_validated_swap_type`` and ``boot_perform_update`` of Nordic's
``loader.c``, its log lines too.
"""

from __future__ import annotations

from smpdfu.errors import FormatError
from smpdfu.image.format import Header, Image, Version
from smpdfu.loaders.rules import Left, SelfUpdate, Target
from smpdfu.virtual.boot.candidate import Candidate
from smpdfu.virtual.boot.checks import Checks, HaltError
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.boot.swap.move import SwapMove
from smpdfu.virtual.boot.swap.offset import SwapOffset
from smpdfu.virtual.boot.swap.overwrite import Overwrite, forget
from smpdfu.virtual.boot.swap.scratch import SwapScratch
from smpdfu.virtual.boot.swap.swap import Headers, Status, Swap, confirm_primary, finish, read_record
from smpdfu.virtual.boot.swap.swap_type import UPGRADES, SwapType
from smpdfu.virtual.chip.boot_mode import BootMode

SWAPS: dict[BootMode, type[Swap]] = {
    BootMode.MOVE: SwapMove,
    BootMode.SCRATCH: SwapScratch,
    BootMode.OFFSET: SwapOffset,
    BootMode.OVERWRITE_ONLY: Overwrite,
}
_NAMES = {SwapType.NONE: "none", SwapType.TEST: "test", SwapType.PERM: "perm", SwapType.REVERT: "revert"}


class Pair:
    """Image number ``slots.image`` during one boot.

    ``swap_type`` is what is to be done, ``done`` what was done, ``resumed`` tells of a swap that a reset had
    interrupted, ``swapped`` that an image was brought in, ``net_updated`` that the network core took one.
    """

    def __init__(self, checks: Checks, slots: Slots) -> None:
        self.checks = checks
        self.slots = slots
        self.log = checks.log
        self.number = slots.image
        self.swap = SWAPS[checks.layout.mode](slots, checks.log)
        self.swaps = not checks.build.overwrites
        self.is_network = checks.layout.network_image == slots.image
        self.is_external_half = checks.layout.external_half == slots.image
        self.candidate = Candidate(self)
        self.status = Status()
        self.headers: Headers = (None, None)
        self.swap_type = self.done = SwapType.NONE
        self.resumed = self.swapped = self.net_updated = False

    # --- the decision ---

    def prepare(self) -> None:
        """Finish what was interrupted, or find out what there is to do."""
        if not self._are_slots_compatible():
            return
        self.status = self.swap.read_status()
        self.headers = self._read_headers()
        if not self._are_readable():
            self.log(f"W: Failed reading image headers; Image={self.number}")
        elif not self.status.is_reset:
            self.resumed = True
            self._complete()
        else:
            self.swap_type = self._chosen()

    def _are_readable(self) -> bool:
        return self.swap.are_readable(self.status, self.headers)

    def _are_slots_compatible(self) -> bool:
        """``boot_slots_compatible``: how many sectors the slots have. Nothing is updated if they do not go together."""
        sector = self.slots.primary.geometry.sector_size
        more = (self.slots.secondary.area.size_bytes - self.slots.primary.area.size_bytes) // sector
        allowed = {BootMode.MOVE: (-1, 0), BootMode.OFFSET: (0, 1)}.get(self.checks.layout.mode, (0,))
        if more in allowed or self.is_network:
            return True
        exact = self.checks.layout.mode in (BootMode.MOVE, BootMode.OFFSET)
        words = "not a compatible amount of sectors" if exact else "slots are not compatible"
        self.log(f"W: Cannot upgrade: {words}")
        return False

    def _read_headers(self) -> Headers:
        primary, secondary = self.swap.headers(self.status)
        if not self.is_network:
            return primary, secondary
        # The primary slot is RAM with nothing in it: a header is made up, version 0.0.0.
        return Header(Version(0), self.checks.layout.net.app.size_bytes, 0x200), secondary

    def primary_version(self) -> tuple[int, int, int]:
        """What the header in the primary slot says, whatever is there."""
        return (0, 0, 0) if self.is_network else self.slots.primary.raw_header().version

    def _chosen(self) -> SwapType:
        """The swap to begin now, after the image for it was found valid."""
        if self.status.swap_type is not SwapType.NONE:
            return self.status.swap_type if self.candidate.is_valid(SwapType.NONE) else SwapType.FAIL
        barred = self._barred_by_uuid() or self._barred_by_place()
        if barred is not None:
            return barred
        swap_type = self.slots.next_boot()
        self.log(f"I: Image index: {self.number}, Swap type: {_NAMES[swap_type]}")
        if swap_type is SwapType.NONE or not self.candidate.is_valid(swap_type):
            return SwapType.NONE
        return self._update_network_core() if self.candidate.is_for_network() else swap_type

    def _barred_by_uuid(self) -> SwapType | None:
        """In a staged build that goes by class UUIDs: what becomes of an image that is for none of its cores.

        It is looked at before its mark is, and one without a name stays where it is, pending for ever.
        """
        build = self.checks.build
        if not (build.goes_by_class and self.candidate.header().is_image):
            return None
        target = self.candidate.target()
        if target is Target.UNKNOWN:
            self.log("E: Image in slot does not match any known UUID")
            self.slots.secondary.area.erase_all()
            self.log(f"E: Cleaned-up secondary slot of image {self.number}")
            return SwapType.FAIL
        is_dropped = target is Target.APPLICATION and not build.rule.application_by_uuid
        return SwapType.NONE if target is Target.UNNAMED or is_dropped else None

    def _barred_by_place(self) -> SwapType | None:
        """Behind b0: what becomes of an image that another image number may be meant by, or none.

        The application, MCUboot in the slot that does not run, and a staged network image share a secondary slot.
        MCUboot tells them apart by their addresses.
        """
        stage, build, header = self.checks.stage, self.checks.build, self.candidate.header()
        if stage is None or not header.is_image or self.candidate.is_for_network():
            return None
        place = self.candidate.address() if build.checks_header else self.candidate.vector()
        copies = build.rule.self_update is SelfUpdate.COPIES
        if copies and place in stage.inactive:
            return None if self.number == len(self.checks.layout.images) else SwapType.NONE
        if copies and place in stage.active:
            self.log("E: Image in slot is for wrong s0/s1 image")
            self.slots.secondary.area.erase_all()
            self.log(f"E: Cleaned-up secondary slot of image {self.number}")
            return SwapType.FAIL
        home = self.checks.network.region if self.is_network else self.slots.primary.area.region
        return None if place is not None and place in home else SwapType.NONE

    def _update_network_core(self) -> SwapType:
        """Hand a staged image over; no swap follows, and nothing can be reverted."""
        secondary, build, network = self.slots.secondary, self.checks.build, self.checks.network
        taken = False
        if build.compares_network:
            self.log("I: Checking network core version")
        if not build.compares_network or not network.is_lower(secondary, secondary.raw_header()):
            taken = self.net_updated = network.take_staged(secondary)
        left = build.handover.taken if taken else build.handover.refused
        if left is Left.NO_TRAILER:
            secondary.erase_trailer()
        elif left is Left.NO_HEADER:
            forget(secondary)
        return SwapType.NONE if taken else SwapType.FAIL

    # --- the work ---

    def _complete(self) -> None:
        """Continue the swap that a reset interrupted."""
        read_record(self.swap.record(), self.status)
        self.swap.run(self.status, self.headers)
        finish(self.slots, self.status.swap_type)
        self.swapped = True
        self.done = self.status.swap_type

    def perform(self) -> None:
        """Do what was chosen, from its beginning."""
        self.done = self.swap_type
        if self.swap_type in (SwapType.TEST, SwapType.PERM) and self._is_prevented():
            self.swap_type = self.done = SwapType.NONE
        elif self.swap_type in UPGRADES:
            self._bring_in()
        elif self.swap_type is SwapType.FAIL and self.swaps:
            confirm_primary(self.slots)
        elif self.swap_type is SwapType.PANIC:
            self.log("E: panic!")
            raise HaltError("0")

    def _is_prevented(self) -> bool:
        """Downgrade prevention of a bootloader that swaps; the network core's image is left to NSIB."""
        if not self.swaps or self.is_network or not self.checks.build.prevents_downgrade or not self._is_downgrade():
            return False
        self.log(f"I: Image {self.number} in slot 1 erased due to downgrade prevention")
        self.slots.secondary.area.erase_all()
        return True

    def _is_downgrade(self) -> bool:
        if not self.checks.keys.options.by_counter:
            return self.candidate.header().version < self.primary_version()
        old = self.checks.counter_of(self.slots.primary)
        new = self.checks.counter_of(self.slots.secondary, self.candidate.start)
        return old is not None and (new is None or new < old)

    def _bring_in(self) -> None:
        # With several images MCUboot forgets here that the primary slot's trailer was written already.
        resumed = self.status.resumed and self.checks.image_count == 1
        status = self.status = Status(swap_type=self.swap_type, resumed=resumed)
        images = self._images()
        status.swap_size = max(image.size_bytes if image else 0 for image in images)
        primary, secondary = (image.size_bytes - image.unprotected_offset if image else 0 for image in images)
        status.tlv_sizes = (primary, secondary)
        status.keys = [self._key(image) for image in images]
        self.swap.run(status, self.headers)
        self.swapped = status.swap_type is self.swap_type
        if self.is_network:
            self.net_updated = self.checks.network.take_copied(self.slots.primary)
        if self.swaps:
            finish(self.slots, self.swap_type)
            return
        if self.is_network and not self.net_updated:
            raise HaltError("rc == 0")
        self.checks.raise_counter(self.slots)
        forget(self.slots.secondary)

    def _images(self) -> tuple[Image | None, Image | None]:
        """What is in both slots; a copy wants the secondary one, a swap the end of each that has a header."""
        secondary = self._stored(self.slots.secondary, self.candidate.start)
        if not self.swaps:
            if secondary is None:
                raise HaltError("rc == 0")
            return None, secondary
        if not self.is_network:
            return self._stored(self.slots.primary, 0), secondary
        if not self.checks.build.loader.release.swaps_network:
            raise HaltError("rc == 0")  # behind the header that was made up is no image whose end could be found
        return None, secondary

    def _stored(self, slot: Slot, start: int) -> Image | None:
        """The image in a slot; None without a header. Halts when its end cannot be told."""
        if slot.header(start) is None:
            return None
        try:
            return slot.image(start)
        except FormatError:
            raise HaltError("rc == 0") from None

    def _key(self, image: Image | None) -> bytes | None:
        """The content key of an encrypted image; halts when there is none that can be unwrapped."""
        if image is None or not image.encrypted or self.checks.keys.decryption is None:
            return None
        key = self.checks.content_key(image)
        if key is None:
            raise HaltError("rc >= 0")
        return key
