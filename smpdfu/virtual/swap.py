"""What MCUboot's ways of swapping share: the decision, the record of a swap under way, and the copy that encrypts.

Source: MCUboot's design document ("Image swapping"), ``bootutil_public.c`` (the table of swap types), ``loader.c``
(``boot_copy_region``) and ``swap_misc.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from smpdfu.image.encrypt import ctr
from smpdfu.image.format import Header
from smpdfu.image.trailer import Trailer
from smpdfu.virtual.slot import Slot, Slots

Log = Callable[[str], None]

COPY_CHUNK = 1024  # BUF_SZ of loader.c: what one flash write of a copy carries
AES_BLOCK = 16
_FLAG_NUMBERS = {"set": 1, "bad": 2, "unset": 3}


class SwapType(IntEnum):
    """What the bootloader is going to do (BOOT_SWAP_TYPE_...)."""

    NONE = 1
    TEST = 2
    PERM = 3
    REVERT = 4
    FAIL = 5


UPGRADES = (SwapType.TEST, SwapType.PERM, SwapType.REVERT)


def decide(primary: Trailer, secondary: Trailer) -> SwapType:
    """The swap that the trailers ask for when none is under way: the table of ``bootutil_public.c``, top row first.

    ================ ================== =========================================== =========
    secondary: magic secondary image_ok primary                                     swap type
    ================ ================== =========================================== =========
    good             unset              anything                                    test
    good             set                anything                                    permanent
    unset            anything           magic good, copy_done set, image_ok unset   revert
    anything else                                                                   none
    ================ ================== =========================================== =========
    """
    if secondary.magic == "good" and secondary.image_ok == "unset":
        return SwapType.TEST
    if secondary.magic == "good" and secondary.image_ok == "set":
        return SwapType.PERM
    unconfirmed = (primary.magic, primary.copy_done, primary.image_ok) == ("good", "set", "unset")
    return SwapType.REVERT if unconfirmed and secondary.magic == "unset" else SwapType.NONE


class Step(IntEnum):
    """The two halves of a swap using move."""

    MOVE = 1
    SWAP = 2


@dataclass
class Status:
    """How far a swap has come (``struct boot_status``). ``index`` and ``state`` count from 1.

    ``resumed`` is True when the primary slot's trailer already describes this swap. ``keys`` are the content keys of
    the images that are to be in slot 0 and 1 before the swap; None for an image that is not encrypted.
    """

    step: Step = Step.MOVE
    index: int = 1
    state: int = 1
    swap_type: SwapType = SwapType.NONE
    swap_size: int = 0
    resumed: bool = False
    keys: list[bytes | None] = field(default_factory=lambda: [None, None])

    @property
    def is_reset(self) -> bool:
        """True while no step of the swap was recorded."""
        return (self.step, self.index, self.state) == (Step.MOVE, 1, 1)


class Cipher:
    """Encrypts, or decrypts, the payload of an image on its way between the slots."""

    def __init__(self, header: Header | None, key: bytes | None) -> None:
        """Without a header, an encrypted image or a key nothing is changed on the way."""
        self._start = self._end = 0
        if header is not None and key is not None and header.encrypted:
            self._start, self._end = header.hdr_size, header.hdr_size + header.img_size
            self._stream = ctr(bytes(header.img_size + AES_BLOCK), key)

    def apply(self, offset: int, chunk: bytes) -> bytes:
        """The bytes of the image at ``offset``, with the part of them that is payload en- or decrypted.

        As in MCUboot a chunk's key stream begins at a whole cipher block: with a header size that is not a multiple of
        16 this ruins the image.
        """
        start, end = max(self._start, offset), min(self._end, offset + len(chunk))
        if start >= end:
            return chunk
        block = (start - self._start) // AES_BLOCK * AES_BLOCK
        stream = self._stream[block : block + end - start]
        mixed = int.from_bytes(chunk[start - offset : end - offset], "little") ^ int.from_bytes(stream, "little")
        return chunk[: start - offset] + mixed.to_bytes(end - start, "little") + chunk[end - offset :]


NO_CIPHER = Cipher(None, None)


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a slot."""

    slot: Slot
    offset: int


def copy(source: Place, target: Place, size: int, cipher: Cipher = NO_CIPHER) -> None:
    """Copy into erased flash. ``target.offset`` is where in its image the data belong, as the cipher counts."""
    for done in range(0, size, COPY_CHUNK):
        chunk = source.slot.area.read(source.offset + done, min(COPY_CHUNK, size - done))
        offset = target.offset + done
        target.slot.area.program(offset, cipher.apply(offset, chunk))


def init_status(slots: Slots, status: Status) -> None:
    """Write into the primary slot's erased trailer what a swap needs to be continued; the magic makes it valid."""
    primary = slots.primary
    confirmed = slots.secondary.trailer().image_ok == "set"
    if status.swap_type is not SwapType.NONE:
        primary.write_swap_info(status.swap_type)
    if confirmed:
        primary.write_image_ok()
    primary.write_swap_size(status.swap_size)
    if primary.geometry.encrypted_key_size:
        for slot, key in enumerate(status.keys):
            primary.write_key(slot, key)
    primary.write_magic()


def finish(slots: Slots, swap_type: SwapType) -> None:
    """Mark a swap as complete; after a permanent one or a revert the image counts as confirmed."""
    if swap_type in (SwapType.PERM, SwapType.REVERT):
        confirm_primary(slots)
    if swap_type in UPGRADES:
        slots.primary.write_copy_done()


def confirm_primary(slots: Slots) -> None:
    """Set image_ok unless it is set (``swap_set_image_ok``)."""
    if slots.primary.trailer().image_ok == "unset":
        slots.primary.write_image_ok()


def log_trailer(log: Log, name: str, trailer: Trailer) -> None:
    """One line of MCUboot's about a slot's trailer; in flags, 1 is set, 2 bad, 3 unset."""
    copy_done, image_ok = _FLAG_NUMBERS[trailer.copy_done], _FLAG_NUMBERS[trailer.image_ok]
    log(
        f"I: {name} image: magic={trailer.magic}, swap_type=0x{trailer.swap_type:x}, "
        f"copy_done=0x{copy_done:x}, image_ok=0x{image_ok:x}"
    )
