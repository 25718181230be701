"""dfu_mcuboot.zip: MCUboot's own update, for devices with NSIB (b0) below it.

MCUboot is built twice, for S0 and for S1, which each begin with room for MCUboot's header. Both files go to the
secondary slot of image 0; MCUboot takes them for itself by their address. b0 starts the one with the higher version of
firmware info. Source: ``cmake/sysbuild/b0_mcuboot_signing.cmake`` of the nRF Connect SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.made import MadePackage, PackageWarning
from smpdfu.dfu.package.package import Board, Package, source_date
from smpdfu.dfu.package.request import StrPath
from smpdfu.dfu.package.seals import resealed, seal_warnings
from smpdfu.dfu.package.signed_files import is_image, read_signed
from smpdfu.errors import FormatError, ImageError, PackageError
from smpdfu.image.files import read_firmware
from smpdfu.image.format import Flag, Image, Version
from smpdfu.image.image_file import naming
from smpdfu.image.keys.keys import Signer
from smpdfu.image.nrf5340 import APP
from smpdfu.image.nsib.sealing import SealedFirmware, seal_again
from smpdfu.image.signing.build import ImageSpec, build
from smpdfu.image.signing.release import image_warnings, key_warnings
from smpdfu.image.trailer import SwapMode
from smpdfu.image.vector_table import Vectors

PACKAGE_NAME = "dfu_mcuboot.zip"
FILES = ("signed_by_mcuboot_and_b0_mcuboot.bin", "signed_by_mcuboot_and_b0_s1_image.bin")
"""The names that the SDK gives: MCUboot for S0 and for S1."""


@dataclass(frozen=True, slots=True)
class McubootRequest:
    """What to make a dfu_mcuboot.zip of. Sizes in bytes.

    ``s0`` and ``s1`` are files: MCUboot's firmware for S0 and for S1 (Intel HEX or binary), sealed or not; without a
    key that signs, the images that both rounds have signed. Where S0 and S1 are, the firmware info tells.

    ``version`` is for MCUboot's header; b0 compares the version of the firmware info. ``slot_size`` is that of the slot
    that the image is uploaded to: the secondary slot of image 0. ``release`` refuses images without a signature, and
    keys that everybody has.

    Raises ValueError without a file.
    """

    version: Version | None = None
    s0: StrPath | None = None
    s1: StrPath | None = None
    security_counter: int | None = None
    name: str | None = None
    board: Board = field(default_factory=Board)
    slot_size: int = 0x7A000
    header_size: int = 0x200
    swap_mode: SwapMode = SwapMode.MOVE
    release: bool = False

    def __post_init__(self) -> None:
        if (self.s0, self.s1) == (None, None):
            raise ValueError("nothing to pack: give MCUboot's firmware for S0, for S1, or both")

    @property
    def paths(self) -> tuple[tuple[int, Path], ...]:
        """The files with the number of their slot."""
        return tuple((number, Path(path)) for number, path in enumerate((self.s0, self.s1)) if path is not None)


@dataclass(frozen=True, slots=True)
class McubootVariant:
    """MCUboot for the slot ``number``: 0 is S0, 1 is S1. ``data`` is the file, ``sealed`` the firmware in it."""

    number: int
    image: Image
    data: bytes
    sealed: SealedFirmware

    @property
    def start(self) -> int:
        """The first byte of its slot, where MCUboot's header lies."""
        return self.sealed.info.address - self.image.header.hdr_size

    @property
    def end(self) -> int:
        """The first byte behind it in its slot."""
        return self.start + self.image.size_bytes


