"""dfu_application.zip: the file that an nRF Connect SDK build leaves behind, with one image per core.

Which core an image is for is said by the manifest (``load_address`` in the network core's flash, ``cpunet`` in board or
soc, ``image_index`` 1) and, in an image that is not encrypted, by its reset vector; ``preflight`` compares the two.
Where its code runs, the reset vector decides: ``load_address`` is the address of the code in builds with Partition
Manager, the slot's start in those without, and for a network image then that of a slot in RAM, which says nothing.

``image_index`` is the number of MCUboot's image in the *simultaneous* scheme: "0" application, "1" network. The SDK
writes these numbers into every package, also into one for a device of the *staged* scheme, where both go to image 0
one after the other; Nordic's phone apps go by the number, which is why such a package fails there on a staged device.
We write the same numbers, so that a package is the same file whoever made it, and ``plan`` decides by the device's
layout and never by this number.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from smpdfu.dfu.package import manifest as manifests
from smpdfu.errors import FormatError, PackageError
from smpdfu.image import b0n, nrf5340
from smpdfu.image.format import Flag, Image
from smpdfu.image.vector_table import claim_warning, code_address
from smpdfu.untrusted.archive import Archive
from smpdfu.untrusted.files import read_start

MAX_PACKAGE_BYTES = 32 * 1024 * 1024
MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_TOTAL_BYTES = 32 * 1024 * 1024

# The earliest time that a zip can hold; used where SOURCE_DATE_EPOCH says nothing, so that packages are reproducible.
ZIP_EPOCH_S = 315_532_800
ZIP_END_S = 4_354_819_198

# Manifest entries of these types hold an image for a core; others (mcuboot: a bootloader) are kept and left alone.
IMAGE_TYPES = ("application", "bin")


class Core(StrEnum):
    """A core of the nRF5340."""

    APP = "app"
    NET = "net"

    @property
    def words(self) -> str:
        """``application core`` or ``network core``."""
        return (nrf5340.APP if self is Core.APP else nrf5340.NET).words


def core_of_address(address: int) -> Core | None:
    """The core whose flash has this address; None for RAM, external flash and everything else."""
    if address in nrf5340.NET:
        return Core.NET
    return Core.APP if address in nrf5340.APP else None


@dataclass(frozen=True, slots=True)
class PackageImage:
    """The image of one core: ``data`` is the file as it is uploaded, ``entry`` its manifest entry with all its keys."""

    core: Core
    file: str
    data: bytes = field(repr=False)
    image: Image = field(repr=False)
    entry: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_bytes(cls, data: bytes, file: str, entry: Mapping[str, Any] | None = None) -> PackageImage:
        """Read an image file. ``entry`` is what the manifest says; without one the reset vector tells the core.

        Raises FormatError when it is no MCUboot image, PackageError when the manifest contradicts the file.
        """
        image = Image.from_bytes(data)
        claims = {} if entry is None else entry
        core = _claimed_core(claims) or _vector_core(image) or Core.APP
        return cls(core, file, data, image, claims)

    @property
    def hash(self) -> bytes | None:
        """The image's SHA TLV: what the device lists; None in an image without one."""
        return self.image.hash

    @property
    def vector_core(self) -> Core | None:
        """The core for which the code is linked; None if that cannot be read (encrypted, or no flash address)."""
        return _vector_core(self.image)

    @property
    def load_address(self) -> int | None:
        """The manifest's load address: of the code, of its slot, or of a slot in RAM; see ``code_address``."""
        return manifests.configured(self.entry, "load_address")

    @property
    def code_address(self) -> int | None:
        """Where the code's first byte lies when it runs: what b0n's firmware info, the manifest or the header says of
        it, where the reset vector bears it out; None where nothing does, or the image is encrypted.
        """
        if self.image.encrypted:
            return None
        header = self.image.header
        info = b0n.FirmwareInfo.find(self.image.payload)
        fixed = header.load_addr if header.flags & Flag.ROM_FIXED else None
        claims = (None if info is None else info.address, self.load_address, fixed)
        return code_address(self.image.payload, header.hdr_size, claims)

    @property
    def link_warning(self) -> str | None:
        """Why the code would not run where the manifest says, in one sentence, judged by the reset vector.

        None where nothing speaks against it: also where the manifest has an address that cannot be one of code, and in
        an encrypted image, whose vector cannot be read.
        """
        if self.image.encrypted:
            return None
        return claim_warning(self.image.payload, self.image.header.hdr_size, self.load_address)

    @property
    def image_index(self) -> int:
        """MCUboot's image number in the simultaneous scheme: 0 application, 1 network."""
        default = 1 if self.core is Core.NET else 0
        found = manifests.configured(self.entry, "image_index", default=default)
        return default if found is None else found


