"""A package as it is published: its name and version at the server, and what the server tells about it.

The metadata of a software module reaches every gateway in the chunk of a deployment. ``hardware`` is the word by which
a gateway chooses among the modules of a distribution set; the other keys are for people and for audits.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smpdfu import __version__
from smpdfu.agent.actions.choose import SUFFIXES
from smpdfu.agent.ddi.chunk_choice import HARDWARE
from smpdfu.agent.management.wish import MAX_NAME, MAX_VERSION, checked_name
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.dfu.package.package import Package, named
from smpdfu.dfu.package.zipped import MAX_PACKAGE_BYTES
from smpdfu.errors import PackageError
from smpdfu.image.inspect.identify import FileKind, identify
from smpdfu.untrusted.files import read_start

StrPath = str | Path
SHA256 = "package.sha256"
MADE_BY = "smpdfu.version"
_FIRST = (Role.APP, Role.NET, Role.MCUBOOT)
"""Whose version a package has: the application's, else what it has instead."""


@dataclass(frozen=True, slots=True)
class PackageToPublish:
    """A package with its file: ``data`` is what is uploaded, under the name ``file``.

    ``hardware`` is empty for a package that fits every device of the distribution set.
    """

    file: str
    data: bytes = field(repr=False)
    package: Package = field(repr=False)
    hardware: str = ""

    @classmethod
    def load(cls, path: StrPath, hardware: str = "") -> PackageToPublish:
        """Read a package file. Raises PackageError, OSError, or ValueError for names that a server cannot keep."""
        data = read_start(path, MAX_PACKAGE_BYTES + 1)
        name = checked_name(Path(path).name, "the name of the package file")
        if not name.lower().endswith(SUFFIXES):
            ends = " or ".join(SUFFIXES)
            raise ValueError(f"the name of the package file must end with {ends}: gateways find it by that")
        if hardware:
            checked_name(hardware, "the hardware")
        if identify(data) is FileKind.MCUBOOT_IMAGE:
            text = f"{name} is a single mcuboot image, and gateways install packages"
            raise PackageError(text).because("publish-one-image")
        try:
            return cls(name, data, Package.from_bytes(data), hardware)
        except PackageError as error:
            raise named(error, path) from error

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in lower-case hex."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def version(self) -> str:
        """The version of the application, as MCUboot writes it; of a package without one, that of its image."""
        image = self._first
        return checked_name(str(image.image.header.version), "the version of the package", MAX_VERSION)

    @property
    def name(self) -> str:
        """What the manifest calls the package, else the name of its first image without its ending."""
        said = self.package.manifest.get("name")
        text = said if isinstance(said, str) and said else self._first.file.partition(".")[0]
        return checked_name(text, "the name of the package")

    @property
    def metadata(self) -> Mapping[str, str]:
        """What is told of it, by keys that hawkBit can keep. Texts of the package are bounded and printable."""
        found = {HARDWARE: self.hardware} if self.hardware else {}
        board = self._first.entry.get("board")
        if isinstance(board, str) and board.isprintable() and len(board) <= MAX_NAME:
            found["board"] = board
        found |= {"kind": str(identify(self.data)), SHA256: self.sha256, "package.digest": self.package.digest}
        for name, image in _named(self.package.images):
            found |= {f"image.{name}.{key}": value for key, value in _facts(image)}
        return found | {MADE_BY: __version__}

    @property
    def words(self) -> str:
        """The images in one line: ``app 1.2.3, net 1.0.0``."""
        return ", ".join(f"{one.part} {one.image.header.version}" for one in self.package.images)

    @property
    def _first(self) -> PackageImage:
        found = (image for role in _FIRST for image in self.package.of_role(role))
        return next(found, self.package.images[0])


def _named(images: Sequence[PackageImage]) -> Iterator[tuple[str, PackageImage]]:
    """The images with names for keys: ``app``, ``other-3``; the variants of one part are numbered."""
    seen = Counter[str]()
    for image in images:
        name = image.part.replace(" ", "-")
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}.{seen[name]}", image


def _facts(image: PackageImage) -> Iterator[tuple[str, str]]:
    yield "version", str(image.image.header.version)
    if image.hash is not None:
        yield "hash", image.hash.hex()
    yield "sha256", hashlib.sha256(image.data).hexdigest()
    if image.slot is not None:
        yield "slot", str(image.slot)
    if image.image.encrypted:
        yield "encrypted", "yes"
