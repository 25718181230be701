"""dfu_application.zip: the file that an nRF Connect SDK build leaves behind, with any number of images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smpdfu.dfu.package import manifest as manifests
from smpdfu.dfu.package import multi_image
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.zipped import MAX_PACKAGE_BYTES, read_zip
from smpdfu.errors import FormatError, PackageError
from smpdfu.image.inspect.identify import FileKind, identify
from smpdfu.image.zip_writing import ZIP_EPOCH_S, write_zip
from smpdfu.untrusted.files import read_start

# Manifest entries of these types hold an image; others are kept and left alone.
IMAGE_TYPES = ("application", "bin", "mcuboot")


@dataclass(frozen=True, slots=True)
class Package:
    """Images by their roles. Of one role there may be several only as variants: one for each slot, see ``of_role``.

    ``manifest`` is everything that the manifest says, with the keys that we do not know; ``others`` are the members of
    the zip that are no image, by name. Both are written back as they were.
    """

    images: tuple[PackageImage, ...]
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)
    others: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.images:
            raise PackageError("the package has no image for a core")
        places: dict[tuple[object, ...], str] = {}
        for image in self.images:
            number = image.image_index if image.role is Role.OTHER else None
            place = (image.role, number, image.slot, image.load_address)
            if place in places:
                raise PackageError(f"{places[place]} and {image.file} of the package are both {image.words}")
            places[place] = image.file

    def of_role(self, role: Role | Core) -> tuple[PackageImage, ...]:
        """The images with this role; more than one where each is a variant for another slot, or for another number."""
        return tuple(image for image in self.images if image.role is Role(role))

    def image(self, role: Role | Core) -> PackageImage | None:
        """The image with this role; None if there is none. A core stands for the role of its name.

        Raises PackageError where there are several: ``decide/steps/variants`` chooses the one for a device first.
        """
        found = self.of_role(role)
        if len(found) > 1:
            files = ", ".join(image.file for image in found)
            raise PackageError(f"each of these files of the package is {found[0].words}, and one is wanted: {files}")
        return found[0] if found else None

    def only(self, part: Core | Role) -> Package:
        """The same with the images of one core alone, without MCUboot itself, or with ``Role.MCUBOOT`` alone.

        Raises PackageError when it has none of them.
        """
        mcuboot = part is Role.MCUBOOT
        found = (image for image in self.images if (image.role is Role.MCUBOOT) is mcuboot)
        images = tuple(image for image in found if mcuboot or image.core == part)
        if not images:
            what = "of MCUboot itself" if mcuboot else f"for the {Core(part).words}"
            raise PackageError(f"the package has no image {what}")
        return replace(self, images=images)

    @property
    def digest(self) -> str:
        """64 hex digits that name what is installed (the images, not the zip around them)."""
        import hashlib

        digest = hashlib.sha256()
        for image in sorted(self.images, key=lambda image: (image.role, image.image_index, image.slot or 0)):
            # Of an image for each core alone, journals of older releases have it without its place.
            places = image.role not in (Role.APP, Role.NET) or image.slot is not None
            place = f" {image.image_index} {image.slot}" if places else ""
            digest.update(f"{image.role}{place}:{len(image.data)}:".encode() + image.data)
        return digest.hexdigest()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Package:
        """Read a package file: dfu_application.zip, dfu_mcuboot.zip or dfu_multi_image.bin.

        Raises PackageError with one sentence, or OSError when the file cannot be read.
        """
        data = read_start(path, MAX_PACKAGE_BYTES + 1)
        if identify(data) is FileKind.MCUBOOT_IMAGE:
            text = f"{Path(path).name} is a single mcuboot image and no dfu_application.zip"
            raise PackageError(text).because("one-image", file=os.fspath(path))
        try:
            return cls.from_bytes(data)
        except PackageError as error:
            raise named(error, path) from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Package:
        """Read the bytes of a package. Raises PackageError with one sentence and nothing else."""
        if identify(data) is FileKind.DFU_MULTI_IMAGE:
            found = multi_image.read_images(data)
            return cls(found, {"format-version": 1, "files": [dict(image.entry) for image in found]})
        members = read_zip(data)
        if manifests.MANIFEST_NAME not in members:
            raise PackageError(_no_manifest(members))
        manifest = manifests.parse(members.pop(manifests.MANIFEST_NAME))
        images = []
        for entry in manifest["files"]:
            if entry["file"] not in members:
                raise PackageError(f"the manifest lists {entry['file']!r}, which is not in the zip")
            if str(entry.get("type", "application")) in IMAGE_TYPES:
                images.append(_image(entry, members))
        taken = {image.file for image in images}
        return cls(tuple(images), manifest, {name: found for name, found in members.items() if name not in taken})

    def to_bytes(self, time_s: int | None = None) -> bytes:
        """The zip: members stored and sorted, all of one time (``SOURCE_DATE_EPOCH`` or 1980), so always the same."""
        members = {image.file: image.data for image in self.images} | dict(self.others)
        members[manifests.MANIFEST_NAME] = manifests.dump(self.manifest)
        return write_zip(members, source_date() if time_s is None else time_s)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the package: whole or not at all. Raises OSError."""
        from smpdfu.image.files import write_file_atomic

        write_file_atomic(Path(path), self.to_bytes())


def named(error: PackageError, path: str | os.PathLike[str]) -> PackageError:
    """The same error, with the name of the file in the sentence and its path in the facts that have a file."""
    facts = dict(error.facts) | ({"file": os.fspath(path)} if "file" in error.facts else {})
    return PackageError(f"{Path(path).name}: {error}").because(error.code, **facts)


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
    index = image.image_index
    board_name, soc = board.of(image.core)
    entry: dict[str, Any] = {
        "type": "mcuboot" if image.role is Role.MCUBOOT else "application",
        "board": board_name,
        "soc": soc,
        "load_address": load_address,
        "image_index": str(index),
        "slot_index_primary": str(2 * index + 1),
        "slot_index_secondary": str(2 * index + 2),
        "version_MCUBOOT": image.image.header.version.with_build,
        "size": len(image.data),
        "file": image.file,
        "modtime": time_s,
    }
    return PackageImage(image.role, image.file, image.data, image.image, entry)


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


def _image(entry: Mapping[str, Any], members: Mapping[str, bytes]) -> PackageImage:
    file = str(entry["file"])
    data = members[file]
    size = manifests.number(entry, "size")
    if size is not None and size != len(data):
        raise PackageError(f"{file} has {len(data)} bytes and the manifest says {size}: the package is damaged")
    try:
        return PackageImage.from_bytes(data, file, entry)
    except FormatError as error:
        raise PackageError(f"{file} in the package is not a whole MCUboot image: {error}") from error


def _no_manifest(members: Mapping[str, bytes]) -> str:
    shown = ", ".join(sorted(members)[:5]) or "nothing"
    return f"this zip has no {manifests.MANIFEST_NAME} and so is no dfu_application.zip; it holds {shown}"
