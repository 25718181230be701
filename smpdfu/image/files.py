"""Files in and out: firmware as .bin or .hex, key files, whole or not at all. The only module here that opens files.

Errors of the file system are ``OSError`` with the name that the caller gave; what is wrong in a file is one of ours.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smpdfu.errors import FormatError, ImageError, KeyFileError
from smpdfu.image import hexfile, nrf5340
from smpdfu.image.hexfile import Segment
from smpdfu.image.inspect.identify import FileKind, identify
from smpdfu.untrusted.files import mentions, open_output, read_start

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PrivateKey, PublicKey

__all__ = [
    "CoreSplit",
    "FileKind",
    "Firmware",
    "Segment",
    "encode_firmware",
    "holds_private_key",
    "identify",
    "kept_mode",
    "parse_firmware",
    "read_bounded",
    "read_firmware",
    "read_key_file",
    "split_cores",
    "write_file_atomic",
    "write_files_atomic",
    "write_key_file",
]

StrPath = str | os.PathLike[str]
Contents = bytes | tuple[bytes | bytearray, ...]
"""What a file gets: its bytes, or pieces of them in order, which are not copied together."""

# All addresses in order, each region with the core whose firmware lies there; "" for what belongs to none.
_REGIONS = (
    ("app", nrf5340.APP.start, nrf5340.APP.uicr),
    ("", nrf5340.APP.uicr, nrf5340.NET.start),
    ("net", nrf5340.NET.start, nrf5340.NET.end),
    ("", nrf5340.NET.end, 1 << 32),
)

# A gap that no image has inside: two parts so far apart belong to different memories.
MAX_GAP_BYTES = 1 << 20
MAX_GAPS_BYTES = 1 << 24  # a small file must not ask for all the memory there is

_NO_FIRMWARE = {
    FileKind.EMPTY: "is empty",
    FileKind.ELF: "is an ELF file: use the .hex or .bin that the build makes from it",
    FileKind.UF2: "is a UF2 file: use the .hex or .bin that it was made from",
    FileKind.DFU_APPLICATION_ZIP: "is a dfu_application.zip, not firmware: the images inside are signed already",
    FileKind.SECURE_DFU_ZIP: "is a Secure DFU package of the nRF5 SDK: MCUboot does not take such packages",
    FileKind.SUIT_ZIP: "is a package of SUIT envelopes: MCUboot does not take such packages",
    FileKind.SUIT_ENVELOPE: "is a SUIT envelope: MCUboot does not take such files",
    FileKind.ZIP: "is a zip archive, not firmware",
    FileKind.OLD_IMAGE: "is an image in the format of MCUboot before 1.1: build and sign it again",
    FileKind.S_RECORD: "is a Motorola S-record file: `objcopy -I srec -O ihex` makes Intel HEX of it",
    FileKind.HTML: "is a web page, not firmware: the download failed",
    FileKind.LFS_POINTER: "is a Git LFS pointer, not the file itself: run `git lfs pull`",
    FileKind.PEM: "is a key or certificate, not firmware",
}


MAX_FILE_BYTES = 1 << 28
MAX_KEY_BYTES = 1 << 20


def read_bounded(path: StrPath, limit: int = MAX_FILE_BYTES) -> bytes:
    """A file's bytes; raises ``ImageError`` when there are more than ``limit`` of them, as in /dev/zero."""
    data = read_start(path, limit + 1)
    if len(data) > limit:
        raise ImageError(f"{os.fspath(path)} has more than {limit >> 20} MiB")
    return data


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
        """All bytes from the lowest address on, gaps filled; raises ``ImageError`` where a gap is too wide.

        So are all gaps together when they come to more than ``MAX_GAPS_BYTES``, or to ``max_gap`` if that is more.
        """
        if len(self.segments) == 1:
            return self.segments[0].data
        gaps = self.segments[-1].end - self.segments[0].address - sum(len(one.data) for one in self.segments)
        if gaps > max(max_gap, MAX_GAPS_BYTES):
            raise ImageError(f"the file has {gaps} bytes of gaps between its parts: it is not one image")
        data = bytearray()
        for before, segment in zip(self.segments, self.segments[1:], strict=False):
            if segment.address - before.end > max_gap:
                raise ImageError(
                    f"the file has parts far apart, up to 0x{before.end - 1:08x} and from 0x{segment.address:08x} on: "
                    "one image cannot hold both"
                ).because("parts-far-apart")
        for segment in self.segments:
            data += bytes([fill]) * (segment.address - self.segments[0].address - len(data))
            data += segment.data
        return bytes(data)

    def leading(self, fill: int = 0xFF, max_gap: int = MAX_GAP_BYTES) -> bytes:
        """``flat`` up to the first gap that is too wide: an image, without the trailer far behind it in its slot."""
        count = 1
        while count < len(self.segments) and self.segments[count].address - self.segments[count - 1].end <= max_gap:
            count += 1
        return replace(self, segments=self.segments[:count]).flat(fill, max_gap)

    def last(self, size_bytes: int, fill: int = 0xFF) -> bytes:
        """The bytes before the highest address: the end of a slot, with gaps filled."""
        start = self.segments[-1].end - size_bytes
        data = bytearray([fill]) * size_bytes
        for segment in self.segments:
            if segment.end > start:
                part = segment.data[max(start - segment.address, 0) :]
                at = max(segment.address - start, 0)
                data[at : at + len(part)] = part
        return bytes(data)


