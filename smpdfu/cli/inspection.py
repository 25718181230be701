"""What ``inspect`` does: tells what a file is, what is in it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.show import facts, table
from smpdfu.errors import FormatError, ImageError, SmpdfuError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.image.format import Endian, Header, Image
    from smpdfu.image.trailer import Trailer

Rows = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title."""

    title: str
    columns: tuple[str, ...]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file: facts and tables for people, ``data`` for scripts, and what can be done with it."""

    pairs: tuple[tuple[str, object], ...] = ()
    tables: tuple[Table, ...] = ()
    data: tuple[tuple[str, Any], ...] = ()
    advice: str = ""
    fault: SmpdfuError | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file, its kind, its contents; ``fault`` is why it is no whole one of its kind."""

    file: Path
    size_bytes: int
    kind: str
    contents: Contents
    fault: SmpdfuError | None = None

    def summary(self) -> dict[str, Any]:
        """For scripts."""
        head = {"file": self.file, "size_bytes": self.size_bytes, "kind": self.kind}
        return head | dict(self.contents.data) | {"advice": self.contents.advice}

    def told(self) -> RenderableType:
        """For people."""
        from rich.console import Group
        from rich.text import Text

        contents = self.contents
        pairs = [("file", self.file), ("size", f"{self.size_bytes} bytes"), ("kind", self.kind), *contents.pairs]
        parts: list[RenderableType] = [facts(pairs)]
        parts += (table(one.title, one.columns, one.rows) for one in contents.tables)
        return Group(*parts, Text(contents.advice)) if contents.advice else Group(*parts)


def inspect(file: Path) -> Inspected:
    """Look into a file. A file of a known kind that is damaged is told of, with its ``fault``. Raises OSError."""
    from smpdfu.image.files import identify

    data = file.read_bytes()
    kind = identify(data)
    try:
        contents = READERS.get(kind.name, _only_advice)(data, ADVICE.get(kind.name, ""))
    except SmpdfuError as error:
        contents = Contents(fault=error)
    fault = None if contents.fault is None else ImageError(f"{file}: {contents.fault}")
    return Inspected(file, len(data), kind.value, contents, fault)


def _only_advice(_data: bytes, advice: str) -> Contents:
    return Contents(advice=advice)


# --- MCUboot images -------------------------------------------------------------------------------------------------


def _image(data: bytes, advice: str) -> Contents:
    return _slot(data, 0, advice)


def _slot(data: bytes, base: int, advice: str) -> Contents:
    """An image and what follows it: all of a .bin, or what a .hex has from the address ``base`` on."""
    from smpdfu.image.format import IMAGE_MAGIC, Header, Image

    endian: Endian = "big" if data.startswith(IMAGE_MAGIC.to_bytes(4, "big")) else "little"
    header = Header.from_bytes(data, endian)
    try:
        image = Image.from_bytes(data, endian)
    except FormatError as error:
        return Contents(_header_pairs(header), data=(("header", _header_data(header)),), fault=error)
    trailer = _trailer(data, image)
    pairs = (*_header_pairs(header), *_image_pairs(image), *_trailer_pairs(trailer))
    tables = (_tlv_table(image), _map_table(data, image, base, padded=trailer is not None))
    return Contents(pairs, tables, _image_data(image, trailer), advice)


def _header_pairs(header: Header) -> tuple[tuple[str, object], ...]:
    from smpdfu.image.format import Flag

    flags = [flag.name for flag in Flag if flag & header.flags]
    return (
        ("version", header.version),
        ("header", f"{header.hdr_size} bytes"),
        ("payload", f"{header.img_size} bytes"),
        ("flags", f"0x{header.flags:x} {' '.join(filter(None, flags))}".rstrip()),
        *((("load address", f"0x{header.load_addr:x}"),) if header.load_addr else ()),
    )


