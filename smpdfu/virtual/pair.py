"""One image on its way through MCUboot: what its two slots ask for, whether that is good, and the work.

Source: ``boot_prepare_image_for_update``, ``boot_validated_swap_type``, ``boot_validate_slot`` and
``boot_perform_update`` of Nordic's ``loader.c``, its log lines too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smpdfu.errors import FormatError
from smpdfu.image.b0n import FirmwareInfo
from smpdfu.image.format import IMAGE_MAGIC, Flag, Header, Image, Version
from smpdfu.image.trailer import SwapMode
from smpdfu.virtual.decision import UPGRADES, SwapType
from smpdfu.virtual.layout import Region
from smpdfu.virtual.netcore import update_network_core
from smpdfu.virtual.overwrite import Overwrite, forget
from smpdfu.virtual.slot import Slot, Slots
from smpdfu.virtual.storage import ERASED
from smpdfu.virtual.swap import Headers, Status, Swap, confirm_primary, finish, read_record
from smpdfu.virtual.swap_move import SwapMove
from smpdfu.virtual.swap_offset import SwapOffset
from smpdfu.virtual.swap_scratch import SwapScratch

if TYPE_CHECKING:
    from smpdfu.virtual.bootloader import Loader

SWAPS: dict[SwapMode, type[Swap]] = {
    SwapMode.MOVE: SwapMove,
    SwapMode.SCRATCH: SwapScratch,
    SwapMode.OFFSET: SwapOffset,
    SwapMode.OVERWRITE_ONLY: Overwrite,
}
_NAMES = {SwapType.NONE: "none", SwapType.TEST: "test", SwapType.PERM: "perm", SwapType.REVERT: "revert"}


class HaltError(Exception):
    """MCUboot stopped at an assertion; the message is its text."""


class Pair:
    """Image number ``slots.image`` during one boot.

    ``swap_type`` is what is to be done, ``done`` what was done, ``resumed`` tells of a swap that a reset had
    interrupted, ``swapped`` that an image was brought in, ``net_updated`` that the network core took one.
    """

    def __init__(self, loader: Loader, slots: Slots) -> None:
        self.loader, self.slots, self.log, self.number = loader, slots, loader.log, slots.image
        self.swap = SWAPS[loader.layout.mode](slots, loader.log)
        self.swaps = loader.layout.mode is not SwapMode.OVERWRITE_ONLY
        self.is_network = loader.layout.network_image == slots.image
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
        if not self.swap.are_readable(self.status, self.headers):
            self.log(f"W: Failed reading image headers; Image={self.number}")
        elif not self.status.is_reset:
            self.resumed = True
            self._complete()
        else:
            self.swap_type = self._chosen()

    def _are_slots_compatible(self) -> bool:
        """``boot_slots_compatible``: how many sectors the slots have. Nothing is updated if they do not go together."""
        sector = self.slots.primary.geometry.sector_size
        more = (self.slots.secondary.area.size_bytes - self.slots.primary.area.size_bytes) // sector
        allowed = {SwapMode.MOVE: (-1, 0), SwapMode.OFFSET: (0, 1)}.get(self.loader.layout.mode, (0,))
        if more in allowed or self.is_network:
            return True
        exact = self.loader.layout.mode in (SwapMode.MOVE, SwapMode.OFFSET)
        words = "not a compatible amount of sectors" if exact else "slots are not compatible"
        self.log(f"W: Cannot upgrade: {words}")
        return False

    def _read_headers(self) -> Headers:
        primary, secondary = self.swap.headers(self.status)
        if not self.is_network:
            return primary, secondary
        # The primary slot is RAM with nothing in it: a header is made up, version 0.0.0.
        return Header(Version(0), self.loader.layout.net.app.size_bytes, 0x200), secondary

    def _chosen(self) -> SwapType:
        """The swap to begin now, after the image for it was found valid."""
        if self.status.swap_type is not SwapType.NONE:
            return self.status.swap_type if self._is_secondary_valid(SwapType.NONE) else SwapType.FAIL
        swap_type = self.slots.next_boot()
        self.log(f"I: Image index: {self.number}, Swap type: {_NAMES[swap_type]}")
        if swap_type is SwapType.NONE or not self._is_secondary_valid(swap_type):
            return SwapType.NONE
        if self._is_staged_for_network_core():
            return self._update_network_core()
        return swap_type

    # --- the staged network core ---

    def _is_staged_for_network_core(self) -> bool:
        """True if the word where an image has its reset vector, as it lies in flash, is in the network core's slot."""
        loader = self.loader
        vector = self.secondary_image().reset_vector
        staged = loader.net is not None and loader.layout.network_image is None
        return staged and vector is not None and vector in loader.layout.net.app

    def _update_network_core(self) -> SwapType:
        """Hand the raw payload of the secondary slot over; no swap follows, and nothing can be reverted."""
        secondary = self.slots.secondary
        self.log("I: Starting network core update")
        if not self._hand_over(secondary, self.swap.secondary_start(SwapType.TEST)):
            return SwapType.FAIL
        self.log("I: Done updating network core")
        self.net_updated = True
        if self.swaps:
            secondary.erase_trailer()
        else:
            forget(secondary)
        return SwapType.NONE

    def _hand_over(self, slot: Slot, start: int = 0) -> bool:
        net = self.loader.net
        header = slot.header(start)
        if net is None or header is None:
            return False
        place = slot.area.region.start + start + header.hdr_size
        took = update_network_core(net, self.loader.bus, Region("network image", place, header.img_size), self.log)
        self.loader.seconds += took.seconds
        return took.done

    # --- the checks ---

    def secondary_image(self) -> Image:
        """The image that is to be brought in; raises ``FormatError``."""
        return self.slots.secondary.image(self._start)

    @property
    def _start(self) -> int:
        reverts = SwapType.REVERT in (self.status.swap_type, self.slots.next_boot())
        return self.swap.secondary_start(SwapType.REVERT if reverts else SwapType.NONE)

    def _is_secondary_valid(self, swap_type: SwapType) -> bool:
        """``boot_validate_slot``: an image that is refused is erased."""
        secondary, header = self.slots.secondary, self.headers[1]
        if self._is_erased(secondary) or (header is not None and header.flags & Flag.NON_BOOTABLE):
            self._forget_leftovers()
            return False
        wrong_place = self.loader.layout.mode is SwapMode.OFFSET and self._is_in_the_first_sector(swap_type)
        if not wrong_place and self._is_overwriting_a_newer_one():
            return False
        if wrong_place or not self.loader.is_accepted(self.slots, "secondary", self._start):
            secondary.area.erase_all()
            self.log("E: Image in the secondary slot is not valid!")
            return False
        return self._is_linked_for_its_core()

    def _is_erased(self, slot: Slot) -> bool:
        return slot.area.read(self._start, 4) == bytes([ERASED]) * 4

    def _is_in_the_first_sector(self, swap_type: SwapType) -> bool:
        """True for an update that was not put a sector into the slot, where it is wanted."""
        magic = IMAGE_MAGIC.to_bytes(4, "little")
        if swap_type not in (SwapType.TEST, SwapType.PERM) or self.slots.secondary.area.read(0, 4) != magic:
            return False
        self.log("E: Secondary header magic detected in first sector, wrong upload address?")
        return True

    def _forget_leftovers(self) -> None:
        """Without an image, a trailer in the secondary slot is what is left of an erase that was cut off."""
        if not self.swaps:
            return
        reverts = self.slots.next_boot() is SwapType.REVERT
        self.slots.secondary.erase_trailer()
        if reverts and self.loader.layout.mode is SwapMode.MOVE:
            self.slots.primary.erase_trailer()
            self.log(f"I: Cleared image {self.number} primary slot trailer due to stuck revert")

    def _is_overwriting_a_newer_one(self) -> bool:
        """Downgrade prevention of a bootloader that overwrites: the image is erased before it is looked at closer."""
        if self.swaps or not self.loader.keys.options.downgrade_prevention or not self._is_downgrade():
            return False
        self.log("E: insufficient version in secondary slot")
        self.slots.secondary.area.erase_all()
        return True

    def _is_downgrade(self) -> bool:
        primary, secondary = self.headers
        if self.is_network:
            return self._is_network_downgrade()
        if primary is None or secondary is None:
            return False
        if self.loader.keys.options.by_counter and self.swaps:
            old = self.loader.counter_of(self.slots.primary)
            new = self.loader.counter_of(self.slots.secondary, self._start)
            return old is not None and (new is None or new < old)
        return version_number(secondary.version) < version_number(primary.version)

    def _is_network_downgrade(self) -> bool:
        """By the counters that b0n goes by, which lie in the firmware itself (``pcd_version_cmp_net``)."""
        net = self.loader.net
        try:
            new = FirmwareInfo.find(self.secondary_image().payload)
        except FormatError:
            return False  # it is refused for that
        old = None if net is None else FirmwareInfo.find(net.app.read_all())
        return old is not None and (new is None or new.version < old.version)

    def _is_linked_for_its_core(self) -> bool:
        """False, and the image is gone, for one that is linked for neither core's slot.

        A bootloader with encryption does not look: it cannot read the vector of an encrypted image.
        """
        vector, layout = self.secondary_image().reset_vector, self.loader.layout
        home = layout.net.app if self.is_network else self.slots.primary.area.region
        known = vector is not None and vector in home
        if known or self.loader.keys.decryption is not None or self._is_staged_for_network_core():
            return True
        self.log(f"E: Binary in secondary slot of image {self.number} is not designated for the primary slot")
        self.log("E: Erasing image from secondary slot")
        self.slots.secondary.area.erase_all()
        return False

    # --- the work ---

    def _complete(self) -> None:
        """Continue the swap that a reset interrupted."""
        read_record(self.swap.record(), self.status)
        self.swap.run(self.status, self.headers)
        finish(self.slots, self.status.swap_type)
        self.swapped, self.done = True, self.status.swap_type

    def perform(self) -> None:
        """Do what was chosen, from its beginning."""
        self.done = self.swap_type
        if self.swap_type in (SwapType.TEST, SwapType.PERM) and self._is_prevented():
            self.swap_type = self.done = SwapType.NONE
        elif self.swap_type in UPGRADES:
            self._bring_in()
        elif self.swap_type is SwapType.FAIL and self.swaps:
            confirm_primary(self.slots)

    def _is_prevented(self) -> bool:
        options = self.loader.keys.options
        if not self.swaps or not options.downgrade_prevention or not self._is_downgrade():
            return False
        self.log(f"I: Image {self.number} in slot 1 erased due to downgrade prevention")
        self.slots.secondary.area.erase_all()
        return True

    def _bring_in(self) -> None:
        # With several images MCUboot forgets here that the primary slot's trailer was written already.
        resumed = self.status.resumed and len(self.loader.layout.images) == 1
        status = self.status = Status(swap_type=self.swap_type, resumed=resumed)
        images = (self._stored(self.slots.primary, 0) if self.swaps else None, self._stored_secondary())
        status.swap_size = max(image.size_bytes if image else 0 for image in images)
        primary, secondary = (image.size_bytes - image.unprotected_offset if image else 0 for image in images)
        status.tlv_sizes = (primary, secondary)
        status.keys = [self._key(image) for image in images]
        self.swap.run(status, self.headers)
        self.swapped = status.swap_type is self.swap_type
        if self.is_network and not self._hand_over(self.slots.primary):
            raise HaltError("rc == 0")
        self.net_updated = self.is_network
        if not self.swaps:
            self.loader.raise_counter(self.slots)
            forget(self.slots.secondary)
            return
        finish(self.slots, self.swap_type)

    def _stored_secondary(self) -> Image | None:
        return self._stored(self.slots.secondary, self._start)

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
        if image is None or not image.encrypted or self.loader.keys.decryption is None:
            return None
        key = self.loader.content_key(image)
        if key is None:
            raise HaltError("rc >= 0")
        return key


def version_number(version: Version) -> tuple[int, int, int]:
    """What versions are compared by; the build number does not count."""
    return version.major, version.minor, version.revision
