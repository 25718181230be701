"""What a device says about itself: read once, then only looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smpdfu.errors import FormatError
from smpdfu.image.format import Version
from smpdfu.image.trailer import SwapMode
from smpdfu.smp.groups.image import ImageSlot, SlotInfoImage
from smpdfu.smp.groups.os import BootloaderMode

PRIMARY, SECONDARY = 0, 1

# How a bootloader brings an image into the primary slot, for those that do.
SWAP_MODES = {
    BootloaderMode.SWAP_USING_SCRATCH: SwapMode.SCRATCH,
    BootloaderMode.OVERWRITE_ONLY: SwapMode.OVERWRITE_ONLY,
    BootloaderMode.SWAP_WITHOUT_SCRATCH: SwapMode.MOVE,
    BootloaderMode.SWAP_USING_MOVE: SwapMode.MOVE,
    BootloaderMode.SWAP_USING_OFFSET: SwapMode.OFFSET,
}


class Scheme(StrEnum):
    """How the two cores of an nRF5340 are updated.

    STAGED: one image pair; the network core's image passes through the application core's secondary slot.
    SIMULTANEOUS: two images, one reset.
    """

    STAGED = "staged"
    SIMULTANEOUS = "simultaneous"


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The answers of one device. What it did not tell is None or empty.

    ``slots`` is its list of images, ``sizes`` its slot info, ``mode`` the bootloader's mode, ``board`` its hardware
    platform in Zephyr's words (``nrf5340dk/nrf5340/cpuapp``).
    """

    slots: tuple[ImageSlot, ...]
    sizes: tuple[SlotInfoImage, ...] = ()
    mode: BootloaderMode | None = None
    no_downgrade: bool = False
    board: str | None = None

    def slot(self, slot: int, image: int = 0) -> ImageSlot | None:
        """What lies in this slot of this image; None if the device lists nothing there."""
        return next((found for found in self.slots if found.image == image and found.slot == slot), None)

    def size_bytes(self, slot: int, image: int = 0) -> int | None:
        """The size of a slot; None if the device does not tell."""
        slots = (one for info in self.sizes if info.image == image for one in info.slots)
        return next((one.size for one in slots if one.slot == slot), None)

    def max_image_size_bytes(self, image: int = 0) -> int | None:
        """The largest upload that the device takes for this image; None if it does not tell."""
        return next((info.max_image_size for info in self.sizes if info.image == image), None)

    @property
    def running(self) -> ImageSlot | None:
        """The application image that runs; None if the device does not say which one does."""
        return next((slot for slot in self.slots if slot.image == 0 and slot.active), None)

    @property
    def other(self) -> ImageSlot | None:
        """The image in the slot that does not run, where an upload goes."""
        return next((slot for slot in self.slots if slot.image == 0 and not slot.active), None)

    @property
    def scheme(self) -> Scheme:
        """Told by the images that the device lists or has slots for."""
        images = {slot.image for slot in self.slots} | {info.image for info in self.sizes}
        return Scheme.SIMULTANEOUS if len(images) > 1 else Scheme.STAGED

    @property
    def can_revert(self) -> bool | None:
        """True if an unconfirmed application image is rolled back; None if the device does not tell."""
        mode = self.swap_mode
        return None if mode is None else mode is not SwapMode.OVERWRITE_ONLY

    @property
    def swap_mode(self) -> SwapMode | None:
        """How images get into the primary slot; None if the device does not tell, or they do not."""
        return None if self.mode is None else SWAP_MODES.get(self.mode)


def mode_of(number: int | None) -> BootloaderMode | None:
    """The bootloader's mode from the number that a device tells; UNKNOWN for one that we do not know."""
    try:
        return None if number is None else BootloaderMode(number)
    except ValueError:
        return BootloaderMode.UNKNOWN


def version_of(slot: ImageSlot) -> Version | None:
    """The version in a slot; None if the device told something that is none."""
    try:
        return Version.from_text(slot.version)
    except (ValueError, FormatError):
        return None
