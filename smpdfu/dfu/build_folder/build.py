"""What a build says of itself, each value with the file and the key that it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from smpdfu.dfu.bootloader_modes import RUNS_IN_RAM, SWAP_MODES
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.dfu.build_folder.formats.partitions import Partition
from smpdfu.dfu.package.images import Role
from smpdfu.image.format import Version
from smpdfu.image.trailer import SwapMode
from smpdfu.smp.groups.os import BootloaderMode

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """A value, the file of the build folder that says so, and the key in it. A value without both was given."""

    value: T
    file: str = ""
    key: str = ""

    @property
    def origin(self) -> str:
        """``mcuboot/zephyr/.config, CONFIG_BOOT_UPGRADE_ONLY``; ``given`` without a file."""
        return ", ".join(filter(None, (self.file, self.key))) or "given"


class BuildKind(StrEnum):
    """How a build keeps its images: as child images (nRF Connect SDK up to 2.6) or by sysbuild (since 2.7).

    The flash is divided by the Partition Manager, or by the devicetree (since 3.3).
    """

    CHILD = "child images"
    SYSBUILD_PM = "sysbuild with Partition Manager"
    SYSBUILD_DTS = "sysbuild with devicetree partitions"


class BuildRole(StrEnum):
    """What an image of a build is. VARIANT: the application for the second slot (direct XIP)."""

    APPLICATION = "application"
    VARIANT = "application for the second slot"
    NETWORK = "network core"
    MCUBOOT = "MCUboot"
    MCUBOOT_VARIANT = "MCUboot for the second slot"
    B0 = "b0"
    B0N = "b0n"
    FIRMWARE_LOADER = "firmware loader"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class BuildImage:
    """An image of a build: ``folder`` is where its ``zephyr/`` is, from the build folder on ("" is the folder itself).

    ``ncs`` and ``zephyr`` are the releases that its headers name.
    """

    name: str
    role: BuildRole
    folder: str
    config: Kconfig = field(repr=False)
    board: Fact[str] | None = None
    soc: Fact[str] | None = None
    ncs: Fact[str] | None = None
    zephyr: Fact[str] | None = None

    def file(self, name: str) -> str:
        """The name of a file of this image, from the build folder on."""
        return f"{self.folder}/{name}" if self.folder else name

    @property
    def kernel(self) -> str:
        """What its firmware files are called, without the ending."""
        found = self.config.text("CONFIG_KERNEL_BIN_NAME")
        return found if found is not None and found.replace("_", "").replace("-", "").isalnum() else "zephyr"


@dataclass(frozen=True, slots=True)
class BuildBootloader:
    """How the MCUboot of a build was made. None: the folder does not tell.

    ``mode`` is MCUboot's own number. ``pairs``: its images, each with a pair of slots; ``max_sectors``: of the largest
    slot. ``simultaneous``: the network core has an image pair of its own; False if its image passes through the
    application's slot; None without updates of the network core. ``signature``: a kind of key, ``none`` without
    signatures. ``encryption``: the kind of key of encrypted images; None if it does not decrypt. ``key_bits``: of the
    content key. ``key_file``: the key that the build signs with; ``public_key``: the one that is built in. ``pure``,
    ``sha512``: what is signed. ``checks_address``: it demands the load address in the header.
    """

    mode: Fact[BootloaderMode] | None = None
    pairs: Fact[int] | None = None
    simultaneous: Fact[bool] | None = None
    signature: Fact[str] | None = None
    encryption: Fact[str] | None = None
    key_bits: Fact[int] = field(default_factory=lambda: Fact(128))
    key_file: Fact[str] | None = None
    encryption_key_file: Fact[str] | None = None
    max_sectors: Fact[int] | None = None
    public_key: Fact[bytes] | None = None
    pure: bool = False
    sha512: bool = False
    checks_address: Fact[bool] | None = None

    @property
    def runs_in_ram(self) -> bool:
        """True if it copies an image into RAM to run it."""
        return self.mode is not None and self.mode.value in RUNS_IN_RAM

    @property
    def swap_mode(self) -> SwapMode | None:
        """How it swaps or overwrites; None for modes that run an image where it lies, and if it is not known."""
        return None if self.mode is None else SWAP_MODES.get(self.mode.value)


@dataclass(frozen=True, slots=True)
class BuildNsib:
    """The keys of NSIB in a build: the one that seals, and those that NSIB trusts, too. None: the folder does not tell.

    ``more_key_files`` is a list with commas. ``generated_key`` is the file, from the build folder on, of the key that
    the build made for itself because nobody named one: a debug key. ``by_hash``: b0n checks the hash of a seal only,
    so that no key matters for the network core.
    """

    key_file: Fact[str] | None = None
    more_key_files: Fact[str] | None = None
    generated_key: Fact[str] | None = None
    by_hash: bool = False


@dataclass(frozen=True, slots=True)
class UpdateImage:
    """An image that a package of this build has: what it is made of, and how.

    ``slot`` is the place that it runs from (for the network core, where its application starts), ``limit`` the slot
    that it must fit with the bootloader's trailer. Sizes in bytes. ``header_in_file``: the firmware begins with room
    for the header. ``number`` and ``slot_number`` are those of the manifest; ``slot_number`` only of variants.
    ``unsigned`` and ``signed`` are the files that are there, of ``unsigned_names`` and ``signed_names``. ``sealed``:
    signed for b0n, or for b0. ``name`` is the file's name in the package. ``numbered``: the manifest has the number.
    """

    role: Role
    image: BuildImage
    name: str
    slot: Fact[Partition]
    limit: Fact[Partition]
    header_size: Fact[int]
    sector_size: Fact[int]
    align: Fact[int]
    header_in_file: bool
    version: Fact[Version]
    number: Fact[int]
    load_address: Fact[int]
    board: Fact[str] | None = None
    soc: Fact[str] | None = None
    slot_number: int | None = None
    numbered: bool = True
    security_counter: Fact[int] | None = None
    rom_fixed: bool = True
    sealed: bool = False
    encrypted: bool = False
    firmware_version: Fact[str] | None = None
    unsigned: str | None = None
    unsigned_names: tuple[str, ...] = ()
    signed: str | None = None
    signed_names: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """The address of the first byte of code."""
        return self.slot.value.address + (0 if self.role is Role.NET else self.header_size.value)


@dataclass(frozen=True, slots=True)
class BuildWarning:
    """What does not stop a package from being made, in one sentence; ``code`` names the cause."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Build:
    """A build folder as it was found. ``updates`` are the images that a package of it has.

    ``mcuboot_updates`` are MCUboot itself for S0 and S1, where b0 is below it; ``nsib`` is None in a build without it.
    ``name`` is what the build's own package is called in its manifest.
    """

    root: Path
    kind: BuildKind
    images: tuple[BuildImage, ...]
    bootloader: BuildBootloader
    updates: tuple[UpdateImage, ...]
    warnings: tuple[BuildWarning, ...] = ()
    name: str | None = None
    mcuboot_updates: tuple[UpdateImage, ...] = ()
    nsib: BuildNsib | None = None

    def image(self, role: BuildRole) -> BuildImage | None:
        """The first image with this role."""
        return next((one for one in self.images if one.role is role), None)

    @property
    def application(self) -> BuildImage:
        """The image that the others are for."""
        return next(one for one in self.images if one.role is BuildRole.APPLICATION)