def _vector_core(image: Image) -> Core | None:
    if image.encrypted or image.reset_vector is None:
        return None
    return core_of_address(image.reset_vector)


def _claimed_core(entry: Mapping[str, Any]) -> Core | None:
    address = manifests.configured(entry, "load_address")
    names = f"{entry.get('soc', '')} {entry.get('board', '')}".lower()
    # Old SDKs wrote the application's board and soc into every entry: they prove the network core, not the other.
    if (address is not None and core_of_address(address) is Core.NET) or "cpunet" in names:
        return Core.NET
    index = manifests.configured(entry, "image_index")
    if index is None:
        return None  # an address elsewhere may be that of the network core's slot in RAM, as seen by the application
    return Core.NET if index == 1 else Core.APP


@dataclass(frozen=True, slots=True)
class Package:
    """Images for one or both cores, at most one a core.

    ``manifest`` is everything that the manifest says, with the keys that we do not know; ``others`` are the members of
    the zip that are no image of a core, by name. Both are written back as they were.
    """

    images: tuple[PackageImage, ...]
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)
    others: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.images:
            raise PackageError("the package has no image for a core")
        for core in Core:
            files = [image.file for image in self.images if image.core is core]
            if len(files) > 1:
                raise PackageError(f"the package has {len(files)} images for the {core.words}: {', '.join(files)}")

    def image(self, core: Core) -> PackageImage | None:
        """The image for this core."""
        return next((image for image in self.images if image.core is core), None)

    def only(self, core: Core) -> Package:
        """The same without the other core's image. Raises PackageError when it has none for ``core``."""
        image = self.image(core)
        if image is None:
            raise PackageError(f"the package has no image for the {core.words}")
        return Package((image,), self.manifest, self.others)

    @property
    def digest(self) -> str:
        """64 hex digits that name what is installed (the images, not the zip around them)."""
        import hashlib

        digest = hashlib.sha256()
        for image in sorted(self.images, key=lambda image: image.core):
            digest.update(f"{image.core}:{len(image.data)}:".encode() + image.data)
        return digest.hexdigest()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Package:
        """Read a package file. Raises PackageError with one sentence, or OSError when the file cannot be read."""
        data = read_start(path, MAX_PACKAGE_BYTES + 1)
        if _is_image(data):
            text = f"{Path(path).name} is a single mcuboot image and no dfu_application.zip"
            raise PackageError(text).because("one-image", file=os.fspath(path))
        try:
            return cls.from_bytes(data)
        except PackageError as error:
            raise PackageError(f"{Path(path).name}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Package:
        """Read the bytes of a package. Raises PackageError with one sentence and nothing else."""
        members = _read_zip(data)
        if manifests.MANIFEST_NAME not in members:
            raise PackageError(_no_manifest(members))
        manifest = manifests.parse(members.pop(manifests.MANIFEST_NAME))
        images = []
        for entry in manifest["files"]:
            if entry["file"] not in members:
                raise PackageError(f"the manifest lists {entry['file']!r}, which is not in the zip")
            if str(entry.get("type", "application")) in IMAGE_TYPES:
                images.append(_core_image(entry, members))
        taken = {image.file for image in images}
        return cls(tuple(images), manifest, {name: found for name, found in members.items() if name not in taken})

    def to_bytes(self, time_s: int | None = None) -> bytes:
        """The zip: members stored and sorted, all of one time (``SOURCE_DATE_EPOCH`` or 1980), so always the same."""
        members = {image.file: image.data for image in self.images} | dict(self.others)
        members[manifests.MANIFEST_NAME] = manifests.dump(self.manifest)
        return _write_zip(members, source_date() if time_s is None else time_s)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the package: whole or not at all. Raises OSError."""
        from smpdfu.image.files import write_file_atomic

        write_file_atomic(Path(path), self.to_bytes())


@dataclass(frozen=True, slots=True)
class Board:
    """What the manifest says about the hardware. Texts without blanks: Nordic's iOS library removes them."""

    board: str = "nrf5340dk/nrf5340"
    soc: str = "nRF5340"

    def of(self, core: Core) -> tuple[str, str]:
        """Board and soc of a core, in the SDK's words."""
        return f"{self.board}/cpu{core}", f"{self.soc}_CPU{core.upper()}_QKAA"


def new_package(
    images: Sequence[tuple[PackageImage, int]], *, name: str | None = None, board: Board | None = None
) -> Package:
    """A package of images with their load addresses, with every key that Nordic's apps read or demand."""
    time_s = source_date()
    made = [_with_entry(image, address, board or Board(), time_s) for image, address in images]
    manifest: dict[str, Any] = {"format-version": 1, "time": time_s}
    if name:
        manifest["name"] = name
    manifest["files"] = [dict(image.entry) for image in made]
    return Package(tuple(made), manifest)


def _with_entry(image: PackageImage, load_address: int, board: Board, time_s: int) -> PackageImage:
    index = 1 if image.core is Core.NET else 0
    board_name, soc = board.of(image.core)
    version = image.image.header.version
    entry: dict[str, Any] = {
        "type": "application",
        "board": board_name,
        "soc": soc,
        "load_address": load_address,
        "image_index": str(index),
        "slot_index_primary": str(2 * index + 1),
        "slot_index_secondary": str(2 * index + 2),
        "version_MCUBOOT": f"{version.major}.{version.minor}.{version.revision}+{version.build}",
        "size": len(image.data),
        "file": image.file,
        "modtime": time_s,
    }
    return PackageImage(image.core, image.file, image.data, image.image, entry)


def source_date() -> int:
    """Seconds since 1970 for what is written into packages: ``SOURCE_DATE_EPOCH``, else 1980.

    Raises PackageError when the variable is no such number. Source: reproducible-builds.org.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return ZIP_EPOCH_S
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise PackageError(f"SOURCE_DATE_EPOCH is {text[:40]!r}, which is not a number of seconds since 1970")
    return int(text)


def _core_image(entry: Mapping[str, Any], members: Mapping[str, bytes]) -> PackageImage:
    file = str(entry["file"])
    data = members[file]
    size = manifests.number(entry, "size")
    if size is not None and size != len(data):
        raise PackageError(f"{file} has {len(data)} bytes and the manifest says {size}: the package is damaged")
    address = manifests.configured(entry, "load_address")
    if address is not None and address in nrf5340.XIP:
        raise PackageError(
            f"{file} is for external flash, where its code runs (0x{address:x}): only packages with one image for each "
            "core can be installed"
        )
    try:
        return PackageImage.from_bytes(data, file, entry)
    except FormatError as error:
        raise PackageError(f"{file} in the package is not a whole MCUboot image: {error}") from error


def _no_manifest(members: Mapping[str, bytes]) -> str:
    shown = ", ".join(sorted(members)[:5]) or "nothing"
    return f"this zip has no {manifests.MANIFEST_NAME} and so is no dfu_application.zip; it holds {shown}"


def _read_zip(data: bytes) -> dict[str, bytes]:
    """Members by name, with every limit checked before anything is unpacked."""
    if len(data) > MAX_PACKAGE_BYTES:
        raise PackageError(f"the file is larger than the {MAX_PACKAGE_BYTES >> 20} MiB that a package may have")
    if not data.startswith(b"PK"):
        raise PackageError(_not_a_zip(data))
    try:
        archive = Archive(data)
        _check_members(archive.sizes)
        return {name: archive.read(name, MAX_FILE_BYTES) for name in archive.sizes}
    except FormatError as error:
        raise PackageError(str(error)) from None


def _is_image(data: bytes) -> bool:
    """Does this begin as one MCUboot image, and not as a package?"""
    from smpdfu.image.files import FileKind, identify

    return identify(data) is FileKind.MCUBOOT_IMAGE


def _not_a_zip(data: bytes) -> str:
    from smpdfu.image.files import identify

    if not data:
        return "the file is empty"
    return f"this is no zip but: {identify(data)}; an update needs a dfu_application.zip"


def _check_members(sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        if not _is_plain(name):
            raise PackageError(f"the zip has a file with the path {name[:80]!r}, which leads out of it")
        if size > MAX_FILE_BYTES:
            raise PackageError(f"{name[:80]!r} would unpack to {size} bytes, which no flash holds")
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise PackageError(f"the zip would unpack to more than {MAX_TOTAL_BYTES >> 20} MiB")


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    return bool(name) and not (set(name) & set("\\\0:")) and not any(part in ("", ".", "..") for part in parts)


def _write_zip(members: Mapping[str, bytes], time_s: int) -> bytes:
    import time

    # Zip times have no zone; UTC makes them the same everywhere.
    date = time.gmtime(min(max(time_s, ZIP_EPOCH_S), ZIP_END_S))[:6]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date)
            info.create_system = 3  # Unix, on every system
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])
    return target.getvalue()
