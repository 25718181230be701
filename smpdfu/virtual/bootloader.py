"""MCUboot on the application core, from reset to the jump into the application.

Single image pair, as the nRF Connect SDK builds it for the staged scheme. Checks are made by ``smpdfu.image.verify`` on
what is in flash; nothing is taken on trust. Source: ``context_boot_go`` of Nordic's ``loader.c``, its log lines too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from smpdfu.errors import FormatError, SigningError
from smpdfu.image.encrypt import unwrap_key
from smpdfu.image.format import Flag, Header
from smpdfu.image.keys import PrivateKey, Verifier
from smpdfu.image.trailer import SwapMode
from smpdfu.image.verify import Code, Role, verify
from smpdfu.virtual.flash import Flash
from smpdfu.virtual.layout import Layout, Region
from smpdfu.virtual.netcore import NetCore, update_network_core
from smpdfu.virtual.overwrite import forget, overwrite
from smpdfu.virtual.slot import Slot, Slots
from smpdfu.virtual.swap import (
    UPGRADES,
    Cipher,
    Log,
    Status,
    SwapType,
    confirm_primary,
    decide,
    finish,
)
from smpdfu.virtual.swap_move import Headers, SwapMove

_NAMES = {SwapType.NONE: "none", SwapType.TEST: "test", SwapType.PERM: "perm", SwapType.REVERT: "revert"}

# What the judge refuses because the loader chokes on it, and the loader itself does not see before it is too late.
_UNSEEN = (Code.ENCRYPTED_HEADER,)


@dataclass(frozen=True, slots=True)
class BootKeys:
    """The keys built into the bootloaders.

    ``verifiers`` are MCUboot's; a build without any goes by the hash alone. With ``decryption`` MCUboot is a build with
    encryption, for content keys of ``content_key_size`` bytes only. ``net_verifiers`` are the keys provisioned for b0n
    on the network core.
    """

    verifiers: tuple[Verifier, ...]
    decryption: PrivateKey | None = None
    content_key_size: int = 16
    net_verifiers: tuple[Verifier, ...] = ()

    @property
    def saved_key_size(self) -> int:
        """What the trailer keeps per slot for a content key."""
        return 0 if self.decryption is None else self.content_key_size


@dataclass(frozen=True, slots=True)
class RunningImage:
    """The image that the application core runs; ``hash`` is what SMP lists."""

    header: Header
    hash: bytes


@dataclass(frozen=True, slots=True)
class BootResult:
    """How a boot ended.

    ``running`` is None when there was no image to boot, or when the code that was jumped to cannot run in the primary
    slot (``crashed``): no SMP server then. ``swap_type`` is what was done, ``swapped`` also tells of the completion of
    an interrupted swap. ``net_updated`` tells that the network core took an image.
    """

    running: RunningImage | None
    swap_type: SwapType
    swapped: bool = False
    crashed: bool = False
    net_updated: bool = False


def boot(app: Flash, layout: Layout, keys: BootKeys, log: Log, net: NetCore | None = None) -> BootResult:
    """Run the bootloader once. Raises ``PowerCut`` when the power goes; calling again is the next boot.

    ``net`` is the network core, which network images are handed over to; without it none is taken. ``ValueError`` for
    a layout that this bootloader is not made for: one pair of slots, swap using move or overwrite-only.
    """
    if len(layout.images) != 1 or layout.mode not in (SwapMode.MOVE, SwapMode.OVERWRITE_ONLY):
        raise ValueError(f"no bootloader for layout {layout.name}: {len(layout.images)} images, {layout.mode}")
    slots = Slots.of(app, layout, encrypted_key_size=keys.saved_key_size)
    return _Boot(slots, layout, keys, log, net).run()


class _Boot:
    """One boot: what ``context_boot_go`` keeps in its state."""

    def __init__(self, slots: Slots, layout: Layout, keys: BootKeys, log: Log, net: NetCore | None) -> None:
        self.slots, self.layout, self.keys, self.log, self.net = slots, layout, keys, log, net
        self.swaps = layout.mode is not SwapMode.OVERWRITE_ONLY
        self.swap = SwapMove(slots, log)
        self.swapped = self.net_updated = False

    def run(self) -> BootResult:
        """Finish or begin what the trailers ask for, then jump into the primary slot if that is valid."""
        self.log("I: Starting bootloader")
        status = self.swap.read_status() if self.swaps else Status()
        headers = self.swap.headers(status)
        if self.swaps and (headers[0] is None or (headers[1] is None and not status.is_reset)):
            self.log("W: Failed reading image headers; Image=0")
            swap_type = SwapType.NONE
        elif not status.is_reset:
            swap_type = status.swap_type
            self.complete(status, headers)
        else:
            swap_type = self.chosen(status)
            if swap_type in UPGRADES and self.is_primary_stuck():
                return BootResult(None, swap_type)
            self.perform(swap_type, status, headers)
        return self.jump(swap_type)

    # --- the decision ---

    def chosen(self, status: Status) -> SwapType:
        """The swap to begin now, after the image for it was found valid."""
        if status.swap_type is not SwapType.NONE:
            return status.swap_type if self.is_secondary_valid(status.swap_type) else SwapType.FAIL
        swap_type = decide(self.slots.primary.trailer(), self.slots.secondary.trailer())
        self.log(f"I: Image index: 0, Swap type: {_NAMES[swap_type]}")
        if swap_type is SwapType.NONE or not self.is_secondary_valid(swap_type):
            return SwapType.NONE
        if self.is_for_network_core():
            return self.update_network_core()
        return swap_type

    def is_for_network_core(self) -> bool:
        """True if the word where an image has its reset vector, as it lies in flash, is in the network core's slot."""
        vector = self.slots.secondary.image().reset_vector
        return self.net is not None and vector is not None and vector in self.layout.net.app

    def update_network_core(self) -> SwapType:
        """Hand the raw payload of the secondary slot over; no swap follows, and nothing can be reverted."""
        assert self.net is not None
        secondary = self.slots.secondary
        header = secondary.image().header
        firmware = Region("network image", secondary.area.region.start + header.hdr_size, header.img_size)
        self.log("I: Starting network core update")
        if not update_network_core(self.net, secondary.area.flash, firmware, self.log):
            return SwapType.FAIL
        self.log("I: Done updating network core")
        self.net_updated = True
        if self.swaps:
            secondary.erase_trailer()
        else:
            forget(secondary)
        return SwapType.NONE

    # --- the checks ---

    def is_secondary_valid(self, swap_type: SwapType) -> bool:
        """``boot_validate_slot``: an image that is refused is erased."""
        secondary = self.slots.secondary
        header = secondary.header()
        if secondary.is_header_erased() or (header is not None and header.flags & Flag.NON_BOOTABLE):
            self.forget_leftovers(swap_type)
            return False
        if not self.is_accepted(secondary, "secondary"):
            secondary.area.erase_all()
            self.log("E: Image in the secondary slot is not valid!")
            return False
        return self.is_linked_for_a_core()

    def forget_leftovers(self, swap_type: SwapType) -> None:
        """Without an image, a trailer in the secondary slot is what is left of an erase that was cut off."""
        if not self.swaps:
            return
        self.slots.secondary.erase_trailer()
        if swap_type is SwapType.REVERT:
            self.slots.primary.erase_trailer()
            self.log("I: Cleared image 0 primary slot trailer due to stuck revert")

    def is_linked_for_a_core(self) -> bool:
        """False, and the image is gone, for one that is linked for neither core's slot.

        A bootloader with encryption does not look: it cannot read the vector of an encrypted image.
        """
        vector = self.slots.secondary.image().reset_vector
        known = vector is not None and vector in self.slots.primary.area.region
        if known or self.keys.decryption is not None or self.is_for_network_core():
            return True
        self.log("E: Binary in secondary slot of image 0 is not designated for the primary slot")
        self.log("E: Erasing image from secondary slot")
        self.slots.secondary.area.erase_all()
        return False

    def is_accepted(self, slot: Slot, role: Role) -> bool:
        """Hash, signature, size and structure of the image in a slot, by the one judge."""
        try:
            image = slot.image()
        except FormatError:
            return False
        if role == "secondary" and image.encrypted and self.content_key(slot) is None:
            return False
        verdict = verify(image, self.keys.verifiers, enc_key=self.keys.decryption, slot=slot.geometry, role=role)
        return all(finding.code in _UNSEEN for finding in verdict.refusals)

    def is_primary_stuck(self) -> bool:
        """True if MCUboot stops at an assertion: it cannot tell the old image's size, or cannot encrypt it again."""
        if not self.swaps:
            return False
        primary = self.slots.primary
        try:
            needs_key = primary.image().encrypted and self.keys.decryption is not None
        except FormatError:
            self.log('assertion "rc == 0" failed')
            return True
        if not needs_key or self.content_key(primary) is not None:
            return False
        self.log('assertion "rc >= 0" failed')
        return True

    # --- the work ---

    def complete(self, status: Status, headers: Headers) -> None:
        """Continue the swap that a reset interrupted."""
        primary = self.slots.primary
        status.swap_size = primary.swap_size()
        if self.keys.saved_key_size:
            status.keys = [primary.key(0), primary.key(1)]
        self.swap.run(status, headers)
        finish(self.slots, status.swap_type)
        self.swapped = True

    def perform(self, swap_type: SwapType, status: Status, headers: Headers) -> None:
        """Do what was chosen, from its beginning."""
        if swap_type in UPGRADES and self.swaps:
            status.swap_type = swap_type
            status.swap_size = max(slot.image().size_bytes for slot in (self.slots.primary, self.slots.secondary))
            status.keys = [self.content_key(self.slots.primary), self.content_key(self.slots.secondary)]
            self.swap.run(status, headers)
            finish(self.slots, swap_type)
            self.swapped = status.swap_type is swap_type
        elif swap_type in UPGRADES:
            cipher = Cipher(headers[1], self.content_key(self.slots.secondary))
            overwrite(self.slots, self.slots.secondary.image().size_bytes, cipher, self.log)
            self.swapped = True
        elif swap_type is SwapType.FAIL and self.swaps:
            confirm_primary(self.slots)

    def content_key(self, slot: Slot) -> bytes | None:
        """The key of an encrypted image in a slot; None when there is none that can be unwrapped."""
        try:
            image = slot.image()
            tlv = image.encryption_key_tlv
            if tlv is None or self.keys.decryption is None or not image.encrypted:
                return None
            return unwrap_key(tlv, self.keys.decryption, self.keys.content_key_size)
        except (FormatError, SigningError):
            return None

    def jump(self, swap_type: SwapType) -> BootResult:
        """Check the primary slot and start what is in it."""
        result = BootResult(None, swap_type, swapped=self.swapped, net_updated=self.net_updated)
        primary = self.slots.primary
        if not self.is_accepted(primary, "primary"):
            self.log("E: Image in the primary slot is not valid!")
            self.log("E: Unable to find bootable image")
            return result
        image = primary.image()
        start = primary.area.region.start
        self.log(f"I: Bootloader chainload address offset: 0x{start:x}")
        version = image.header.version
        self.log(f"I: Image version: v{version.major}.{version.minor}.{version.revision}")
        self.log("I: Jumping to the first image slot")
        if image.reset_vector is None or image.reset_vector not in primary.area.region:
            return replace(result, crashed=True)
        return replace(result, running=RunningImage(image.header, image.hash or b""))
