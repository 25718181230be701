"""The images of a package, and what each of them is for.

What an image is for (its ``Role``) is said by the manifest and, in an image that is not encrypted, by its reset vector;
``preflight`` compares the two. Where its code runs, the reset vector decides: ``load_address`` is the address of the
code in builds with Partition Manager, the slot's start in those without, and for a network image then that of a slot in
RAM, which says nothing.

``image_index`` is the number of MCUboot's image in the *simultaneous* scheme: "0" application, "1" network. The SDK
writes these numbers into every package, also into one for a device of the *staged* scheme, where both go to image 0
one after the other; Nordic's phone apps go by the number, which is why such a package fails there on a staged device.
We write the same numbers, so that a package is the same file whoever made it, and ``plan`` decides by the device's
layout and never by this number.

Where the application is in two halves, the one in external flash (QSPI XIP) has the number behind the network core's,
1 if there is none. Source: nRF Connect SDK, ``cmake/sysbuild/zip.cmake``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from smpdfu.dfu.package import manifest as manifests
from smpdfu.image import nrf5340
from smpdfu.image.format import Flag, Image
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.vector_table import claim_warning, code_address, link_warning


class Core(StrEnum):
    """A core of the nRF5340."""

    APP = "app"
    NET = "net"

    @property
    def words(self) -> str:
        """``application core`` or ``network core``."""
        return (nrf5340.APP if self is Core.APP else nrf5340.NET).words


class Role(StrEnum):
    """What an image of a package is for.

    APP: the application, or the half of it in internal flash. NET: the network core's firmware. EXTERNAL: the half of
    the application that runs from external flash (QSPI XIP). MCUBOOT: the bootloader itself. OTHER: what the
    application needs in an image of its own, known by its number only, such as the patches of a Wi-Fi chip.
    """

    APP = "app"
    NET = "net"
    EXTERNAL = "external"
    MCUBOOT = "mcuboot"
    OTHER = "other"

    @property
    def core(self) -> Core:
        """The core that runs it or uses it."""
        return Core.NET if self is Role.NET else Core.APP


_WITHOUT_VECTORS = frozenset({Role.EXTERNAL, Role.OTHER})
"""What need not begin with a vector table: a word of theirs that looks like a vector means nothing."""


def core_of_address(address: int) -> Core | None:
    """The core whose flash has this address; None for RAM, external flash and everything else."""
    if address in nrf5340.NET:
        return Core.NET
    return Core.APP if address in nrf5340.APP else None


@dataclass(frozen=True, slots=True)
class PackageImage:
    """An image: ``data`` is the file as it is uploaded, ``entry`` its manifest entry with all its keys."""

    role: Role
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
        return cls(_role(image, file, claims), file, data, image, claims)

    @property
    def core(self) -> Core:
        """The core that runs it or uses it."""
        return self.role.core

    @property
    def words(self) -> str:
        """What it is, for people: ``an image for the network core``."""
        if self.role is Role.OTHER:
            return f"image {self.image_index}"
        return _WORDS.get(self.role, f"an image for the {self.core.words}")

    @property
    def part(self) -> str:
        """The same in short, for scripts: ``app``, ``net``, ``external``, ``mcuboot``, ``other 3``."""
        return f"{self.role} {self.image_index}" if self.role is Role.OTHER else str(self.role)

    @property
    def hash(self) -> bytes | None:
        """The image's SHA TLV: what the device lists; None in an image without one."""
        return self.image.hash

    @property
    def vector_core(self) -> Core | None:
        """The core for which the code is linked; None if that cannot be read: encrypted, or no vector to its flash."""
        return None if self.role in _WITHOUT_VECTORS else _vector_core(self.image)

    @property
    def load_address(self) -> int | None:
        """The manifest's load address: of the code, of its slot, or of a slot in RAM; see ``code_address``."""
        return manifests.configured(self.entry, "load_address")

    @property
    def firmware_info(self) -> FirmwareInfo | None:
        """What it says of itself to b0 or b0n; None where it says nothing, or is encrypted."""
        return None if self.image.encrypted else FirmwareInfo.find(self.image.payload)

    @property
    def code_address(self) -> int | None:
        """Where the code's first byte lies when it runs: what b0n's firmware info, the manifest or the header says of
        it, where the reset vector bears it out; None where nothing does, or the image is encrypted.
        """
        if self.image.encrypted or self.role in _WITHOUT_VECTORS:
            return None
        header, info = self.image.header, self.firmware_info
        fixed = header.load_addr if header.flags & Flag.ROM_FIXED else None
        claims = (None if info is None else info.address, self._in_ram, self.load_address, fixed)
        return code_address(self.image.payload, header.hdr_size, claims)

    @property
    def link_warning(self) -> str | None:
        """Why the code would not run where the manifest says, in one sentence, judged by the reset vector.

        None where nothing speaks against it: also where the manifest has an address that cannot be one of code, in an
        encrypted image, whose vector cannot be read, and in one that need not begin with vectors.
        """
        if self.image.encrypted or self.role in _WITHOUT_VECTORS:
            return None
        if self._in_ram is not None:
            return link_warning(self.image.payload, self._in_ram)
        return claim_warning(self.image.payload, self.image.header.hdr_size, self.load_address)

    @property
    def is_internal_half(self) -> bool:
        """True if its name says that it is the half of the application in internal flash."""
        return self.role is Role.APP and _INTERNAL_HALF.search(self.file) is not None

    @property
    def _in_ram(self) -> int | None:
        """Where its code lies once the bootloader loaded it into RAM; None if the header does not ask for that.

        The manifest of such an image has the address of a slot.
        """
        header = self.image.header
        return header.load_addr + header.hdr_size if header.flags & Flag.RAM_LOAD else None

    @property
    def image_index(self) -> int:
        """MCUboot's image number in a build with an image pair for each: 0 application, 1 network."""
        default = 0 if self.role in (Role.APP, Role.MCUBOOT) else 1
        found = manifests.configured(self.entry, "image_index", default=default)
        return default if found is None else found

    @property
    def slot(self) -> int | None:
        """The slot that it is linked for, where there is a variant for each (direct XIP, MCUboot itself); else None."""
        return manifests.configured(self.entry, "slot")


