"""What kind of file is this? By its content; a name proves nothing."""

from __future__ import annotations

import struct
from enum import StrEnum

from smpdfu.errors import FormatError
from smpdfu.image.format import IMAGE_MAGIC
from smpdfu.image.hexfile import is_hex
from smpdfu.untrusted.nesting import load_json

_MAX_MANIFEST_BYTES = 1 << 20
_TEXT_START = 4096  # a key file may begin with a few lines for people
_SHORTEST_DUMP = 16
_UF2_MAGIC = struct.pack("<II", 0x0A324655, 0x9E5D5157)
_IMAGE_MAGICS = (IMAGE_MAGIC.to_bytes(4, "little"), IMAGE_MAGIC.to_bytes(4, "big"))
_IMAGE_MAGIC_V1 = 0x96F3B83C  # before 2018, MCUboot 1.0: TLVs of another form


class FileKind(StrEnum):
    """Kinds of files that people hand to a firmware tool."""

    MCUBOOT_IMAGE = "mcuboot image"
    OLD_IMAGE = "mcuboot image of the format before 1.1"
    INTEL_HEX = "intel hex"
    S_RECORD = "motorola s-record"
    ELF = "elf"
    UF2 = "uf2"
    DFU_APPLICATION_ZIP = "dfu_application.zip"
    SECURE_DFU_ZIP = "nrf5 secure dfu zip"
    DFU_MULTI_IMAGE = "dfu_multi_image.bin"
    SUIT_ZIP = "suit dfu zip"
    SUIT_ENVELOPE = "suit envelope"
    ZIP = "zip"
    COMPRESSED = "compressed file"
    PEM = "pem"
    DER = "der key or certificate"
    SSH_KEY = "ssh public key"
    PROGRAM = "program for a pc"
    JSON = "json"
    HTML = "web page"
    LFS_POINTER = "git lfs pointer"
    TEXT = "text"
    RAW_FIRMWARE = "raw firmware"
    ERASED = "erased flash"
    EMPTY = "empty"
    UNKNOWN = "unknown"


_STARTS = (
    (_IMAGE_MAGICS[0], FileKind.MCUBOOT_IMAGE),
    (_IMAGE_MAGICS[1], FileKind.MCUBOOT_IMAGE),
    (_IMAGE_MAGIC_V1.to_bytes(4, "little"), FileKind.OLD_IMAGE),
    (b"\x7fELF", FileKind.ELF),
    (_UF2_MAGIC, FileKind.UF2),
    (b"\xd8\x6b", FileKind.SUIT_ENVELOPE),
    (b"\x1f\x8b\x08", FileKind.COMPRESSED),  # gzip
    (b"\xfd7zXZ\x00", FileKind.COMPRESSED),
    (b"BZh", FileKind.COMPRESSED),
    (b"\x28\xb5\x2f\xfd", FileKind.COMPRESSED),  # zstd
    (b"7z\xbc\xaf\x27\x1c", FileKind.COMPRESSED),
    (b"MZ", FileKind.PROGRAM),
    (b"\xcf\xfa\xed\xfe", FileKind.PROGRAM),  # Mach-O
    (b"#!", FileKind.TEXT),
    (b"version https://git-lfs", FileKind.LFS_POINTER),
    (b"ssh-", FileKind.SSH_KEY),
    (b"ecdsa-sha2-", FileKind.SSH_KEY),
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
    if has_vector_table(data):
        return FileKind.RAW_FIRMWARE
    if _is_multi_image(data):
        return FileKind.DFU_MULTI_IMAGE
    before, begin, _ = data[:_TEXT_START].partition(b"-----BEGIN ")
    if begin and b"\0" not in before:
        return FileKind.PEM
    return _kind_of_text(data) or _kind_of_bytes(data)


def _kind_of_zip(data: bytes) -> FileKind:
    """By its manifest.json: the SDKs' packages have different ones."""
    from smpdfu.untrusted.archive import Archive  # here: few files are archives, and zipfile is slow to load

    try:
        manifest = load_json(Archive(data).read("manifest.json", _MAX_MANIFEST_BYTES))
    except (FormatError, ValueError):
        return FileKind.ZIP
    if not isinstance(manifest, dict):
        return FileKind.ZIP
    if isinstance(manifest.get("manifest"), dict):
        return FileKind.SECURE_DFU_ZIP
    files = manifest.get("files")
    if not isinstance(files, list):
        return FileKind.ZIP
    suit = any(isinstance(one, dict) and str(one.get("file", "")).endswith(".suit") for one in files)
    return FileKind.SUIT_ZIP if suit else FileKind.DFU_APPLICATION_ZIP


def _is_multi_image(data: bytes) -> bool:
    """True for the images that the nRF Connect SDK puts in a row: a 16-bit length, then the CBOR map {"img": [...]}."""
    length = int.from_bytes(data[:2], "little")
    return data[2:3] in (b"\xa1", b"\xbf") and data[3:7] == b"\x63img" and 6 < length <= len(data) - 2


def has_vector_table(data: bytes) -> bool:
    """True if this starts as Cortex-M code does: a stack pointer into RAM, a reset vector into Thumb code."""
    if len(data) < 8:
        return False
    stack, reset = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4))
    return 0x2000_0000 <= stack < 0x4000_0000 and stack % 4 == 0 and reset % 2 == 1 and reset < 0x2000_0000


def _kind_of_text(data: bytes) -> FileKind | None:
    """What sort of text this is; None when it is none."""
    try:
        text = data[:_TEXT_START].decode("utf-8-sig", "strict" if len(data) < _TEXT_START else "ignore").lstrip()
    except UnicodeDecodeError:
        return None
    if not text or not all(char.isprintable() or char.isspace() for char in text):
        return None
    if text[0] == "S" and text[1:2].isdigit() and _are_digits(text.split(maxsplit=1)[0][2:]):
        return FileKind.S_RECORD
    if text[0] in "{[":
        return FileKind.JSON
    return FileKind.HTML if text[:200].lower().startswith(("<!doctype", "<html", "<?xml")) else FileKind.TEXT


def _are_digits(text: str) -> bool:
    return len(text) >= 8 and all(char in "0123456789abcdefABCDEF" for char in text)


def _kind_of_bytes(data: bytes) -> FileKind:
    start = data[:_SHORTEST_DUMP]
    if start in (b"\xff" * _SHORTEST_DUMP, bytes(_SHORTEST_DUMP)) and data.count(start[:1]) == len(data):
        return FileKind.ERASED
    return FileKind.DER if _is_der(data) else FileKind.UNKNOWN


def _is_der(data: bytes) -> bool:
    """True for one DER sequence and nothing behind it, as a key or certificate without its PEM text is."""
    if len(data) < 8 or data[0] != 0x30 or data[1] == 0x80:  # 0x80: of indefinite length, which DER has not
        return False
    size = data[1]
    start = 2
    if size > 0x80:
        start += size - 0x80
        size = int.from_bytes(data[2:start], "big")
    return start + size == len(data)
