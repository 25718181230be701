"""Group 8, fs, as the application serves it: one file is open at a time, between two requests for it.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/fs_mgmt``, and littlefs's answers to it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from smpdfu.smp.groups.fs import (
    FileClose,
    FileDownload,
    FileDownloadReply,
    FileHash,
    FileHashReply,
    FileStatus,
    FileStatusReply,
    FileUpload,
    FileUploadReply,
    FsRc,
    HashFormat,
    HashType,
    HashTypes,
    HashTypesReply,
)
from smpdfu.smp.message import HEADER_SIZE, Empty, MgmtRc
from smpdfu.virtual.server.files import Files, Full
from smpdfu.virtual.server.server import Refused

MOUNTS = ("/lfs1",)
"""Where the file systems of the virtual application are."""
PATH_MAX = 64
"""Bytes of a path (CONFIG_MCUMGR_GRP_FS_PATH_LEN)."""
PACKET_MAX = 1472
"""Bytes of an answer that a UDP packet carries: what the firmware is built for, with
CONFIG_MCUMGR_GRP_FS_DL_CHUNK_SIZE_LIMIT. Zephyr cannot send longer ones over UDP, nor can a client ask for less."""
TYPE_MAX = 8
"""Bytes of the name of a hash that are looked at."""
# Beside the header: the map, and "off", "data", "rc" and "len" with offsets of five bytes (fs_mgmt_config.h).
_OVERHEAD = HEADER_SIZE + 10 + (4 + 5) + (5 + 5) + 4 + (4 + 5)

# The first is the default of a request that names none.
_HASHES: dict[str, tuple[HashType, Callable[[bytes], int | bytes]]] = {
    "crc32": (HashType(HashFormat.UINT, 4), zlib.crc32),
    "sha256": (HashType(HashFormat.BYTES, 32), lambda data: hashlib.sha256(data).digest()),
}


@dataclass(slots=True)
class Upload:
    """The file that is open for writing: ``off`` bytes are there, of ``size``; None where nobody told. It is in RAM."""

    path: str
    off: int
    size: int | None


class FsGroup:
    """Handlers. ``buffer_size``: bytes of one of the server's buffers, which a piece of a download has to fit."""

    def __init__(self, files: Files, buffer_size: int, mounts: Collection[str] = MOUNTS) -> None:
        self.files = files
        self._mounts = mounts
        self._piece = min(buffer_size, PACKET_MAX) - _OVERHEAD
        self.upload: Upload | None = None

    def on_file_download(self, request: FileDownload) -> FileDownloadReply:
        """A piece of a file, as long as an answer has room for."""
        _check_path(request.name)
        self.upload = None
        size = self._size(request.name)
        data = self.files.read(request.name, request.off, self._piece)
        return FileDownloadReply(request.off, data, size if request.off == 0 else None)

    def on_file_upload(self, request: FileUpload) -> FileUploadReply:
        """Take a piece: the first makes the file anew, others go behind what is there."""
        _check_path(request.name)
        if request.off == 0 and request.len is None:
            raise Refused(MgmtRc.EINVAL)
        upload = self._open(request)
        if request.off and request.off != upload.off:
            raise Refused(FsRc.FILE_OFFSET_NOT_VALID, {"len": upload.off})
        self._write(upload, request.data)
        self.upload = None if upload.size and upload.off >= upload.size else upload
        return FileUploadReply(upload.off)

    def on_file_status(self, request: FileStatus) -> FileStatusReply:
        """How long a file is."""
        _check_path(request.name)
        return FileStatusReply(self._size(request.name))

    def on_file_hash(self, request: FileHash) -> FileHashReply:
        """A hash of a file, or of a part."""
        _check_path(request.name)
        kind = request.type or next(iter(_HASHES))
        if len(kind.encode()) > TYPE_MAX or request.len == 0:
            raise Refused(MgmtRc.EINVAL)
        if kind not in _HASHES:
            raise Refused(FsRc.CHECKSUM_HASH_NOT_FOUND)
        size = self._size(request.name)
        off = request.off or 0
        if size <= off:
            raise Refused(FsRc.FILE_OFFSET_LARGER_THAN_FILE if size else FsRc.FILE_EMPTY)
        data = self.files.read(request.name, off, size - off if request.len is None else min(request.len, size - off))
        return FileHashReply(kind, off or None, len(data), _HASHES[kind][1](data))

    def on_hash_types(self, request: HashTypes) -> HashTypesReply:
        """The kinds of hash."""
        return HashTypesReply({name: kind for name, (kind, _) in _HASHES.items()})

    def on_file_close(self, request: FileClose) -> Empty:
        """Forget the file that is open."""
        self.upload = None
        return Empty()

    def _open(self, request: FileUpload) -> Upload:
        """The upload that a piece belongs to; a file that is not open is opened, and made if there is none."""
        upload, self.upload = self.upload, None
        if upload is None or upload.path != request.name:
            self._check_place(request.name)
            upload = Upload(request.name, 0, None)
            if self.files.size(request.name) is None:
                self._clear(request.name)
        if request.off == 0:
            # Zephyr does not take its count back: a second copy of the first piece begins the file anew, and counts on.
            upload = Upload(request.name, upload.off, request.len)
            if request.data:  # without any, what is there is left alone: truncating comes with the writing
                self._clear(request.name)
        elif upload.off == 0:
            upload.off = self.files.size(request.name) or 0
        return upload

    def _clear(self, path: str) -> None:
        try:
            self.files.clear(path)
        except (Full, OSError):
            raise Refused(FsRc.UNKNOWN) from None

    def _write(self, upload: Upload, data: bytes) -> None:
        try:
            self.files.append(upload.path, data)
        except (Full, OSError):
            raise Refused(FsRc.FILE_WRITE_FAILED) from None
        upload.off += len(data)

    def _size(self, path: str) -> int:
        if path.rstrip("/") in self._mounts:
            raise Refused(FsRc.FILE_IS_DIRECTORY)
        if not path.startswith("/") or path == "/":
            raise Refused(FsRc.FILE_INVALID_NAME)
        size = self.files.size(path)
        if size is None:
            raise Refused(FsRc.FILE_NOT_FOUND)
        return size

    def _check_place(self, path: str) -> None:
        """Can a file be there? Only right below a mount point: SMP can make no directories."""
        if not path.startswith("/") or path == "/":
            raise Refused(FsRc.FILE_INVALID_NAME)
        folder, _, name = path.rpartition("/")
        if path in self._mounts or not name:
            raise Refused(FsRc.UNKNOWN)  # a directory: no code says so
        if folder not in self._mounts:
            raise Refused(FsRc.MOUNT_POINT_NOT_FOUND)


def _check_path(path: str) -> None:
    if not 0 < len(path.encode()) <= PATH_MAX:
        raise Refused(MgmtRc.EINVAL)