def _image_pairs(image: Image) -> tuple[tuple[str, object], ...]:
    from smpdfu.image.format import SIGNATURE_TYPES, TlvType

    signatures = ", ".join(tlv.name for tlv in image.unprotected if tlv.type in SIGNATURE_TYPES)
    keyhash, wrapped = image.tlv(TlvType.KEYHASH), image.encryption_key_tlv
    return (
        ("hash", image.hash or "none"),
        ("signature", signatures or "none"),
        *((("signed by", f"the key with the hash {keyhash.hex()}"),) if keyhash else ()),
        (
            "encryption",
            "none" if not image.encrypted else f"yes, key wrapped as {wrapped.name if wrapped else 'nothing'}",
        ),
        *_linked_pairs(b"" if image.encrypted else image.payload),
    )


def _trailer(data: bytes, image: Image) -> Trailer | None:
    """The trailer at the end of a padded image; None where there is none."""
    from smpdfu.image.trailer import MAX_ALIGNS, SlotGeometry, SwapMode, Trailer, boot_magic, trailer_size_bytes

    tail = data[image.size_bytes :]
    for max_align in MAX_ALIGNS:
        if tail.endswith(boot_magic(max_align, image.endian)):
            # The mode does not matter for the fields that every trailer has.
            slot = SlotGeometry(1 << 32, align=1, max_align=max_align, mode=SwapMode.OVERWRITE_ONLY)
            if len(tail) >= trailer_size_bytes(slot):
                return Trailer.from_slot(data, replace(slot, size_bytes=len(data)), endian=image.endian)
    return None


def _trailer_pairs(trailer: Trailer | None) -> tuple[tuple[str, object], ...]:
    if trailer is None:
        return ()
    marked = "confirmed" if trailer.image_ok == "set" else "pending, for a test"
    return (("trailer", f"marked as {marked} (image_ok {trailer.image_ok}, copy_done {trailer.copy_done})"),)


def _tlv_table(image: Image) -> Table:
    rows = tuple(
        (f"0x{offset:x}", "protected" if protected else "", tlv.name, len(tlv.data), _short(tlv.data))
        for offset, protected, tlv in image.tlv_offsets()
    )
    return Table("TLVs", ("at", "area", "type", "bytes", "value"), rows)


def _short(data: bytes) -> str:
    return data.hex() if len(data) <= _SHOWN_BYTES else f"{data[:_SHOWN_BYTES].hex()}..."


def _map_table(data: bytes, image: Image, base: int, *, padded: bool) -> Table:
    """What lies where, from the first byte to the last."""
    ends = [
        ("header", image.header.hdr_size),
        ("payload (encrypted)" if image.encrypted else "payload", image.protected_offset),
        ("protected TLVs", image.unprotected_offset),
        ("TLVs", image.size_bytes),
        ("erased, and the trailer" if padded else "no part of the image", len(data)),
    ]
    rows, start = [], 0
    for name, end in ends:
        if end > start:
            rows.append((f"0x{base + start:x}", f"0x{base + end:x}", end - start, name))
        start = max(start, end)
    return Table("Map", ("from", "to", "bytes", "what"), tuple(rows))


def _header_data(header: Header) -> dict[str, Any]:
    return {field.name: getattr(header, field.name) for field in fields(header)}


def _image_data(image: Image, trailer: Trailer | None) -> tuple[tuple[str, Any], ...]:
    tlvs = [
        {"offset": offset, "protected": protected, "type": tlv.type, "name": tlv.name, "data": tlv.data}
        for offset, protected, tlv in image.tlv_offsets()
    ]
    return (
        ("header", _header_data(image.header)),
        ("endian", image.endian),
        ("image_size_bytes", image.size_bytes),
        ("hash", image.hash),
        ("encrypted", image.encrypted),
        ("tlvs", tlvs),
        ("trailer", trailer),
    )


# --- firmware, packages ---------------------------------------------------------------------------------------------