_WORDS = {Role.EXTERNAL: "the application's half in external flash", Role.MCUBOOT: "the bootloader's own image"}


def _vector_core(image: Image) -> Core | None:
    if image.encrypted or image.reset_vector is None:
        return None
    return core_of_address(image.reset_vector)


def _role(image: Image, file: str, entry: Mapping[str, Any]) -> Role:
    if entry.get("type") == "mcuboot":
        return Role.MCUBOOT
    address = manifests.configured(entry, "load_address")
    if _EXTERNAL_HALF.search(file) or (address is not None and address in nrf5340.XIP):
        return Role.EXTERNAL
    linked = _vector_core(image)
    if _says_network(entry, address):
        return Role.NET
    index = manifests.configured(entry, "image_index")
    if index is None:  # an address elsewhere may be that of the network core's slot in RAM, as seen by the application
        return Role.NET if linked is Core.NET else Role.APP
    if index == 0:
        return Role.APP
    # Builds with patches for a Wi-Fi chip, or with images of a project's own, count on behind those that we know.
    is_patch = linked is None and file.startswith(_WIFI_PATCHES)
    return Role.NET if index == 1 and not is_patch else Role.OTHER


_WIFI_PATCHES = "nrf70"
# The load address of this half is counted from the start of the external flash, and so proves nothing by itself.
# Packages have "APP.external.bin", build folders "zephyr.external.signed.bin".
_EXTERNAL_HALF, _INTERNAL_HALF = (
    re.compile(rf"\.{half}(\.signed)?(\.encrypted)?\.(bin|hex)$") for half in ("external", "internal")
)


def _says_network(entry: Mapping[str, Any], address: int | None) -> bool:
    """Old SDKs wrote the application's board and soc into every entry: they prove the network core, not the other."""
    names = f"{entry.get('soc', '')} {entry.get('board', '')}".lower()
    return (address is not None and core_of_address(address) is Core.NET) or "cpunet" in names