def parse_firmware(data: bytes, name: str = "the file") -> Firmware:
    """Read Intel HEX, known by its content, or take the bytes as they are; MCUboot images are firmware too.

    Raises ``ImageError`` for what cannot be firmware (an archive, an ELF file, a key, nothing), ``FormatError`` for
    Intel HEX that is not well-formed. ``name`` stands in the message.
    """
    kind = identify(data)
    if kind in _NO_FIRMWARE:
        error = ImageError(f"{name} {_NO_FIRMWARE[kind]}")
        raise error.because("secure-dfu-package", file=name) if kind is FileKind.SECURE_DFU_ZIP else error
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
    data = read_bounded(path)
    if os.fspath(path).lower().endswith((".hex", ".ihex")):
        kind = identify(data)
        if kind is not FileKind.INTEL_HEX and kind not in _NO_FIRMWARE:
            raise FormatError(f"{os.fspath(path)} is called .hex but is not Intel HEX", 0)
    return parse_firmware(data, os.fspath(path))


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
        raise ImageError("a .bin file has no addresses, so smpdfu cannot tell the cores apart: use the merged .hex")
    parts: dict[str, list[Segment]] = {"app": [], "net": [], "": []}
    for segment in firmware.segments:
        for core, start, end in _REGIONS:
            low, high = max(start, segment.address), min(end, segment.end)
            if low < high:
                parts[core].append(Segment(low, segment.data[low - segment.address : high - segment.address]))
    app, net = (Firmware(tuple(parts[core]), addressed=True) if parts[core] else None for core in ("app", "net"))
    return CoreSplit(app, net, tuple(parts[""]))


# --- writing --------------------------------------------------------------------------------------------------------


def write_file_atomic(
    path: StrPath,
    data: Contents,
    *,
    mode: int = 0o644,
    overwrite: bool = True,
    replace_keys: bool = False,
    follow_links: bool = True,
) -> None:
    """Write a file whole or not at all: beside its place, flushed to the disk, then renamed.

    The process's umask applies to ``mode``, and a file that is there keeps a stricter one. What is no regular file (a
    pipe, /dev/stdout) is written to directly. Without ``follow_links`` a symbolic link is replaced, and what it leads
    to stays as it is.
    Raises ``FileExistsError`` if it exists and must not be overwritten, else ``OSError``, always with ``path`` in it;
    ``KeyFileError`` for a file that holds a private key, unless ``replace_keys``.
    """
    write_files_atomic(
        {path: data}, mode=mode, overwrite=overwrite, replace_keys=replace_keys, follow_links=follow_links
    )