def _hex(data: bytes, advice: str) -> Contents:
    from smpdfu.image.files import parse_firmware, split_cores
    from smpdfu.image.format import IMAGE_MAGIC

    firmware = parse_firmware(data)
    rows = tuple((f"0x{one.address:x}", f"0x{one.end:x}", len(one.data)) for one in firmware.segments)
    segments = Table("Segments", ("from", "to", "bytes"), rows)
    listed = [{"address": one.address, "size_bytes": len(one.data)} for one in firmware.segments]
    cores = split_cores(firmware)
    held = [name for name, part in (("application core", cores.app), ("network core", cores.net)) if part]
    pairs = (("firmware for", " and ".join(held) or "neither core of an nRF5340"),)
    start = firmware.segments[0]
    if start.data.startswith(IMAGE_MAGIC.to_bytes(4, "little")) and len(held) < 2:
        inner = _slot(firmware.flat(), start.address, ADVICE["MCUBOOT_IMAGE"])
        data_ = (("segments", listed), *inner.data)
        return replace(inner, pairs=pairs + inner.pairs, tables=(segments, *inner.tables), data=data_)
    merged = "It holds both cores: `smpdfu package --merged` signs and packs it." if len(held) == 2 else advice
    return Contents(pairs, (segments,), (("segments", listed), ("cores", held)), merged)


def _raw(data: bytes, advice: str) -> Contents:
    return Contents(_linked_pairs(data), data=(("linked", _vectors(data)),), advice=advice)


def _linked_pairs(payload: bytes) -> tuple[tuple[str, object], ...]:
    vectors = _vectors(payload)
    return () if vectors is None else (("reset vector", f"0x{vectors['reset']:x}"),)


def _vectors(payload: bytes) -> dict[str, int] | None:
    from smpdfu.image.linked import Vectors

    found = Vectors.of(payload)
    return None if found is None else {"reset": found.reset, "lowest_handler": found.lowest}


def _package(data: bytes, advice: str) -> Contents:
    from smpdfu.dfu.package import Package

    package = Package.from_bytes(data)
    found = [
        {
            "file": one.file,
            "core": one.core,
            "version": one.image.header.version,
            "size_bytes": len(one.data),
            "hash": one.hash,
            "image_index": one.image_index,
        }
        for one in package.images
    ]
    columns = ("file", "core", "version", "size_bytes", "hash", "image_index")
    rows = tuple(tuple(one[column] for column in columns) for one in found)
    return Contents(tables=(Table("Images", columns, rows),), data=(("images", found),), advice=advice)


def _key(data: bytes, advice: str) -> Contents:
    from smpdfu.image.keys import is_encrypted

    held = next((words for mark, words in _PEM_WORDS if mark in data), "something that MCUboot has no use for")
    protected = is_encrypted(data)
    pairs = (("holds", held), ("protected by a passphrase", protected))
    return Contents(pairs, data=(("holds", held), ("protected", protected)), advice=advice)


_SHOWN_BYTES = 32
_PEM_WORDS = (
    (b"PRIVATE KEY-----", "a private key"),
    (b"PUBLIC KEY-----", "a public key"),
    (b"CERTIFICATE-----", "a certificate"),
)

# By the names of FileKind: what is read out of a file, and what can be done with it.
READERS: dict[str, Callable[[bytes, str], Contents]] = {
    "MCUBOOT_IMAGE": _image,
    "INTEL_HEX": _hex,
    "RAW_FIRMWARE": _raw,
    "DFU_APPLICATION_ZIP": _package,
    "PEM": _key,
}
ADVICE = {
    "MCUBOOT_IMAGE": "`smpdfu verify` checks its signature, `smpdfu upload` brings it to a device.",
    "INTEL_HEX": "It is not signed: `smpdfu sign` makes an image of it.",
    "RAW_FIRMWARE": "It is not signed: `smpdfu sign` makes an image of it.",
    "DFU_APPLICATION_ZIP": "`smpdfu update` brings it to a device.",
    "SECURE_DFU_ZIP": "It is for the bootloader of the nRF5 SDK, not for MCUboot: `nrfutil` updates such devices. An "
    "nRF5340 takes the dfu_application.zip of an nRF Connect SDK build.",
    "ZIP": "It has no manifest that an update needs; a build of the nRF Connect SDK makes dfu_application.zip.",
    "ELF": "It is for a debugger: `smpdfu sign` takes the .hex or .bin that the build made beside it.",
    "UF2": "It is for bootloaders that look like a USB drive: `smpdfu sign` takes the .hex or .bin it was made from.",
    "PEM": "`smpdfu keyinfo -k FILE` tells more.",
    "EMPTY": "There is nothing in it.",
    "UNKNOWN": "It does not start as an image, as Cortex-M firmware or as any other file known here.",
}
