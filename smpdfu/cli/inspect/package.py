"""How ``inspect`` shows packages: every image, all that the manifest says of it, and what else is inside."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from smpdfu.cli.inspect.contents import Contents, Table
from smpdfu.cli.inspect.seal import seal_entry, seal_words
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.multi_image import parse
from smpdfu.dfu.package.package import Package
from smpdfu.image.nsib.trusted_keys import NO_NSIB_KEYS, NsibKeys
from smpdfu.image.verification.seal_check import image_seal

MCUBOOT_UPDATE = (
    "It updates the bootloader itself (MCUboot). It has a variant for each of the two slots of the bootloader. "
    "`smpdfu update` installs the one for the slot that does not run."
)
_ADDRESSES = ("load_address",)


def package(data: bytes, advice: str, nsib: NsibKeys = NO_NSIB_KEYS) -> Contents:
    """dfu_application.zip or dfu_mcuboot.zip. Raises PackageError."""
    found = Package.from_bytes(data)
    entries = [entry for entry in found.manifest["files"] if isinstance(entry, Mapping)]
    said = {key: value for key, value in found.manifest.items() if key != "files"}
    listed = {str(entry.get("file")): entry for entry in entries}
    others = [
        {"file": name, "size_bytes": len(member), "entry": listed.get(name)} for name, member in found.others.items()
    ]
    tables = [_images(found.images), _manifest(entries)]
    if others:
        rows = tuple((one["file"], one["size_bytes"]) for one in others)
        tables.append(Table("Other files", ("file", "bytes"), rows))
    only_bootloader = all(image.role is Role.MCUBOOT for image in found.images)
    return Contents(
        (*_pairs(said), *_seal_pairs(found.images, nsib)),
        tables=tuple(tables),
        data=(("images", [_data(image, nsib) for image in found.images]), ("manifest", said), ("others", others)),
        advice=MCUBOOT_UPDATE if only_bootloader else advice,
    )


def multi_image(data: bytes, advice: str, nsib: NsibKeys = NO_NSIB_KEYS) -> Contents:
    """dfu_multi_image.bin: it has numbers and no names. Raises PackageError."""
    numbers = [part.id for part in parse(data)]
    images = Package.from_bytes(data).images
    columns = ("number", "for", "version", "bytes", "hash", "code at")
    rows = tuple(
        (number, image.role, image.image.header.version, len(image.data), image.hash, _code_at(image))
        for number, image in zip(numbers, images, strict=True)
    )
    found = [
        {"number": number} | {key: value for key, value in _data(image, nsib).items() if key not in ("file", "entry")}
        for number, image in zip(numbers, images, strict=True)
    ]
    pairs = tuple(_seal_pairs(images, nsib))
    return Contents(pairs, tables=(Table("Images", columns, rows),), data=(("images", found),), advice=advice)


def _seal_pairs(images: Sequence[PackageImage], nsib: NsibKeys) -> Iterator[tuple[str, object]]:
    """The seal of each image that has one, or should."""
    for image in images:
        if (seal := image_seal(image.image, nsib)) is not None:
            yield f"seal of {image.file}", seal_words(seal)


def _data(image: PackageImage, nsib: NsibKeys) -> dict[str, Any]:
    """An image for scripts; ``entry`` has every key of the manifest as it is there."""
    seal = image_seal(image.image, nsib)
    return {
        "file": image.file,
        "core": image.core,
        "version": image.image.header.version,
        "size_bytes": len(image.data),
        "hash": image.hash,
        "image_index": image.image_index,
        "role": image.role,
        "slot": image.slot,
        "load_address": image.load_address,
        "code_address": image.code_address,
        "encrypted": image.image.encrypted,
        "seal": None if seal is None else seal_entry(seal),
        "entry": dict(image.entry),
    }


def _images(images: Sequence[PackageImage]) -> Table:
    """A row for each image. The slot is shown where each has its own variant."""
    variants = any(image.slot is not None for image in images)
    columns = ("file", "for", "version", "bytes", "hash", "image", *(("slot",) if variants else ()), "code at")
    rows = tuple(
        (
            image.file,
            image.role,
            image.image.header.version,
            len(image.data),
            image.hash,
            image.image_index,
            *((image.slot,) if variants else ()),
            _code_at(image),
        )
        for image in images
    )
    return Table("Images", columns, rows)


def _code_at(image: PackageImage) -> str:
    if image.image.encrypted:
        return "encrypted"
    return "" if image.code_address is None else f"0x{image.code_address:x}"


def _manifest(entries: Sequence[Mapping[str, Any]]) -> Table:
    """What the manifest says: a row for each key of any entry, a column for each file. Unknown keys are shown, too."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry if key != "file"))
    columns = ("manifest", *(str(entry.get("file", "")) for entry in entries))
    rows = tuple((key, *(_words(key, entry[key]) if key in entry else None for entry in entries)) for key in keys)
    return Table("Manifest", columns, rows)


def _pairs(said: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What the manifest says of the whole package."""
    for key, value in said.items():
        yield key, _words(key, value)


def _words(key: str, value: Any) -> str:
    """A value of the manifest, for people: as it is there, but for addresses and times in numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        if key in _ADDRESSES and value >= 0:
            return f"0x{value:x}"
        if key in ("time", "modtime") and 0 <= value < 1 << 32:
            return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))
    return value if isinstance(value, str) else json.dumps(value)