def write_files_atomic(
    files: Mapping[StrPath, Contents],
    *,
    mode: int = 0o644,
    overwrite: bool = True,
    replace_keys: bool = False,
    follow_links: bool = True,
) -> None:
    """``write_file_atomic`` for files that belong together: all are written before the first one is moved."""
    beside: list[tuple[StrPath, str, str]] = []
    targets = {path: _place_of(path, follow_links) for path in files}
    for path, target in targets.items():
        if overwrite and not replace_keys and holds_private_key(target):
            name = os.fspath(path)
            raise KeyFileError(
                f"{name} holds a private key: smpdfu does not overwrite it, because the key would be lost", name
            )
    try:
        for path, data in files.items():
            target = targets[path]
            with _errors_of(path):
                if os.path.exists(target) and not os.path.isfile(target):
                    with open_output(target) as file:
                        file.writelines(_pieces(data))
                    continue
                beside.append((path, f"{target}.{os.urandom(4).hex()}.part", target))
                _write_new(beside[-1][1], data, kept_mode(target, mode))
        for path, part, target in beside:
            with _errors_of(path):
                _move(part, target, overwrite)
    finally:
        for _, part, _ in beside:
            if os.path.lexists(part):
                os.unlink(part)
    for folder in {os.path.dirname(target) for _, _, target in beside}:
        _flush_folder(folder)


def _place_of(path: StrPath, follow_links: bool) -> str:
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.realpath(path) if follow_links else os.path.join(os.path.realpath(folder), name)


def kept_mode(path: StrPath, mode: int) -> int:
    """``mode`` without the rights that the file at ``path``, if there is one, does not give."""
    try:
        return mode & os.stat(path).st_mode
    except OSError:
        return mode


# The armour and the first lines behind it: a firmware that can read PEM has the words, and no key behind them.
_KEY_WORDS = b"PRIVATE KEY-----"
_PRIVATE_KEY = rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[ \t]*\r?\n[0-9A-Za-z+/=:,. \t\r\n-]{32}"


def holds_private_key(path: StrPath) -> bool:
    """True for a file of ours with a private key in PEM; False also for what cannot be read, or is no regular file."""
    try:
        if not (os.path.isfile(path) and mentions(path, _KEY_WORDS, MAX_KEY_BYTES)):
            return False
        return re.search(_PRIVATE_KEY, read_start(path, MAX_KEY_BYTES)) is not None
    except OSError:
        return False


def _pieces(data: Contents) -> tuple[bytes | bytearray, ...]:
    return data if isinstance(data, tuple) else (data,)


def _write_new(path: str, data: Contents, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(_pieces(data))
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


@contextmanager
def _errors_of(path: StrPath) -> Iterator[None]:
    """An error inside is about the file that the caller asked for."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), os.fspath(path)) from None


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
    name = os.fspath(path)
    try:
        pem = read_bounded(path, MAX_KEY_BYTES)
    except ImageError as error:
        raise KeyFileError(f"{error}, so it is not a key file", name) from None
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {name}: {error.strerror or error}", name) from None
    return parse_key(pem, name, ask)


def parse_key(pem: bytes, name: str, ask: Callable[[], bytes | None] = no_passphrase) -> PrivateKey | PublicKey:
    """The key in the bytes of a PEM file that is called ``name``; otherwise as ``read_key_file``."""
    from smpdfu.image.keys import keys, pem_text  # here: it loads cryptography, and most files are no keys

    if hint := pem_text.ssh_hint(pem, shlex.quote(name)):
        raise KeyFileError(f"{name}: {hint}", name)
    try:
        return keys.load_key(pem, ask() if pem_text.is_encrypted(pem) else None)
    except KeyFileError as error:
        raise type(error)(f"{name}: {error}", name) from None


def write_key_file(path: StrPath, pem: bytes, *, overwrite: bool = False) -> None:
    """Write a private key, readable by its owner only; raises ``KeyFileError`` rather than replace a file."""
    try:
        write_file_atomic(path, pem, mode=0o600, overwrite=overwrite, replace_keys=overwrite)
    except FileExistsError:
        name = os.fspath(path)
        raise KeyFileError(
            f"{name} exists already: smpdfu does not overwrite it, because a key would be lost", name
        ) from None
