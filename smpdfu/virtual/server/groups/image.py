"""Group 1, img, as the application on the application core serves it.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/img_mgmt``, with the options as the nRF Connect SDK sets them: erasing what is
pending is refused unless asked for, confirming an image other than image 0 (the network core's, or the external half of
the application) is refused unless asked for, no check of the whole image at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.image.format import HEADER_SIZE, IMAGE_MAGIC, Version, counted
from smpdfu.smp.groups.image import (
    Erase,
    ImageRc,
    ImageSlot,
    ImageUpload,
    SlotInfo,
    SlotInfoImage,
    SlotInfoReply,
    SlotInfoSlot,
    StateRead,
    StateReply,
    StateWrite,
    UploadReply,
)
from smpdfu.smp.message import Empty
from smpdfu.virtual.boot.slot import Slot, SlotError, Slots, trailer_sectors
from smpdfu.virtual.boot.swap.swap_type import SwapType
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Area, FlashError
from smpdfu.virtual.chip.storage import ERASED
from smpdfu.virtual.server.next_boot import RULES
from smpdfu.virtual.server.server import Answer, Refused
from smpdfu.virtual.server.slot_content import Content, content_of, is_blank

BLOCK_SIZE = 512
"""Bytes that are gathered in RAM before they are written (CONFIG_IMG_BLOCK_BUF_SIZE)."""
SHA_SIZE = 32
IMAGE_REQUESTS = (StateRead, StateWrite, ImageUpload, Erase, SlotInfo)
"""The requests of this group."""


class ConfirmsOthers(StrEnum):
    """Which slots of the images that do not run SMP may confirm; a test of their secondary slot is always taken.

    NONE is Zephyr's default. SECONDARY is CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_SECONDARY, ANY is
    ..._ANY: only this one can end the trial of the second half of an application.
    """

    NONE = "none"
    SECONDARY = "secondary"
    ANY = "any"


@dataclass(slots=True)
class Progress:
    """An upload under way. It lives in RAM: a reset forgets it, and with it the bytes of ``block``."""

    slot: int
    size: int
    sha: bytes
    off: int = 0
    block: bytes = b""


class ImageGroup:
    """Handlers over the slots of each image; image 0 runs, from its slot ``active``: the device sets it at each boot.

    ``mode`` is that of the bootloader, which the application is built for; ``without`` are requests that such a build
    does not have.
    ``erase_progressively``: a page is erased when an upload reaches it (CONFIG_IMG_ERASE_PROGRESSIVELY), and not at the
    first chunk with all others. ``allow_erase_pending``: what is pending may be erased or written over
    (CONFIG_MCUMGR_GRP_IMG_ALLOW_ERASE_PENDING); what a revert would go back to never is. ``confirms_others``: see
    there.
    """

    def __init__(
        self,
        images: Sequence[Slots],
        *,
        mode: BootMode = BootMode.MOVE,
        erase_progressively: bool = False,
        allow_erase_pending: bool = False,
        confirms_others: ConfirmsOthers = ConfirmsOthers.NONE,
    ) -> None:
        self.images = tuple(images)
        self.active = 0
        self._rules = RULES[mode]
        self.without: tuple[type[StateWrite], ...] = () if self._rules.takes_marks else (StateWrite,)
        self._erase_progressively = erase_progressively
        self._allow_erase_pending = allow_erase_pending
        self._confirms_others = confirms_others
        self.slots = tuple(slot for image in self.images for slot in image.places[: self._rules.reach])
        self.progress: Progress | None = None

    # --- state -------------------------------------------------------------------------------------------------------

    def on_state_read(self, request: StateRead) -> Answer:
        """The slots that hold an image."""
        listed = tuple(line for number in range(len(self.images)) for line in self._lines(number))
        entries = StateReply(listed, splitStatus=0).to_map()
        if len(self.images) == 1:  # such a build leaves the image's number out
            entries["images"] = [
                {key: value for key, value in line.to_map().items() if key != "image"} for line in listed
            ]
        return entries

    def on_state_write(self, request: StateWrite) -> Answer:
        """Mark an image for the next boot; the answer is the new list."""
        confirm = bool(request.confirm)
        self._set_next_boot(self._meant(request.hash or b"", confirm=confirm), confirm=confirm)
        return self.on_state_read(StateRead())

    def _meant(self, wanted: bytes, *, confirm: bool) -> int:
        """The flat number of the slot with this hash; without hash, what runs can be confirmed."""
        if not wanted and confirm:
            return self.active
        if len(wanted) != SHA_SIZE:
            raise Refused(ImageRc.INVALID_HASH)
        found = (number for number, slot in enumerate(self.slots) if _has_hash(slot, wanted))
        number = next(found, None)
        if number is None:
            raise Refused(ImageRc.HASH_NOT_FOUND)
        return number

    def _set_next_boot(self, number: int, *, confirm: bool) -> None:
        runs = number % 2 == self.active
        if confirm and number // 2 != 0 and not self._may_confirm_other(runs=runs):
            raise Refused(ImageRc.IMAGE_CONFIRMATION_DENIED)
        if runs and not confirm:
            raise Refused(ImageRc.IMAGE_SETTING_TEST_TO_ACTIVE_DENIED)
        if not self._rules.marks_in_place:
            boot = self.next_boot(number // 2)
            if (boot, runs, confirm) in _SETTLED:
                return
            if boot is not SwapType.NONE and (boot, runs, confirm) != (SwapType.REVERT, True, True):
                raise Refused(ImageRc.IMAGE_ALREADY_PENDING)
        self._mark(number, confirm=confirm)

    def next_boot(self, image: int = 0) -> SwapType:
        """What the next boot does with an image, as far as the application can tell."""
        return self._rules.next_boot(self.images[image], self.active)

    def _lines(self, number: int) -> list[ImageSlot]:
        boot = self.next_boot(number)
        running = {"active": True, "confirmed": boot is not SwapType.REVERT}
        other = {
            "pending": boot in (SwapType.TEST, SwapType.PERM),
            "confirmed": boot is SwapType.REVERT,
            "permanent": boot is SwapType.PERM,
        }
        found = enumerate(content_of(slot) for slot in self.images[number].places[: self._rules.reach])
        return [
            _line(number, slot, content, running if slot == self.active else other)
            for slot, content in found
            if content is not None
        ]

    def _mark(self, number: int, *, confirm: bool) -> None:
        slot, runs = self.slots[number], number % 2 == self.active
        try:
            if self._rules.marks_in_place:
                slot.mark_in_place(confirm=confirm)
            elif runs:
                slot.set_confirmed()
            else:
                slot.set_pending(permanent=confirm, image=number // 2)
        except SlotError:
            is_vector = runs and not self._rules.marks_in_place
            rc = ImageRc.INVALID_IMAGE_VECTOR_TABLE if is_vector else ImageRc.INVALID_IMAGE_HEADER_MAGIC
            raise Refused(rc) from None
        except FlashError:
            raise Refused(ImageRc.FLASH_WRITE_FAILED) from None

    def _may_confirm_other(self, *, runs: bool) -> bool:
        allowed = (ConfirmsOthers.ANY,) if runs else (ConfirmsOthers.ANY, ConfirmsOthers.SECONDARY)
        return self._confirms_others in allowed

    # --- upload ------------------------------------------------------------------------------------------------------

    def on_image_upload(self, request: ImageUpload) -> UploadReply:
        """Take a piece, or say which piece is wanted. A refusal ends the upload."""
        expected = self.progress.off if self.progress else 0
        if request.off not in (0, expected):
            return UploadReply(expected)
        try:
            progress = self._begin(request) if request.off == 0 else self._continue(request)
        except FlashError:
            self.progress = None
            raise Refused(ImageRc.FLASH_WRITE_FAILED) from None
        except Refused:
            self.progress = None
            raise
        self.progress = None if progress.off == progress.size else progress
        return UploadReply(progress.off)

    def _begin(self, request: ImageUpload) -> Progress:
        size = _check_first(request)
        sha = request.sha or b""
        if sha and self.progress is not None and self.progress.sha == sha:
            return self.progress
        number = self._free_slot(request.image or 0)
        slot = self.slots[number]
        if size > slot.area.size_bytes - slot.image_start:
            raise Refused(ImageRc.INVALID_IMAGE_TOO_LARGE)
        if request.upgrade and not self._is_upgrade(_version_in(request.data)):
            raise Refused(ImageRc.CURRENT_VERSION_IS_NEWER)
        if not is_blank(slot):
            _make_room(slot, 0 if self._erase_progressively else size)
        return self._write(Progress(number, size, sha), request.data)

    def _continue(self, request: ImageUpload) -> Progress:
        assert self.progress is not None  # an offset above 0 is expected only then
        if request.off + len(request.data) > self.progress.size:
            raise Refused(ImageRc.INVALID_IMAGE_DATA_OVERRUN)
        return self._write(self.progress, request.data)

    def _write(self, progress: Progress, data: bytes) -> Progress:
        """Write whole blocks; what is left waits in RAM for more, and the last bytes are filled up to a word."""
        slot = self.slots[progress.slot]
        area = slot.area
        waiting = progress.block + data
        start = slot.image_start + progress.off - len(progress.block)
        progress.off += len(data)
        whole = len(waiting) if progress.off == progress.size else len(waiting) // BLOCK_SIZE * BLOCK_SIZE
        progress.block = waiting[whole:]
        if whole:
            if self._erase_progressively:
                _erase_ahead(area, start, whole)
            area.program(start, waiting[:whole] + bytes([ERASED]) * (-whole % area.flash.write_size))
        return progress

    def _free_slot(self, image: int) -> int:
        """The flat number of the slot that an upload goes to. A build with one image does not look at the number."""
        if len(self.images) == 1:
            image = 0
        has_other = image < len(self.images) and self.images[image].other is not None
        if not has_other or self._is_needed(image):
            raise Refused(ImageRc.NO_FREE_SLOT)
        number = image * 2 + 1 - self.active
        if number >= len(self.slots):  # that of the firmware loader, while the application runs
            raise Refused(ImageRc.FLASH_OPEN_FAILED)
        return number

    def _is_needed(self, image: int) -> bool:
        """Does the next boot need what is in the slot of an image that does not run?"""
        if not self._rules.keeps_needed:
            return False
        boot = self.next_boot(image)
        return boot is SwapType.REVERT or (boot is not SwapType.NONE and not self._allow_erase_pending)

    def _is_upgrade(self, version: Version) -> bool:
        running = content_of(self.slots[self.active]) if self.active < len(self.slots) else None
        if running is None:
            raise Refused(ImageRc.VERSION_GET_FAILED)
        return counted(version) > counted(running.version)

    # --- the rest ----------------------------------------------------------------------------------------------------

    def on_erase(self, request: Erase) -> Empty:
        """Erase a slot that nothing needs: not the one that runs, is pending, or a revert would go back to."""
        number = 1 - self.active if request.slot is None else request.slot
        if number >= len(self.slots):
            raise Refused(ImageRc.FLASH_OPEN_FAILED)
        slot = self.slots[number]
        in_use = number % 2 == self.active or self._is_needed(number // 2)
        if in_use and content_of(slot) is not None:
            raise Refused(ImageRc.NO_FREE_SLOT)
        self.progress = None
        if not is_blank(slot):
            slot.area.erase_all()
        return Empty()

    def on_slot_info(self, request: SlotInfo) -> SlotInfoReply:
        """The sizes of the slots, and where an upload goes."""
        return SlotInfoReply(tuple(self._sizes(number) for number in range(len(self.images))))

    def _sizes(self, image: int) -> SlotInfoImage:
        slots = (
            SlotInfoSlot(
                slot=place,
                size=slot.area.size_bytes,
                upload_image_id=None if place == self.active else image,
            )
            for place, slot in enumerate(self.images[image].places[: self._rules.reach])
        )
        return SlotInfoImage(image, tuple(slots))


# (what the next boot does, is it the slot that runs, confirm) that are so already: nothing to do, and no error.
_SETTLED = {
    (SwapType.NONE, True, True),
    (SwapType.TEST, False, False),
    (SwapType.PERM, False, True),
    (SwapType.REVERT, False, True),
}


def _line(image: int, slot: int, content: Content, flags: dict[str, bool]) -> ImageSlot:
    version = str(content.version).replace("+", ".")  # SMP writes a dot where MCUboot's tools write a plus
    return ImageSlot(image=image, slot=slot, version=version, hash=content.hash, bootable=content.bootable, **flags)


def _has_hash(slot: Slot, wanted: bytes) -> bool:
    content = content_of(slot)
    return content is not None and content.hash == wanted


def _check_first(request: ImageUpload) -> int:
    """The size of the whole. Zephyr looks at the magic of the header and at nothing behind it, in this order."""
    if len(request.data) < HEADER_SIZE:
        raise Refused(ImageRc.INVALID_IMAGE_HEADER)
    if request.len is None:
        raise Refused(ImageRc.INVALID_LENGTH)
    if request.data[:4] != IMAGE_MAGIC.to_bytes(4, "little"):
        raise Refused(ImageRc.INVALID_IMAGE_HEADER_MAGIC)
    if request.sha is not None and len(request.sha) > SHA_SIZE:
        raise Refused(ImageRc.INVALID_HASH)
    return request.len


def _version_in(header: bytes) -> Version:
    """The version in the bytes of a header, whatever else they say: its last word but one and the word before."""
    return Version.from_bytes(header[HEADER_SIZE - 12 : HEADER_SIZE - 4])


def _make_room(slot: Slot, size_bytes: int) -> None:
    """Erase the pages that the image needs, and those of the trailer."""
    page = slot.geometry.sector_size
    total = slot.area.size_bytes
    end = slot.image_start + -(-size_bytes // page) * page
    slot.area.erase(0, end)
    trailer = total - trailer_sectors(slot.geometry) * page
    slot.area.erase(max(end, trailer), total - max(end, trailer))


def _erase_ahead(area: Area, start: int, size_bytes: int) -> None:
    """Erase the pages that begin within what is going to be written; a blank one is left alone."""
    page = area.flash.page_size
    for begin in range(-(-start // page) * page, start + size_bytes, page):
        if area.read(begin, page).count(ERASED) != page:
            area.erase(begin, page)
