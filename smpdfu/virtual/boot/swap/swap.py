"""What MCUboot's ways of swapping share: the record of a swap under way, and the copy that encrypts.

Source: MCUboot's design document ("Image swapping"), ``loader.c`` (``boot_copy_region``) and ``swap_misc.c``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from smpdfu.image.format import Header
from smpdfu.image.signing.encrypt import ctr
from smpdfu.image.trailer import SwapMode, Trailer
from smpdfu.virtual.boot.slot import Slot, Slots, trailer_sectors
from smpdfu.virtual.boot.swap.swap_type import UPGRADES, SwapType, recorded

Log = Callable[[str], None]
Headers = tuple[Header | None, Header | None]

COPY_CHUNK = 1024  # BUF_SZ of loader.c: what one flash write of a copy carries
_COPIED_AT_ONCE = 4 * COPY_CHUNK  # here: a page of flash
AES_BLOCK = 16
_FLAG_NUMBERS = {"set": 1, "bad": 2, "unset": 3}


class Step(IntEnum):
    """The two halves of a swap using move; the other ways have only the first."""

    MOVE = 1
    SWAP = 2


@dataclass
class Status:
    """How far a swap has come (``struct boot_status``). ``index`` and ``state`` count from 1.

    ``resumed`` is True when the primary slot's trailer already describes this swap. ``keys`` are the content keys of
    the images that are in slot 0 and 1 before the swap, None for an image that is not encrypted; ``tlv_sizes`` the
    bytes of their unprotected TLVs.
    """

    step: Step = Step.MOVE
    index: int = 1
    state: int = 1
    swap_type: SwapType = SwapType.NONE
    swap_size: int = 0
    resumed: bool = False
    keys: list[bytes | None] = field(default_factory=lambda: [None, None])
    tlv_sizes: tuple[int, int] = (0, 0)

    @property
    def is_reset(self) -> bool:
        """True while no step of the swap was recorded."""
        return (self.step, self.index, self.state) == (Step.MOVE, 1, 1)


class Swap(ABC):
    """One of MCUboot's ways to bring the image of the secondary slot into the primary one."""

    name: str
    """What the log calls it."""

    def __init__(self, slots: Slots, log: Log) -> None:
        self.slots = slots
        self.log = log

    def source(self) -> Slot | None:
        """Where a swap under way is recorded, as the trailers tell; None when there is none.

        Without a scratch area: the primary slot, once the secondary one is no longer marked.
        """
        primary, secondary = self.slots.primary.trailer(), self.slots.secondary.trailer()
        log_trailer(self.log, "Primary image", primary)
        log_trailer(self.log, "Secondary image", secondary)
        begun = primary.magic == "good" and primary.copy_done == "unset" and secondary.magic != "good"
        return self.slots.primary if begun else None

    @abstractmethod
    def position(self, entries: int) -> Status:
        """Where to go on after that many status entries."""

    @abstractmethod
    def headers(self, status: Status) -> Headers:
        """The headers of both images, wherever the swap under way has brought them."""

    @abstractmethod
    def run(self, status: Status, headers: Headers) -> None:
        """Do all of the swap that is not done yet. ``headers`` are those of the images before the swap.

        ``status.swap_type`` becomes NONE when the images leave no room to swap them.
        """

    def read_status(self) -> Status:
        """The swap under way, or a reset ``Status`` when there is none."""
        found = self.source()
        if found is None:
            self.log("I: Boot source: none")
            return Status()
        self.log(f"I: Boot source: {'primary slot' if found is self.slots.primary else 'scratch'}")
        status = self.position(found.status_entries())
        status.resumed = found is self.slots.primary
        status.swap_type = recorded(found.trailer().swap_info)
        return status

    def are_readable(self, status: Status, headers: Headers) -> bool:
        """True if these headers are enough to go on: the primary one, and both in the middle of a swap."""
        return headers[0] is not None and (headers[1] is not None or status.is_reset)

    def record(self) -> Slot:
        """Where size and keys of a swap under way are to be read (``boot_find_status``)."""
        return self.slots.primary

    def secondary_start(self, swap_type: SwapType) -> int:
        """Where in the secondary slot the image begins that a swap of this type brings in."""
        return 0

    @property
    def sector(self) -> int:
        """The size of a sector in bytes."""
        return self.slots.primary.geometry.sector_size

    def sectors(self, size: int) -> int:
        """How many sectors that many bytes reach into; at least one."""
        return max(-(-size // self.sector), 1)

    def fits(self, required: int) -> bool:
        """True if that many sectors stay clear of the trailer."""
        geometry = self.slots.primary.geometry
        free = geometry.size_bytes // self.sector - trailer_sectors(geometry)
        if required <= free:
            return True
        self.log("W: Not enough free space to run swap upgrade")
        self.log(f"W: required {required * self.sector} bytes but only {free * self.sector} are available")
        return False


class Cipher:
    """Encrypts, or decrypts, the payload of an image on its way between the slots."""

    def __init__(self, header: Header | None, key: bytes | None) -> None:
        """Without a header, an encrypted image or a key nothing is changed on the way."""
        self._start = self._end = 0
        if header is not None and key is not None and header.encrypted:
            self._start, self._end = header.hdr_size, header.hdr_size + header.img_size
            self._stream = ctr(bytes(header.img_size + AES_BLOCK), key)

    def apply_by_chunks(self, offset: int, data: bytes) -> bytes:
        """``apply`` for each chunk of ``data``."""
        if not self._end:
            return data
        chunks = range(0, len(data), COPY_CHUNK)
        return b"".join(self.apply(offset + done, data[done : done + COPY_CHUNK]) for done in chunks)

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


def copy(source: Place, target: Place, size: int, cipher: Cipher = NO_CIPHER, *, image_offset: int = -1) -> None:
    """Copy into erased flash. ``image_offset`` is where in the image the data belong, as the cipher counts.

    Without it the image begins where the target slot does.
    """
    first = target.offset if image_offset < 0 else image_offset
    for done in range(0, size, _COPIED_AT_ONCE):
        data = source.slot.area.read(source.offset + done, min(_COPIED_AT_ONCE, size - done))
        target.slot.area.program_pieces(target.offset + done, cipher.apply_by_chunks(first + done, data), COPY_CHUNK)


def init_status(target: Slot, slots: Slots, status: Status) -> None:
    """Write into the erased trailer of ``target`` what a swap needs to be continued; the magic makes it valid."""
    confirmed = slots.secondary.trailer().image_ok == "set"
    if status.swap_type is not SwapType.NONE:
        target.write_swap_info(status.swap_type, slots.image)
    if confirmed:
        target.write_image_ok()
    write_record(target, status)


def write_record(target: Slot, status: Status) -> None:
    """The last fields of ``init_status``: the sizes, the keys, the magic."""
    target.write_swap_size(status.swap_size)
    if target.geometry.mode is SwapMode.OFFSET:
        target.write_tlv_sizes(*status.tlv_sizes)
    if target.geometry.encrypted_key_size:
        for slot, key in enumerate(status.keys):
            target.write_key(slot, key)
    target.write_magic()


def read_record(source: Slot, status: Status) -> None:
    """Read back what ``write_record`` wrote."""
    status.swap_size = source.swap_size()
    if source.geometry.mode is SwapMode.OFFSET:
        status.tlv_sizes = source.tlv_sizes()
    if source.geometry.encrypted_key_size:
        status.keys = [source.key(0), source.key(1)]


def ciphers(status: Status, headers: Headers) -> tuple[Cipher, Cipher]:
    """What encrypts the primary image on its way out, and what decrypts the secondary one on its way in."""
    encrypt, decrypt = (Cipher(header, key) for header, key in zip(headers, status.keys, strict=True))
    return encrypt, decrypt


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
        f"I: {name}: magic={trailer.magic}, swap_type=0x{trailer.swap_type:x}, "
        f"copy_done=0x{copy_done:x}, image_ok=0x{image_ok:x}"
    )
