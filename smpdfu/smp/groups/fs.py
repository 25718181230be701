"""Group 8, fs: files in the device's file systems.

Source: Zephyr, "File management" (smp_group_8.rst).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from smpdfu.smp.body import U8, U32, U64, Body
from smpdfu.smp.message import Empty, Op, Request, Response

GROUP = 8
_ResponseKind = type[Response]  # by another name where a field is called "type"


class FsRc(IntEnum):
    """Result codes of the fs group."""

    OK = 0
    UNKNOWN = 1
    FILE_INVALID_NAME = 2
    FILE_NOT_FOUND = 3
    FILE_IS_DIRECTORY = 4
    FILE_OPEN_FAILED = 5
    FILE_SEEK_FAILED = 6
    FILE_READ_FAILED = 7
    FILE_TRUNCATE_FAILED = 8
    FILE_DELETE_FAILED = 9
    FILE_WRITE_FAILED = 10
    FILE_OFFSET_NOT_VALID = 11
    FILE_OFFSET_LARGER_THAN_FILE = 12
    CHECKSUM_HASH_NOT_FOUND = 13
    MOUNT_POINT_NOT_FOUND = 14
    READ_ONLY_FILESYSTEM = 15
    FILE_EMPTY = 16
    FILE_CLOSE_FAILED = 17


class HashFormat(IntEnum):
    """The form of a hash on the wire."""

    UINT = 0
    BYTES = 1


@dataclass(frozen=True, slots=True)
class FileDownloadReply(Response):
    """A piece of the file, from ``off``. The piece at 0 also has ``len``, the size of the whole file in bytes."""

    off: U64
    data: bytes
    len: U64 | None = None


@dataclass(frozen=True, slots=True)
class FileDownload(Request[FileDownloadReply]):
    """Ask for a piece of the file ``name`` (an absolute path) from ``off``. The device decides its length."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "fs download"
    response: ClassVar[type[Response]] = FileDownloadReply

    name: str
    off: U64 = 0


@dataclass(frozen=True, slots=True)
class FileUploadReply(Response):
    """``off`` is the size of the file now, in bytes. The device refuses a wrong one (``FILE_OFFSET_NOT_VALID``)."""

    off: U64


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUpload(Request[FileUploadReply]):
    """Send a piece of a file. The piece at 0 replaces the file; only it has ``len``, the size of the whole file."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 0
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "fs upload"
    response: ClassVar[type[Response]] = FileUploadReply

    name: str
    off: U64
    len: U64 | None = None
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class FileStatusReply(Response):
    """``len`` is the size of the file in bytes."""

    len: U64


@dataclass(frozen=True, slots=True)
class FileStatus(Request[FileStatusReply]):
    """Ask for the size of the file ``name``."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 1
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "fs status"
    response: ClassVar[type[Response]] = FileStatusReply

    name: str


@dataclass(frozen=True, slots=True)
class FileHashReply(Response):
    """``output`` is the hash (bytes) or checksum (integer) ``type`` over ``len`` bytes from ``off`` (None: 0)."""

    type: str
    off: U64 | None = None
    len: U64 | None = None
    output: U64 | bytes = b""


@dataclass(frozen=True, slots=True)
class FileHash(Request[FileHashReply]):
    """Ask for the hash ``type`` (None: the first of the device) of a file, or of ``len`` bytes from ``off``."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 2
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "fs hash"
    response: ClassVar[_ResponseKind] = FileHashReply

    name: str
    type: str | None = None
    off: U64 | None = None
    len: U64 | None = None


@dataclass(frozen=True, slots=True)
class HashType(Body):
    """A kind of hash. ``format`` is a ``HashFormat``, ``size`` the length of the output in bytes."""

    format: U8
    size: U32


@dataclass(frozen=True, slots=True)
class HashTypesReply(Response):
    """The kinds of hash, by name."""

    types: dict[str, HashType]


@dataclass(frozen=True, slots=True)
class HashTypes(Request[HashTypesReply]):
    """Ask which kinds of hash the device can compute."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 3
    op: ClassVar[Op] = Op.READ
    title: ClassVar[str] = "fs hash types"
    response: ClassVar[type[Response]] = HashTypesReply


@dataclass(frozen=True, slots=True)
class FileClose(Request[Empty]):
    """Close the file, which the device keeps open between two pieces."""

    group: ClassVar[int] = GROUP
    command: ClassVar[int] = 4
    op: ClassVar[Op] = Op.WRITE
    title: ClassVar[str] = "fs close"
    response: ClassVar[type[Response]] = Empty
