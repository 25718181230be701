"""Secure DFU packages of the nRF5 SDK: a zip with ``manifest.json``, and firmware and init packet of each image.

Read with every limit checked before anything is unpacked; written reproducibly. Source: nrfutil 6.1.7.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from smpdfu.errors import FormatError
from smpdfu.image.secure_dfu.init_packet import MAX_INIT_PACKET_BYTES, Packet
from smpdfu.image.zip_writing import ZIP_EPOCH_S, write_zip
from smpdfu.untrusted import jsontext
from smpdfu.untrusted.archive import Archive

MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_FIRMWARE_BYTES = 8 << 20
"""Of one image. The flash of an nRF52840 has 1 MiB; an external application goes to another chip."""
MAX_IMAGES = 16
MAX_NAME_CHARS = 255
"""Of an image or a file: as much as a file system takes. Names are printed."""

SENDING_ORDER = ("softdevice_bootloader", "softdevice", "bootloader", "application", "external_application")
"""Names of images in a manifest, in the order in which a device takes them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a package: its name in the manifest, its files, its init packet, or what is wrong with them.

    ``size_bytes`` is what the zip states, also where the firmware cannot be read. ``packet`` is None, and ``firmware``
    empty, only where ``fault`` says why. ``more`` has the other keys of the manifest.
    """

    name: str
    bin_file: str
    dat_file: str
    size_bytes: int
    packet: Packet | None
    fault: str = ""
    firmware: bytes = field(default=b"", repr=False)
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, name: str, stem: str, firmware: bytes, packet: Packet, **more: object) -> Self:
        """A new entry whose files are called ``stem`` with .bin and .dat."""
        return cls(name, f"{stem}.bin", f"{stem}.dat", len(firmware), packet, "", firmware, more)

    @property
    def init_packet(self) -> Packet:
        """The init packet; raises ``FormatError`` for an entry with a fault."""
        if self.packet is None:
            raise FormatError(f"the image {self.name!r} of the package is not usable: {self.fault}")
        return self.packet

    @property
    def _listed(self) -> dict[str, object]:
        return {"bin_file": self.bin_file, "dat_file": self.dat_file, **self.more}


@dataclass(frozen=True, slots=True)
class SecureDfuPackage:
    """The images of a package, as its manifest has them.

    ``document`` is the whole manifest, with the keys that we do not know; ``others`` are the members of the zip that
    belong to no image. Both are written back as they were.
    """

    entries: tuple[Entry, ...]
    document: Mapping[str, Any] = field(repr=False)
    others: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        """A new package of these images."""
        return cls(tuple(entries), {"manifest": {one.name: one._listed for one in entries}})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a package whose images are all usable; raises ``FormatError`` with what is wrong with the first one."""
        package = cls.from_faulty(data)
        if not package.entries:
            raise FormatError("the package has no image: its manifest names none")
        for one in package.entries:
            _ = one.init_packet
        return package

    @classmethod
    def from_faulty(cls, data: bytes) -> Self:
        """Read a package, also where images have faults; ``FormatError`` when its manifest cannot be read."""
        archive = Archive(data)
        try:
            document = jsontext.load(archive.read(MANIFEST_NAME, MAX_MANIFEST_BYTES), MAX_MANIFEST_BYTES)
            listed = _listed_images(document["manifest"])
        except (FormatError, LookupError, TypeError, AttributeError) as error:
            raise FormatError(f"the package is damaged: its manifest cannot be read ({error})") from None
        if len(listed) > MAX_IMAGES:
            raise FormatError(f"the manifest of the package names {len(listed)} images, more than {MAX_IMAGES}")
        entries = tuple(_entry(archive, name, one) for name, one in listed)
        return cls(entries, document, _others(archive, entries))

    @property
    def in_sending_order(self) -> tuple[Entry, ...]:
        """The images in the order in which a device takes them: SoftDevice and bootloader before the application."""
        return tuple(sorted(self.entries, key=lambda one: (*SENDING_ORDER, one.name).index(one.name)))

    def to_bytes(self) -> bytes:
        """The zip: members stored and sorted, all of one time, so always the same bytes."""
        members = dict(self.others)
        members[MANIFEST_NAME] = json.dumps(self.document, indent=4, sort_keys=True).encode()
        for one in self.entries:
            members[one.bin_file] = one.firmware
            members[one.dat_file] = one.init_packet.to_bytes()
        return write_zip(members, ZIP_EPOCH_S)


def _listed_images(manifest: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The images by their names. Other keys, such as the version of nrfutil, may hold anything."""
    wrong = [name for name in SENDING_ORDER if not isinstance(manifest.get(name, {}), dict)]
    if wrong:
        raise FormatError(f"{wrong[0]} in it is no image")
    found: list[tuple[str, Mapping[str, Any]]] = [
        (name, one) for name, one in manifest.items() if isinstance(one, dict)
    ]
    long = [name for name, _ in found if len(name) > MAX_NAME_CHARS]
    if long:
        raise FormatError(f"the name of an image in it has {len(long[0])} characters, more than {MAX_NAME_CHARS}")
    return found


def _entry(archive: Archive, name: str, listed: Mapping[str, Any]) -> Entry:
    sizes = archive.sizes
    files = {key: listed.get(key, "") for key in ("bin_file", "dat_file")}
    more = {key: value for key, value in listed.items() if key not in ("bin_file", "dat_file")}
    wrong = [key for key, file in files.items() if not isinstance(file, str) or len(file) > MAX_NAME_CHARS]
    if wrong:
        return Entry(name, "", "", 0, None, f"its {wrong[0]} in the manifest is no name of a file", more=more)
    binary, init = files.values()
    missing = next((one for one in (binary, init) if one not in sizes), None)
    if missing is not None:
        fault = f"{missing or 'a file'} is not in the package"
        return Entry(name, binary, init, sizes.get(binary, 0), None, fault, more=more)
    try:
        packet = Packet.from_bytes(archive.read(init, MAX_INIT_PACKET_BYTES))
        firmware = archive.read(binary, MAX_FIRMWARE_BYTES)
    except FormatError as error:
        return Entry(name, binary, init, sizes[binary], None, str(error), more=more)
    return Entry(name, binary, init, sizes[binary], packet, "", firmware, more)


def _others(archive: Archive, entries: Sequence[Entry]) -> dict[str, bytes]:
    """Members that belong to no image, as far as they are small enough for a package."""
    taken = {MANIFEST_NAME, *(one.bin_file for one in entries), *(one.dat_file for one in entries)}
    left = {name: size for name, size in archive.sizes.items() if name not in taken}
    if sum(left.values()) > MAX_FIRMWARE_BYTES:
        raise FormatError(f"the files of the package that belong to no image have more than {MAX_FIRMWARE_BYTES} bytes")
    return {name: archive.read(name, MAX_FIRMWARE_BYTES) for name in left}
