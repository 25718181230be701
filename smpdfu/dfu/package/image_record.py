"""What a log and a journal keep of an image of a package, by which the image is found again a year later."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smpdfu.dfu.package.images import PackageImage

_HEX = re.compile(r"(?:[0-9a-f]{2}){16,64}")
_MAX_TEXT = 100
_MAX_IMAGES = 64


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image by its hashes, in lower-case hex.

    ``part`` is ``PackageImage.part``, ``hash`` MCUboot's hash TLV, as devices list it ("" in an image without one),
    ``version`` that of the header, ``file`` the SHA-256 of the image's file.
    """

    part: str
    hash: str
    version: str
    file: str = ""

    @classmethod
    def of(cls, image: PackageImage) -> ImageRecord:
        """Describe an image of a package."""
        found = image.hash
        file = hashlib.sha256(image.data).hexdigest()
        return cls(image.part, "" if found is None else found.hex(), str(image.image.header.version), file)

    @classmethod
    def from_entry(cls, entry: object) -> ImageRecord | None:
        """Read what ``to_entry`` wrote; None for anything else."""
        if not isinstance(entry, dict) or not isinstance(part := entry.get("part"), str):
            return None
        version = entry.get("version")
        text = version[:_MAX_TEXT] if isinstance(version, str) else ""
        return cls(part[:_MAX_TEXT], hash_text(entry.get("hash")), text, hash_text(entry.get("file")))

    @property
    def key(self) -> str:
        """The hash by which the image is known: its own, else that of its file; "" if neither is known."""
        return self.hash or self.file

    def to_entry(self) -> dict[str, Any]:
        """Return the object for a log or a journal."""
        return {"part": self.part, "hash": self.hash, "version": self.version, "file": self.file}


def hash_text(value: object) -> str:
    """Return a hash of 16 to 64 bytes in lower-case hex; "" for anything else."""
    return str(value) if isinstance(value, str) and _HEX.fullmatch(value) else ""


def image_records(value: object) -> tuple[ImageRecord, ...] | None:
    """Read a list of images; None for anything else. What is no image in it does not count."""
    if not isinstance(value, list | tuple) or len(value) > _MAX_IMAGES:
        return None
    return tuple(found for one in value if (found := ImageRecord.from_entry(one)) is not None)


def records_by_package(value: object) -> Mapping[str, tuple[ImageRecord, ...]] | None:
    """Read the images of packages by the packages' digests; None for anything else."""
    if not isinstance(value, dict):
        return None
    found = {str(digest): image_records(images) for digest, images in value.items()}
    return {digest: images for digest, images in found.items() if images is not None}
