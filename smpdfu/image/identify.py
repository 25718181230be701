"""What kind of file is this? By its content; a name proves nothing."""

from __future__ import annotations

import struct
from enum import StrEnum

from smpdfu.image.format import IMAGE_MAGIC
from smpdfu.image.hexfile import is_hex

_MAX_MANIFEST_BYTES = 1 << 20
_TEXT_START = 4096  # a key file may begin with a few lines for people
_UF2_MAGIC = struct.pack("<II", 0x0A324655, 0x9E5D5157)
_IMAGE_MAGICS = (IMAGE_MAGIC.to_bytes(4, "little"), IMAGE_MAGIC.to_bytes(4, "big"))


class FileKind(StrEnum):
    """Kinds of files that people hand to a firmware tool."""

    MCUBOOT_IMAGE = "mcuboot image"
    INTEL_HEX = "intel hex"
    ELF = "elf"
    UF2 = "uf2"
    DFU_APPLICATION_ZIP = "dfu_application.zip"
    SECURE_DFU_ZIP = "nrf5 secure dfu zip"
    ZIP = "zip"
    PEM = "pem"
    RAW_FIRMWARE = "raw firmware"
    EMPTY = "empty"
    UNKNOWN = "unknown"


_STARTS = (
    (_IMAGE_MAGICS[0], FileKind.MCUBOOT_IMAGE),
    (_IMAGE_MAGICS[1], FileKind.MCUBOOT_IMAGE),
    (b"\x7fELF", FileKind.ELF),
    (_UF2_MAGIC, FileKind.UF2),
)


def identify(data: bytes) -> FileKind:
    """The kind of a whole file's contents; never raises."""
    if not data:
        return FileKind.EMPTY
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(data)
    if is_hex(data):
        return FileKind.INTEL_HEX
    if _has_vector_table(data):
        return FileKind.RAW_FIRMWARE
    before, begin, _ = data[:_TEXT_START].partition(b"-----BEGIN ")
    return FileKind.PEM if begin and b"\0" not in before else FileKind.UNKNOWN


def _kind_of_zip(data: bytes) -> FileKind:
    """By its manifest.json: the SDKs' two packages have different ones."""
    import io  # here: few files are archives, and zipfile is slow to load
    import json
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("manifest.json") as file:
            manifest = json.loads(file.read(_MAX_MANIFEST_BYTES))
    except Exception:  # zipfile and its decompressors raise whatever a damaged archive leads them to
        return FileKind.ZIP
    if isinstance(manifest, dict) and isinstance(manifest.get("manifest"), dict):
        return FileKind.SECURE_DFU_ZIP
    if isinstance(manifest, dict) and isinstance(manifest.get("files"), list):
        return FileKind.DFU_APPLICATION_ZIP
    return FileKind.ZIP


def _has_vector_table(data: bytes) -> bool:
    """True if this starts as Cortex-M code does: a stack pointer into RAM, a reset vector into Thumb code."""
    if len(data) < 8:
        return False
    stack, reset = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4))
    return 0x2000_0000 <= stack < 0x4000_0000 and stack % 4 == 0 and reset % 2 == 1 and reset < 0x2000_0000
