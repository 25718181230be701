"""Group 1, img: the images in the slots.

Source: Zephyr, "Application/software image management group" (smp_group_1.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp import cbor
from smpdfu.smp.body import I32, U32, U64, Body
from smpdfu.smp.message import Empty, Op, Request, Response

GROUP = 1
_U32_MAX = 0xFFFFFFFF
_MAP_OF_OFF, _DATA = b"\xa2\x63off", b"\x64data"  # a map of two, text of three bytes; text of four


class ImageRc(IntEnum):
    """Result codes of the img group."""

    OK = 0
    UNKNOWN = 1
    FLASH_CONFIG_QUERY_FAIL = 2
    NO_IMAGE = 3
    NO_TLVS = 4
    INVALID_TLV = 5
    TLV_MULTIPLE_HASHES_FOUND = 6
    TLV_INVALID_SIZE = 7
    HASH_NOT_FOUND = 8
    NO_FREE_SLOT = 9
    FLASH_OPEN_FAILED = 10
    FLASH_READ_FAILED = 11
    FLASH_WRITE_FAILED = 12
    FLASH_ERASE_FAILED = 13
    INVALID_SLOT = 14
    NO_FREE_MEMORY = 15
    FLASH_CONTEXT_ALREADY_SET = 16
    FLASH_CONTEXT_NOT_SET = 17
    FLASH_AREA_DEVICE_NULL = 18
    INVALID_PAGE_OFFSET = 19
    INVALID_OFFSET = 20
    INVALID_LENGTH = 21
    INVALID_IMAGE_HEADER = 22
    INVALID_IMAGE_HEADER_MAGIC = 23
    INVALID_HASH = 24
    INVALID_FLASH_ADDRESS = 25
    VERSION_GET_FAILED = 26
    CURRENT_VERSION_IS_NEWER = 27
    IMAGE_ALREADY_PENDING = 28
    INVALID_IMAGE_VECTOR_TABLE = 29
    INVALID_IMAGE_TOO_LARGE = 30
    INVALID_IMAGE_DATA_OVERRUN = 31
    IMAGE_CONFIRMATION_DENIED = 32
    IMAGE_SETTING_TEST_TO_ACTIVE_DENIED = 33
    ACTIVE_SLOT_NOT_KNOWN = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSlot(Body):
    """One slot in the list.

    ``slot`` is 0 or 1 within ``image``; devices with one image leave ``image`` out. ``version`` is "maj.min.rev",
    followed by ".build" if that is not 0 (MCUboot's tools write a plus). ``hash`` is the hash in the image's SHA TLV,
    not of the file; some bootloaders do not report it. Flags that a device leaves out are false.
    """

    image: U32 = 0
    slot: U32
    version: str = ""
    hash: bytes | None = None
    bootable: bool = False
    pending: bool = False
    confirmed: bool = False
    active: bool = False
    permanent: bool = False

    @property
    def waits(self) -> bool:
        """True if it boots next. Some servers set only ``permanent`` for an image that is marked permanent."""
        return not self.active and (self.pending or self.permanent)


@dataclass(frozen=True, slots=True)
class StateReply(Response):
    """The slots that have an image."""

    images: tuple[ImageSlot, ...]
    splitStatus: U32 | None = None  # noqa: N815 - the key in the specification


@dataclass(frozen=True, slots=True)
class StateRead(Request[StateReply]):
    """Ask for the list of images."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "img state read"
    response: ClassVar[type[Response]] = StateReply


@dataclass(frozen=True, slots=True)
class StateWrite(Request[StateReply]):
    """Mark the image with ``hash`` for a test, or permanent with ``confirm``. No hash: confirm the running one."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "img state write"
    response: ClassVar[type[Response]] = StateReply

    hash: bytes | None = None
    confirm: bool | None = None


@dataclass(frozen=True, slots=True)
class UploadReply(Response):
    """``off`` is the next byte that the device expects. ``match`` says whether the flash has the bytes of ``sha``."""

    off: U32
    match: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUpload(Request[UploadReply]):
    """Send a piece of an image. Only the first piece has more than ``off`` and ``data``.

    ``sha`` is the SHA-256 of all bytes of the upload. With ``upgrade`` the device refuses a version that is not higher.
    """

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 1
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "img upload"
    response: ClassVar[type[Response]] = UploadReply

    image: U32 | None = None
    off: U32
    len: U32 | None = None
    sha: bytes | None = None
    data: bytes = b""
    upgrade: bool | None = None

    def to_body(self) -> bytes:
        """Return the map as CBOR. A piece after the first is put together here, because an upload has so many."""
        off, data = self.off, self.data
        if type(off) is not int or not 0 <= off <= _U32_MAX or type(data) is not bytes or self._has_more:
            return Request.to_body(self)
        heads = (_MAP_OF_OFF, cbor.head(cbor.UINT, off), _DATA, cbor.head(cbor.BYTES, len(data)))
        return b"".join((*heads, data))

    @property
    def _has_more(self) -> bool:
        """True if it has more than ``off`` and ``data``."""
        return not (self.image is None and self.len is None and self.sha is None and self.upgrade is None)


@dataclass(frozen=True, slots=True)
class Erase(Request[Empty]):
    """Erase a slot. ``slot`` is image * 2 + slot; None: the slot that does not run."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 5
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "img erase"
    response: ClassVar[type[Response]] = Empty

    slot: U32 | None = None


@dataclass(frozen=True, slots=True)
class SlotInfoSlot(Body):
    """A slot: its ``size`` in bytes, or the error ``rc`` of Zephyr's driver if the slot cannot be read (such as -19).

    ``upload_image_id`` is the image number for an upload into this slot.
    """

    slot: U32
    size: U64 | None = None
    upload_image_id: U32 | None = None
    rc: I32 | None = None


@dataclass(frozen=True, slots=True)
class SlotInfoImage(Body):
    """The slots of one image. ``max_image_size`` is in bytes; None if the build does not report it."""

    image: U32
    slots: tuple[SlotInfoSlot, ...]
    max_image_size: U64 | None = None


@dataclass(frozen=True, slots=True)
class SlotInfoReply(Response):
    """The slots of every image, with or without an image in them."""

    images: tuple[SlotInfoImage, ...]


@dataclass(frozen=True, slots=True)
class SlotInfo(Request[SlotInfoReply]):
    """Ask for the sizes of the slots."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 6
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "img slot info"
    response: ClassVar[type[Response]] = SlotInfoReply