def make_mcuboot_package(
    request: McubootRequest, signer: Signer | None = None, nsib_signer: Signer | None = None
) -> MadePackage:
    """Make the package that updates MCUboot itself. Nothing is written.

    ``nsib_signer`` seals the firmware for b0 (round one), again if it has a seal; without it, the firmware must be
    sealed. ``signer`` makes MCUboot's header and signature around that (round two); without it, the files must be
    images that both rounds have signed, and their bytes are kept.

    Raises OSError, ImageError for a file that is no firmware for its slot, TooLargeError, PackageError for variants
    that do not belong together, SigningError; ValueError for ``nsib_signer`` without ``signer``, and for ``signer``
    without a version.
    """
    if nsib_signer is not None and signer is None:
        raise ValueError("an image that is sealed now must be signed now: give the key that signs, too")
    signers = [one for one in (signer, nsib_signer) if one is not None]
    known = key_warnings(signers, None, release=request.release) if signers else ()
    warnings = [PackageWarning("known-key", message) for message in dict.fromkeys(known)]
    variants = [_variant(number, path, request, signer, nsib_signer) for number, path in request.paths]
    if signer is None:
        found = (one for variant in variants for one in image_warnings(variant.image, release=request.release))
        warnings += [PackageWarning("known-key", message) for message in dict.fromkeys(found)]
    names = {variant.number: str(path) for variant, (_, path) in zip(variants, request.paths, strict=True)}
    check_variants(variants, names)
    warnings += variant_warnings(variants)
    package = _package(variants, request)
    warnings += seal_warnings(package.images, release=request.release, checks_keys=nsib_signer is None)
    return MadePackage(package, tuple(dict.fromkeys(warnings)), PACKAGE_NAME)


# --- one variant ----------------------------------------------------------------------------------------------------


def _variant(
    number: int, path: Path, request: McubootRequest, signer: Signer | None, nsib_signer: Signer | None
) -> McubootVariant:
    firmware = read_firmware(path)
    if signer is None:
        data, image = read_signed(path, firmware)
        with naming(path):
            return signed_variant(number, data, image)
    with naming(path):
        if is_image(firmware):
            raise FormatError(
                "this is signed for MCUboot already: give the firmware, or pack the signed image without a key"
            )
        sealed = sealed_mcuboot(firmware.flat(), nsib_signer)
        if firmware.addressed and firmware.base != sealed.info.address:
            raise FormatError(
                f"the code begins at 0x{firmware.base or 0:x}, and its firmware info says 0x{sealed.info.address:x}"
            )
        if request.version is None:
            raise ValueError("an image that is signed needs a version")
        image = build(_spec(sealed, request.version, request), sealed.data, signer)
        return checked_variant(McubootVariant(number, image, image.to_bytes(), sealed))


def sealed_mcuboot(data: bytes, nsib_signer: Signer | None) -> SealedFirmware:
    """MCUboot's firmware with its seal: the one that it has, or a new one. Raises FormatError, SigningError."""
    if nsib_signer is None:
        try:
            return SealedFirmware.of(data)
        except FormatError as error:
            raise FormatError(f"{error}. MCUboot needs the seal of b0: give the key for that").because(
                "mcuboot-unsealed"
            ) from None
    info = SealedFirmware.info_of(data)
    return seal_again(data, info.address, nsib_signer)


def signed_variant(number: int, data: bytes, image: Image) -> McubootVariant:
    """MCUboot's image that both rounds have signed. Raises FormatError, ImageError."""
    if image.encrypted:
        raise ImageError("the image is encrypted: b0 needs MCUboot as it runs")
    return checked_variant(McubootVariant(number, image, data, SealedFirmware.of(image.payload)))


def checked_variant(variant: McubootVariant) -> McubootVariant:
    """The variant. Raises ImageError where the code is not for the place that its firmware info tells."""
    info, header = variant.sealed.info, variant.image.header
    vectors = Vectors.of(variant.image.payload)
    if vectors is None or not info.address <= vectors.reset < info.address + info.size:
        raise ImageError(
            f"the firmware is not linked for 0x{info.address:x}, where its firmware info says that it runs: MCUboot "
            "knows its own image by the reset vector"
        )
    if info.address not in APP or variant.start <= APP.start:
        raise ImageError(
            f"the firmware runs from 0x{info.address:x}, and behind b0 MCUboot begins higher in the application core's "
            "flash: this MCUboot was built without b0"
        )
    if not info.is_found_behind(header.hdr_size):
        raise ImageError(
            f"its firmware info is at 0x{info.offset:x}, and behind a header of 0x{header.hdr_size:x} bytes, b0 does "
            "not look there: it would never start this MCUboot"
        )
    if header.flags & Flag.ROM_FIXED and header.load_addr != variant.start:
        raise ImageError(f"its header is for 0x{header.load_addr:x}, and its slot begins at 0x{variant.start:x}")
    return variant


