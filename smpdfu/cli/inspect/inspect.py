"""``inspect``: shows what a file is, what is in it, and what to do with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.app.ending import conclude
from smpdfu.cli.inspect.contents import ADVICE, MCUBOOT_ITSELF, PROVISION, WHOLE_FLASH, Contents, Pairs, Table
from smpdfu.cli.inspect.seal import seal_entry, seal_words
from smpdfu.cli.inspect.slot import Part, Picture, parts_of
from smpdfu.cli.terminal.show import Data, HashOutput, facts, stacked, table, words
from smpdfu.errors import FormatError, ImageError, SmpdfuError
from smpdfu.image.files import identify, parse_firmware, read_bounded, split_cores
from smpdfu.image.format import HASH_TYPES, IMAGE_MAGIC, SIGNATURE_TYPES, Flag, Header, Image, TlvType
from smpdfu.image.inspect.not_firmware import image_inside
from smpdfu.image.nsib.firmware_info import INFO_MAGIC, INFO_OFFSETS
from smpdfu.image.nsib.provision_reading import find_provision
from smpdfu.image.nsib.seal import VALIDATION_MAGIC
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys
from smpdfu.image.signing.build import encrypted_key_size
from smpdfu.image.trailer import (
    MAX_ALIGNS,
    SlotGeometry,
    SwapMode,
    Trailer,
    boot_magic,
    max_image_size_bytes,
    trailer_size_bytes,
)
from smpdfu.image.vector_table import Vectors, find_images
from smpdfu.image.verification.seal_check import image_seal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.image.files import Firmware
    from smpdfu.image.format import Endian, Tlv


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

    def told(self, *, long: bool = False) -> RenderableType:
        """For people; with whole hashes and TLVs in the tables if ``long``."""
        contents = self.contents
        pairs = [("file", self.file), ("size", f"{self.size_bytes} bytes"), ("kind", self.kind), *contents.pairs]
        parts: list[RenderableType] = [facts(pairs)]
        parts += (table(one.title, one.columns, one.rows, long=long) for one in contents.tables)
        if contents.picture is not None:
            parts.append(contents.picture)
        return stacked(*parts, words(contents.advice)) if contents.advice else stacked(*parts)


def show_file(file: Path, slot: SlotGeometry | None, nsib: NsibKeys, out: HashOutput) -> None:
    """Look into a file and show what is in it; exit code 3 if it is damaged."""
    found = inspect(file, slot, nsib)
    conclude(out, found.summary(), lambda: found.told(long=out.long), found.fault)


def inspect(file: Path, slot: SlotGeometry | None = None, nsib: NsibKeys = NO_NSIB_KEYS) -> Inspected:
    """Look into a file; an image is shown as it would lie in ``slot``, its seal judged by the keys of ``nsib``.

    If a file of a known kind is damaged, ``fault`` says why. Raises OSError.
    """
    data = read_bounded(file)
    kind = identify(data)
    advice = ADVICE.get(kind.name, "")
    try:
        if kind.name in READERS:
            contents = READERS[kind.name](data, advice, View(slot, nsib))
        else:
            contents = _foreign(kind.name, data, advice, nsib)
    except SmpdfuError as error:
        contents = Contents(fault=error)
    fault = None if contents.fault is None else ImageError(f"{file}: {contents.fault}")
    return Inspected(file, len(data), kind.value, contents, fault)


@dataclass(frozen=True, slots=True)
class View:
    """How an image is looked at: in which slot, and by which keys of NSIB."""

    slot: SlotGeometry | None = None
    nsib: NsibKeys = NO_NSIB_KEYS


def _foreign(kind: str, data: bytes, advice: str, nsib: NsibKeys) -> Contents:
    from smpdfu.cli.inspect import foreign  # here: images need nothing of packages

    if kind in foreign.PACKAGES:
        return foreign.PACKAGES[kind](data, advice, nsib)
    return foreign.READERS.get(kind, _only_advice)(data, advice)


def _only_advice(_data: bytes, advice: str) -> Contents:
    return Contents(advice=advice)


# --- MCUboot images -------------------------------------------------------------------------------------------------


def _image(data: bytes, advice: str, view: View) -> Contents:
    return _slot(data, 0, advice, view)


def _slot(data: bytes, base: int, advice: str, view: View) -> Contents:
    """An image and what follows it: all of a .bin, or what a .hex has from the address ``base`` on."""
    endian: Endian = "big" if data.startswith(IMAGE_MAGIC.to_bytes(4, "big")) else "little"
    header = Header.from_bytes(data, endian)
    try:
        image = Image.from_bytes(data, endian)
    except FormatError as error:
        return Contents(_header_pairs(header), data=(("header", _header_data(header)),), fault=error)
    found = _trailer(data, image)
    trailer, own = (None, None) if found is None else found
    slot = None if view.slot is None else _slot_for(image, view.slot)
    seal = image_seal(image, view.nsib)
    parts = parts_of(image, len(data), slot or own)
    pairs = (*_header_pairs(header), *_image_pairs(image), *_trailer_pairs(trailer), *_slot_pairs(image, slot))
    pairs += () if seal is None else (("seal", seal_words(seal)),)
    said = (*_image_data(image, trailer, parts), ("seal", None if seal is None else seal_entry(seal)))
    advice = MCUBOOT_ITSELF if seal is not None and seal.is_of_mcuboot else advice
    return Contents(pairs, (_tlv_table(image),), said, advice, picture=Picture(parts, base))


def _slot_for(image: Image, slot: SlotGeometry) -> SlotGeometry:
    """The slot with room for the content keys of an encrypted image; unchanged where it is too small for that."""
    try:
        return replace(slot, encrypted_key_size=encrypted_key_size(image))
    except ValueError:
        return slot


def _slot_pairs(image: Image, slot: SlotGeometry | None) -> Pairs:
    """Whether the image fits a slot that was asked for."""
    if slot is None:
        return ()
    limit = max_image_size_bytes(slot)
    if image.size_bytes > limit:
        said = f"does not fit: {slot.mode} leaves {limit} bytes for it, {image.size_bytes - limit} too few"
    else:
        said = f"fits: {limit - image.size_bytes} of the {limit} bytes that {slot.mode} leaves are free"
    return (("slot", f"{slot.size_bytes} bytes; the image {said}"),)


def _header_pairs(header: Header) -> Pairs:
    flags = [flag.name for flag in Flag if flag & header.flags]
    return (
        ("version", header.version),
        ("header", f"{header.hdr_size} bytes"),
        ("payload", f"{header.img_size} bytes"),
        ("flags", f"0x{header.flags:x} {' '.join(filter(None, flags))}".rstrip()),
        *((("load address", f"0x{header.load_addr:x}"),) if header.load_addr else ()),
    )


def _image_pairs(image: Image) -> Pairs:
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


def _trailer(data: bytes, image: Image) -> tuple[Trailer, SlotGeometry] | None:
    """The trailer at the end of a padded image, and the slot that it fills; None where there is none."""
    tail = data[image.size_bytes :]
    for max_align in MAX_ALIGNS:
        if tail.endswith(boot_magic(max_align, image.endian)):
            # The mode does not matter for the fields that every trailer has.
            slot = SlotGeometry(1 << 32, align=1, max_align=max_align, mode=SwapMode.OVERWRITE_ONLY)
            if len(tail) >= trailer_size_bytes(slot):
                slot = replace(slot, size_bytes=len(data))
                return Trailer.from_slot(data, slot, endian=image.endian), slot
    return None


def _trailer_pairs(trailer: Trailer | None) -> Pairs:
    if trailer is None:
        return ()
    marked = "confirmed" if trailer.image_ok == "set" else "pending, for a test"
    return (("trailer", f"marked as {marked} (image_ok {trailer.image_ok}, copy_done {trailer.copy_done})"),)


def _tlv_table(image: Image) -> Table:
    rows = tuple(
        (f"0x{offset:x}", "protected" if protected else "", tlv.name, len(tlv.data), _value(tlv))
        for offset, protected, tlv in image.tlv_offsets()
    )
    return Table("TLVs", ("at", "area", "type", "bytes", "value"), rows)


def _value(tlv: Tlv) -> bytes | Data:
    return tlv.data if tlv.type in (*HASH_TYPES, TlvType.KEYHASH) else Data(tlv.data)


def _header_data(header: Header) -> dict[str, Any]:
    return {field.name: getattr(header, field.name) for field in fields(header)}


def _image_data(image: Image, trailer: Trailer | None, parts: tuple[Part, ...]) -> tuple[tuple[str, Any], ...]:
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
        ("map", parts),
    )


# --- firmware -------------------------------------------------------------------------------------------------------


def _hex(data: bytes, advice: str, view: View) -> Contents:
    firmware = parse_firmware(data)
    shown = firmware.segments[:_MOST_SEGMENTS]
    rows = tuple((f"0x{one.address:x}", f"0x{one.end:x}", len(one.data)) for one in shown)
    left = len(firmware.segments) - len(shown)
    title = f"Segments ({left} more: see --json)" if left else "Segments"
    segments = Table(title, ("from", "to", "bytes"), rows)
    listed = [{"address": one.address, "size_bytes": len(one.data)} for one in firmware.segments]
    cores = split_cores(firmware)
    held = [name for name, part in (("application core", cores.app), ("network core", cores.net)) if part]
    pairs = (("firmware for", " and ".join(held) or "neither core of an nRF5340"),)
    data_ = (("segments", listed), ("cores", held))
    start = firmware.segments[0]
    if start.data.startswith(IMAGE_MAGIC.to_bytes(4, "little")) and len(held) < 2:
        inner = _slot(firmware.flat(), start.address, ADVICE["MCUBOOT_IMAGE"], view)
        return replace(inner, pairs=pairs + inner.pairs, tables=(segments, *inner.tables), data=data_ + inner.data)
    if (provision := _provision(firmware)) is not None:
        return provision
    if len(held) == 2:
        advice = "It has the firmware of both cores. Sign and pack it with `smpdfu package --merged`."
    elif not held:
        advice = "It is firmware for another chip: firmware of an nRF5340 is below 0x1040000."
    more = [pair for one in firmware.segments for pair in _held_pairs(one.data, one.address)]
    if len(held) == 1 and _is_whole_flash(one.data for one in firmware.segments):
        advice = WHOLE_FLASH
    return Contents(pairs + tuple(more), (segments,), data_, advice)


def _provision(firmware: Firmware) -> Contents | None:
    """Provisioning data of NSIB, of a build or of a dump; None for anything else."""
    try:
        found = find_provision(firmware)
    except FormatError:
        return None
    if not (found.keys or found.counters):
        return None
    pairs = (("provisioning data", f"keys: {len(found.keys)}, counters: {len(found.counters)}"),)
    held = {"keys": len(found.keys), "counters": len(found.counters)}
    return Contents(pairs, data=(("provision", held),), advice=PROVISION)


def _unknown(data: bytes, advice: str, _view: View) -> Contents:
    """A dump of OTP has nothing at its beginning by which it could be known."""
    return _provision(parse_firmware(data)) or _only_advice(data, advice)


def _is_whole_flash(parts: Iterable[bytes]) -> bool:
    """True if a signed application lies behind other code."""
    magic = IMAGE_MAGIC.to_bytes(4, "little")
    return any(
        image_inside(data) is not None or (number and data.startswith(magic)) for number, data in enumerate(parts)
    )


def _raw(data: bytes, advice: str, _view: View) -> Contents:
    advice = WHOLE_FLASH if _is_whole_flash([data]) else advice
    return Contents((*_linked_pairs(data), *_held_pairs(data, 0)), data=(("linked", _vectors(data)),), advice=advice)


def _held_pairs(data: bytes, base: int) -> Pairs:
    """What lies inside firmware: the seal of b0n, images behind a bootloader."""
    pairs: list[tuple[str, object]] = []
    if any(data.startswith(INFO_MAGIC, offset) for offset in INFO_OFFSETS):
        sealed = "it is signed for b0n" if VALIDATION_MAGIC in data else "b0n's signature is missing"
        pairs.append(("network core firmware", f"it has b0n's firmware info, and {sealed}"))
    pairs += (("holds an MCUboot image", f"at 0x{base + offset:x}") for offset in find_images(data))
    return tuple(pairs)


def _linked_pairs(payload: bytes) -> Pairs:
    vectors = _vectors(payload)
    return () if vectors is None else (("reset vector", f"0x{vectors['reset']:x}"),)


def _vectors(payload: bytes) -> dict[str, int] | None:
    found = Vectors.of(payload)
    return None if found is None else {"reset": found.reset, "lowest_handler": found.lowest}


# By the names of FileKind: what is read out of a file.
READERS: dict[str, Callable[[bytes, str, View], Contents]] = {
    "MCUBOOT_IMAGE": _image,
    "INTEL_HEX": _hex,
    "RAW_FIRMWARE": _raw,
    "UNKNOWN": _unknown,
}
_MOST_SEGMENTS = 100
"""Rows for people: a hostile .hex has ten thousands."""
