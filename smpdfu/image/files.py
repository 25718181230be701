"""Files in and out: firmware as .bin or .hex, key files, whole or not at all. The only module here that opens files.

Errors of the file system are ``OSError`` with the name that the caller gave; what is wrong in a file is one of ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.errors import FormatError, ImageError, KeyFileError
from smpdfu.image import hexfile
from smpdfu.image.hexfile import Segment
from smpdfu.image.identify import FileKind, identify

if TYPE_CHECKING:
    from smpdfu.image.keys import PrivateKey, PublicKey

__all__ = [
    "CoreSplit",
    "FileKind",
    "Firmware",
    "Segment",
    "encode_firmware",
    "identify",
    "parse_firmware",
    "read_firmware",
    "read_key_file",
    "split_cores",
    "write_file_atomic",
    "write_key_file",
]

StrPath = str | os.PathLike[str]

# nRF5340 product specification, memory map: where each core's flash is, and what else lies between (UICR).
_REGIONS = (("app", 0, 0x00FF_8000), ("", 0x00FF_8000, 0x0100_0000), ("net", 0x0100_0000, 0x0104_0000))
_REST = ("", 0x0104_0000, 1 << 32)

# A gap that no image has inside: two parts so far apart belong to different memories.
MAX_GAP_BYTES = 1 << 20

_NO_FIRMWARE = {
    FileKind.EMPTY: "is empty",
    FileKind.ELF: "is an ELF file: use the .hex or .bin that the build makes from it",
    FileKind.UF2: "is a UF2 file: use the .hex or .bin that it was made from",
    FileKind.DFU_APPLICATION_ZIP: "is a dfu_application.zip, not firmware: the images inside are signed already",
    FileKind.SECURE_DFU_ZIP: "is a Secure DFU package of the nRF5 SDK: MCUboot does not take such packages",
    FileKind.ZIP: "is a zip archive, not firmware",
    FileKind.PEM: "is a key or certificate, not firmware",
}


# --- firmware -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Firmware:
    """What a firmware file holds: segments in ascending order. ``addressed`` is False for a .bin, which starts at 0."""

    segments: tuple[Segment, ...]
    addressed: bool

    @property
    def base(self) -> int | None:
        """The lowest address; None for a .bin."""
        return self.segments[0].address if self.addressed else None

    def flat(self, fill: int = 0xFF, max_gap: int = MAX_GAP_BYTES) -> bytes:
        """All bytes from the lowest address on, gaps filled; raises ``ImageError`` where a gap is too wide."""
        data = bytearray()
        for before, segment in zip(self.segments, self.segments[1:], strict=False):
            if segment.address - before.end > max_gap:
                raise ImageError(
                    f"the file has parts far apart, up to 0x{before.end - 1:08x} and from 0x{segment.address:08x} on: "
                    "one image cannot hold both (`smpdfu package --merged` takes a merged hex of both cores apart)"
                )
        for segment in self.segments:
            data += bytes([fill]) * (segment.address - self.segments[0].address - len(data))
            data += segment.data
        return bytes(data)


def parse_firmware(data: bytes, name: str = "the file") -> Firmware:
    """Read Intel HEX, known by its content, or take the bytes as they are; MCUboot images are firmware too.

    Raises ``ImageError`` for what cannot be firmware (an archive, an ELF file, a key, nothing), ``FormatError`` for
    Intel HEX that is not well-formed. ``name`` stands in the message.
    """
    kind = identify(data)
    if kind in _NO_FIRMWARE:
        raise ImageError(f"{name} {_NO_FIRMWARE[kind]}")
    if kind is not FileKind.INTEL_HEX:
        return Firmware((Segment(0, data),), addressed=False)
    try:
        segments = hexfile.decode(data)
    except FormatError as error:
        raise FormatError(f"{name}: {error}", error.offset) from None
    if not segments:
        raise ImageError(f"{name} is an Intel HEX file without data")
    return Firmware(segments, addressed=True)


def read_firmware(path: StrPath) -> Firmware:
    """``parse_firmware`` of a file; a file that is called .hex and is none is refused as well."""
    data = Path(path).read_bytes()
    if os.fspath(path).lower().endswith((".hex", ".ihex")) and identify(data) in (FileKind.UNKNOWN, *_BINARY):
        raise FormatError(f"{os.fspath(path)} is called .hex and is not Intel HEX", 0)
    return parse_firmware(data, os.fspath(path))


_BINARY = (FileKind.RAW_FIRMWARE, FileKind.MCUBOOT_IMAGE)


def encode_firmware(segments: tuple[Segment, ...], path: StrPath, fill: int = 0xFF) -> bytes:
    """The bytes of a file with this name: Intel HEX for .hex, else binary from the lowest address on."""
    if os.fspath(path).lower().endswith((".hex", ".ihex")):
        return hexfile.encode(segments)
    return Firmware(hexfile.merge(segments), addressed=True).flat(fill, max_gap=1 << 32)


@dataclass(frozen=True, slots=True)
class CoreSplit:
    """A merged hex, core by core. ``dropped`` is what belongs to neither: UICR, external flash."""

    app: Firmware | None
    net: Firmware | None
    dropped: tuple[Segment, ...] = ()


def split_cores(firmware: Firmware) -> CoreSplit:
    """Take firmware for both cores of an nRF5340 apart by address; raises ``ImageError`` for a .bin, which has none."""
    if not firmware.addressed:
        raise ImageError("a .bin file has no addresses to tell the cores by: use the merged .hex")
    parts: dict[str, list[Segment]] = {"app": [], "net": [], "": []}
    for segment in firmware.segments:
        for core, start, end in (*_REGIONS, _REST):
            low, high = max(start, segment.address), min(end, segment.end)
            if low < high:
                parts[core].append(Segment(low, segment.data[low - segment.address : high - segment.address]))
    app, net = (Firmware(tuple(parts[core]), addressed=True) if parts[core] else None for core in ("app", "net"))
    return CoreSplit(app, net, tuple(parts[""]))


# --- writing --------------------------------------------------------------------------------------------------------


def write_file_atomic(path: StrPath, data: bytes, *, mode: int = 0o644, overwrite: bool = True) -> None:
    """Write a file whole or not at all: beside its place, flushed to the disk, then renamed.

    The process's umask applies to ``mode``. What is no regular file (a pipe, /dev/stdout) is written to directly.
    Raises ``FileExistsError`` if it exists and must not be overwritten, else ``OSError``, always with ``path`` in it.
    """
    target = os.path.realpath(path)
    try:
        if os.path.exists(target) and not os.path.isfile(target):
            Path(target).write_bytes(data)
            return
        beside = f"{target}.{os.urandom(4).hex()}.part"
        try:
            _write_new(beside, data, mode)
            _move(beside, target, overwrite)
        finally:
            if os.path.lexists(beside):
                os.unlink(beside)
    except OSError as error:
        raise _named(error, path) from None
    _flush_folder(os.path.dirname(target))


def _write_new(path: str, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _move(source: str, target: str, overwrite: bool) -> None:
    if overwrite:
        os.replace(source, target)
        return
    try:
        os.link(source, target)  # fails where the target exists, in one step
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(17, "File exists", target) from None
        os.replace(source, target)


def _named(error: OSError, path: StrPath) -> OSError:
    """The same error about the file that the caller asked for."""
    return type(error)(error.errno, error.strerror or str(error), os.fspath(path))


def _flush_folder(folder: str) -> None:
    """Make a rename survive a power cut, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


# --- key files ------------------------------------------------------------------------------------------------------


def no_passphrase() -> bytes | None:
    """The answer where there is nobody to ask."""
    return None


def read_key_file(path: StrPath, ask: Callable[[], bytes | None] = no_passphrase) -> PrivateKey | PublicKey:
    """Read a PEM key file; ``ask`` is called for the passphrase only where the file needs one.

    Raises ``KeyFileError`` with the path in it for every failure.
    """
    from smpdfu.image import keys  # here: not everything that reads files needs cryptography

    name = os.fspath(path)
    try:
        pem = Path(path).read_bytes()
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {name}: {error.strerror or error}", name) from None
    try:
        return keys.load_key(pem, ask() if keys.is_encrypted(pem) else None)
    except KeyFileError as error:
        raise type(error)(f"{name}: {error}", name) from None


def write_key_file(path: StrPath, pem: bytes, *, overwrite: bool = False) -> None:
    """Write a private key, readable by its owner only; raises ``KeyFileError`` rather than replace a file."""
    try:
        write_file_atomic(path, pem, mode=0o600, overwrite=overwrite)
    except FileExistsError:
        name = os.fspath(path)
        raise KeyFileError(f"{name} exists already, and a key that is overwritten is lost for good", name) from None