def _spec(sealed: SealedFirmware, version: Version, request: McubootRequest) -> ImageSpec:
    start = sealed.info.address - request.header_size
    if start <= APP.start:
        raise ImageError(
            f"the firmware runs from 0x{sealed.info.address:x}, which leaves no room for b0 and for a header of "
            f"0x{request.header_size:x} bytes: this MCUboot was built without b0"
        )
    return ImageSpec(
        version=version,
        header_size=request.header_size,
        slot_size=request.slot_size,
        pad_header=True,
        align=4,
        swap_mode=request.swap_mode,
        # Loaders of nRF Connect SDK 3.4 and later erase an image without it; all others ignore it.
        rom_fixed=start,
        security_counter=request.security_counter,
    )


# --- both variants --------------------------------------------------------------------------------------------------


def check_variants(variants: Sequence[McubootVariant], names: dict[int, str]) -> None:
    """Raises PackageError for variants that are not one MCUboot for two slots. ``names`` are those of the files."""
    by_number = {one.number: one for one in variants}
    s0, s1 = by_number.get(0), by_number.get(1)
    if s0 is None or s1 is None:
        return
    if s0.start > s1.start:
        raise PackageError(
            f"{names[0]} is linked for 0x{s0.start:x} and {names[1]} for 0x{s1.start:x}, and S0 comes before S1: the "
            "two files are exchanged"
        ).because("mcuboot-exchanged")
    if s0.end > s1.start:
        raise PackageError(
            f"{names[0]} reaches from 0x{s0.start:x} to 0x{s0.end:x}, and {names[1]} begins at 0x{s1.start:x}: they "
            "are not for two slots"
        ).because("mcuboot-one-slot")
    versions = (s0.sealed.info.version, s1.sealed.info.version)
    if versions[0] != versions[1]:
        raise PackageError(
            f"{names[0]} has version {versions[0]} of firmware info and {names[1]} has {versions[1]}: they are not of "
            "one build"
        ).because("mcuboot-versions")


def variant_warnings(variants: Sequence[McubootVariant]) -> Iterator[PackageWarning]:
    """The warnings about the variants: one is missing, or smpdfu made a seal again."""
    if len(variants) == 1:
        there, missing = ("S0", "S1") if variants[0].number == 0 else ("S1", "S0")
        yield PackageWarning(
            "one-variant",
            f"the package has MCUboot for {there} only: devices whose MCUboot runs from {missing} can take it, others "
            "cannot",
        )
    if any(one.sealed.earlier is not None for one in variants):
        yield resealed(None)


def _package(variants: Sequence[McubootVariant], request: McubootRequest) -> Package:
    board, soc = request.board.of(Core.APP)
    images = [_image(variant, board, soc) for variant in variants]
    return mcuboot_package(images, request.name)


def _image(variant: McubootVariant, board: str, soc: str) -> PackageImage:
    file = FILES[variant.number]
    entry = {"type": "mcuboot", "board": board, "soc": soc, **entry_of(variant, file)}
    return PackageImage(Role.MCUBOOT, file, variant.data, variant.image, entry)


def entry_of(variant: McubootVariant, file: str) -> dict[str, Any]:
    """The keys of a manifest's entry that the image itself tells; numbers are texts, as the SDK writes them."""
    return {
        "load_address": variant.start,
        "slot": str(variant.number),
        "version_MCUBOOT": variant.image.header.version.with_build,
        "version_B0": str(variant.sealed.info.version),
        "size": len(variant.data),
        "file": file,
        "modtime": source_date(),
    }


def mcuboot_package(images: Sequence[PackageImage], name: str | None) -> Package:
    """The package of MCUboot's images, each with its entry."""
    manifest: dict[str, Any] = {"format-version": 1, "time": source_date()}
    if name:
        manifest["name"] = name
    manifest["files"] = [dict(image.entry) for image in images]
    return Package(tuple(images), manifest)
